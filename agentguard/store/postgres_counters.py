"""Limits that count, in a PostgreSQL store: one conditional statement under the counter's own lock.

The rows are as in `agentguard.store.counters`: each taking with its time, forgotten when it is older than the
window, and merged when there are many.
"""

from __future__ import annotations

from typing import Final

from agentguard.store.counters import MAX_ROWS, counter, slot_width
from agentguard.store.postgres_schema import Connection
from agentguard.store.protocol import Reservation

__all__ = ["counter", "reserve"]

_SECOND: Final = 1_000_000
_TAKE: Final = """
    INSERT INTO counter (tenant, key, at, amount)
    SELECT %(tenant)s, %(key)s, %(at)s, %(amount)s
    WHERE %(amount)s <= %(limit)s - coalesce(
        (SELECT sum(amount) FROM counter WHERE tenant = %(tenant)s AND key = %(key)s AND at > %(since)s), 0)
    ON CONFLICT (tenant, key, at) DO UPDATE SET amount = counter.amount + excluded.amount"""


def reserve(db: Connection, tenant: int, reservation: Reservation, now: int) -> bool:
    """Take the amount inside the caller's transaction, which holds the counter's lock; False where it would
    not fit.

    `now` is in microseconds since 1970.
    """
    key, window = counter(reservation), reservation.window_s
    since = -1 if window is None else now - window * _SECOND
    values = {
        "tenant": tenant,
        "key": key,
        "at": 0 if window is None else now,
        "amount": reservation.amount,
        "limit": reservation.limit,
        "since": since,
    }
    if window is not None:
        db.execute("DELETE FROM counter WHERE tenant = %s AND key = %s AND at <= %s", (tenant, key, since))
    if db.execute(_TAKE, values).rowcount != 1:
        return False
    if window is not None and now % 64 == 0:
        count = db.execute("SELECT count(*) FROM counter WHERE tenant = %s AND key = %s", (tenant, key))
        rows = count.fetchone()
        if rows is not None and int(str(rows[0])) > MAX_ROWS:
            _merge(db, tenant, key, slot_width(window))
    return True


def _merge(db: Connection, tenant: int, key: str, width: int) -> None:
    """Join the rows of each slot, `width` microseconds long, at the slot's end."""
    # In two steps: within one statement the rows that are deleted would still be in the way.
    gone = db.execute(
        "DELETE FROM counter WHERE tenant = %s AND key = %s RETURNING at, amount", (tenant, key)
    ).fetchall()
    slots: dict[int, int] = {}
    for at, amount in gone:
        slot = (int(str(at)) + width - 1) // width * width
        slots[slot] = slots.get(slot, 0) + int(str(amount))
    db.execute(
        "INSERT INTO counter SELECT %s, %s, * FROM unnest(%s::bigint[], %s::bigint[])",
        (tenant, key, list(slots), list(slots.values())),
    )
