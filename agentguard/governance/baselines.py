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
from dataclasses import replace
from typing import Any, Final

from agentguard.errors import RecordRefused
from agentguard.governance.baseline_content import BaselineContent, read_content
from agentguard.governance.baseline_record import (
    KIND,
    PAST,
    Baseline,
    BaselineState,
    Told,
    check_owner,
    check_same,
    tell,
    vouched,
)
from agentguard.governance.vouching import Word
from agentguard.ids import uuid7
from agentguard.ledger import governance_events as written
from agentguard.ledger.events import instant
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import fold
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

HISTORY: Final = 200
"""Versions that a record lists."""


_S = BaselineState


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
    check_same(by, content, read.agent)
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
    check_same(by, content, record.id)
    read = read_content(content)
    _check_ends(read, now, terms)
    _check_follows(read, told)
    if owner is None or fold(owner) != fold(read.owner):
        raise RecordRefused(
            f"agent `{record.id}` belongs to {f'`{owner}`' if owner else 'nobody'} now, and this was "
            f"learned for `{read.owner}`; learn it again"
        )
    check_owner(by.subject, read, terms, directory)
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
    check_same(by, content, record.id)
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
    check_same(by, told.content, record.id)
    return _end(told, _S.REVOKED, by, now)


def expire(record: Record, now: dt.datetime) -> RecordsChange | None:
    """End one whose time is over; the guard has not used it since."""
    if record.state not in (_S.PROPOSED, _S.APPROVED) or record.due is None or now < record.due:
        return None
    try:
        return _end(tell(record), _S.EXPIRED, None, now)
    except RecordRefused:
        return None  # INVARIANT: a damaged record stops no sweep; nobody reads it as a baseline either.


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
