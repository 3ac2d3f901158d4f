"""What follows from the ledger: records that are computed from its events, each event counted once.

A projection is a name, the types of events that it reads, and a pure function from a batch of them to the
records that it changes. A cursor record says how far it has read; it is written in the transaction of the
records, and only by a sweep that began where it stands, so that several processes may sweep at the same time
and nothing is counted twice or left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core

from agentguard.errors import NotFound, StoreError
from agentguard.store.protocol import Event, Known, Record, RecordKey, RecordsChange, Store

__all__ = ["CURSOR", "Projection", "Seen", "behind", "project"]

CURSOR: Final = "cursor"
"""The kind of the records that say how far a projection has read."""
BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """An event of the ledger with its number."""

    seq: int
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What is computed from which events.

    `keys` are the records that a batch is about, and `apply` makes of those that there are, and of the batch,
    the records as they will be, with events if there are any to write. Both are pure; `apply` sees the
    store's time. A record that does not change is left out.
    """

    name: str
    types: tuple[str, ...]
    keys: Callable[[Sequence[Seen]], Collection[RecordKey]]
    apply: Callable[[Known, Sequence[Seen], dt.datetime], tuple[Sequence[Record], Sequence[Event]]]


def project(store: Store, tenant: str, projection: Projection, *, limit: int | None = None) -> int:
    """Read on from the cursor, to the end or to `limit` events; returns how many were taken in.

    A batch of `BATCH` events is one transaction. Another sweep that was faster is not an error: its events
    are not taken in again.

    Raises:
        StoreError: the store could not do it; every batch before was taken in whole.
    """
    taken = 0
    while limit is None or taken < limit:
        after = _cursor(store, tenant, projection.name)
        upto = store.head(tenant)[0]
        size = BATCH if limit is None else min(BATCH, limit - taken)
        batch = [
            Seen(row.seq, _read(row.leaf))
            for row in store.events(tenant, after=after, limit=size, types=projection.types)
        ]
        full = len(batch) == size
        end = batch[-1].seq if full else max(upto, batch[-1].seq if batch else after)
        if end <= after or (not batch and end - after < BATCH):
            return taken
        if _take(store, tenant, projection, after, end, batch):
            taken += len(batch)
        if not full:
            return taken
    return taken


def behind(store: Store, tenant: str, projection: Projection) -> int:
    """How many events the ledger has that the projection has not looked at."""
    return max(0, store.head(tenant)[0] - _cursor(store, tenant, projection.name))


def _take(
    store: Store, tenant: str, projection: Projection, after: int, end: int, batch: Sequence[Seen]
) -> bool:
    cursor = (CURSOR, projection.name)

    def update(known: Known, now: dt.datetime) -> RecordsChange | None:
        if _after(known.get(cursor)) != after:
            return None  # another sweep was here
        records, events = projection.apply(known, batch, now)
        moved = Record(kind=CURSOR, id=projection.name, state="at", body={"after": end})
        return RecordsChange((*records, moved), events)

    return bool(store.change_records(tenant, {*projection.keys(batch), cursor}, update))


def _cursor(store: Store, tenant: str, name: str) -> int:
    try:
        return _after(store.record(tenant, CURSOR, name))
    except NotFound:
        return 0


def _after(cursor: Record | None) -> int:
    found = 0 if cursor is None else cursor.body.get("after")
    if type(found) is not int or found < 0:
        raise StoreError(
            "the cursor of a projection is damaged; nothing is counted twice, so nothing is counted"
        )
    return found


def _read(leaf: bytes) -> Mapping[str, Any]:
    try:
        found = pydantic_core.from_json(leaf)
    except ValueError:
        return {}  # `agentguard ledger verify` says so
    return found if isinstance(found, dict) else {}
