"""The life of an exception, as pure functions from its record and a time to what it becomes.

::

    requested ── active ── revoked | expired
        │           └ revalidated, renewed (a new expiry that is asked for and approved like the first)
        └─ rejected | withdrawn | expired

Each function returns the change with the event that says so, or None when nothing changes; the store runs it
under its lock with its own time (`Store.change_records`). Who somebody is, and whether they may, is found out
before (`agentguard.governance.desk`); that nobody approves what concerns them is checked here.

Everything at or after `expires` is too late.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from agentguard.errors import RecordRefused
from agentguard.governance.deviation import ExceptionContent, check_core, read_content
from agentguard.governance.exception_record import (
    KIND,
    ExceptionState,
    Told,
    check_emergency,
    check_requester,
    check_same,
    concerned,
    excluded,
    tell,
    vouched,
)
from agentguard.governance.vouching import Word, check_approver, content_digest
from agentguard.ids import uuid7
from agentguard.ledger import governance_events as written
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import fold
from agentguard.store.protocol import Record, RecordsChange
from agentguard.terms import Terms

__all__ = [
    "KIND",
    "TRANSITIONS",
    "ExceptionState",
    "Told",
    "approve",
    "concerned",
    "expire",
    "reject",
    "renew",
    "request",
    "revalidate",
    "revoke",
    "tell",
    "vouched",
    "withdraw",
]

_S = ExceptionState
TRANSITIONS: Final[Mapping[ExceptionState, frozenset[ExceptionState]]] = {
    _S.REQUESTED: frozenset({_S.ACTIVE, _S.REJECTED, _S.WITHDRAWN, _S.EXPIRED}),
    _S.ACTIVE: frozenset({_S.ACTIVE, _S.REVOKED, _S.EXPIRED}),
    **{state: frozenset() for state in (_S.REJECTED, _S.WITHDRAWN, _S.REVOKED, _S.EXPIRED)},
}
"""Every move there is."""


def request(
    known: Record | None, content: Mapping[str, Any], by: Word, now: dt.datetime, terms: Terms
) -> RecordsChange:
    """Ask for an exception.

    Raises:
        RecordRefused: the id is taken, or it could never be approved as it stands.
    """
    if known is not None:
        raise RecordRefused(f"exception `{known.id}` exists already")
    read = read_content(content)
    check_requester(read, terms)
    _check_times(read, content, now, terms)
    excluded(read, terms)
    check_emergency(read, now, terms)
    if read.emergency and fold(read.owner) == fold(read.requester):
        raise RecordRefused(f"somebody else than `{read.owner}` reviews it: name the owner with `--owner`")
    check_same(by, content_digest(content), read.id)
    record = Record(
        kind=KIND,
        id=read.id,
        state=ExceptionState.REQUESTED.value,
        body={"content": dict(content), "requested": by.to_json()},
        due=read.expires,
    )
    return _change(record, content, "requested", by, now)


def approve(
    record: Record,
    by: Word,
    now: dt.datetime,
    terms: Terms,
    directory: Directory | None,
    owners: frozenset[str] = frozenset(),
) -> RecordsChange | None:
    """Put it in force, or the renewal that waits. The same answer again is None.

    Raises:
        RecordRefused: the approver is concerned, saw something else, or it is too late.
    """
    told = tell(record)
    if told.approved is not None and by.digest == told.digest and told.state is _S.ACTIVE:
        return None
    renewal = told.state is _S.ACTIVE and told.pending is not None
    if not renewal:
        _must(told, _S.REQUESTED, "approved")
    content = told.pending if renewal and told.pending is not None else told.content
    read = read_content(content)
    if now >= told.read.expires or now >= read.expires:
        raise RecordRefused(f"exception `{record.id}` has expired; ask for a new one")
    check_same(by, content_digest(content), record.id)
    check_emergency(read, now, terms)
    nobody = excluded(read, terms, owners)
    if renewal:
        nobody |= concerned(told.read, owners)
    check_approver(by.subject, terms=terms, directory=directory, excluded=nobody, what="approve it")
    check_core(content, now, terms.longest)
    body = {
        "content": dict(content),
        "requested": (told.asked_again if renewal and told.asked_again else told.requested).to_json(),
        "approved": by.to_json(),
    }
    after = replace(record, state=_S.ACTIVE.value, body=body, due=read.expires, registered=True)
    return _change(after, content, "renewed" if renewal else "approved", by, now)


def reject(record: Record, by: Word, now: dt.datetime) -> RecordsChange | None:
    """Say no to a request, or to a renewal: what is in force stays."""
    return _declined(record, by, now, _S.REJECTED)


def withdraw(record: Record, by: Word, now: dt.datetime) -> RecordsChange | None:
    """Take back a request, or the wish to renew."""
    return _declined(record, by, now, _S.WITHDRAWN)


def revalidate(
    record: Record,
    by: Word,
    now: dt.datetime,
    terms: Terms,
    directory: Directory | None,
    owners: frozenset[str] = frozenset(),
) -> RecordsChange:
    """Confirm that it is still needed and that its control works; the expiry stays.

    Raises:
        RecordRefused: it is not in force, or the person is concerned.
    """
    told = tell(record)
    _must(told, _S.ACTIVE, "revalidated")
    if now >= told.read.expires:
        raise RecordRefused(f"exception `{record.id}` has expired; ask for a new one")
    check_same(by, told.digest, record.id)
    nobody = concerned(told.read, owners)
    check_approver(by.subject, terms=terms, directory=directory, excluded=nobody, what="revalidate it")
    after = replace(record, body={**record.body, "validated": by.to_json()})
    return _change(after, told.content, "revalidated", by, now)


def renew(
    record: Record, content: Mapping[str, Any], by: Word, now: dt.datetime, terms: Terms
) -> RecordsChange:
    """Ask for a later expiry of what is in force; until somebody approves it nothing changes.

    Raises:
        RecordRefused: it is not in force, was renewed too often, or would be another exception.
    """
    told = tell(record)
    _must(told, _S.ACTIVE, "renewed")
    if now >= told.read.expires:
        raise RecordRefused(f"exception `{record.id}` has expired; ask for a new one")
    read = read_content(content)
    check_requester(read, terms)
    if read.renewal != told.read.renewal + 1:
        raise RecordRefused(f"exception `{record.id}` was renewed meanwhile; look at it again")
    if read.renewal > terms.max_renewals:
        raise RecordRefused(
            f"exception `{record.id}` was renewed {told.read.renewal} times already, and "
            f"{terms.max_renewals} are possible; remedy its cause, or ask for a new one"
        )
    changed = {key for key in {*content, *told.content} if content.get(key) != told.content.get(key)}
    other = sorted(changed - {"expires", "reason", "requester", "renewal", "remediate_by", "agent_owner"})
    if other:
        raise RecordRefused(f"a renewal changes the expiry and not `{other[0]}`; ask for a new exception")
    if read.expires <= told.read.expires:
        raise RecordRefused("a renewal has to expire later than what is in force")
    _check_times(read, content, now, terms)
    check_same(by, content_digest(content), record.id)
    body = {**record.body, "pending": dict(content), "asked_again": by.to_json()}
    return _change(replace(record, body=body), content, "requested", by, now)


def revoke(record: Record, by: Word, now: dt.datetime) -> RecordsChange | None:
    """End it now, for every process. Anybody may: it takes rights away and gives none."""
    if record.state == _S.REVOKED:
        return None
    if record.state != _S.ACTIVE:
        raise RecordRefused(f"exception `{record.id}` is {record.state} and not in force")
    return _end(record, _S.REVOKED, by, now)


def expire(record: Record, now: dt.datetime) -> RecordsChange | None:
    """End one whose time is over, in force or never decided; the core has ended it already."""
    if record.state not in (_S.REQUESTED, _S.ACTIVE) or record.due is None or now < record.due:
        return None
    return _end(record, _S.EXPIRED, None, now)


def _check_times(read: ExceptionContent, content: Mapping[str, Any], now: dt.datetime, terms: Terms) -> None:
    if read.expires <= now:
        raise RecordRefused(f"exception `{read.id}` would have expired already")
    if read.renewal == 0 and read.not_before is not None and read.not_before < now:
        raise RecordRefused(f"exception `{read.id}` cannot begin in the past; leave `not_before` out")
    check_core(content, now, terms.longest)


def _declined(record: Record, by: Word, now: dt.datetime, state: ExceptionState) -> RecordsChange | None:
    told = tell(record)
    if told.state is _S.ACTIVE and told.pending is not None:
        check_same(by, content_digest(told.pending), record.id)
        body = {key: value for key, value in record.body.items() if key not in ("pending", "asked_again")}
        return _change(replace(record, body=body), told.pending, state.value, by, now)
    if told.state is state:
        return None
    _must(told, _S.REQUESTED, state.value)
    check_same(by, told.digest, record.id)
    return _end(record, state, by, now)


def _must(told: Told, state: ExceptionState, become: str) -> None:
    if told.state is not state:
        hint = "; `agentguard exceptions revoke` ends it" if told.state is _S.ACTIVE else ""
        raise RecordRefused(
            f"exception `{told.record.id}` is {told.state.value} and cannot be {become}{hint}"
        )


def _end(record: Record, state: ExceptionState, by: Word | None, now: dt.datetime) -> RecordsChange:
    body = dict(record.body) if by is None else {**record.body, "ended": by.to_json()}
    after = replace(record, state=state.value, body=body, due=None, registered=False)
    content = record.body.get("content")
    return _change(after, content if isinstance(content, Mapping) else {}, state.value, by, now)


def _change(
    record: Record, content: Mapping[str, Any], move: str, by: Word | None, now: dt.datetime
) -> RecordsChange:
    event = written.exception_moved(move, record.id, content, by=by, id=uuid7(), at=now)
    return RecordsChange((record,), (event,))
