"""What the tests of the PostgreSQL store have in common."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from agentguard.errors import StoreUnavailable
from agentguard.store import Payload, Reservation, Store
from tests.store.record_conformance import agent, save
from tests.store.support import ask, decided

TABLES = ("event", "approval", "payload", "counter", "record")


class Sql:
    """A connection of a person who may do everything."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.connection = connection

    def __call__(self, statement: str, *values: Any) -> list[Any]:
        done = self.connection.execute(statement.encode(), values or None)
        return done.fetchall() if done.description else []

    def one(self, statement: str, *values: Any) -> Any:
        return self(statement, *values)[0][0]

    def rows(self) -> dict[str, list[Any]]:
        """All rows of all tables, except for the events' numbers."""
        found = {table: self(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in TABLES}
        found["event"] = self("SELECT no, tenant, id, type, leaf FROM event ORDER BY no")
        found["register"] = self("SELECT no, register FROM tenant")
        return found

    def backends(self, name: str = "agentguard") -> list[int]:
        """Process numbers of the other connections to this database."""
        return [
            row[0]
            for row in self(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"
                " AND datname = current_database()",
                name,
            )
        ]

    def terminate(self, name: str = "agentguard") -> int:
        """End them all."""
        pids = self.backends(name)
        for pid in pids:
            self("SELECT pg_terminate_backend(%s)", pid)
        until(lambda: not set(pids) & set(self.backends(name)))
        return len(pids)


def named(url: str, name: str) -> str:
    """The same store, its connections called `name`, so that no other test's are hit."""
    return f"{url}{'&' if '?' in url else '?'}application_name={name}"


def patience(store: Store, seconds: float) -> None:
    """It gives up after so long from now on: what it did before, as its opening, may take its time."""
    connections: Any = store._connections  # type: ignore[attr-defined]
    with connections._lock:
        pool, connections._pool = connections._pool, None
        connections.timeout_s = seconds
    if pool is not None:
        pool.close()


def until(condition: Callable[[], object]) -> None:
    """Wait for another thread or process to get there; the bound only ends what hangs."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@contextmanager
def fail_after(seconds: int) -> Iterator[None]:
    """End what hangs."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"still there after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def works(store: Store) -> bool:
    try:
        store.append("default", [decided()])
    except StoreUnavailable:
        return False
    return True


Act = Callable[[Store], object]
WRITES: dict[str, Act] = {
    "append": lambda store: store.append("default", [decided()]),
    "append with a payload": lambda store: store.append(
        "default", [decided()], payloads={"k": Payload("eve", b"x")}
    ),
    "open": lambda store: ask(store, call_id="another"),
    "reserve": lambda store: store.reserve("default", [Reservation("a", 1, 5)]),
    "change records": lambda store: save(store, agent(kind="thing")),
    "renew the epoch": lambda store: store.renew_epoch("x"),
}


def unavailable(store: Store, act: Act) -> str:
    """What it says; nothing of it happened, and it did not hang."""
    with fail_after(60), pytest.raises(StoreUnavailable) as caught:
        act(store)
    return str(caught.value)
