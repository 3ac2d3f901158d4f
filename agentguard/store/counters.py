"""Limits that count: taking an amount from a counter by one conditional statement.

Each taking is a row with its time; what is older than the window is forgotten. When a counter has many rows
they are merged into at most `SLOTS`, each as late as its latest part, so a merged amount is given back a
little late and never early.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from agentguard.store.protocol import Reservation

__all__ = ["MAX_ROWS", "SLOTS", "counter", "merge", "reserve", "slot_width"]

MAX_ROWS: Final = 2048
"""Rows of one counter before they are merged."""
SLOTS: Final = 1024

_SECOND: Final = 1_000_000

_TAKE: Final = """
    INSERT INTO counter (tenant, key, at, amount)
    SELECT :tenant, :key, :at, :amount
    WHERE :amount <= :limit - coalesce(
        (SELECT sum(amount) FROM counter WHERE tenant = :tenant AND key = :key AND at > :since), 0)
    ON CONFLICT (tenant, key, at) DO UPDATE SET amount = amount + excluded.amount"""

_MERGE: Final = """
    INSERT INTO counter (tenant, key, at, amount)
    SELECT tenant, key, ((at + :width - 1) / :width) * :width AS slot, sum(amount)
    FROM counter WHERE tenant = :tenant AND key = :key AND at % :width != 0 GROUP BY slot
    ON CONFLICT (tenant, key, at) DO UPDATE SET amount = amount + excluded.amount"""


def counter(reservation: Reservation) -> str:
    """The counter's name: the same key with another window is another counter."""
    return (
        reservation.key if reservation.window_s is None else f"{reservation.key} / {reservation.window_s} s"
    )


def slot_width(window_s: int) -> int:
    """Microseconds of one slot of a merged counter."""
    return max(1, window_s * _SECOND // SLOTS)


def reserve(db: sqlite3.Connection, tenant: int, reservation: Reservation, now: int) -> bool:
    """Take the amount inside the caller's transaction; False, and nothing taken, where it would not fit.

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
        db.execute("DELETE FROM counter WHERE tenant = ? AND key = ? AND at <= ?", (tenant, key, since))
    if db.execute(_TAKE, values).rowcount != 1:
        return False
    if window is not None and now % 64 == 0:
        rows = db.execute(
            "SELECT count(*) FROM counter WHERE tenant = ? AND key = ?", (tenant, key)
        ).fetchone()[0]
        if rows > MAX_ROWS:
            merge(db, tenant, key, slot_width(window))
    return True


def merge(db: sqlite3.Connection, tenant: int, key: str, width: int) -> None:
    """Join the rows of each slot, `width` microseconds long, at the slot's end."""
    values = {"tenant": tenant, "key": key, "width": width}
    db.execute(_MERGE, values)
    db.execute("DELETE FROM counter WHERE tenant = :tenant AND key = :key AND at % :width != 0", values)
