"""The life of a baseline, as pure functions from its record and a time to what it becomes.

::

    proposed ── approved ── revoked | expired
        │          └ superseded by the next version, when that is approved
        └─ rejected

There is one record an agent: what is in force, and beside it the version that waits. What was in force
before is kept, by its digest, in a record of its own (`PAST`). Only the agent's owner approves, by a signed
word over exactly the content, and nobody through whom the agent acts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from agentguard.errors import RecordRefused
from agentguard.governance.baseline_content import BaselineContent, read_content
from agentguard.governance.vouching import Word, check_word, content_digest
from agentguard.ids import uuid7
from agentguard.ledger import governance_events as written
from agentguard.ledger.events import instant
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import LOCAL, fold
from agentguard.store.protocol import Record, RecordsChange
from agentguard.terms import Terms

__all__ = [
    "KIND",
    "PAST",
    "Baseline",
    "BaselineState",
    "Told",
    "approve",
    "expire",
    "propose",
    "reject",
    "revoke",
    "tell",
    "vouched",
]

KIND: Final = "baseline"
PAST: Final = "baseline-past"
"""The kind of the records of versions that were in force."""
HISTORY: Final = 200
"""Versions that a record lists."""


class BaselineState(StrEnum):
    """Where a baseline stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    REVOKED = "revoked"
    EXPIRED = "expired"


_S = BaselineState


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline in force, as the guard reads it."""

    content: BaselineContent
    approved: dt.datetime

    def holds_at(self, now: dt.datetime) -> bool:
        """Whether it has not ended."""
        return now < self.content.ends


@dataclass(frozen=True, slots=True)
class Told:
    """A baseline's record, read: what is in force or was proposed first, and a next version that waits.

    `history` says of each earlier version its number, digest, who approved it, from when to when.
    """

    record: Record
    content: Mapping[str, Any]
    read: BaselineContent
    digest: str
    proposed: Word
    approved: Word | None
    pending: Mapping[str, Any] | None
    history: tuple[Mapping[str, Any], ...]

    @property
    def state(self) -> BaselineState:
        return BaselineState(self.record.state)

    @property
    def waits(self) -> Mapping[str, Any] | None:
        """What somebody has to approve."""
        return self.content if self.state is _S.PROPOSED else self.pending

    @property
    def version(self) -> int:
        """The highest version that was ever in force."""
        known = [int(one["version"]) for one in self.history]
        return max([*known, self.read.version if self.approved is not None else 0], default=0)


def tell(record: Record) -> Told:
    """Read a record.

    Raises:
        RecordRefused: it is damaged.
    """
    body = record.body
    content, pending = body.get("content"), body.get("pending")
    try:
        BaselineState(record.state)
    except ValueError:
        raise RecordRefused(f"the baseline of `{record.id}` has no state that is known") from None
    read = read_content(content)
    if not isinstance(content, Mapping) or read.agent != record.id:
        raise RecordRefused(f"the baseline of `{record.id}` holds the content of another agent")
    if pending is not None and read_content(pending).agent != record.id:
        raise RecordRefused(f"the baseline of `{record.id}` holds the content of another agent")
    return Told(
        record=record,
        content=content,
        read=read,
        digest=content_digest(content),
        proposed=Word.from_json(body.get("proposed")),
        approved=None if body.get("approved") is None else Word.from_json(body["approved"]),
        pending=pending,
        history=tuple(body.get("history", ())),
    )


def propose(
    known: Record | None, content: Mapping[str, Any], by: Word, now: dt.datetime, terms: Terms
) -> RecordsChange:
    """Put a learned baseline forward. What is in force stays so until somebody approves it.

    Raises:
        RecordRefused: it does not follow on what is there, or could never be approved as it stands.
    """
    read = read_content(content)
    told = None if known is None else tell(known)
    _check_ends(read, now, terms)
    _check_follows(read, told)
    _check_same(by, content, read.agent)
    event = written.baseline_moved("proposed", content, by=by, id=uuid7(), at=now)
    if told is not None and told.state is _S.APPROVED:
        body = {**told.record.body, "pending": dict(content), "proposed_next": by.to_json()}
        return RecordsChange((replace(told.record, body=body),), (event,))
    body = {
        "content": dict(content),
        "proposed": by.to_json(),
        **({} if told is None else {"history": _past(told, now)}),
    }
    after = Record(kind=KIND, id=read.agent, state=_S.PROPOSED.value, body=body, due=read.ends)
    return RecordsChange((after,), (event,))


def approve(
    record: Record,
    by: Word,
    now: dt.datetime,
    terms: Terms,
    directory: Directory | None,
    owner: str | None,
) -> RecordsChange | None:
    """Put it in force, in place of the version before. The same answer again is None.

    `owner` is whose the agent is now, as the inventory says. The record of the version before is in the
    change (`PAST`, by its digest).

    Raises:
        RecordRefused: the person is not the owner, is in the agent's chain, saw something else, or is late.
    """
    told = tell(record)
    if told.approved is not None and by.digest == told.digest and told.state is _S.APPROVED:
        return None
    content = told.waits
    if content is None:
        raise RecordRefused(f"the baseline of `{record.id}` is {told.state.value}, and none waits")
    _check_same(by, content, record.id)
    read = read_content(content)
    _check_ends(read, now, terms)
    _check_follows(read, told)
    if owner is None or fold(owner) != fold(read.owner):
        raise RecordRefused(
            f"agent `{record.id}` belongs to {f'`{owner}`' if owner else 'nobody'} now, and this was "
            f"learned for `{read.owner}`; learn it again"
        )
    _check_owner(by.subject, read, terms, directory)
    body: dict[str, Any] = {
        "content": dict(content),
        "proposed": record.body.get("proposed_next", record.body["proposed"]),
        "approved": by.to_json(),
        "history": _past(told, now),
    }
    after = replace(record, state=_S.APPROVED.value, body=body, due=read.ends, registered=True)
    event = written.baseline_moved("approved", content, by=by, id=uuid7(), at=now)
    if told.state is not _S.APPROVED or told.approved is None:
        return RecordsChange((after,), (event,))
    kept = {"content": dict(told.content), "approved": told.approved.to_json(), "until": instant(now)}
    past = Record(kind=PAST, id=told.digest, state="superseded", body=kept)
    return RecordsChange((after, past), (event,))


def reject(record: Record, by: Word, now: dt.datetime) -> RecordsChange | None:
    """Say no to what waits: what is in force stays."""
    told = tell(record)
    if told.state is _S.REJECTED:
        return None
    content = told.waits
    if content is None:
        raise RecordRefused(f"the baseline of `{record.id}` is {told.state.value}, and none waits")
    _check_same(by, content, record.id)
    event = written.baseline_moved("rejected", content, by=by, id=uuid7(), at=now)
    if told.state is _S.APPROVED:
        body = {key: value for key, value in record.body.items() if key not in ("pending", "proposed_next")}
        return RecordsChange((replace(record, body=body),), (event,))
    after = replace(record, state=_S.REJECTED.value, body={**record.body, "ended": by.to_json()}, due=None)
    return RecordsChange((after,), (event,))


def revoke(record: Record, by: Word, now: dt.datetime) -> RecordsChange | None:
    """End it now, on every process: what asks for it cannot be evaluated then, and fires. Anybody may."""
    if record.state == _S.REVOKED:
        return None
    told = tell(record)
    if told.state is not _S.APPROVED:
        raise RecordRefused(f"the baseline of `{record.id}` is {record.state} and not in force")
    _check_same(by, told.content, record.id)
    return _end(told, _S.REVOKED, by, now)


def expire(record: Record, now: dt.datetime) -> RecordsChange | None:
    """End one whose time is over; the guard has not used it since."""
    if record.state not in (_S.PROPOSED, _S.APPROVED) or record.due is None or now < record.due:
        return None
    try:
        return _end(tell(record), _S.EXPIRED, None, now)
    except RecordRefused:
        return None  # INVARIANT: a damaged record stops no sweep; nobody reads it as a baseline either.


def vouched(record: Record, *, tenant: str, directory: Directory | None, terms: Terms) -> Baseline:
    """What the guard reads of a baseline in force, after checking that the owner vouched for exactly this.

    Raises:
        RecordRefused: it does not hold what the owner approved.
    """
    told = tell(record)
    if told.state is not _S.APPROVED or told.approved is None:
        raise RecordRefused("it is registered and was never approved")
    if told.read.tenant != tenant:
        raise RecordRefused(f"it is another tenant's: `{told.read.tenant[:40]}`")
    word = told.approved
    if word.act != "approve":
        raise RecordRefused(f"`{word.subject}` said `{word.act}`, which is no approval")
    _check_same(word, told.content, record.id)
    subject = check_word(word, tenant=tenant, kind=KIND, id=record.id, directory=directory)
    _check_owner(subject, told.read, terms, directory)
    if told.read.ends - word.at > terms.longest:
        raise RecordRefused(f"it would last longer than {terms.max_days} days")
    return Baseline(told.read, word.at)


def _end(told: Told, state: BaselineState, by: Word | None, now: dt.datetime) -> RecordsChange:
    record = told.record
    body = {key: value for key, value in record.body.items() if key not in ("pending", "proposed_next")}
    if by is not None:
        body["ended"] = by.to_json()
    after = replace(record, state=state.value, body=body, due=None, registered=False)
    event = written.baseline_moved(state.value, told.content, by=by, id=uuid7(), at=now)
    return RecordsChange((after,), (event,))


def _past(told: Told, now: dt.datetime) -> list[Mapping[str, Any]]:
    """The history with what was in force until now."""
    if told.approved is None:
        return list(told.history)
    read = told.read
    one = {
        "version": read.version,
        "digest": told.digest,
        "by": told.approved.subject,
        "from": instant(told.approved.at),
        "until": instant(now),
        "tools": len(read.tools),
        "state": "superseded" if told.state is _S.APPROVED else told.state.value,
    }
    known = [past for past in told.history if past["digest"] != told.digest]
    return [*known, one][-HISTORY:]


def _check_ends(read: BaselineContent, now: dt.datetime, terms: Terms) -> None:
    if read.ends <= now:
        raise RecordRefused(f"the baseline of `{read.agent}` has ended already; learn it again")
    if read.ends - now > terms.longest:
        raise RecordRefused(f"a baseline ends within {terms.max_days} days")


def _check_follows(read: BaselineContent, told: Told | None) -> None:
    """Refuse a version that was learned beside another one."""
    in_force = told.digest if told is not None and told.state is _S.APPROVED else None
    version = 1 if told is None else told.version + 1
    if read.version != version or read.replaces != in_force:
        raise RecordRefused(f"another version of the baseline of `{read.agent}` came first; learn it again")


def _check_same(by: Word, content: Mapping[str, Any], agent: str) -> None:
    found = content_digest(content)
    if by.digest != found:
        raise RecordRefused(
            f"the baseline of `{agent}` is not what was shown: it has the digest `{found[:23]}…`, and "
            f"`{by.digest[:23]}…` was answered; look at it again"
        )


def _check_owner(subject: str, read: BaselineContent, terms: Terms, directory: Directory | None) -> None:
    """Refuse everybody but the owner, and an owner through whom the agent acts."""
    if subject == LOCAL and not terms.local:
        raise RecordRefused(
            f"an unverified answer approves no baseline; `{read.owner}` can, signed with `--as` "
            "(or configure `governance: {local: true}`)"
        )
    if subject == LOCAL:
        return
    if directory is None or directory.active(subject) is not True:
        raise RecordRefused(f"`{subject}` is not active in the directory")
    through = {read.agent, *read.chain}
    if subject in {directory.subject(name) for name in through} | {fold(name) for name in through}:
        raise RecordRefused(f"`{subject}` is in the chain of agent `{read.agent}` and cannot approve it")
    if subject != directory.subject(read.owner):
        raise RecordRefused(
            f"`{read.owner}` owns agent `{read.agent}` and approves its baseline, nobody else"
        )
