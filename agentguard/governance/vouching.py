"""A person's word on a governance record: what was said about exactly which content, and how we know who.

A word is signed, as a compact JWS with Ed25519 (`agentguard.signatures`) of a type of its own for each kind
of record, or it is `local`: unverified, one person whoever types. What is signed names the tenant, the
record, the digest of its content, the act, the subject and the time, so it is worth nothing elsewhere.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.canonical import digest, encode
from agentguard.errors import ConfigurationError, RecordRefused
from agentguard.ledger.events import instant
from agentguard.stepup.concerned import people_behind
from agentguard.stepup.eligibility import LOCAL, MAX_REASON, fold

if TYPE_CHECKING:
    from agentguard.stepup.directory import Directory
    from agentguard.terms import Terms

__all__ = [
    "MAX_AGE_S", "Word", "check_approver", "check_word", "content_digest", "heard", "payload", "signed_word",
]  # fmt: skip

MAX_AGE_S: Final = 900
"""Seconds that a signature may be old when it is handed in."""
MAX_SKEW_S: Final = 5
"""Seconds by which a signer's clock may be ahead."""
MAX_BYTES: Final = 32 * 1024
_GROUP: Final = "group:"

Assurance = Literal["signed", "local", "rule"]
"""Signed by a person, typed by nobody knows whom, or said by a rule (which only ever suspends)."""


class _Signed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    v: Literal[1]
    tenant: str
    kind: str
    record: str
    digest: str
    act: str
    subject: Annotated[str, Field(min_length=1, max_length=256)]
    reason: Annotated[str, Field(max_length=MAX_REASON)]
    iat: int


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    act: str
    subject: Annotated[str, Field(min_length=1, max_length=256)]
    digest: str
    at: dt.datetime
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""
    assurance: Assurance = "local"
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """`act` on the content with `digest`, by `subject`; `at` is the store's time when it was taken."""

    act: str
    subject: str
    digest: str
    at: dt.datetime
    reason: str = ""
    assurance: Assurance = "local"
    signature: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a record keeps it."""
        kept: dict[str, Any] = {
            "act": self.act,
            "subject": self.subject,
            "digest": self.digest,
            "at": instant(self.at),
            "reason": self.reason,
            "assurance": self.assurance,
        }
        return kept if self.signature is None else {**kept, "signature": self.signature}

    @classmethod
    def from_json(cls, data: object) -> Word:
        """A word out of a record.

        Raises:
            RecordRefused: it is none.
        """
        try:
            read = _Kept.model_validate(data)
            return cls(**{**read.model_dump(), "at": read.at.astimezone(dt.UTC)})
        except (ValidationError, ValueError, OverflowError):
            raise RecordRefused("a person's word on it is damaged") from None


def content_digest(content: Mapping[str, Any]) -> str:
    """What people sign: the SHA-256 of the canonical form of a record's content."""
    return digest(encode(dict(content)))


def payload(*, tenant: str, kind: str, id: str, word: Word) -> bytes:
    """The bytes that are signed for a word."""
    return encode(
        {
            "v": 1,
            "tenant": tenant,
            "kind": kind,
            "record": id,
            "digest": word.digest,
            "act": word.act,
            "subject": word.subject,
            "reason": word.reason,
            "iat": int(word.at.timestamp()),
        }
    )


def signed_word(private: Mapping[str, Any], *, tenant: str, kind: str, id: str, word: Word) -> Word:
    """The same word, signed with a private JWK.

    Raises:
        ConfigurationError: the key is not a private Ed25519 key.
    """
    from agentguard.signatures import signed  # here: it brings the cryptography that few need

    signature = signed(payload(tenant=tenant, kind=kind, id=id, word=word), _type(kind), private)
    return Word(
        act=word.act,
        subject=word.subject,
        digest=word.digest,
        at=word.at,
        reason=word.reason,
        assurance="signed",
        signature=signature,
    )


def check_word(word: Word, *, tenant: str, kind: str, id: str, directory: Directory | None) -> str:
    """Who said it: the canonical subject, or `local`. A signed word is verified with the keys of today.

    Raises:
        RecordRefused: it is not theirs, about something else, or nobody can tell.
    """
    for text in (word.subject, word.reason):
        if any(0xD800 <= ord(char) <= 0xDFFF for char in text):
            raise RecordRefused("a name or reason holds broken characters")
    if len(word.reason) > MAX_REASON:
        raise RecordRefused(f"the reason has {len(word.reason)} characters; {MAX_REASON} are possible")
    if word.assurance == "local":
        if fold(word.subject) != LOCAL:
            raise RecordRefused(f"an unverified word is `{LOCAL}`'s; `{word.subject}` would have to sign")
        return LOCAL
    if directory is None:
        raise RecordRefused("there is no directory to check a signature with; configure `directory`")
    subject = directory.subject(word.subject)
    said = _opened(word, kind, directory, subject)
    if directory.subject(said.subject) != subject:
        raise RecordRefused(f"the signature is `{said.subject}`'s and not `{word.subject}`'s")
    if (said.tenant, said.kind, said.record) != (tenant, kind, id):
        raise RecordRefused(f"the signature is for another record than `{id}`")
    if (said.act, said.digest, said.reason) != (word.act, word.digest, word.reason):
        raise RecordRefused(f"what `{word.subject}` signed is not what the record says; look at it again")
    if not word.at.timestamp() - MAX_AGE_S - 1 <= said.iat <= word.at.timestamp() + MAX_SKEW_S:
        raise RecordRefused(
            "the signature was not made when it was handed in; check the clock and sign again"
        )
    return subject


def heard(word: Word, now: dt.datetime, *, tenant: str, kind: str, id: str, directory: Directory) -> Word:
    """The word with the canonical subject and the store's time, once it is clear that it is theirs.

    Raises:
        RecordRefused: it is not theirs, they are not active, or the directory cannot be read.
    """
    word = replace(word, at=now)
    try:
        subject = check_word(word, tenant=tenant, kind=kind, id=id, directory=directory)
        if subject != LOCAL and directory.active(subject) is not True:
            raise RecordRefused(f"`{word.subject}` is not active in the directory")
    except ConfigurationError as error:
        raise RecordRefused(f"the directory is not readable: {error}") from error
    return replace(word, subject=subject)


def check_approver(
    subject: str, *, terms: Terms, directory: Directory | None, excluded: Collection[str], what: str
) -> None:
    """Refuse an approver who is one of those concerned, or whom the operator's terms do not name.

    Raises:
        RecordRefused: why, and who could.
    """
    could = f"{' or '.join(f'`{name}`' for name in terms.approvers) or 'somebody of the directory'} can"
    if subject == LOCAL and not terms.local:
        raise RecordRefused(
            f"an unverified local answer does not {what}; {could}, signed with `--as SUBJECT` "
            "(or configure `governance: {local: true}`)"
        )
    known = {fold(name) for name in excluded}
    if directory is not None:
        known |= people_behind(directory, excluded)
    if fold(subject) in known:
        raise RecordRefused(
            f"`{subject}` is concerned and cannot {what}; {could}, and nobody who is concerned"
        )
    if subject != LOCAL and not _named(subject, terms, directory):
        raise RecordRefused(f"`{subject}` cannot {what}; {could}")


def _named(subject: str, terms: Terms, directory: Directory | None) -> bool:
    if directory is None or directory.active(subject) is not True:
        return False
    return not terms.approvers or any(
        subject in directory.members(name.removeprefix(_GROUP))
        if name.startswith(_GROUP)
        else directory.subject(name) == subject
        for name in terms.approvers
    )


def _type(kind: str) -> str:
    return f"agentguard-{kind}+jws"


def _opened(word: Word, kind: str, directory: Directory, subject: str) -> _Signed:
    from agentguard.signatures import opened

    if word.signature is None or len(word.signature) > MAX_BYTES:
        raise RecordRefused("a signed word needs its signature")
    keys = directory.keys(subject)
    if not keys:
        raise RecordRefused(
            f"the directory has no key for `{word.subject}`; `agentguard reviewers enroll` makes one"
        )
    found = opened(word.signature, _type(kind), keys)
    if found is None:
        raise RecordRefused(
            f"the signature was not made with a key that the directory has for `{word.subject}`"
        )
    try:
        return _Signed.model_validate(json.loads(found[0]))
    except (ValidationError, ValueError, RecursionError):
        raise RecordRefused("the signature is good, but what it signs is not a word on a record") from None
