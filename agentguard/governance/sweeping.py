"""The sweep: what is due happens, and what follows from the ledger is taken in. Any process may run it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from agentguard.governance import baselines, exceptions, grants
from agentguard.governance.projecting import Projection, project
from agentguard.governance.sightings import SIGHTINGS
from agentguard.governance.suspending import SUSPENSIONS
from agentguard.governance.usage import KIND as USED
from agentguard.governance.usage import USAGE
from agentguard.store.protocol import Known, Record, RecordsChange, Store

__all__ = ["PROJECTIONS", "Swept", "expire_due", "sweep"]

PROJECTIONS: Final[tuple[Projection, ...]] = (SIGHTINGS, USAGE, SUSPENSIONS)
"""What follows from the ledger here; further projections are handed to `sweep`."""

_EXPIRES: Final[Mapping[str, Callable[[Record, dt.datetime], RecordsChange | None]]] = {
    exceptions.KIND: exceptions.expire,
    grants.KIND: grants.expire,
    baselines.KIND: baselines.expire,
}


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: exceptions and grants that ended, and events that were taken in."""

    ended: int
    events: int


def sweep(store: Store, tenant: str, projections: Iterable[Projection] = PROJECTIONS) -> Swept:
    """Expire what is due, and read the ledger on.

    Raises:
        StoreError: the store could not do it; what was done before stays.
    """
    expired = expire_due(store, tenant)
    events = sum(project(store, tenant, projection) for projection in projections)
    return Swept(expired + _end_spent(store, tenant), events)


def expire_due(store: Store, tenant: str) -> int:
    """End exceptions and grants whose time is over; the core has not used them since. Returns how many."""
    ended = 0
    now = store.now()
    for kind, expire in _EXPIRES.items():
        for record in store.records(tenant, kind, due_by=now):
            ended += bool(store.change_records(tenant, [record.key], _expiring(record, expire)))
    return ended


def _end_spent(store: Store, tenant: str) -> int:
    ended = 0
    active = {record.id: record for record in store.records(tenant, grants.KIND, states=("active",))}
    for used in store.records(tenant, USED) if active else ():
        record, uses = active.get(used.id), used.body.get("uses")
        if record is not None and type(uses) is int and grants.spend(record, uses, store.now()):
            spending = _expiring(record, partial(_spend, uses))
            ended += bool(store.change_records(tenant, [record.key], spending))
    return ended


def _spend(uses: int, found: Record, now: dt.datetime) -> RecordsChange | None:
    return grants.spend(found, uses, now)


def _expiring(
    record: Record, expire: Callable[[Record, dt.datetime], RecordsChange | None]
) -> Callable[[Known, dt.datetime], RecordsChange | None]:
    def update(known: Known, now: dt.datetime) -> RecordsChange | None:
        found = known.get(record.key)
        return None if found is None else expire(found, now)

    return update
