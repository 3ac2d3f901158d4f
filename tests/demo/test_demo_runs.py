"""The demo from beginning to end: what it shows, what really happened, what was recorded."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from tests.demo.support import ATTACKER, BOOKS, EFFECTS, calls, data, demo, one, run

RENT = ("Hansa Properties", 4800, "rent December")


def rows(folder: Path) -> list[tuple[str, int, str]]:
    with sqlite3.connect(folder / "payments.db") as db:
        found = db.execute("SELECT payee, amount, note FROM transfers ORDER BY id").fetchall()
    db.close()
    return found


@pytest.mark.parametrize(("answer", "paid"), [("yes", True), ("no", False), ("none", False)])
def test_all_five_effects_are_shown_and_true(answer: str, paid: bool, tmp_path: Path) -> None:
    """Whatever the person answers, five verdicts are shown, and the database agrees with them."""
    found = demo("--approve", answer, "--keep", "here", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    for effect in EFFECTS:
        assert re.search(rf"^    {effect} +\S+/\S+ +policies/\w+\.yaml:\d+$", found.stdout, re.MULTILINE)
    assert (RENT in rows(tmp_path / "here")) is paid
    assert f"nothing: 0 posts arrived for {ATTACKER}" in found.stdout
    assert "intact: every event is as it was written" in found.stdout


def test_the_json_document_says_the_same() -> None:
    """`--json` prints one document with the verdicts, the records and the world as it was found."""
    found = data("--approve", "yes")
    assert found["ok"]
    assert found["ledger"]["ok"]
    assert not found["ledger"]["findings"]
    assert found["verdicts"] == {"allow": 4, "flag": 1, "constrain": 1, "step_up": 1, "deny": 1}
    assert found["world"]["posts"] == {BOOKS: 1}
    assert sum(found["recorded"].values()) == found["ledger"]["size"]
    assert [act["framework"] for act in found["acts"]] == ["langchain", "openai"]
    for call in calls(found):
        assert re.fullmatch(r"policies/\w+\.yaml:\d+", call["at"])
        assert call["world"]["acted"] is (call["ran"] is not None) is (call["outcome"] == "succeeded")


def test_a_constraint_shows_what_ran() -> None:
    """The argument before and after, and the row in the database holds the one after."""
    found = data("--approve", "no")
    call = one(found, "constrain")
    (change,) = call["changed"]
    assert change["before"].startswith(change["after"])
    assert len(change["after"]) == 35
    assert call["ran"]["note"] == change["after"]
    assert call["wanted"]["note"] == change["before"]


def test_a_flag_is_a_work_item() -> None:
    """It ran, and somebody has to look at it by a date."""
    call = one(data("--approve", "no"), "flag")
    (item,) = call["work_items"]
    assert call["world"]["acted"]
    assert item["owner"] == "finance-ops"
    assert item["due"]


@pytest.mark.parametrize(("answer", "state"), [("yes", "approved"), ("no", "denied"), ("none", "expired")])
def test_a_step_up_runs_only_when_approved(answer: str, state: str) -> None:
    """A vote decides it; no vote until the deadline is a no."""
    call = one(data("--approve", answer), "step_up")
    assert call["approval"]["state"] == state
    assert [vote["verdict"] for vote in call["approval"]["votes"]] == {
        "yes": ["approve"],
        "no": ["deny"],
        "none": [],
    }[answer]
    assert (call["ran"] is not None) is (answer == "yes")


def test_nothing_leaves_for_the_attacker() -> None:
    """The same tool in the same run reaches the host that is allowed, so the zero means something."""
    found = data("--approve", "yes")
    denied = one(found, "deny")
    assert ATTACKER in denied["wanted"]["url"]
    assert denied["ran"] is None
    assert not denied["world"]["acted"]
    assert ATTACKER not in found["world"]["posts"]
    assert found["world"]["posts"][BOOKS] == 1
    assert denied["rule"] in denied["told"]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("setting", ["NO_COLOR", "TERM"])
def test_a_pipe_gets_words_that_fit(columns: int, setting: str) -> None:
    """No control codes, no line wider than the terminal, none that ends in blanks."""
    found = demo("--approve", "yes", env={"COLUMNS": str(columns), setting: "dumb"})
    assert found.returncode == 0
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", found.stdout)
    for line in found.stdout.splitlines():
        assert len(line) <= columns
        assert line == line.rstrip()
    assert len(found.stdout.splitlines()) < 130


def test_without_a_terminal_nobody_is_asked() -> None:
    """It says so, and goes on as if nobody had answered."""
    found = demo()
    assert found.returncode == 0
    assert "there is no terminal to ask at" in found.stdout
    assert "nobody answered: expired" in found.stdout


def test_the_kept_folder_is_a_working_one(tmp_path: Path) -> None:
    """The commands that the demo recommends work in its folder, and a second run adds to the ledger."""
    first = data("--approve", "yes", "--keep", "here", cwd=tmp_path)
    second = data("--approve", "yes", "--keep", "here", cwd=tmp_path)
    assert second["ledger"]["size"] == 2 * first["ledger"]["size"]
    assert second["recorded"] == first["recorded"]
    folder = tmp_path / "here"
    verified = run("ledger", "verify", cwd=folder)
    assert verified.returncode == 0, verified.stderr
    assert second["ledger"]["root"] in verified.stdout
    for words in (("ledger", "show"), ("check",), ("approvals", "list", "--all")):
        found = run(*words, cwd=folder)
        assert found.returncode == 0, found.stdout + found.stderr


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Without `--keep` the folder is gone afterwards."""
    found = demo("--approve", "no", env={"TMPDIR": str(tmp_path)})
    assert found.returncode == 0
    assert list(tmp_path.iterdir()) == []
