"""`agentguard ledger`: verified offline, and read."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.cli.support import open_question, records, run
from tests.store.support import decided, ended


def fill(path: Path, number: int = 3) -> None:
    store = records(path)
    for _ in range(number):
        event = decided(at=store.now())
        store.append("default", [event])
        store.append("default", [ended(event, at=store.now())])
    store.append("eu", [decided("eu", at=store.now(), runs=False)])
    store.close()


def test_an_intact_ledger_is_clean(project: Path) -> None:
    fill(project)
    out = run("ledger", "verify").stdout
    assert "intact  6 events of tenant default" in out
    assert "intact  1 event of tenant eu" in out
    assert "Verified 7 events of records.db: no problems." in out
    one = run("ledger", "verify", "--tenant", "eu").stdout
    assert "default" not in one
    data = json.loads(run("ledger", "verify", "--json").stdout)
    assert (data["ok"], data["size"]) == (True, 7)


def test_T64_an_edited_ledger_is_found(project: Path) -> None:
    fill(project)
    db = sqlite3.connect(project / "records.db")
    key = db.execute("SELECT min(key) FROM event WHERE type = 'outcome'").fetchone()[0]
    changed = "UPDATE event SET leaf = CAST(replace(leaf, 'succeeded', 'failed') AS BLOB) WHERE key = ?"
    db.execute(changed, (key,))
    db.commit()
    db.close()
    found = run("ledger", "verify", code=1).stdout
    assert "NOT INTACT" in found
    assert "event 2: edited" in found
    data = json.loads(run("ledger", "verify", "--json", code=1).stdout)
    assert data["ok"] is False


def test_show_lists_the_newest(project: Path) -> None:
    fill(project)
    out = run("ledger", "show").stdout
    assert "allow by payments/small" in out
    assert "succeeded" in out
    assert "6 events" in out
    data = json.loads(run("ledger", "show", "--last", "2", "--json").stdout)
    assert [one["seq"] for one in data] == [5, 6]
    assert "shows more of 6" in run("ledger", "show", "--last", "2").stdout
    assert "is empty" in run("ledger", "show", "--tenant", "us").stdout
    run("ledger", "show", "--last", "0", code=2)


def test_approvals_are_in_it(project: Path) -> None:
    asked = open_question(project, local=True)
    run("approvals", "deny", asked.id)
    out = run("ledger", "show").stdout
    assert "approval.opened" in out
    assert "deny  local" in out
    assert asked.id[:9] in out


def test_an_empty_store_and_none_at_all(project: Path) -> None:
    assert "there is no store" in run("ledger", "verify", code=2).stderr
    records(project).close()
    assert "nothing was decided yet" in run("ledger", "verify").stdout
    assert "there is no store" in run("ledger", "verify", "--store", "sqlite:///x.db", code=2).stderr
    assert "names no store" in run("ledger", "verify", "--store", "mysql://x", code=2).stderr
    (project / "junk.db").write_bytes(b"junk" * 1000)
    assert "junk.db" in run("ledger", "verify", "--store", "sqlite:///junk.db", code=2).stderr
