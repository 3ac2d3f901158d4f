"""Projections: each event is counted once, whoever sweeps and whatever fails in between."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentguard.errors import StoreError
from agentguard.governance import projecting
from agentguard.governance.projecting import CURSOR, Projection, Seen, behind, project
from agentguard.governance.sweeping import sweep
from agentguard.governance.usage import USAGE
from agentguard.store.protocol import Event, Known, Record, RecordsChange, Store
from tests.governance.support import Office, request
from tests.store.support import START, decided, ended

KEY = ("flag", "all")


def _count(known: Known, batch: Sequence[Seen], now: dt.datetime) -> tuple[list[Record], list[Event]]:
    before = known[KEY].body["numbers"] if KEY in known else []
    return [
        Record(kind="flag", id="all", state="open", body={"numbers": [*before, *(one.seq for one in batch)]})
    ], []


COUNT = Projection(name="count", types=("decision",), keys=lambda batch: [KEY], apply=_count)


def numbers(store: Store) -> list[int]:
    return list(store.record("default", *KEY).body["numbers"])


def fill(store: Store, count: int) -> None:
    for _ in range(count):
        one = decided()
        store.append("default", [one, ended(one)])


def test_every_event_of_its_types_is_taken_in_once_and_in_order(store: Store) -> None:
    """From where the last sweep ended."""
    fill(store, 3)
    assert project(store, "default", COUNT) == 3
    assert project(store, "default", COUNT) == 0
    fill(store, 1)
    assert behind(store, "default", COUNT) == 2
    assert project(store, "default", COUNT) == 1
    assert numbers(store) == [1, 3, 5, 7]


def test_batches_join_without_a_gap(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small they are, and to a limit where one is given."""
    monkeypatch.setattr(projecting, "BATCH", 2)
    fill(store, 5)
    assert project(store, "default", COUNT, limit=3) == 3
    assert project(store, "default", COUNT) == 2
    assert numbers(store) == [1, 3, 5, 7, 9]


def test_a_batch_that_fails_is_taken_in_later_and_whole(store: Store) -> None:
    """Records and cursor are one transaction."""

    def fails(known: Known, batch: Sequence[Seen], now: dt.datetime) -> tuple[list[Record], list[Event]]:
        raise LookupError("no")

    fill(store, 2)
    broken = Projection(name="count", types=COUNT.types, keys=COUNT.keys, apply=fails)
    with pytest.raises(LookupError):
        project(store, "default", broken)
    assert project(store, "default", COUNT) == 2
    assert numbers(store) == [1, 3]


def test_sweeps_at_the_same_time_count_nothing_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second finds the cursor moved and takes nothing in."""
    monkeypatch.setattr(projecting, "BATCH", 3)
    fill(store, 20)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: project(store, "default", COUNT), range(8)))
    assert sum(found) == 20
    assert numbers(store) == list(range(1, 41, 2))


def test_a_sweep_that_was_overtaken_writes_nothing(store: Store) -> None:
    """The cursor is compared under the lock of the transaction."""
    fill(store, 2)

    def overtaken(batch: Sequence[Seen]) -> list[tuple[str, str]]:
        if not store.records("default", CURSOR):
            moved = Record(kind=CURSOR, id="count", state="at", body={"after": 4})
            store.change_records("default", [moved.key], lambda known, now: RecordsChange([moved]))
        return [KEY]

    raced = Projection(name="count", types=COUNT.types, keys=overtaken, apply=_count)
    assert project(store, "default", raced) == 0
    assert store.records("default", "flag") == []


def test_a_damaged_cursor_stops_the_count(store: Store) -> None:
    """Rather than counting everything again."""
    bad = Record(kind=CURSOR, id="count", state="at", body={"after": "x"})
    store.change_records("default", [bad.key], lambda known, now: RecordsChange([bad]))
    fill(store, 1)
    with pytest.raises(StoreError, match="cursor"):
        project(store, "default", COUNT)


def test_an_idle_sweep_writes_nothing(store: Store) -> None:
    """Neither record nor cursor, however often it looks."""
    fill(store, 1)
    sweep(store, "default")
    before = store.records("default", CURSOR)
    for _ in range(3):
        assert sweep(store, "default").events == 0
    assert store.records("default", CURSOR) == before


def test_uses_are_counted_where_a_call_ran(office: Office) -> None:
    """A decision that only asks or denies is no use."""
    from agentguard.ids import uuid7
    from agentguard.ledger import events

    record = office.granted()
    decision = office.decide()
    for runs in (True, True, False):
        event = events.decision(
            id=uuid7(), tenant="default", at=START, request=request(), decision=decision,
            args_hmac="hmac-sha256:" + "1" * 64, runs=runs,
        )  # fmt: skip
        office.store.append("default", [event])
    assert project(office.store, "default", USAGE) == 3
    assert office.store.record("default", "usage", record.id).body["uses"] == 2
