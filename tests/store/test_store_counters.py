"""Counters with many takings are merged, and a merged counter never gives back early."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path
from random import Random

from agentguard.store import Reservation, open_store
from agentguard.store.counters import MAX_ROWS, SLOTS, merge
from tests.store.support import FakeClock


def test_merging_never_gives_back_early() -> None:
    """At every moment a merged counter counts at least what the exact one did, and not much longer."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("CREATE TABLE counter (tenant, key, at, amount, PRIMARY KEY (tenant, key, at)) WITHOUT ROWID")
    random = Random(7)
    taken = sorted({random.randrange(1_000_000) for _ in range(500)})
    db.executemany("INSERT INTO counter VALUES (1, 'a', ?, 3)", [(at,) for at in taken])
    merge(db, 1, "a", 1000)
    merged = db.execute("SELECT at, amount FROM counter").fetchall()
    assert len(merged) < len(taken)
    for since in range(0, 1_001_000, 250):
        exact = 3 * sum(at > since for at in taken)
        counted = sum(amount for at, amount in merged if at > since)
        later = 3 * sum(at > since - 1000 for at in taken)
        assert exact <= counted <= later
    db.close()


def test_a_counter_has_a_bounded_number_of_rows(tmp_path: Path) -> None:
    """Far more takings than rows, and the limit holds throughout."""
    clock = FakeClock()
    store = open_store(f"sqlite:///{tmp_path}/a.db", clock=clock)
    connection: sqlite3.Connection = store._database.current()  # type: ignore[attr-defined]
    connection.execute("PRAGMA synchronous = OFF")
    store._database.set_full = lambda *_: None  # type: ignore[attr-defined]
    wanted = MAX_ROWS + 600
    for _ in range(wanted):
        assert store.reserve("default", [Reservation("a", 1, wanted, window_s=3600)]) is None
        clock.at += dt.timedelta(microseconds=64_064)
    assert store.reserve("default", [Reservation("a", 1, wanted, window_s=3600)]) == "a"
    rows = connection.execute("SELECT count(*), sum(amount) FROM counter").fetchone()
    assert rows[0] <= MAX_ROWS + 64
    assert rows[1] == wanted
    clock.advance(3600 + 3600 / SLOTS)
    assert store.reserve("default", [Reservation("a", wanted, wanted, window_s=3600)]) is None
    store.close()
