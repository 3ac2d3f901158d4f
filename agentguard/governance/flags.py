"""The life of an item of flagged calls, as pure functions from its record and a time to what it becomes.

::

    (flagged) ── open ── acknowledged ── resolved
                  │└──────────┼─────────────┘│
                  │   (its time is over)     │
                  └───────── reopened ───────┘

Flagged calls of one kind join their item. Of a resolved one, those that come until `until` belong to its
resolution; a later one, and one with more at stake, opens it anew. An item that nobody resolves goes from
level to level at the times that its policy says, whenever that is noticed, and past the last one it is a
breach, until it is resolved.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentguard.errors import RecordRefused
from agentguard.governance.flag_fingerprint import Kinds
from agentguard.governance.flag_item import KIND, FlagState, Item, Resolution, tell
from agentguard.governance.flag_policy import FlagPolicy
from agentguard.governance.vouching import Word
from agentguard.ids import uuid7
from agentguard.ledger.events import Event, instant, some
from agentguard.ledger.flag_events import Move, flag_moved
from agentguard.store.protocol import Record, RecordsChange
from agentguard.terms import Terms

__all__ = [
    "FALSE_POSITIVE_FOR",
    "TRANSITIONS",
    "Occurrence",
    "acknowledge",
    "advance",
    "check_resolution",
    "joined",
    "opened",
    "reopened",
    "reopens",
    "resolve",
]

FALSE_POSITIVE_FOR: Final = dt.timedelta(days=90)
"""How long a false positive stays away where nobody says otherwise; then somebody looks again."""
CONVERTED_FOR: Final = dt.timedelta(days=1)
"""How long calls may still be flagged after a conversion, until every guard has the changed rule."""
_HOLDS: Final = {Resolution.FALSE_POSITIVE: FALSE_POSITIVE_FOR, Resolution.CONVERTED: CONVERTED_FOR}
HISTORY: Final = 50
"""Moves that an item keeps; the ledger has all of them."""

SEEN: Final = 20
"""Tools and agents that an item of the rest names."""

_S = FlagState
TRANSITIONS: Final[Mapping[FlagState, frozenset[FlagState]]] = {
    _S.OPEN: frozenset({_S.OPEN, _S.ACKNOWLEDGED, _S.RESOLVED}),
    _S.ACKNOWLEDGED: frozenset({_S.OPEN, _S.ACKNOWLEDGED, _S.RESOLVED}),
    _S.RESOLVED: frozenset({_S.OPEN}),
}
"""Every move there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One flagged call, from its `flag.raised`. `item` is the id of the item that it belongs to."""

    item: str
    event: str
    decision: str
    at: dt.datetime
    rule: str
    agent: str
    tool: str
    kinds: Kinds | None
    policy: FlagPolicy


Moved = tuple[Record, Event]


def opened(
    one: Occurrence, tenant: str, now: dt.datetime, *, id: str | None = None, all_agents: bool = False
) -> Moved:
    """A new item of this call; with `id` that of the rest, of its agent or of all."""
    body = some(
        rule=one.rule,
        agent=None if all_agents else one.agent,
        tool=None if id is not None else one.tool,
        rest=id is not None or None,
        policy=one.policy.to_json(),
        stake=one.policy.stake.value,
        count=1,
        first=instant(one.at),
        last=instant(one.at),
        latest=one.decision,
        due=instant(one.policy.first_due(one.at)),
        level=0,
        episode=1,
    )
    if id is not None:
        body.update(_seen(body, one))
    elif one.kinds is not None:
        body["kinds"] = dict(one.kinds)
    record = Record(kind=KIND, id=id or one.item, state=_S.OPEN.value, body=body)
    return _moved(tell(record), _S.OPEN, "opened", tenant, now, raised=one.event)


def joined(item: Item, one: Occurrence) -> Record:
    """The item with one more call."""
    body = {
        **item.record.body,
        "count": item.count + 1,
        "first": instant(min(item.first, one.at)),
        "last": instant(max(item.last, one.at)),
        "latest": one.decision,
        **(_seen(item.record.body, one) if item.rest else {}),
    }
    if one.policy.stake.rank > item.stake.rank and item.unresolved:
        body["stake"] = one.policy.stake.value
    return replace(item.record, body=body)


def _seen(body: Mapping[str, Any], one: Occurrence) -> dict[str, Any]:
    """The first few tools and agents of an item of the rest."""
    found: dict[str, Any] = {}
    for key, name in (("tools", one.tool), ("agents", one.agent)):
        listed = body.get(key, [])
        if name not in listed and len(listed) < SEEN:
            found[key] = sorted([*listed, name])
    return found


def reopens(item: Item, one: Occurrence) -> bool:
    """Whether a call opens its resolved item anew: it is later than the resolution says, or more is at
    stake than there was."""
    if item.unresolved:
        return False
    return item.until is None or one.at > item.until or one.policy.stake.rank > item.stake.rank


def reopened(item: Item, one: Occurrence, tenant: str, now: dt.datetime) -> Moved:
    """The item of a resolution that no longer holds, with the policy as it is now."""
    changes = {
        "policy": one.policy.to_json(),
        "stake": one.policy.stake.value,
        "due": instant(one.policy.first_due(one.at)),
        "level": 0,
        "acked": None,
        "breached": None,
        "resolution": None,
        "until": None,
        "exception": None,
        "episode": item.episode + 1,
    }
    more = tell(joined(item, one))
    return _moved(more, _S.OPEN, "reopened", tenant, now, changes, raised=one.event)


def advance(record: Record, tenant: str, now: dt.datetime) -> RecordsChange | None:
    """Every step whose time has come: the same, whoever looks and however late."""
    item, events = tell(record), list[Event]()
    while item.unresolved and item.breached is None and now >= item.step:
        if item.level < len(item.policy.levels):
            changes: dict[str, Any] = {"level": item.level + 1}
            to = item.policy.holder(item.level + 1)
            after, event = _moved(item, _S.OPEN, "escalated", tenant, now, changes, to=to)
        else:
            changes = {"breached": instant(item.step)}
            after, event = _moved(item, item.state, "breached", tenant, now, changes, to=item.holder)
        events.append(event)
        item = tell(after)
    return RecordsChange((item.record,), events) if events else None


def acknowledge(record: Record, tenant: str, by: Word, now: dt.datetime) -> RecordsChange | None:
    """Somebody is on it: whoever has it gets the time of a review from now on, once at each level.

    Raises:
        RecordRefused: it is resolved, no reason is given, or it was acknowledged at this level.
    """
    item = _standing(record, by, tenant, None)
    if item.acked >= item.level:
        on = "it is a breach" if item.breached is not None else f"it goes on at {instant(item.step)[:16]}Z"
        raise RecordRefused(f"flag `{item.id}` was acknowledged already, and {on}: resolve it")
    later = max(dt.timedelta(), now + item.policy.review - item.step)
    changes: dict[str, Any] = {"acked": item.level}
    if item.breached is None:
        changes["due"] = instant(item.due + later)
    return _change(_moved(item, _S.ACKNOWLEDGED, "acknowledged", tenant, now, changes, by))


def resolve(
    record: Record, tenant: str, resolution: Mapping[str, Any], by: Word, now: dt.datetime
) -> RecordsChange:
    """Say what became of it. `resolution` is what `check_resolution` made.

    The rest is resolved for what has come, and no longer: what comes next may be of another kind.

    Raises:
        RecordRefused: it is resolved already, changed meanwhile, or no reason is given.
    """
    item = _standing(record, by, tenant, resolution)
    until = now if item.rest else max(now, dt.datetime.fromisoformat(resolution["until"]))
    changes: dict[str, Any] = {
        "resolution": resolution["as"],
        "until": instant(until),
        "exception": resolution.get("exception"),
        "breached": None,
    }
    said = {key: changes[key] for key in ("resolution", "until", "exception")}
    return _change(_moved(item, _S.RESOLVED, "resolved", tenant, now, changes, by, **said))


def check_resolution(
    resolution: Resolution,
    now: dt.datetime,
    terms: Terms,
    *,
    until: dt.datetime | None = None,
    exception: str | None = None,
    expires: dt.datetime | None = None,
) -> dict[str, Any]:
    """A resolution as it is signed: what it is, and until when it holds.

    `expires` is when the `exception` ends.

    Raises:
        RecordRefused: a date or the exception is missing, or does not belong here.
    """
    match resolution:
        case Resolution.ACCEPTED if until is None:
            raise RecordRefused("what is accepted is accepted until a date: `--until 2027-03-01`")
        case Resolution.EXCEPTION if exception is None or expires is None:
            raise RecordRefused("name the exception in force: `--exception EX-...`")
        case Resolution.EXCEPTION | Resolution.CONVERTED if until is not None:
            raise RecordRefused("`--until` is for `accepted` and `false-positive`")
    if exception is not None and resolution is not Resolution.EXCEPTION:
        raise RecordRefused("`--exception` is for the resolution `exception`")
    holds = until or expires or now + min(_HOLDS[resolution], terms.longest)
    if holds <= now or holds > now + terms.longest:
        raise RecordRefused(f"a flag is resolved until a date within {terms.max_days} days from now")
    return some(**{"as": resolution.value, "until": instant(holds), "exception": exception})


def _standing(record: Record, by: Word, tenant: str, resolution: Mapping[str, Any] | None) -> Item:
    item = tell(record)
    if not item.unresolved:
        raise RecordRefused(f"flag `{item.id}` is resolved already")
    if not by.reason.strip():
        raise RecordRefused("say why: `--reason TEXT`")
    if by.digest != item.digest(tenant, resolution):
        raise RecordRefused(
            f"flag `{item.id}` changed meanwhile, or something else was answered; look at it again"
        )
    return item


def _change(moved: Moved) -> RecordsChange:
    return RecordsChange((moved[0],), (moved[1],))


def _moved(
    item: Item,
    state: FlagState,
    move: Move,
    tenant: str,
    now: dt.datetime,
    changes: Mapping[str, Any] | None = None,
    word: Word | None = None,
    **said: Any,
) -> Moved:
    """The record after a move, with its next step as its due time, and the event that says so."""
    told = some(
        move=move,
        at=instant(now),
        by=word and word.subject,
        reason=word and word.reason,
        assurance=word and word.assurance,
        **{key: value for key, value in said.items() if key != "raised"},
    )
    body = {key: value for key, value in {**item.record.body, **(changes or {})}.items() if value is not None}
    body["history"] = [*item.history, told][-HISTORY:]
    after = tell(replace(item.record, state=state.value, body=body))
    waits = after.unresolved and after.breached is None
    record = replace(after.record, due=after.step if waits else None)
    event = flag_moved(move, item.id, body, tenant=tenant, id=uuid7(), at=now, word=word, **said)
    return record, event
