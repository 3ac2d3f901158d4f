"""The outbox: what one channel still has to be told about one subject, in order, as a record of the store.

::

    waiting | urgent ── told        everything that waited was delivered
        │         ╲──── dead        too many attempts; visible, until somebody tries it again or more happens

Every function is pure: from a record and the store's time to the record as it will be. Only the first thing
that waits is delivered, so people hear of one subject in the order of its events. Whoever delivers holds a
lease: the record is due again when the lease is over, so that what a killed process held is delivered by
another. What was delivered and not noted is delivered again under the same id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentguard.channels.told import Entry, subject_id
from agentguard.errors import StoreError
from agentguard.store.protocol import Record

__all__ = ["KIND", "LEASE_S", "OPEN", "Item", "add", "delivered", "failed", "item_of", "lease", "retry"]

KIND: Final = "delivery"
OPEN: Final = ("urgent", "waiting")
"""The states in which something waits, the most pressing first."""
LEASE_S: Final = 90
"""Seconds that a delivery may take before another process tries; longer than any timeout of a channel."""
MOST_WAITING: Final = 50
"""Things that wait about one subject; of more, the oldest are dropped and counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A record of the outbox, read: `waiting` are entries as `Entry.to_json` wrote them."""

    record: Record
    channel: str
    family: str
    subject: str
    waiting: tuple[Mapping[str, Any], ...]
    attempts: int
    lease: str
    error: str
    memory: Mapping[str, Any]
    told: int
    dropped: int


def item_of(record: Record) -> Item:
    """A record as it is meant.

    Raises:
        StoreError: it is damaged: also where it waits, and nothing of it does.
    """
    body = record.body
    try:
        if record.state in OPEN and not body["waiting"]:
            raise ValueError("nothing waits")
        return Item(
            record=record,
            channel=str(body["channel"]),
            family=str(body["family"]),
            subject=str(body["subject"]),
            waiting=tuple(dict(one) for one in body["waiting"]),
            attempts=int(body["attempts"]),
            lease=str(body["lease"]),
            error=str(body["error"]),
            memory=dict(body["memory"]),
            told=int(body["told"]),
            dropped=int(body["dropped"]),
        )
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"the delivery `{record.id[:100]}` is damaged") from None


def add(found: Record | None, channel: str, entry: Entry, now: dt.datetime) -> Record:
    """Something more has to be told; what was dead before is tried anew."""
    body: dict[str, Any] = dict(found.body) if found is not None else _empty(channel, entry)
    waiting = [*body["waiting"], entry.to_json()]
    over = len(waiting) - MOST_WAITING
    if over > 0:  # the first one may be on its way
        waiting = [waiting[0], *waiting[1 + over :]]
        body["dropped"] += over
    body["waiting"] = waiting
    due = now
    if found is not None and found.state == "dead":
        body |= {"attempts": 0, "error": ""}
    elif found is not None and found.state in OPEN:
        due = found.due or now  # of what is on its way, or waits to be tried again
        if entry.urgent and found.state != "urgent" and not body["lease"]:
            due = now
    urgent = entry.urgent or (found is not None and found.state == "urgent")
    return Record(
        kind=KIND,
        id=found.id if found is not None else subject_id(channel, entry.family, entry.subject),
        state="urgent" if urgent else "waiting",
        body=body,
        due=due,
    )


def lease(found: Record, token: str, now: dt.datetime) -> Record | None:
    """Take it for delivery; None where it is not due: another process has it, or had it."""
    if found.state not in OPEN or found.due is None or found.due > now or not found.body["waiting"]:
        return None
    body = {**found.body, "lease": token, "attempts": int(found.body["attempts"]) + 1}
    return replace(found, body=body, due=now + dt.timedelta(seconds=LEASE_S))


def delivered(found: Record, token: str, memory: Mapping[str, Any], now: dt.datetime) -> Record | None:
    """The first thing that waited was told; None where the lease has passed to another process."""
    if found.body["lease"] != token:
        return None
    left = list(found.body["waiting"][1:])
    body = {
        **found.body,
        "waiting": left,
        "told": int(found.body["told"]) + 1,
        "attempts": 0,
        "lease": "",
        "error": "",
        "memory": dict(memory),
        "dropped": found.body["dropped"] if left else 0,
    }
    return replace(found, state=found.state if left else "told", body=body, due=now if left else None)


def failed(
    found: Record, token: str, why: str, now: dt.datetime, again_s: float | None, memory: Mapping[str, Any]
) -> Record | None:
    """It could not be told; tried again in `again_s` seconds, or dead where that is None."""
    if found.body["lease"] != token:
        return None
    body = {**found.body, "lease": "", "error": why[:300], "memory": dict(memory)}
    if again_s is None:
        return replace(found, state="dead", body=body, due=None)
    return replace(found, body=body, due=now + dt.timedelta(seconds=again_s))


def retry(found: Record, now: dt.datetime) -> Record | None:
    """Try what is dead, or waits to be tried again, at once; None where nothing waits or it is on its way."""
    if not found.body["waiting"] or (found.body["lease"] and found.due is not None and found.due > now):
        return None
    state = found.state if found.state in OPEN else "waiting"
    return replace(found, state=state, body={**found.body, "attempts": 0, "lease": ""}, due=now)


def _empty(channel: str, entry: Entry) -> dict[str, Any]:
    return {
        "channel": channel,
        "family": entry.family,
        "subject": entry.subject,
        "waiting": [],
        "attempts": 0,
        "lease": "",
        "error": "",
        "memory": {},
        "told": 0,
        "dropped": 0,
    }
