"""The race and the faults of `python -m tests.chaos`, small: nothing twice, nothing lost, no limit passed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.audit import FORBIDDEN
from tests.postgres.server import dsn

ROOT = Path(__file__).resolve().parents[2]


def chaos(*words: str) -> dict[str, Any]:
    """The last line of the command, which has to succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def store_of(kind: str) -> str:
    return dsn() if kind == "postgresql" else kind


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_racing_processes_claim_once_and_lose_no_vote_T01_T09_T50(kind: str) -> None:
    """Votes, claims, expiries, withdrawals and reservations at once."""
    found = chaos(
        "race", "--store", store_of(kind), "--approvals", "60", "--processes", "3", "--seconds", "30"
    )
    assert found["store"] == kind
    assert found["claims"] > 0
    assert found["votes"] > 0
    assert found["reserved"] > 0


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_are_killed_run_nothing_twice_and_nothing_unrecorded_T16_T17(kind: str) -> None:
    """Real guards, killed at some of the statements that they send and at random moments."""
    found = chaos("faults", "--store", kind, "--seconds", "12")
    assert found["kills"] > 0
    assert found["effects"] > 0
    assert found["acknowledged"] > 0


def test_what_must_not_happen_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """One forbidden count is enough."""
    from tests.chaos import __main__ as command

    for name in FORBIDDEN:
        monkeypatch.setattr(command, "race", lambda place, name=name, **_: {name: 1})
        assert command.main(["race"]) == 1
    monkeypatch.setattr(command, "race", lambda place, **_: dict.fromkeys(FORBIDDEN, 0))
    assert command.main(["race", "--json"]) == 0
