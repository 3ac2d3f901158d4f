"""The schema: made once whoever comes first, forward only, all or nothing."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentguard.errors import StoreUnavailable
from agentguard.store import migrations, open_store
from tests.store.support import ask, decided, types


def columns(path: Path) -> dict[str, list[str]]:
    db = sqlite3.connect(path)
    tables = [
        row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    found = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables}
    db.close()
    return found


def test_a_new_store_is_marked_as_ours(tmp_path: Path) -> None:
    """`application_id` and `user_version` are set."""
    open_store(f"sqlite:///{tmp_path}/a.db").close()
    db = sqlite3.connect(tmp_path / "a.db")
    assert db.execute("PRAGMA application_id").fetchone()[0] == migrations.APPLICATION_ID
    assert db.execute("PRAGMA user_version").fetchone()[0] == len(migrations.MIGRATIONS)
    db.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """Data and epoch stay."""
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    approval = ask(store)
    store.close()
    again = open_store(f"sqlite:///{tmp_path}/a.db")
    assert again.approval("default", approval.id) == approval
    again.close()


def test_many_open_a_new_store_at_once(tmp_path: Path) -> None:
    """One makes the schema, the others find it."""

    def use(number: int) -> str:
        store = open_store(f"sqlite:///{tmp_path}/a.db")
        store.append("default", [decided()])
        epoch = store.epoch
        store.close()
        return epoch

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(use, range(16)))) == 1
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    assert len(types(store)) == 16
    store.close()


@pytest.mark.parametrize("reached", range(len(migrations.MIGRATIONS)))
def test_every_earlier_schema_reaches_the_newest(tmp_path: Path, reached: int) -> None:
    """From nothing, and from each step on the way, the tables come out the same."""
    path = tmp_path / "old.db"
    db = sqlite3.connect(path, isolation_level=None)
    for statements in migrations.MIGRATIONS[:reached]:
        for statement in statements:
            db.execute(statement)
    if reached:
        db.execute(f"PRAGMA application_id = {migrations.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {reached}")
        db.execute("INSERT INTO meta VALUES ('epoch', 'old')")
    db.close()
    open_store(f"sqlite:///{path}").close()
    open_store(f"sqlite:///{tmp_path}/new.db").close()
    assert columns(path) == columns(tmp_path / "new.db")


def test_a_step_that_fails_leaves_the_old_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All or nothing: the older agentguard can go on using it."""
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    approval = ask(store)
    store.close()
    before = columns(path)
    steps = (*migrations.MIGRATIONS, ("CREATE TABLE more (x)", "this is not SQL"))
    monkeypatch.setattr(migrations, "MIGRATIONS", steps)
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{path}")
    monkeypatch.undo()
    assert columns(path) == before
    again = open_store(f"sqlite:///{path}")
    assert again.approval("default", approval.id) == approval
    again.close()


def test_a_further_step_keeps_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward only: what was written before is there afterwards, and the number moves."""
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    approval = ask(store)
    store.close()
    steps = (*migrations.MIGRATIONS, ("CREATE TABLE more (x)",))
    monkeypatch.setattr(migrations, "MIGRATIONS", steps)
    again = open_store(f"sqlite:///{path}")
    assert again.approval("default", approval.id) == approval
    again.close()
    assert "more" in columns(path)
