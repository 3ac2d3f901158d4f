"""The sweep of flags: what was flagged becomes items, what is overdue goes on, and people hear of it.

Any process may run it at any time. What was flagged is taken in once (`governance.projecting`); an item goes
on by the times of its policy, and only if nobody was faster, so several sweeps at once do what one does.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.decision import Effect
from agentguard.errors import RecordRefused
from agentguard.governance import flags
from agentguard.governance.deviations import Deviations
from agentguard.governance.flag_item import KIND, FlagState
from agentguard.governance.flag_joining import Joining
from agentguard.governance.projecting import project
from agentguard.store.protocol import Event, Known, Record, RecordsChange, Store

__all__ = ["FlagNotice", "FlagsSwept", "Tell", "sweep", "tell_channels"]

log = logging.getLogger("agentguard")

_MOVES: Final = ("opened", "reopened", "escalated", "breached")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagNotice:
    """What a person should hear of an item: it is `to` them because of `move`."""

    move: str
    flag: str
    to: str
    owner: str
    rule: str
    agent: str | None
    tool: str | None
    stake: str
    count: int
    level: int
    due: dt.datetime


Tell = Callable[[FlagNotice], object]
"""Hears of a notice after it is durable. What it raises is logged."""


@dataclass(frozen=True, slots=True)
class FlagsSwept:
    """What a sweep did: flagged calls that were taken in, and how many items moved how."""

    flags: int
    opened: int = 0
    reopened: int = 0
    escalated: int = 0
    breached: int = 0


def sweep(store: Store, tenant: str, *, tell: Tell | None = None, limit: int | None = None) -> FlagsSwept:
    """Take in what was flagged, up to `limit` calls, and pass on what is overdue.

    `tell` hears of each item that was opened, opened anew, passed on or breached, the gravest first.

    Raises:
        StoreError: the store could not do it; what was done before stays.
    """
    joining, deviations = Joining(store, tenant), Deviations(store, tenant)
    events: list[Event] = []
    try:
        taken = project(store, tenant, joining.projection, limit=limit)
        project(store, tenant, deviations.projection, limit=limit)
        for one in (joining, deviations):
            events.extend(event for batch in one.events.values() for event in batch)
        for written in _advance_due(store, tenant):
            events.extend(written)
    finally:
        notices = [_notice(event) for event in events]
        _tell_all(tell, notices)
    moves = Counter(notice.move for notice in notices)
    return FlagsSwept(taken, **{move: moves[move] for move in _MOVES})


def tell_channels(channels: Iterable[object]) -> Tell | None:
    """Tells every channel that has a method `notify_flag`, one notice at a time; None where none has."""
    hearing = [hear for channel in channels if callable(hear := getattr(channel, "notify_flag", None))]
    if not hearing:
        return None

    def tell(notice: FlagNotice) -> None:
        for hear in hearing:
            _quietly(hear, notice)

    return tell


def _advance_due(store: Store, tenant: str) -> Iterator[list[Event]]:
    states = (FlagState.OPEN.value, FlagState.ACKNOWLEDGED.value)
    for record in store.records(tenant, KIND, states=states, due_by=store.now()):
        written: list[Event] = []
        store.change_records(tenant, [record.key], _advancing(record, tenant, written))
        yield written


def _advancing(
    record: Record, tenant: str, written: list[Event]
) -> Callable[[Known, dt.datetime], RecordsChange | None]:
    def update(known: Known, now: dt.datetime) -> RecordsChange | None:
        written.clear()  # a store may run it again
        found = known.get(record.key)
        try:
            change = None if found is None else flags.advance(found, tenant, now)
        except RecordRefused as error:
            log.error("%s", error)
            return None
        if change is not None:
            written.extend(change.events)
        return change

    return update


def _notice(event: Mapping[str, Any]) -> FlagNotice:
    return FlagNotice(
        move=str(event["type"]).removeprefix("flag."),
        flag=event["flag"],
        to=event.get("to") or event.get("owner", ""),
        owner=event.get("owner", ""),
        rule=event["rule"],
        agent=event.get("agent"),
        tool=event.get("tool"),
        stake=event["stake"],
        count=event["count"],
        level=event["level"],
        due=dt.datetime.fromisoformat(event["due"]),
    )


def _gravest_first(notice: FlagNotice) -> tuple[bool, int]:
    return notice.move != "breached", -Effect(notice.stake).rank


def _tell_all(tell: Tell | None, notices: Iterable[FlagNotice]) -> None:
    if tell is not None:
        for notice in sorted(notices, key=_gravest_first):
            _quietly(tell, notice)


def _quietly(tell: Tell, notice: FlagNotice) -> None:
    try:
        tell(notice)
    except Exception as error:
        log.error("nobody could be told of flag %s: %s", notice.flag, type(error).__name__)
