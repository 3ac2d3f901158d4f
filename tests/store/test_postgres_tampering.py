"""Hands in the tables of a PostgreSQL store: `verify` names what was done, as it does for a file."""

from __future__ import annotations

import re
import threading

import psycopg
import pytest

from agentguard.ledger.verify import verify
from agentguard.store import Store
from agentguard.store.postgres_url import parse
from tests.store.postgres_support import Sql, until
from tests.store.support import answer, ask, contents, decided, ended, settled, take, types


@pytest.fixture
def story(pg: Store) -> Store:
    """A ledger with a bit of everything: 12 events and an approval that ran."""
    settled(pg, take(pg, answer(pg, ask(pg))))
    while pg.head("default")[0] < 12:
        first = decided()
        pg.append("default", [first, ended(first)])
    assert verify(pg).ok
    return pg


def named(store: Store) -> tuple[str, int | None]:
    """What `verify` says first, and of which event."""
    report = verify(store)
    assert not report.ok
    found = report.tenants[0].findings[0]
    return found.kind, found.seq


def test_an_edited_leaf_is_named_T64(story: Store, sql: Sql) -> None:
    """One byte of it is enough."""
    sql("UPDATE event SET leaf = leaf || ' '::bytea WHERE seq = 5")
    assert named(story) == ("edited", 5)


def test_a_deleted_event_is_named_T64(story: Store, sql: Sql) -> None:
    """The number that is missing."""
    sql("DELETE FROM event WHERE seq = 5")
    assert named(story) == ("deleted", 5)


def test_a_deleted_event_is_named_when_the_rest_is_renumbered_T64(story: Store, sql: Sql) -> None:
    """Closing the gap does not help."""
    sql("DELETE FROM event WHERE seq = 5")
    for seq in range(6, 13):
        sql("UPDATE event SET seq = %s WHERE seq = %s", seq - 1, seq)
    assert verify(story).tenants[0].first_bad == 5


def test_truncated_events_are_noticed_T64(story: Store, sql: Sql) -> None:
    """The head promises more."""
    sql("DELETE FROM event WHERE seq > 9")
    assert named(story) == ("truncated", 10)


def test_swapped_events_are_named_T64(story: Store, sql: Sql) -> None:
    """Each leaf under the other's number."""
    sql("UPDATE event SET seq = -1 WHERE seq = 5")
    sql("UPDATE event SET seq = 5 WHERE seq = 6")
    sql("UPDATE event SET seq = 6 WHERE seq = -1")
    assert named(story) == ("swapped", 5)


def test_an_inserted_event_is_named_T64(story: Store, sql: Sql) -> None:
    """With a number of its own, the later ones moved on."""
    for seq in range(12, 4, -1):
        sql("UPDATE event SET seq = %s WHERE seq = %s", seq + 1, seq)
    forged = decided()
    sql(
        "INSERT INTO event (tenant, seq, id, type, at, leaf, edge) SELECT tenant, 5, %s, %s, %s, %s, edge"
        " FROM event WHERE seq = 4",
        forged["id"],
        forged["type"],
        forged["at"],
        forged.leaf,  # type: ignore[attr-defined]
    )
    assert verify(story).tenants[0].first_bad == 5


@pytest.mark.parametrize("column", ["id = 'x'", "type = 'outcome'", "at = 'zz'", "edge = '\\x00'"])
def test_a_column_beside_the_leaf_is_named_T64(story: Store, sql: Sql, column: str) -> None:
    """It says something else than the leaf."""
    sql(f"UPDATE event SET {column} WHERE seq = 4")
    assert verify(story).tenants[0].first_bad == 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE head SET size = 0, peaks = ''",
        "UPDATE head SET size = 0, peaks = '', root = sha256('')",
        "UPDATE head SET size = size - 4",
        "UPDATE head SET root = sha256('x')",
        "UPDATE head SET peaks = '\\x00'",
        "DELETE FROM head",
        "TRUNCATE head",
    ],
)
def test_a_head_that_was_moved_damaged_or_taken_away_is_noticed_T44_T64(
    story: Store, sql: Sql, statement: str
) -> None:
    """Nobody goes on from it: what is appended then is kept and waits, and no number is given twice."""
    sql(statement)
    story.append("default", [decided()])
    report = verify(story).tenants[0]
    assert not report.ok
    assert "head" in {found.kind for found in report.findings} | {
        word for found in report.findings for word in re.findall("head", found.message)
    }
    assert sql.one("SELECT count(*) FROM event WHERE seq IS NULL") == 1
    assert sql.one("SELECT count(DISTINCT seq) = count(seq) FROM event")


def test_a_head_that_was_moved_on_leaves_a_gap_that_is_named_T44(story: Store, sql: Sql) -> None:
    """A head of a longer tree: the events that it promises are not there."""
    sql("UPDATE head SET size = 16, peaks = sha256('forged'), root = sha256('forged')")
    story.append("default", [decided()])
    assert named(story) in (("deleted", 13), ("truncated", 13))


def test_an_approval_that_was_edited_is_noticed_T64(story: Store, sql: Sql) -> None:
    """The table says something else than the events."""
    sql("UPDATE approval SET state = 'approved'")
    assert named(story)[0] == "story"


def test_an_approved_row_that_nobody_voted_for_is_noticed_T13(story: Store, sql: Sql) -> None:
    """Whoever can write to the store can let a call run; the ledger tells."""
    approval = ask(story, call_id="forged")
    sql("UPDATE approval SET state = 'approved', decided_at = opened_at WHERE id = %s", approval.id)
    assert named(story)[0] == "story"


def test_a_tenant_that_was_taken_away_is_noticed_T64(story: Store, sql: Sql) -> None:
    """Its events and its approval are still there."""
    sql("DELETE FROM tenant")
    assert verify(story).strays == 13


# Numbering


def test_events_that_commit_late_are_numbered_once_and_lose_nobody_T44(pg: Store, url: str, sql: Sql) -> None:
    """A transaction that began earlier ends later, after others were numbered."""
    pg.append("default", [decided()])
    place = parse(url)
    late = decided()
    with psycopg.connect(place.conninfo, options=f"-c search_path={place.schema}") as other:
        other.execute(
            "INSERT INTO event (tenant, id, type, at, leaf) SELECT no, %s, %s, %s, %s FROM tenant",
            (late["id"], late["type"], late["at"], late.leaf),  # type: ignore[attr-defined]
        )
        for _ in range(3):
            pg.append("default", [decided()])
        assert len(types(pg)) == 4
        other.commit()
    assert len(types(pg)) == 5
    assert contents(pg)[-1]["id"] == late["id"]
    assert verify(pg).ok


def test_many_number_at_once_and_there_is_one_chain_T44(pg: Store, sql: Sql) -> None:
    """Readers and writers of several threads, each of which gives numbers."""

    def write() -> None:
        for _ in range(40):
            pg.append("default", [decided()])
            pg.head("default")

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pg.head("default")[0] == 240
    assert [event.seq for event in pg.events("default")] == list(range(1, 241))
    assert verify(pg).ok


def test_what_is_appended_is_numbered_soon_without_a_reader_T44(
    pg: Store, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    """By the thread of the store that appended, also when it failed at first."""
    pg.append("default", [decided()])
    until(lambda: sql.one("SELECT count(*) FROM event WHERE seq IS NULL") == 0)
    sql("ALTER TABLE head RENAME TO away")
    pg.append("default", [decided()])
    until(lambda: "wait for their numbers" in caplog.text)
    sql("ALTER TABLE away RENAME TO head")
    until(lambda: sql.one("SELECT count(*) FROM event WHERE seq IS NULL") == 0)


def test_an_event_is_not_numbered_twice_T44(pg: Store, sql: Sql) -> None:
    """The database itself refuses a second event of one number."""
    pg.append("default", [decided(), decided()])
    pg.head("default")
    with pytest.raises(psycopg.errors.UniqueViolation):
        sql("UPDATE event SET seq = 1")
