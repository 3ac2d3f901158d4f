"""The key under which arguments are digested in the ledger, and the digest itself.

A PostgreSQL store has no file beside it, so there the variable has to be set.

The key makes an argument's digest worthless to whoever has only the ledger: short values cannot be guessed
back. It comes from `AGENTGUARD_LEDGER_KEY` (base64url or hexadecimal, at least 32 bytes) or from a file
beside the store, `<store>.key`, that only the operator may read. Destroying it makes every digest of the
ledger meaningless without touching the ledger.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agentguard.errors import ConfigurationError

__all__ = ["VARIABLE", "args_hmac", "known_key", "ledger_key", "parse_key"]

VARIABLE: Final = "AGENTGUARD_LEDGER_KEY"
KEY_BYTES: Final = 32

_HEX: Final = re.compile(r"[0-9a-fA-F]+")


def args_hmac(key: bytes, canonical: bytes) -> str:
    """The keyed digest of canonical arguments: `hmac-sha256:` and 64 hexadecimal digits."""
    return "hmac-sha256:" + hmac.digest(key, canonical, "sha256").hex()


def ledger_key(url: str, *, environ: Mapping[str, str] | None = None) -> bytes:
    """The key of a store by its URL; a file is created when there is none, and a `memory:` store gets a
    random key of its own.

    Raises:
        ConfigurationError: the key is too short or not readable, or others may read its file.
    """
    given = (os.environ if environ is None else environ).get(VARIABLE)
    if given:
        return parse_key(given, f"`{VARIABLE}`")
    if url.startswith("postgresql://"):
        raise ConfigurationError(
            f"a PostgreSQL store has no file beside it for the ledger's key; set `{VARIABLE}`, the same for "
            "every process (`openssl rand -hex 32` makes one)"
        )
    if not url.startswith("sqlite:///"):
        return os.urandom(KEY_BYTES)
    path = Path(url.removeprefix("sqlite:///") + ".key")
    try:
        return _read(path)
    except FileNotFoundError:
        _create(path)
    try:
        return _read(path)
    except FileNotFoundError as error:
        raise ConfigurationError(f"`{path}` was removed while it was being made") from error


def known_key(url: str, *, environ: Mapping[str, str] | None = None) -> bytes | None:
    """The key of a store if there is one; none is ever made, for whoever only reads.

    Raises:
        ConfigurationError: as `ledger_key`.
    """
    given = (os.environ if environ is None else environ).get(VARIABLE)
    if given:
        return parse_key(given, f"`{VARIABLE}`")
    if not url.startswith("sqlite:///"):
        return None
    try:
        return _read(Path(url.removeprefix("sqlite:///") + ".key"))
    except FileNotFoundError:
        return None


def parse_key(text: str, what: str) -> bytes:
    """A key from base64url or hexadecimal text.

    Raises:
        ConfigurationError: it is neither, or has fewer than 32 bytes.
    """
    text = text.strip()
    try:
        if _HEX.fullmatch(text):
            key = bytes.fromhex(text)
        else:
            key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise ConfigurationError(f"{what} is neither base64url nor hexadecimal") from None
    if len(key) < KEY_BYTES:
        raise ConfigurationError(f"{what} has {len(key)} bytes; at least {KEY_BYTES} are needed")
    return key


def _read(path: Path) -> bytes:
    try:
        with open(path, encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & 0o077:
                raise ConfigurationError(f"`{path}` can be read by others; run `chmod 600 {path}`")
            text = file.read(1024)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"`{path}` cannot be read: {error}") from error
    return parse_key(text, f"`{path}`")


def _create(path: Path) -> None:
    """Make the key file appear whole or not at all; another process's file is left as it is."""
    text = base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).rstrip(b"=") + b"\n"
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, text)
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(fresh)
    except OSError as error:
        raise ConfigurationError(f"`{path}` cannot be made: {error.strerror}") from error
