"""Secrets of channels: from an environment variable or a file that only its owner reads, never from YAML."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from agentguard.errors import ConfigurationError

__all__ = ["SecretEntry", "secret_text", "webhook_key"]

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 16
_LONGEST: Final = 4096
_KEY_BYTES: Final = (24, 64)

Text = Annotated[str, Field(min_length=1, max_length=4096)]


class SecretEntry(BaseModel):
    """Where a secret stands: exactly one of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    env: Text | None = Field(default=None, description="the variable that holds it")
    file: Text | None = Field(default=None, description="the file that holds it; only its owner may read it")

    @property
    def problem(self) -> str:
        """What is wrong with it as it is written; empty where nothing is."""
        return "" if (self.env is None) != (self.file is None) else "names one of `env` and `file`"


def secret_text(entry: SecretEntry, base: Path, what: str, environ: Mapping[str, str] | None = None) -> str:
    """The secret itself, without the white space around it; `what` begins the messages.

    Raises:
        ConfigurationError: it is not there, too short, no printable ASCII, or others may read its file.
    """
    if entry.env is not None:
        place, text = f"`{entry.env}`", (os.environ if environ is None else environ).get(entry.env, "")
        if not text:
            raise ConfigurationError(f"{what}: the variable {place} is not set")
    else:
        file = base / (entry.file or "")
        place, text = f"`{file}`", _read(file, what)
    text = text.strip()
    if not _SHORTEST <= len(text) <= _LONGEST or not text.isascii() or not text.isprintable():
        raise ConfigurationError(f"{what}: {place} does not hold {_SHORTEST} or more printable characters")
    return text


def webhook_key(text: str, what: str) -> bytes:
    """The key in a secret of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        if not text.startswith(_PREFIX):
            raise ValueError
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        raise ConfigurationError(
            f"{what}: the secret is not `whsec_` and base64; "
            'make one with `echo "whsec_$(openssl rand -base64 32)"`'
        ) from None
    if not _KEY_BYTES[0] <= len(key) <= _KEY_BYTES[1]:
        raise ConfigurationError(f"{what}: the secret has {len(key)} bytes; 24 to 64 are needed")
    return key


def _read(file: Path, what: str) -> str:
    try:
        with open(file, encoding="ascii") as handle:
            if os.name == "posix" and os.fstat(handle.fileno()).st_mode & 0o077:
                raise ConfigurationError(f"{what}: `{file}` can be read by others; run `chmod 600 {file}`")
            return handle.read(_LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise ConfigurationError(f"{what}: `{file}` cannot be read: {cause}") from None
