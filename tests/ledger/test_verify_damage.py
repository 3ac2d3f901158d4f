"""Damage that is not in a leaf: a tenant taken away, columns of another type, windows that never closed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agentguard.errors import NotFound
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.ledger.verify import verify
from agentguard.store import open_store
from tests.store.support import START, ask, decided, ended


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    for _ in range(5):
        event = decided()
        store.append("default", [event, ended(event)])
    store.close()
    return tmp_path / "store.db"


def edit(path: Path, *statements: str) -> None:
    other = sqlite3.connect(path)
    for statement in statements:
        assert other.execute(statement).rowcount != 0
    other.commit()
    other.close()


def test_a_tenant_that_was_taken_away_is_noticed_T64(path: Path) -> None:
    """Its events are still there, and so are its approvals."""
    store = open_store(f"sqlite:///{path}")
    assert verify(store).ok
    store.close()
    edit(path, "DELETE FROM tenant")
    store = open_store(f"sqlite:///{path}")
    report = verify(store)
    assert (report.ok, report.strays, report.tenants) == (False, 10, ())
    assert report.to_json()["strays"] == 10
    store.close()


def test_an_approval_of_no_tenant_is_noticed_T64(tmp_path: Path) -> None:
    """Also without an event."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    ask(store)
    store.close()
    edit(tmp_path / "store.db", "DELETE FROM tenant", "DELETE FROM event")
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    assert verify(store).strays == 1
    store.close()


def test_a_tenant_that_is_not_there_is_not_intact(path: Path) -> None:
    """A typing error does not verify."""
    store = open_store(f"sqlite:///{path}")
    with pytest.raises(NotFound, match="no tenant `defualt`; it has default"):
        verify(store, "defualt")
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET leaf = CAST(leaf AS TEXT) || ' ' WHERE key & 255 = 4",
        "UPDATE event SET leaf = 5 WHERE key & 255 = 4",
        "UPDATE event SET at = 'zz' WHERE key & 255 = 4",
        "UPDATE event SET at = 5 WHERE key & 255 = 4",
        "UPDATE event SET id = 5 WHERE key & 255 = 4",
        "UPDATE event SET edge = 'zz' WHERE key & 255 = 4",
        "UPDATE event SET type = x'00' WHERE key & 255 = 4",
    ],
)
def test_a_column_of_another_type_is_named_T64(path: Path, statement: str) -> None:
    """Not an error of the program's."""
    edit(path, statement)
    store = open_store(f"sqlite:///{path}")
    (report,) = verify(store).tenants
    assert report.first_bad == 4
    store.close()


def test_a_window_that_was_never_closed_is_told(path: Path) -> None:
    """Its records may be missing; that is no sign of tampering."""
    store = open_store(f"sqlite:///{path}")
    for writer, states in (("a", ("open", "closed")), ("b", ("open",))):
        for state in states:
            window = events.segment(
                id=uuid7(),
                tenant="default",
                at=START,
                writer=writer,
                state=state,
                window_ms=200,  # type: ignore[arg-type]
            )
            store.append("default", [window])
    (report,) = verify(store).tenants
    assert (report.ok, report.open_windows) == (True, 1)
    store.close()
