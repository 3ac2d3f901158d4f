"""Exceptions that will be over soon: told once for each expiry, fourteen days before.

No event says so: it follows from the time. A mark beside the lanes remembers which expiry was told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from agentguard.canonical import digest, encode
from agentguard.channels import lanes
from agentguard.channels.channel import OutboxChannel
from agentguard.channels.taking import enlist as enlisted
from agentguard.channels.taking import keys_of
from agentguard.channels.told import EXPIRING, Entry
from agentguard.errors import RecordRefused
from agentguard.governance.exception_record import tell
from agentguard.governance.exceptions import KIND
from agentguard.ledger.events import instant
from agentguard.store.protocol import Known, Record, RecordsChange, Store

__all__ = ["WARNED", "enlist"]

WARNED: Final = dt.timedelta(days=14)


def enlist(store: Store, tenant: str, channel: OutboxChannel) -> int:
    """Put into the outbox what will be over soon and was not told; returns how many.

    Raises:
        StoreError: the store could not do it.
    """
    if EXPIRING not in channel.interest.types:
        return 0
    marked = {
        record.id: record for record in store.records(tenant, lanes.KIND, prefix=_mark(channel.name, ""))
    }
    added = 0
    for entry in _soon(store, tenant, channel):
        mark = _mark(channel.name, entry.subject)
        if mark not in marked or marked[mark].body.get("told") != entry.id:
            added += _enlist(store, tenant, channel, entry, mark)
    return added


def _soon(store: Store, tenant: str, channel: OutboxChannel) -> Iterator[Entry]:
    now = store.now()
    for record in store.records(tenant, KIND, states=("active",)):
        try:
            read = tell(record).read
        except RecordRefused:
            continue  # `agentguard exceptions list` says so
        if not now < read.expires <= now + WARNED:
            continue
        rules = list(read.rules)
        expires = instant(read.expires)
        yield Entry(
            id=f"expiring-{record.id}-{expires.replace('.', '-')}",
            type=EXPIRING,
            at=instant(now),
            family="exception",
            subject=record.id,
            said={"agent": read.agent, "rules": rules[:20], "owner": read.owner, "expires": expires},
            urgent=channel.interest.goes_first(EXPIRING, rules),
            lane=digest(encode(["exception", read.agent, rules[:1]])),
        )


def _enlist(store: Store, tenant: str, channel: OutboxChannel, entry: Entry, mark: str) -> bool:
    keys = keys_of(channel.name, entry)

    def update(known: Known, now: dt.datetime) -> RecordsChange | None:
        before = known.get((lanes.KIND, mark))
        if before is not None and before.body.get("told") == entry.id:
            return None  # another process was faster
        made = enlisted(known, channel.name, entry, channel.lane_limit, now)
        return RecordsChange([*made, Record(kind=lanes.KIND, id=mark, state="told", body={"told": entry.id})])

    return bool(store.change_records(tenant, [*keys, (lanes.KIND, mark)], update))


def _mark(channel: str, exception: str) -> str:
    return f"{channel}/expiring/{exception}"
