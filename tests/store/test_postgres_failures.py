"""A PostgreSQL server that is away or cannot: a clear error in bounded time, and nothing half-done."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from agentguard import ToolCallDenied
from agentguard.errors import StoreUnavailable
from agentguard.ledger.keys import VARIABLE
from agentguard.ledger.verify import verify
from agentguard.store import Store, open_store
from agentguard.store.postgres_url import parse
from tests.guard.support import AGENT, WAYS, Way, bank, is_whole, make_guard
from tests.postgres.proxy import CutProxy
from tests.postgres.server import Server, drop, dsn, fresh_url
from tests.store.postgres_support import WRITES, Sql, fail_after, named, patience, unavailable, until, works
from tests.store.support import answer, ask, decided, take, types


@pytest.fixture
def away(own_server: Server) -> Iterator[tuple[Server, Store]]:
    store = open_store(fresh_url(own_server.dsn))
    yield own_server, store
    store.close()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_stops_and_comes_back_T16_T41(away: tuple[Server, Store], mode: str) -> None:
    """While it is away every use is a StoreUnavailable; afterwards it works as if nothing had been."""
    server, store = away
    approval = answer(store, ask(store))
    patience(store, 1)
    server.stop(mode)
    try:
        for act in (*WRITES.values(), lambda s: take(s, approval), lambda s: s.head("default")):
            assert "postgresql://127.0.0.1" in unavailable(store, act)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            open_store(store.url.replace("postgresql://", "postgresql://nobody@"), timeout_s=1)
    finally:
        server.start()
    until(lambda: works(store))
    patience(store, 60)
    take(store, approval)
    assert verify(store).ok


def test_a_restart_costs_few_failed_calls(away: tuple[Server, Store]) -> None:
    """No connection costs more than one: the first that is found broken makes the others suspect."""
    server, store = away
    barrier = threading.Barrier(6)

    def use(_: int) -> None:
        barrier.wait()
        store.append("default", [decided()])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(use, range(6)))
    server.restart()
    failed = [not works(store) for _ in range(12)]
    assert not any(failed[6:])
    assert verify(store).ok


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_denies_while_its_server_is_away_T41(
    away: tuple[Server, Store], way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Allowed, asked about or denied: nothing runs, and later the same guard goes on."""
    monkeypatch.setenv(VARIABLE, "ab" * 32)
    server, store = away
    with make_guard(store=store) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            transfer("ACME", 1)
            patience(store, 1)
            server.stop()
            try:
                for args in (("ACME", 2), ("ACME", 500), ("EVIL", 3)):
                    with fail_after(60), pytest.raises(ToolCallDenied):
                        transfer(*args)
            finally:
                server.start()
            assert len(ran) == 1
            until(lambda: works(store))
            patience(store, 60)
            transfer("ACME", 4)
        assert len(ran) == 2
        assert is_whole(guard)


def test_callers_that_queue_do_not_each_wait_for_a_server_that_is_away_T41(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After one has waited in vain the next ones are told at once, or the last would wait for minutes."""
    waits: list[float] = []
    real = ConnectionPool.connection

    def connection(pool: ConnectionPool[Any], timeout: float) -> Any:
        waits.append(timeout)
        return real(pool, timeout)

    with CutProxy(dsn()) as proxy:
        store = open_store(fresh_url(proxy.dsn))
        patience(store, 4)
        proxy.refusing = True
        proxy.cut()
        monkeypatch.setattr(ConnectionPool, "connection", connection)
        for _ in range(40):
            unavailable(store, WRITES["append"])
        assert waits[0] == 4
        assert len(waits) >= 40
        assert sum(waits[1:]) < 40
        proxy.refusing = False
        until(lambda: works(store))
        store.close()
        drop(store.url.replace("postgresql://", f"postgresql://{proxy.dsn.split('/')[2].split('@')[0]}@"))


def test_backends_that_are_terminated_cost_one_call_T16(url: str, sql: Sql) -> None:
    """Before a call, and in the middle of its transaction: nothing of it happened."""
    store = open_store(named(url, "terminated"))
    approval = ask(store)
    assert sql.terminate("terminated")
    failed = [not works(store) for _ in range(3)]
    assert sum(failed) <= 1

    def while_open(*_: Any) -> None:
        sql.terminate("terminated")

    before = sql.rows()
    for act in (
        lambda: store.update_approval("default", approval.id, while_open),
        lambda: store.change_records("default", [("thing", "a")], lambda *_: while_open()),
    ):
        with contextlib.suppress(StoreUnavailable):
            act()
        assert sql.rows() == before
    assert works(store) or works(store)
    assert verify(store).ok
    store.close()


@pytest.mark.parametrize("act", WRITES)
def test_a_read_only_database_is_refused_T16(act: str, url: str, sql: Sql) -> None:
    """Reading goes on, and so does writing when it may be written again."""
    writer = open_store(url)
    approval = answer(writer, ask(writer))
    options = f"{url}&options=-c%20default_transaction_read_only%3Don"
    store = open_store(options)
    before = sql.rows()
    assert "is read-only" in unavailable(store, WRITES[act])
    assert "is read-only" in unavailable(store, lambda s: take(s, approval))
    assert sql.rows() == before
    assert store.approval("default", approval.id) == approval
    assert verify(store).ok
    take(writer, approval)
    store.close()
    writer.close()


@pytest.mark.parametrize("act", ["append", "append with a payload", "open", "change records"])
def test_a_full_disk_is_refused_T16_T41(act: str, pg: Store, sql: Sql) -> None:
    """What the server says when it cannot grow a table; nothing is left, and later there is room."""
    ask(pg)
    sql(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE SQLSTATE '53100' USING MESSAGE = 'could not extend file: No space left'; END $$"
    )
    for table in ("event", "approval", "record", "payload"):
        sql(f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} EXECUTE FUNCTION full_disk()")
    before = sql.rows()
    assert "the disk is full" in unavailable(pg, WRITES[act])
    assert sql.rows() == before
    for table in ("event", "approval", "record", "payload"):
        sql(f"DROP TRIGGER full_disk ON {table}")
    WRITES[act](pg)
    assert verify(pg).ok


@pytest.mark.parametrize("durable", [True, False])
def test_what_fails_at_the_commit_did_not_happen_T16(pg: Store, sql: Sql, durable: bool) -> None:
    """Also in a pipeline, where the answer comes last; what waited is written later, once."""
    ask(pg)
    sql(
        "CREATE FUNCTION too_late() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(9); RETURN NULL; END $$"
    )
    sql(
        "CREATE CONSTRAINT TRIGGER too_late AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION too_late()"
    )
    before = sql.rows()
    pg.append("default", [decided()], durable=durable) if not durable else None
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            pg.append("default", [decided()]) if durable else pg.flush()
    assert sql.rows() == before
    sql("DROP TRIGGER too_late ON event")
    until(lambda: works(pg))
    assert len(types(pg)) == 2 + (1 if durable else 2)
    assert verify(pg).ok


def locked_by_another(url: str, statement: str) -> psycopg.Connection[Any]:
    place = parse(url)
    other = psycopg.connect(place.conninfo, options=f"-c search_path={place.schema}")
    other.execute(statement.encode())
    return other


@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLE event IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE approval IN ACCESS EXCLUSIVE MODE",
        "SELECT * FROM tenant FOR UPDATE",
        "SELECT * FROM approval FOR UPDATE",
    ],
)
def test_a_lock_that_another_session_holds_is_waited_for_in_bounded_time_T42(
    pg: Store, hasty: Store, url: str, statement: str
) -> None:
    """An approval can neither be opened nor used meanwhile, and can afterwards."""
    approval = answer(pg, ask(pg))
    with contextlib.closing(locked_by_another(url, statement)):
        assert "busy" in unavailable(hasty, lambda store: take(store, approval))
    take(pg, approval)
    assert verify(pg).ok


def test_a_reader_does_not_overlook_events_that_cannot_be_numbered_now_T42(
    pg: Store, hasty: Store, url: str, unnumbered: None
) -> None:
    """Somebody holds the head: a reading fails rather than to leave out what is committed."""
    pg.append("default", [decided()])
    assert len(types(pg)) == 1
    pg.append("default", [decided()])
    with contextlib.closing(locked_by_another(url, "SELECT * FROM head FOR UPDATE")), fail_after(60):
        for read in (types, lambda s: s.head("default"), lambda s: s.rows("default")):
            with pytest.raises(StoreUnavailable, match="busy"):
                read(hasty)
    assert len(types(pg)) == 2


def test_a_statement_that_takes_too_long_is_ended_T42(pg: Store, hasty: Store, sql: Sql) -> None:
    """By the server, so that no lock stays behind."""
    sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$"
    )
    pg.append("default", [decided()])
    sql("CREATE TRIGGER slow BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION slow()")
    assert "busy" in unavailable(hasty, WRITES["append"])
    sql("DROP TRIGGER slow ON event")
    pg.append("default", [decided()])
    assert len(types(pg)) == 2


def test_an_exhausted_pool_is_waited_for_in_bounded_time_T42(
    pg: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates that never end hold every connection; whoever comes then is told."""
    approvals = [ask(pg, call_id=f"call-{number}") for number in range(8)]
    inside, done = threading.Semaphore(0), threading.Event()

    def stuck(*_: object) -> None:
        inside.release()
        done.wait(120)

    threads = [
        threading.Thread(target=pg.update_approval, args=("default", approval.id, stuck))
        for approval in approvals
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=60)
    monkeypatch.setattr(pg._connections, "timeout_s", 0.5)  # type: ignore[attr-defined]
    assert "busy" in unavailable(pg, WRITES["append"])
    monkeypatch.undo()
    done.set()
    for thread in threads:
        thread.join(60)
    until(lambda: works(pg))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_holds_a_transaction_too_long_loses_it_T42(pg: Store, hasty: Store, sql: Sql) -> None:
    """The server ends it: others are not held up for ever."""
    approval = ask(pg)
    inside, done = threading.Event(), threading.Event()
    failed: list[Exception] = []

    def stuck(*_: object) -> None:
        inside.set()
        done.wait(120)

    def hold() -> None:
        while not inside.is_set():
            try:
                hasty.update_approval("default", approval.id, stuck)
            except StoreUnavailable as error:
                failed.append(error)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    until(
        lambda: (
            not sql(
                "SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
                " WHERE c.relname = 'approval' AND mode = 'RowShareLock'"
                " AND c.relnamespace = current_schema()::regnamespace"
            )
        )
    )
    assert answer(pg, approval).state.value == "approved"
    done.set()
    thread.join(60)
