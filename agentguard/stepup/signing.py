"""Signed votes: a compact JWS (RFC 7515) with Ed25519 (RFC 8037, RFC 9864) over what exactly is answered.

The payload is canonical JSON: `v`, `approval`, `tenant`, `digest`, `verdict`, `subject`, `reason` and `iat`
(seconds since 1970). A signature names one approval and one call, so it is worth nothing elsewhere.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, cast

from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.canonical import encode
from agentguard.errors import VoteRefused
from agentguard.signatures import opened, signed
from agentguard.stepup.eligibility import MAX_REASON, same_person
from agentguard.stepup.model import Approval, Verdict

__all__ = ["MAX_SKEW_S", "SignedVote", "generate_key", "public_part", "sign", "verify"]

TYPE: Final = "agentguard-vote+jws"
MAX_BYTES: Final = 32 * 1024
"""Bytes of one signed vote; a longer one is not looked at."""
MAX_SKEW_S: Final = 5
"""Seconds by which a voter's clock may be off."""


class SignedVote(BaseModel):
    """The payload of a signed vote, as it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    v: Literal[1]
    approval: str
    tenant: str
    digest: str
    verdict: Literal["approve", "deny", "edit"]
    subject: Annotated[str, Field(min_length=1, max_length=256)]
    reason: Annotated[str, Field(max_length=MAX_REASON)]
    iat: int
    proposal: str = ""


@dataclass(frozen=True, slots=True)
class _Keys:
    public: dict[str, Any]
    private: dict[str, Any]


def generate_key() -> _Keys:
    """A new key pair as JWKs; `kid` is the RFC 7638 thumbprint."""
    key = OKPKey.generate_key("Ed25519")
    kid = key.thumbprint()
    return _Keys(
        public={**cast("dict[str, Any]", key.as_dict(private=False)), "kid": kid},
        private={**cast("dict[str, Any]", key.as_dict(private=True)), "kid": kid},
    )


def public_part(private: Mapping[str, Any]) -> dict[str, Any]:
    """The public key of a private one."""
    return {name: private[name] for name in ("kty", "crv", "x", "kid") if name in private}


def sign(
    private: Mapping[str, Any],
    *,
    approval: Approval,
    verdict: Verdict | Literal["edit"],
    subject: str,
    reason: str,
    at: dt.datetime,
    proposal: str = "",
) -> str:
    """Sign a vote on an approval as it was shown, with a private JWK.

    An `edit` signs the digest of the arguments that are to run instead, as `proposal`.

    Raises:
        ConfigurationError: the key is not a private Ed25519 key.
    """
    payload = encode(
        {
            "v": 1,
            "approval": approval.id,
            "tenant": approval.tenant,
            "digest": approval.digest,
            "verdict": verdict,
            "subject": subject,
            "reason": reason,
            "iat": int(at.timestamp()),
            **({"proposal": proposal} if proposal else {}),
        }
    )
    return signed(payload, TYPE, private)


def verify(
    signature: str, keys: Iterable[Mapping[str, Any]], approval: Approval, now: dt.datetime
) -> SignedVote:
    """What a reviewer signed, checked against their keys and the approval it is handed in for.

    Raises:
        VoteRefused: too large, not signed with one of the keys, another algorithm, about another approval,
            tenant or call, or signed before it was asked or after it expired.
    """
    content = _content(signature, tuple(keys))
    try:
        vote = SignedVote.model_validate(json.loads(content))
    except (ValidationError, ValueError, RecursionError):
        raise VoteRefused("the signature is good, but what it signs is not a vote") from None
    if (vote.approval, vote.tenant) != (approval.id, approval.tenant):
        raise VoteRefused(f"the signature is for another approval than `{approval.id}`")
    if vote.digest != approval.digest:
        raise VoteRefused(
            f"the signature is for another call than `{approval.id}` asks about; look at it again"
        )
    first = approval.opened_at.timestamp() - MAX_SKEW_S - 1  # `iat` has whole seconds
    last = min(now.timestamp() + MAX_SKEW_S, approval.expires_at.timestamp())
    if not first <= vote.iat <= last:
        raise VoteRefused(
            f"the signature was not made while `{approval.id}` was open; check the clock and sign again"
        )
    return vote


def check_subject(vote: SignedVote, subject: str, canonical: str) -> None:
    """Refuse a signature that speaks for somebody else."""
    if not (same_person(vote.subject, subject) or same_person(vote.subject, canonical)):
        raise VoteRefused(f"the signature is `{vote.subject}`'s and not `{subject}`'s")


def _content(signature: str, keys: tuple[Mapping[str, Any], ...]) -> bytes:
    if len(signature) > MAX_BYTES:
        raise VoteRefused(f"the signature has {len(signature)} bytes; {MAX_BYTES} are possible")
    if not keys:
        raise VoteRefused("the voter has no key in the directory; `agentguard reviewers enroll` makes one")
    found = opened(signature, TYPE, keys)
    if found is None:
        raise VoteRefused("the signature was not made with a key that the directory has for the voter")
    return found[0]
