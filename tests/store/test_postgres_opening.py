"""Opening a PostgreSQL store: whose tables they are, who may what, and what cannot be kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql as compose

from agentguard.errors import AgentGuardError, SchemaMismatch, StoreError, StoreUnavailable
from agentguard.ledger.verify import verify
from agentguard.stepup.model import State
from agentguard.store import Payload, Reservation, Store, open_store
from agentguard.store.postgres_url import parse
from tests.postgres.server import drop, dsn
from tests.store.postgres_support import WRITES, Sql, unavailable
from tests.store.support import answer, ask, decided, settled, take, types


def test_a_newer_schema_is_refused_T13(pg: Store, url: str, sql: Sql) -> None:
    """An older agentguard does not guess, and nothing is changed."""
    sql("UPDATE meta SET value = '99' WHERE key = 'schema'")
    before = sql("SELECT * FROM meta ORDER BY key")
    for create in (True, False):
        with pytest.raises(SchemaMismatch, match="newer agentguard"):
            open_store(url, create=create)
    assert sql("SELECT * FROM meta ORDER BY key") == before


@pytest.mark.parametrize(
    "statement", ["DELETE FROM meta WHERE key = 'schema'", "UPDATE meta SET value = 'x' WHERE key = 'schema'"]
)
def test_a_damaged_mark_is_refused_T13(pg: Store, url: str, sql: Sql, statement: str) -> None:
    """Not an error of the program's."""
    sql(statement)
    with pytest.raises(SchemaMismatch):
        open_store(url)


@pytest.mark.parametrize("table", ["theirs", "meta"])
def test_another_programs_tables_are_refused(url: str, table: str) -> None:
    """Also where one of them is called as ours are; nothing of ours is put beside them."""
    place = parse(url)
    with psycopg.connect(place.conninfo, autocommit=True) as other:
        names = [compose.Identifier(place.schema), compose.Identifier(table)]
        other.execute(compose.SQL("CREATE SCHEMA {}").format(names[0]))
        other.execute(compose.SQL("CREATE TABLE {}.{} (key text, value text)").format(*names))
        with pytest.raises(SchemaMismatch, match="another program"):
            open_store(url)
        counted = other.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = %s", (place.schema,)
        ).fetchone()
        assert counted == (1,)


def test_a_missing_store_is_refused_when_it_must_exist(url: str) -> None:
    """A mistyped name is not an empty ledger."""
    with pytest.raises(StoreUnavailable, match="no store in it"):
        open_store(url, create=False)
    with psycopg.connect(parse(url).conninfo) as other:
        assert (
            other.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (parse(url).schema,)).fetchone()
            is None
        )


def test_many_open_a_new_store_at_once(url: str) -> None:
    """One makes the tables, the others find them."""

    def use(number: int) -> str:
        store = open_store(url)
        store.append("default", [decided()])
        epoch = store.epoch
        store.close()
        return epoch

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(use, range(12)))) == 1
    store = open_store(url)
    assert len(types(store)) == 12
    store.close()


def test_a_schema_with_the_longest_name_works_as_any_other() -> None:
    """Its hints have a channel as well."""
    url = dsn() + ("&" if "?" in dsn() else "?") + "agentguard_schema=" + "s" * 63
    store = open_store(url)
    try:
        assert answer(store, ask(store)).state is State.APPROVED
    finally:
        store.close()
        drop(url)


@pytest.fixture
def auditor(pg: Store, url: str, sql: Sql) -> Iterator[str]:
    """The URL of the same store for a user who may look at everything and change nothing."""
    place = parse(url)
    name = f"auditor_{place.schema}"[:60]
    schema, role = compose.Identifier(place.schema), compose.Identifier(name)
    run = sql.connection.execute
    run(compose.SQL("CREATE ROLE {} LOGIN").format(role))
    run(compose.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
    run(compose.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(schema, role))
    yield f"postgresql://{name}@{url.partition('@')[2]}"
    run(compose.SQL("DROP OWNED BY {}").format(role))
    run(compose.SQL("DROP ROLE {}").format(role))


def test_whoever_may_only_read_can_verify_T16(
    pg: Store, auditor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, although the newest events have no numbers yet; and writes nothing, whatever is tried."""
    monkeypatch.setattr("agentguard.store.postgres_ledger._AWAIT_S", 60.0)
    approval = answer(pg, ask(pg))
    store = open_store(auditor, create=False)
    report = verify(store)
    assert (report.ok, report.size) == (True, 4)
    for act in (*WRITES.values(), lambda s: take(s, approval)):
        assert "permission denied" in unavailable(store, act)
    store.close()


def test_a_schema_in_which_nothing_may_be_made_is_refused(pg: Store, auditor: str, sql: Sql) -> None:
    """The message says what is missing."""
    for table in ("meta", "tenant", "head", "event", "payload", "approval", "counter", "record"):
        sql(f"DROP TABLE {table}")
    with pytest.raises(StoreUnavailable, match="permission denied"):
        open_store(auditor)


def test_texts_and_numbers_that_cannot_be_kept_are_refused_T23(pg: Store) -> None:
    """NUL, lone surrogates, numbers beyond the columns: an error of ours, and nothing is kept."""
    for bad in ("a\0b", "\ud800"):
        for act in (
            lambda bad=bad: pg.append("default", [], payloads={bad: Payload("eve", b"")}),
            lambda bad=bad: pg.append("default", [], payloads={"k": Payload(bad, b"")}),
            lambda bad=bad: ask(pg, agent=bad),
            lambda bad=bad: ask(pg, call_id=bad),
            lambda bad=bad: ask(pg, id=bad),
            lambda bad=bad: pg.reserve("default", [Reservation(bad, 1, 5)]),
            lambda bad=bad: pg.approval("default", bad),
            lambda bad=bad: pg.record("default", "agent", bad),
            lambda bad=bad: pg.append(bad, [decided(bad)]),
        ):
            with pytest.raises(AgentGuardError):
                act()
    for amount, limit in ((2**70, 2**70), (1, 2**70), (-1, 5)):
        with pytest.raises(StoreError):
            pg.reserve("default", [Reservation("a", amount, limit)])
    assert pg.changes_since("default", 2**70)[1] == frozenset()
    assert list(pg.events("default", after=2**70)) == []
    assert types(pg) == []
    assert pg.approvals("default") == []


@pytest.mark.parametrize(
    "damage",
    [
        "state = 'granted'",
        "state = ''",
        r"body = '\x7b7d'",
        r"body = '\x00'",
        "votes = '[{}]'",
        "votes = '{\"a\":1}'",
        r"shown = '\x5b5d'",
    ],
)
def test_a_record_that_makes_no_sense_is_an_error_T13(pg: Store, sql: Sql, damage: str) -> None:
    """An unknown state, or missing metadata, can neither be voted on nor claimed."""
    approval = answer(pg, ask(pg))
    sql(f"UPDATE approval SET {damage}")
    for use in (lambda: answer(pg, approval, "bob", "deny"), lambda: take(pg, approval)):
        with pytest.raises(StoreError):
            use()
    assert "claimed" not in types(pg)


def test_a_deleted_record_is_an_error_T13(pg: Store, sql: Sql) -> None:
    """An approval whose row is gone is no approval, and the ledger notices."""
    approval = answer(pg, ask(pg))
    sql("DELETE FROM approval")
    with pytest.raises(StoreError):
        take(pg, approval)
    assert "missing" in verify(pg).tenants[0].findings[0].message


def test_a_restored_backup_does_not_arm_used_approvals_T18(pg: Store, sql: Sql) -> None:
    """A row as it was before the claim, under another epoch."""
    approval = answer(pg, ask(pg))
    sql("CREATE TABLE backup AS SELECT * FROM approval")
    settled(pg, take(pg, approval))
    sql("DELETE FROM approval")
    sql("INSERT INTO approval OVERRIDING SYSTEM VALUE SELECT * FROM backup")
    sql("DROP TABLE backup")
    pg.renew_epoch("another life")
    with pytest.raises(StoreError, match="restored"):
        take(pg, approval)
