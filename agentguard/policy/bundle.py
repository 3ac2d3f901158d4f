"""Signed bundles: a set of policy files, a version, and a signature over both, in one file.

A bundle is a compact JWS (RFC 7515) with Ed25519 (RFC 8037, RFC 9864) over canonical JSON: `v`, `version`,
`created` (ISO 8601) and `files` (name to text). The version only goes up: a guard remembers in its ledger the
highest that was in force, and refuses an older one, so that nobody brings back yesterday's policies.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.access import refuse_file
from agentguard.canonical import digest, encode, loads
from agentguard.errors import ArgumentsError, ConfigurationError, PolicyError
from agentguard.policy.default import Default
from agentguard.policy.reader import read
from agentguard.policy.register import Register
from agentguard.policy.snapshot import Signed, Snapshot
from agentguard.signatures import is_public_key, opened, signed

__all__ = ["LARGEST", "Bundle", "trusted_keys"]

_TYPE: Final = "agentguard-bundle+jws"
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of one bundle."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    v: Literal[1]
    version: int = Field(ge=1, le=2**53)
    created: str
    files: dict[str, str] = Field(min_length=1, max_length=10_000)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its files are what somebody with a trusted key signed.

    `version` counts up, `created` is when it was made, `signer` the RFC 7638 thumbprint of the key.
    """

    version: int
    created: dt.datetime
    files: Mapping[str, str]
    signer: str

    @classmethod
    def open(cls, path: str | os.PathLike[str], trust: Iterable[Mapping[str, Any]]) -> Bundle:
        """Read a bundle file.

        Raises:
            PolicyError: it cannot be read, or no trusted key has signed it as it is.
        """
        try:
            with Path(path).open("rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            raise PolicyError(f"the bundle `{path}` cannot be read: {error.strerror}") from None
        return cls.verify(content, trust, name=str(path))

    @classmethod
    def verify(
        cls, content: bytes, trust: Iterable[Mapping[str, Any]], *, name: str = "the bundle"
    ) -> Bundle:
        """The bundle in these bytes.

        Raises:
            PolicyError: no trusted key has signed it as it is, or it is no bundle.
        """
        payload, signer = _opened(content, list(trust), name)
        try:
            found = _Content.model_validate(loads(payload, what="the bundle", limit=LARGEST))
            created = dt.datetime.fromisoformat(found.created)
        except (ValidationError, ArgumentsError, ValueError):
            raise PolicyError(f"`{name}` is signed, but is not a bundle of policies") from None
        if created.tzinfo is None:
            raise PolicyError(f"`{name}`: its time has no zone")
        return cls(found.version, created, found.files, signer)

    @staticmethod
    def seal(files: Mapping[str, str], *, version: int, at: dt.datetime, private: Mapping[str, Any]) -> bytes:
        """Sign policy files with a private JWK; what does not load as policies is not signed.

        Raises:
            PolicyError: the files are no valid set of policies.
            ConfigurationError: the version is below 1, or the key is not a private Ed25519 key.
        """
        if not 1 <= version <= 2**53:
            raise ConfigurationError("a bundle's version is a whole number from 1, higher than the last one")
        _snapshot(files, Default(), None, None)
        content = {"v": 1, "version": version, "created": at.isoformat(), "files": dict(files)}
        return signed(encode(content), _TYPE, private).encode()

    @property
    def digest(self) -> str:
        """SHA-256 over version and files."""
        return digest(encode({"version": self.version, "files": dict(self.files)}))

    def snapshot(self, *, default: Default | None = None, register: Register | None = None) -> Snapshot:
        """Its policies, compiled; a guard that takes it checks that its version is not an older one.

        Raises:
            PolicyError: something is wrong in a file; it carries every finding.
        """
        seal = Signed(self.version, self.digest, self.signer)
        return _snapshot(self.files, default or Default(), register, seal)


def trusted_keys(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The public keys in a file: one JWK, or a JWK set (`{"keys": [...]}`).

    Raises:
        ConfigurationError: anybody may change it, it cannot be read, or it holds no Ed25519 key or a
                private one.
    """
    refuse_file(path, "the keys in")
    try:
        with Path(path).open("rb") as file:
            data = loads(file.read(1024 * 1024).decode(), what=f"`{path}`")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the keys in `{path}` cannot be read: {type(error).__name__}") from None
    except ArgumentsError as error:
        raise ConfigurationError(str(error)) from None
    keys = data.get("keys", [data]) if isinstance(data, dict) else []
    if not keys or not all(isinstance(key, dict) for key in keys):
        raise ConfigurationError(f"`{path}` holds no key; `agentguard bundle keygen` makes a pair")
    for key in keys:
        if "d" in key:
            raise ConfigurationError(f"`{path}` holds a private key; trust needs the public part only")
        if not is_public_key(key):
            raise ConfigurationError(f"`{path}` holds something else than public Ed25519 keys")
    return [dict(key) for key in keys]


def _snapshot(
    files: Mapping[str, str], default: Default, register: Register | None, seal: Signed | None
) -> Snapshot:
    sources, findings = [], []
    for name, text in sorted(files.items()):
        source, found = read(text, name)
        findings += found
        if source is not None:
            sources.append(source)
    if findings:
        raise PolicyError(f"the bundle's policies were refused: {findings[0]}", findings)
    made = Snapshot.from_sources(sources, default=default, register=register)
    return made if seal is None else made.with_signature(seal)


def _opened(content: bytes, keys: Sequence[Mapping[str, Any]], name: str) -> tuple[bytes, str]:
    if len(content) > LARGEST:
        raise PolicyError(f"`{name}` is longer than {LARGEST} bytes")
    if not keys:
        raise PolicyError(f"no key is trusted to sign `{name}`; name the public keys that are")
    found = opened(content.strip(), _TYPE, keys)
    if found is None:
        raise PolicyError(f"`{name}` is not signed with a trusted key, or was changed since")
    return found
