"""Compact JWS (RFC 7515) with Ed25519 (RFC 8037, RFC 9864): one algorithm, one type for each use.

The type in the protected header keeps what was signed for one use from being taken for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from agentguard.errors import ConfigurationError

__all__ = ["is_public_key", "opened", "signed"]

_ALGORITHM: Final = "Ed25519"
_PARTS: Final = ("kty", "crv", "x", "d")
_UNUSABLE: Final = (JoseError, ValueError, TypeError, KeyError, UnicodeError)


class _Registry(jws.JWSRegistry):
    """Payloads as long as a bundle of policies can be; the library's own bound is for tokens. Whoever opens
    something bounds it first."""

    max_payload_length = 64 * 1024 * 1024


_REGISTRY: Final = _Registry(algorithms=[_ALGORITHM])


def signed(payload: bytes, type_: str, private: Mapping[str, Any]) -> str:
    """Sign with a private JWK; `kid` is the RFC 7638 thumbprint of the key.

    Raises:
        ConfigurationError: it is not a private Ed25519 key.
    """
    try:
        key = _key(private)
        if not key.is_private:
            raise ConfigurationError("the key has no private part")
        header = {"alg": _ALGORITHM, "typ": type_, "kid": key.thumbprint()}
        return jws.serialize_compact(header, payload, key, registry=_REGISTRY)
    except _UNUSABLE as error:
        raise ConfigurationError(f"the key cannot sign: {error}") from None


def opened(content: bytes | str, type_: str, keys: Iterable[Mapping[str, Any]]) -> tuple[bytes, str] | None:
    """What one of the keys has signed for this use, and the thumbprint of that key; else None."""
    for public in keys:
        try:
            key = _key(public)
            found = jws.deserialize_compact(content, key, registry=_REGISTRY)
        except _UNUSABLE:
            continue
        header = found.headers()
        if header.get("typ") == type_ and header.get("alg") == _ALGORITHM:
            return bytes(found.payload or b""), key.thumbprint()
    return None


def is_public_key(jwk: Mapping[str, Any]) -> bool:
    """Whether a JWK is a public Ed25519 key."""
    try:
        return not _key(jwk).is_private
    except _UNUSABLE:
        return False


def _key(jwk: Mapping[str, Any]) -> OKPKey:
    plain = {part: jwk[part] for part in _PARTS if part in jwk}
    if plain.get("crv") != "Ed25519":
        raise ValueError("not an Ed25519 key")
    return OKPKey.import_key(plain)
