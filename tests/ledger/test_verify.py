"""Verification: a ledger that is whole is accepted, and whatever was done to it is named (T64)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentguard.decision import Effect
from agentguard.errors import ConfigurationError, StoreUnavailable
from agentguard.ids import uuid7
from agentguard.ledger.verify import TenantReport, verify
from agentguard.stepup import machine
from agentguard.store import Store, open_store
from tests.store.support import answer, ask, decided, ended, make_approval, settled, take

SIZE = 20
COLUMNS = "key, id, type, at, edge, leaf"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with twenty events, closed, so that the head stands at its end."""
    file = tmp_path / "store.db"
    store = open_store(f"sqlite:///{file}")
    for _ in range(SIZE // 2):
        event = decided()
        store.append("default", [event])
        store.append("default", [ended(event)], durable=False)
    store.close()
    return file


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def check(path: Path) -> TenantReport:
    store = open_store(f"sqlite:///{path}", create=False)
    report = verify(store)
    store.close()
    return report.tenants[0]


def base(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT no FROM tenant").fetchone()[0]) << 40


def row(db: sqlite3.Connection, seq: int) -> tuple[Any, ...]:
    found = db.execute(f"SELECT {COLUMNS} FROM event WHERE key = ?", (base(db) + seq,)).fetchone()
    return tuple(found)


def put(db: sqlite3.Connection, seq: int, *values: Any) -> None:
    db.execute(
        f"INSERT OR REPLACE INTO event ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", (base(db) + seq, *values)
    )


def shift(db: sqlite3.Connection, start: int, by: int) -> None:
    """Renumber the events from `start` on."""
    numbers = range(start, SIZE + 1)
    for seq in reversed(numbers) if by > 0 else numbers:
        db.execute("UPDATE event SET key = key + ? WHERE key = ?", (by, base(db) + seq))


def edited_leaf(db: sqlite3.Connection, seq: int) -> bytes:
    leaf: bytes = row(db, seq)[5]
    return leaf.replace(b"payments.transfer", b"payments.transfEr")


def test_a_whole_ledger_is_accepted(path: Path) -> None:
    """With its size, root and counts."""
    report = check(path)
    assert report.ok
    assert report.first_bad is None
    assert (report.size, report.types) == (SIZE, {"decision": 10, "outcome": 10})
    assert report.open_decisions == 0
    assert len(report.root) == 64


@pytest.mark.parametrize("seq", [1, 2, 7, SIZE])
def test_an_edited_leaf_is_named_T64(path: Path, db: sqlite3.Connection, seq: int) -> None:
    """The first, one in the middle, the last."""
    db.execute("UPDATE event SET leaf = ? WHERE key = ?", (edited_leaf(db, seq), base(db) + seq))
    report = check(path)
    assert (report.first_bad, report.findings[0].kind) == (seq, "edited")


def test_only_the_first_of_several_is_named_T64(path: Path, db: sqlite3.Connection) -> None:
    """What comes after it cannot be judged."""
    for seq in (5, 9):
        db.execute("UPDATE event SET leaf = ? WHERE key = ?", (edited_leaf(db, seq), base(db) + seq))
    report = check(path)
    assert [finding.seq for finding in report.findings if finding.kind == "edited"] == [5]


@pytest.mark.parametrize("seq", [1, 7, SIZE - 1])
def test_a_deleted_event_is_named_T64(path: Path, db: sqlite3.Connection, seq: int) -> None:
    """By the gap it leaves."""
    db.execute("DELETE FROM event WHERE key = ?", (base(db) + seq,))
    report = check(path)
    assert (report.first_bad, report.findings[0].kind) == (seq, "deleted")


@pytest.mark.parametrize("seq", [1, 7, SIZE - 1])
def test_a_deleted_event_is_named_although_the_rest_was_renumbered_T64(
    path: Path, db: sqlite3.Connection, seq: int
) -> None:
    """The head promises one more than there are."""
    db.execute("DELETE FROM event WHERE key = ?", (base(db) + seq,))
    shift(db, seq + 1, -1)
    found = [finding for finding in check(path).findings if finding.kind != "story"]
    assert (found[0].seq, found[0].kind) == (seq, "deleted")


@pytest.mark.parametrize("seq", [1, 7, SIZE])
def test_an_inserted_event_is_named_T64(path: Path, db: sqlite3.Connection, seq: int) -> None:
    """Wherever it was put."""
    copied = row(db, 3)
    shift(db, seq, 1)
    put(db, seq, *copied[1:])
    found = [finding for finding in check(path).findings if finding.kind != "story"]
    assert (found[0].seq, found[0].kind) == (seq, "inserted")


@pytest.mark.parametrize(("one", "other"), [(1, 2), (7, 8), (3, 15), (19, 20), (1, 20)])
@pytest.mark.parametrize("what", ["leaf", "row"])
def test_swapped_events_are_named_T64(
    path: Path, db: sqlite3.Connection, one: int, other: int, what: str
) -> None:
    """Neighbours or not, with what stands beside them or without."""
    first, second = row(db, one), row(db, other)
    if what == "row":
        put(db, one, *second[1:])
        put(db, other, *first[1:])
    else:
        put(db, one, *first[1:5], second[5])
        put(db, other, *second[1:5], first[5])
    found = [finding for finding in check(path).findings if finding.kind not in ("story", "columns")]
    assert (found[0].seq, found[0].kind) == (one, "swapped")
    assert str(other) in found[0].message


@pytest.mark.parametrize("left", [0, 1, SIZE - 1])
def test_a_truncated_ledger_is_named_T64(path: Path, db: sqlite3.Connection, left: int) -> None:
    """The head promises more."""
    db.execute("DELETE FROM event WHERE key > ?", (base(db) + left,))
    report = check(path)
    assert (report.first_bad, report.findings[0].kind) == (left + 1, "truncated")


@pytest.mark.parametrize(
    "change",
    ["root = zeroblob(32)", "size = size - 1", "peaks = zeroblob(64)", "peaks = x'00'", "size = size + 5"],
)
def test_a_changed_head_is_named_T64(path: Path, db: sqlite3.Connection, change: str) -> None:
    """Or the events that it promises are missing."""
    db.execute(f"UPDATE tenant SET {change}")
    report = check(path)
    assert report.findings[0].kind in ("head", "truncated")


def test_nothing_is_appended_to_a_damaged_head(path: Path, db: sqlite3.Connection) -> None:
    """A ledger that goes on from a wrong place would hide where it was broken."""
    db.execute("UPDATE tenant SET peaks = zeroblob(64)")
    store = open_store(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match="damaged"):
        store.append("default", [decided()])
    store.close()


def test_a_changed_edge_is_named_and_the_leaf_is_not_blamed_T64(path: Path, db: sqlite3.Connection) -> None:
    """The leaf is what was appended; only the hash beside it is not."""
    for seq in (7, 12):
        db.execute("UPDATE event SET edge = zeroblob(32) WHERE key = ?", (base(db) + seq,))
    report = check(path)
    assert [(finding.seq, finding.kind) for finding in report.findings] == [(7, "edge"), (12, "edge")]


@pytest.mark.parametrize("change", ["id = 'x'", "type = 'outcome'", "at = '2020-01-01T00:00:00.000000Z'"])
def test_columns_that_say_something_else_are_named_T64(
    path: Path, db: sqlite3.Connection, change: str
) -> None:
    """What people search by is what was hashed."""
    db.execute(f"UPDATE event SET {change} WHERE key = ?", (base(db) + 7,))
    report = check(path)
    assert (report.first_bad, report.findings[0].kind) == (7, "columns")


@pytest.mark.parametrize("leaf", [b"", b"{}", b"[]", b"\xff\xfe", b"null", b'{"id":1}'])
def test_an_unreadable_leaf_is_named_T64(path: Path, db: sqlite3.Connection, leaf: bytes) -> None:
    """And counted as edited too."""
    db.execute("UPDATE event SET leaf = ? WHERE key = ?", (leaf, base(db) + 7))
    report = check(path)
    assert report.first_bad == 7
    assert {finding.kind for finding in report.findings if finding.seq == 7} == {"unreadable", "edited"}


def test_another_tenants_events_are_named_T62(path: Path) -> None:
    """A ledger moved under another name is not that tenant's."""
    store = open_store(f"sqlite:///{path}")
    store.append("other", [decided("other")])
    store._database.current().execute("UPDATE tenant SET name = name || '!'")  # type: ignore[attr-defined]
    store._ledger._trees.clear()  # type: ignore[attr-defined]
    report = verify(store)
    assert [tenant.tenant for tenant in report.tenants] == ["default!", "other!"]
    assert {tenant.findings[0].kind for tenant in report.tenants} == {"columns"}
    store.close()


def test_one_tenants_trouble_is_not_anothers(path: Path, db: sqlite3.Connection) -> None:
    """Each has its own tree."""
    store = open_store(f"sqlite:///{path}")
    store.append("other", [decided("other")])
    store.close()
    db.execute("UPDATE event SET leaf = x'7b7d' WHERE key = ?", (base(db) + 7,))
    store = open_store(f"sqlite:///{path}")
    report = verify(store)
    assert [tenant.ok for tenant in report.tenants] == [False, True]
    assert (report.ok, report.size) == (False, SIZE + 1)
    assert verify(store, "other").ok
    assert json.loads(json.dumps(report.to_json()))["tenants"][0]["findings"][0]["seq"] == 7
    store.close()


# What the events say together


@pytest.fixture
def store() -> Iterator[Store]:
    store = open_store("memory:")
    yield store
    store.close()


def story(store: Store) -> list[str]:
    return [finding.message for finding in verify(store).tenants[0].findings]


def test_a_whole_life_is_a_good_story(store: Store) -> None:
    """Asked, voted, claimed at most once, ended at most once."""
    settled(store, take(store, answer(store, ask(store))))
    take(store, answer(store, ask(store, call_id="call-2")))
    answer(store, ask(store, call_id="call-3"), verdict="deny")
    ask(store, call_id="call-4")
    event = decided()
    store.append("default", [event, decided(runs=False, effect=Effect.DENY)])
    report = verify(store)
    assert report.ok, report.tenants[0].findings
    assert report.tenants[0].open_decisions == 2


def again(store: Store, kind: str, **changes: Any) -> None:
    """Append an event of this type once more."""
    last = next(event for event in reversed(list(store.events("default"))) if event.type == kind)
    store.append("default", [{**json.loads(last.leaf), "id": uuid7(), **changes}])


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("outcome", "became succeeded, but it was succeeded"),
        ("claimed", "became claimed, but it was succeeded"),
        ("approval.approved", "became approved, but it was succeeded"),
        ("approval.opened", "opened twice"),
        ("vote", "does not name the one before it"),
    ],
)
def test_what_cannot_happen_twice_is_a_finding(store: Store, kind: str, why: str) -> None:
    """A second claim or outcome of one approval, in a tree that is otherwise whole."""
    settled(store, take(store, answer(store, ask(store))))
    again(store, kind)
    assert any(why in message for message in story(store))


def test_an_outcome_needs_a_decision_that_let_the_call_run(store: Store) -> None:
    """None, one that denied, or one that has its outcome already."""
    denied, ran = decided(runs=False, effect=Effect.DENY), decided()
    store.append("default", [denied, ran, ended(ran)])
    assert verify(store).ok
    for decision in (denied, ran, decided()):
        store.append("default", [ended(decision)])
    assert len(story(store)) == 3


def test_an_approval_needs_a_decision_that_asked(store: Store) -> None:
    """And a claim one that is about it."""
    change = machine.opened(make_approval(store.now()), store.now())
    store.open_approval(change.approval, change.events)
    assert "without a decision" in story(store)[0]
    settled(store, take(store, answer(store, ask(store, call_id="call-2"))))
    again(store, "claimed", decision_id="another")
    assert any("not about it" in message for message in story(store))


def test_the_table_of_approvals_has_to_agree_T64(tmp_path: Path) -> None:
    """A state set by hand, a row deleted, a row made up."""
    changes: list[tuple[str, str]] = [
        ("UPDATE approval SET state = 'approved'", "approved in the table and requested in the ledger"),
        ("DELETE FROM approval", "missing from the table"),
        ("UPDATE approval SET id = 'a0'", "in the table and in no event"),
        ("UPDATE approval SET state = 'x'", "damaged"),
    ]
    for number, (change, why) in enumerate(changes):
        store = open_store(f"sqlite:///{tmp_path}/{number}.db")
        ask(store)
        store._database.current().execute(change)  # type: ignore[attr-defined]
        assert any(why in message for message in story(store)), story(store)
        store.close()


def test_a_ledger_can_be_verified_while_others_write(store: Store) -> None:
    """What is appended meanwhile is neither a gap nor a contradiction."""
    approval = answer(store, ask(store))
    original = store.events
    steps: list[Callable[[], object]] = [lambda: take(store, approval), lambda: ask(store, call_id="late")]

    def events(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from original(*args, **kwargs)
        if steps:
            steps.pop(0)()

    store.events = events  # type: ignore[method-assign]
    assert verify(store).ok, verify(store)


def test_a_missing_ledger_is_not_an_empty_one(tmp_path: Path) -> None:
    """A mistyped path is an error, and a URL that names nothing too."""
    with pytest.raises(Exception, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/none.db", create=False)
    with pytest.raises(ConfigurationError):
        open_store("none.db")


def test_a_report_names_what_it_found(path: Path, db: sqlite3.Connection) -> None:
    """For people: the number, the id, what happened."""
    db.execute("UPDATE event SET leaf = ? WHERE key = ?", (edited_leaf(db, 7), base(db) + 7))
    finding = check(path).findings[0]
    assert (finding.id, finding.seq) == (row(db, 7)[1], 7)
    assert "edited" in finding.message
    assert replace(finding, seq=8) != finding
