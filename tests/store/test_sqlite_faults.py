"""A fault at every statement in turn: all of a method happened, or nothing of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentguard.errors import StoreError
from agentguard.ledger.verify import verify
from agentguard.stepup.model import Approval
from agentguard.store import Payload, Reservation, Store, open_store
from tests.store.support import answer, ask, contents, decided, settled, take


class Faulty:
    """A connection whose n-th statement fails, before it is carried out or after."""

    def __init__(self, real: sqlite3.Connection, at: int, after: bool, error: type[BaseException]) -> None:
        self.real = real
        self.left = at
        self.after = after
        self.error = error
        self.committed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def execute(self, sql: str, *values: Any) -> Any:
        return self._run(self.real.execute, sql, *values)

    def executemany(self, sql: str, *values: Any) -> Any:
        return self._run(self.real.executemany, sql, *values)

    def _run(self, run: Callable[..., Any], sql: str, *values: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise self.error("injected")
        result = run(sql, *values)
        if self.left == 0:
            self.committed = not self.real.in_transaction
            raise self.error("injected")
        return result


ACTS: dict[str, Callable[[Store, Approval], object]] = {
    "append": lambda store, _: store.append("default", [decided()]),
    "append fast": lambda store, _: (store.append("default", [decided()], durable=False), store.flush()),
    "append behind what waits": lambda store, _: (
        store.append("default", [decided()], durable=False),
        store.append("default", [decided()]),
    ),
    "append many": lambda store, _: store.append(
        "default", [decided(), decided()], payloads={"k": Payload("ben", b"x"), "l": Payload("ben", b"y")}
    ),
    "append to a new tenant": lambda store, _: store.append("new", [decided("new")]),
    "open": lambda store, _: ask(store, call_id="another"),
    "vote": lambda store, approval: answer(store, approval, "bob", "deny"),
    "claim": lambda store, approval: take(store, approval),
    "settle": lambda store, approval: settled(store, take(store, approval)),
    "reserve": lambda store, _: store.reserve(
        "default", [Reservation("a", 1, 5), Reservation("b", 1, 5, 60)]
    ),
    "erase": lambda store, _: store.erase("default", "ben"),
}


def everything(store: Store) -> dict[str, Any]:
    """All rows of all tables, except how far the head has come."""
    db: sqlite3.Connection = store._database.current()  # type: ignore[attr-defined]
    tables = ("event", "approval", "payload", "counter")
    return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


@pytest.mark.parametrize("error", [sqlite3.OperationalError, sqlite3.DatabaseError, KeyboardInterrupt])
@pytest.mark.parametrize("act", ACTS)
def test_a_fault_at_every_statement_leaves_all_or_nothing_T16(
    tmp_path: Path, act: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it the store goes on, and its ledger is whole."""
    monkeypatch.setattr("agentguard.store.soon.SECONDS", 600)  # nobody else writes meanwhile
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    approval = answer(store, ask(store))
    database = store._database  # type: ignore[attr-defined]
    real = database.current()
    failed = 0
    for after in (False, True):
        for at in range(1, 40):
            before = everything(store)
            faulty = Faulty(real, at, after, error)
            database._connection = faulty
            try:
                ACTS[act](store, approval)
            except (StoreError, KeyboardInterrupt):
                failed += 1
            finally:
                database._connection = real
            assert not real.in_transaction
            now = everything(store)
            if faulty.left > 0:
                break
            # What was committed cannot be taken back, and here `erase` and `settle` are two steps.
            assert now == before or faulty.committed or act in ("erase", "settle"), (at, after)
            assert verify(store).ok, (at, after, verify(store).tenants)
            if now != before:
                approval = answer(store, ask(store, call_id=f"call-{at}-{after}"))
    assert failed >= 2
    store.append("default", [decided()])
    assert verify(store).ok
    assert len(contents(store)) == store.head("default")[0]
    store.close()
