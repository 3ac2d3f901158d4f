"""Taking in: from the events of the ledger to the outbox of one channel, each event once.

It is a projection (`agentguard.governance.projecting`): the outbox and the cursor are written in one
transaction. A channel that is new begins at the end of the ledger, and tells nothing of what was before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Final

from agentguard.channels import lanes, outbox
from agentguard.channels.told import EXPIRING, OPENING, Entry, Interest, entry_of, subject_id
from agentguard.errors import NotFound, StoreError
from agentguard.governance.projecting import CURSOR, Projection, Seen, project
from agentguard.store.protocol import Event, Known, Record, RecordKey, RecordsChange, Store

__all__ = ["begin", "enlist", "keys_of", "projection_of", "take"]

_BATCH: Final = 200
"""Events taken in before the most pressing of them are delivered."""


def projection_of(channel: str, interest: Interest, lane_limit: int) -> Projection:
    """What of the ledger comes into the outbox of a channel."""

    def keys(batch: Sequence[Seen]) -> Collection[RecordKey]:
        entries = (entry_of(seen.event, interest) for seen in batch)
        return {key for entry in entries if entry is not None for key in keys_of(channel, entry)}

    def apply(
        known: Known, batch: Sequence[Seen], now: dt.datetime
    ) -> tuple[Sequence[Record], Sequence[Event]]:
        changed: dict[RecordKey, Record] = {}
        for seen in batch:
            entry = entry_of(seen.event, interest)
            if entry is not None:
                for record in enlist({**known, **changed}, channel, entry, lane_limit, now):
                    changed[record.key] = record
        return list(changed.values()), ()

    types = tuple(sorted(interest.types - {EXPIRING}))
    return Projection(name=f"channel/{channel}", types=types, keys=keys, apply=apply)


def keys_of(channel: str, entry: Entry) -> tuple[RecordKey, ...]:
    """The records that telling of an entry may change."""
    return (
        (outbox.KIND, subject_id(channel, entry.family, entry.subject)),
        (outbox.KIND, lanes.summary_id(channel, entry)),
        (lanes.KIND, lanes.lane_id(channel, entry)),
    )


def enlist(known: Known, channel: str, entry: Entry, limit: int, now: dt.datetime) -> list[Record]:
    """The records as they are with one more thing to tell."""
    own, summary, lane = keys_of(channel, entry)
    found = _readable(known.get(own))
    if found is not None and found.state != "told":
        return [outbox.add(found, channel, entry, now)]
    if entry.type not in OPENING:  # the end of something is told to those who heard of it
        return [] if found is None else [outbox.add(found, channel, entry, now)]
    counted, alone = lanes.admit(known.get(lane), lane[1], entry, limit, now)
    if alone:
        return [counted, outbox.add(found, channel, entry, now)]
    return [counted, lanes.summed_up(_readable(known.get(summary)), channel, entry, now)]


def _readable(record: Record | None) -> Record | None:
    """A record that somebody damaged is begun anew: it must not end the telling of everything else."""
    try:
        return None if record is None else outbox.item_of(record).record
    except StoreError:
        return None


def begin(store: Store, tenant: str, projection: Projection) -> None:
    """Make the cursor of a new channel, where there is none: at the end of the ledger.

    Raises:
        StoreError: the store could not do it.
    """
    key = (CURSOR, projection.name)
    try:
        store.record(tenant, *key)
        return
    except NotFound:
        head = store.head(tenant)[0]

    def update(known: Known, now: dt.datetime) -> RecordsChange | None:
        if key in known:
            return None
        return RecordsChange((Record(kind=CURSOR, id=projection.name, state="at", body={"after": head}),))

    store.change_records(tenant, [key], update)


def take(store: Store, tenant: str, projection: Projection) -> bool:
    """Take in the next events; whether there may be more.

    Raises:
        StoreError: the store could not do it; nothing of the batch was taken in.
    """
    return project(store, tenant, projection, limit=_BATCH) == _BATCH
