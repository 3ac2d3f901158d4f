"""An exception's record, read, and whether people vouch for exactly what it says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from agentguard.errors import RecordRefused
from agentguard.governance.deviation import ExceptionContent, core_input, read_content
from agentguard.governance.vouching import Word, check_approver, check_word, content_digest
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import LOCAL, fold
from agentguard.store.protocol import Record
from agentguard.terms import Terms

__all__ = [
    "KIND",
    "ExceptionState",
    "Told",
    "check_emergency",
    "check_requester",
    "check_same",
    "concerned",
    "excluded",
    "tell",
    "vouched",
]

KIND: Final = "exception"


class ExceptionState(StrEnum):
    """Where an exception stands."""

    REQUESTED = "requested"
    ACTIVE = "active"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Told:
    """An exception's record, read: its content, who vouched for it, and a renewal that waits for approval."""

    record: Record
    content: Mapping[str, Any]
    read: ExceptionContent
    digest: str
    requested: Word
    approved: Word | None
    validated: Word | None
    pending: Mapping[str, Any] | None
    asked_again: Word | None

    @property
    def state(self) -> ExceptionState:
        return ExceptionState(self.record.state)

    @property
    def sleeps_from(self) -> dt.datetime | None:
        """From when on it waits for revalidation, where that is asked for."""
        word = self.validated or self.approved
        if word is None or self.read.revalidate_every is None:
            return None
        return word.at + dt.timedelta(seconds=self.read.revalidate_every)


def tell(record: Record) -> Told:
    """Read a record.

    Raises:
        RecordRefused: it is damaged.
    """
    body = record.body
    content, pending = body.get("content"), body.get("pending")
    try:
        ExceptionState(record.state)
    except ValueError:
        raise RecordRefused(f"exception `{record.id}` has no state that is known") from None
    read = read_content(content)
    if not isinstance(content, Mapping) or read.id != record.id:
        raise RecordRefused(f"exception `{record.id}` holds the content of another one")
    if pending is not None:
        read_content(pending)
    return Told(
        record=record,
        content=content,
        read=read,
        digest=content_digest(content),
        requested=Word.from_json(body.get("requested")),
        approved=None if body.get("approved") is None else Word.from_json(body["approved"]),
        validated=None if body.get("validated") is None else Word.from_json(body["validated"]),
        pending=pending,
        asked_again=None if body.get("asked_again") is None else Word.from_json(body["asked_again"]),
    )


def concerned(read: ExceptionContent, owners: frozenset[str] = frozenset()) -> frozenset[str]:
    """Who may not approve it: who asked, the agent, its owners, and the person whom it is for."""
    named = {read.requester, read.agent, read.agent_owner, read.principal, *owners}
    return frozenset(name for name in named if name is not None)


def excluded(read: ExceptionContent, terms: Terms, owners: frozenset[str] = frozenset()) -> frozenset[str]:
    """Who may not approve it under these terms: whom it concerns. Who asks for an emergency exception may
    approve it alone, unless two are asked for; whom it concerns otherwise may not.

    Raises:
        RecordRefused: it is an emergency exception, and these terms know none.
    """
    if not read.emergency:
        return concerned(read, owners)
    if not terms.break_glass_minutes:
        raise RecordRefused(
            f"exception `{read.id}` breaks the glass, which nobody may here; configure "
            "`governance: {break_glass_minutes: 60}`"
        )
    if terms.break_glass_dual:
        return concerned(read, owners)
    return concerned(read.model_copy(update={"requester": read.agent}), owners)


def check_emergency(read: ExceptionContent, since: dt.datetime, terms: Terms) -> None:
    """Refuse an emergency exception that would last too long.

    Raises:
        RecordRefused: it would.
    """
    if read.emergency and read.expires - since > dt.timedelta(minutes=terms.break_glass_minutes):
        raise RecordRefused(
            f"exception `{read.id}` breaks the glass for longer than {terms.break_glass_minutes} minutes"
        )


def vouched(record: Record, *, tenant: str, directory: Directory | None, terms: Terms) -> dict[str, Any]:
    """What the core reads of an exception in force, after checking that people vouched for exactly this.

    The approval counts, or the latest revalidation: one of the two has to stand with the keys and people of
    today. Nothing that was changed beside `agentguard exceptions` passes.

    Raises:
        RecordRefused: it does not hold what somebody approved.
    """
    told = tell(record)
    if told.state is not ExceptionState.ACTIVE or told.approved is None:
        raise RecordRefused("it is registered and was never approved")
    if told.read.tenant != tenant:
        raise RecordRefused(f"it is another tenant's: `{told.read.tenant[:40]}`")
    check_requester(told.read, terms)
    check_emergency(told.read, told.approved.at, terms)
    if told.read.renewal > terms.max_renewals:
        raise RecordRefused(f"it was renewed more than {terms.max_renewals} times")
    refusal: RecordRefused | None = None
    stands: Word | None = None
    for word, act in ((told.approved, "approve"), (told.validated, "revalidate")):
        if word is None:
            continue
        try:
            _check_voucher(word, act, told, tenant, directory, terms)
            stands = stands or word
        except RecordRefused as error:
            refusal = refusal or error
            if word is told.validated:
                told = replace(told, validated=None)
    if stands is None:
        raise refusal or RecordRefused("nobody vouches for it")
    validated = told.validated or stands
    return core_input(
        told.content, told.read, approver=stands.subject, approved_at=stands.at, validated_at=validated.at
    )


def _check_voucher(
    word: Word, act: str, told: Told, tenant: str, directory: Directory | None, terms: Terms
) -> None:
    if word.act != act:
        raise RecordRefused(f"`{word.subject}` said `{word.act}`, which is no approval")
    check_same(word, told.digest, told.record.id)
    subject = check_word(word, tenant=tenant, kind=KIND, id=told.record.id, directory=directory)
    check_approver(
        subject, terms=terms, directory=directory, excluded=excluded(told.read, terms), what="approve it"
    )


def check_requester(read: ExceptionContent, terms: Terms) -> None:
    """Refuse a request of nobody knows whom: who really asked could approve it.

    Raises:
        RecordRefused: it is an unverified one, and the operator does not let that count.
    """
    if fold(read.requester) == LOCAL and not terms.local:
        raise RecordRefused(
            f"exception `{read.id}` is asked for by nobody who is known; sign with `--as SUBJECT` "
            "(or configure `governance: {local: true}`)"
        )


def check_same(by: Word, digest: str, id: str) -> None:
    """Refuse a word about something else than what is there.

    Raises:
        RecordRefused: the content is another one.
    """
    if by.digest != digest:
        raise RecordRefused(
            f"exception `{id}` is not what was shown: it has the digest `{digest[:23]}…`, and "
            f"`{by.digest[:23]}…` was answered; look at it again"
        )
