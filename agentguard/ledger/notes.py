"""Signed notes: a text with Ed25519 signatures under it, as C2SP specifies them (c2sp.org/signed-note).

A note is text that ends in a newline, an empty line, and signature lines: an em dash, a space, the key's
name, a space, and the base64 of the key's id (4 bytes) and the signature (64 bytes) over the text. A key's id
is the beginning of SHA-256 over name, newline, 0x01 and public key, so the same key under another name is
another key. Written out, a verifier's key is `name+id+base64(0x01 || public key)`, the id in hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agentguard.errors import CheckpointRefused, ConfigurationError

__all__ = ["MAX_NOTE", "MAX_SIGNATURES", "Signer", "VerifierKey", "open_note"]

MAX_NOTE: Final = 64 * 1024
"""Bytes of one note; a longer one is not looked at."""
MAX_SIGNATURES: Final = 100

_ED25519: Final = b"\x01"
_DASH: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signature counts: a name and a public key (32 bytes)."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise ConfigurationError(
                f"`{self.name[:80]}` cannot name a key: no white space, `+` or control characters"
            )
        if len(self.public) != 32:
            raise ConfigurationError(f"an Ed25519 key has 32 bytes, not {len(self.public)}")

    @property
    def id(self) -> bytes:
        """The four bytes that announce the key in a signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """A key from its text.

        Raises:
            ConfigurationError: it is none, or its id is not that of its name and key.
        """
        name, _, rest = text.partition("+")
        found, _, encoded = rest.partition("+")
        key = _base64(encoded)
        if key is None or key[:1] != _ED25519:
            raise ConfigurationError(f"`{text[:160]}` is no Ed25519 verifier key: `name+id+base64`")
        made = cls(name, key[1:])
        if str(made) != text:
            raise ConfigurationError(f"`{text[:160]}`: `{found[:16]}` is not the id of this name and key")
        return made

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """Signs notes with a private key under a name."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier: Final = VerifierKey(name, private.public_key().public_bytes_raw())

    @classmethod
    def from_jwk(cls, name: str, jwk: Mapping[str, Any]) -> Signer:
        """A signer from a private JWK (RFC 8037).

        Raises:
            ConfigurationError: it is no private Ed25519 key, or the name cannot be one.
        """
        seed, public = _base64url(jwk.get("d")), _base64url(jwk.get("x"))
        if jwk.get("crv") != "Ed25519" or seed is None or len(seed) != 32:
            raise ConfigurationError("the key is not a private Ed25519 key")
        found = cls(name, Ed25519PrivateKey.from_private_bytes(seed))
        if found.verifier.public != public:
            raise ConfigurationError("the private and the public part of the key do not belong together")
        return found

    def sign(self, text: str) -> str:
        """The text as a signed note.

        Raises:
            ValueError: the text is empty, does not end in a newline, or holds control characters.
        """
        if not text.endswith("\n") or _is_controlled(text):
            raise ValueError("a note is lines of text, the last one ended")
        key = self.verifier
        signature = base64.b64encode(key.id + self._private.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{key.name} {signature}\n"


def open_note(note: str, keys: Iterable[VerifierKey]) -> tuple[str, tuple[VerifierKey, ...]]:
    """The text of a note and those of the keys that signed it, at least one.

    Signatures by other keys are ignored. One that is announced as a known key's and is not spoils the note.

    Raises:
        CheckpointRefused: it is no note, or no known key signed it.
    """
    text, signatures = _taken_apart(note)
    known = {(key.name, key.id): key for key in keys}
    signed: dict[VerifierKey, None] = {}
    for name, raw in signatures:
        key = known.get((name, raw[:4]))
        if key is None:
            continue
        if not key.verifies(text.encode(), raw[4:]):
            raise CheckpointRefused(f"its signature by `{name}` is not that key's over this text")
        signed[key] = None
    if not signed:
        names = ", ".join(f"`{name}+{raw[:4].hex()}`" for name, raw in signatures[:3])
        wanted = ", ".join(f"`{key.name}+{key.id.hex()}`" for key in known.values()) or "none"
        raise CheckpointRefused(f"it is signed by {names}, and the keys that count are {wanted}")
    return text, tuple(signed)


def _taken_apart(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Text, and the names and bytes of its signatures."""
    if len(note.encode("utf-8", "surrogatepass")) > MAX_NOTE or _is_controlled(note):
        raise CheckpointRefused("it is no signed note: too long, or with control characters")
    text, separator, below = note.rpartition("\n\n")
    lines = below.split("\n")
    if not separator or lines.pop() != "" or not 0 < len(lines) <= MAX_SIGNATURES:
        raise CheckpointRefused("it is no signed note: text, an empty line, signatures")
    found = []
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        raw = _base64(encoded)
        if not line.startswith(_DASH) or not _is_name(name) or raw is None or len(raw) < 5:
            raise CheckpointRefused("one of its signature lines is none")
        found.append((name, raw))
    return f"{text}\n", found


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() for c in name) and not _is_controlled(name)


def _is_controlled(text: str) -> bool:
    """Whether it holds an ASCII control character, or what UTF-8 cannot say."""
    return any((c < " " and c != "\n") or "\ud800" <= c <= "\udfff" for c in text)


def _base64(text: str) -> bytes | None:
    """Strict standard base64: what it encodes is spelled in one way."""
    try:
        found = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return found if base64.b64encode(found).decode() == text else None


def _base64url(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (ValueError, binascii.Error):
        return None
