"""A forked child lets go of what is its parent's before it begins threads of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentguard import forks

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")

CHILD = """\
import os, sys
from agentguard import Guard, Snapshot
from agentguard.sweeping import Sweeper

rules = [{"id": "all", "effect": "allow"}]
policy = {"policy": "all", "owner": "ops", "tools": ["*"], "rules": rules}
with Guard(snapshot=Snapshot.from_documents([policy]), store=sys.argv[1], sweep_s=3600) as guard:
    database = guard.store._database
    assert database.current() is not None
    guard.in_force._swapping.acquire()  # as a thread that puts policies in force

    def start(sweeper):
        print(database._connection is None, not guard.in_force._swapping.locked(), flush=True)

    real, Sweeper.start = Sweeper.start, start
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    guard.in_force._swapping.release()
"""


def test_no_thread_of_a_child_begins_with_what_is_its_parents_T43(tmp_path: Path) -> None:
    """Neither with the connection of the store, which is imported last, nor with a lock that nobody holds."""
    found = subprocess.run(
        [sys.executable, "-c", CHILD, f"sqlite:///{tmp_path}/store.db"],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (0, "True True\n"), found.stderr


def test_one_that_cannot_let_go_does_not_keep_the_others_from_it_T43(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told; whatever was registered first, threads begin last."""
    done: list[str] = []
    monkeypatch.setattr(forks, "_let_go", [])
    monkeypatch.setattr(forks, "_begin", [])
    forks.begin_in_child(lambda: done.append("begun"))
    forks.let_go_in_child(lambda: done[99])
    forks.let_go_in_child(lambda: done.append("let go"))
    with caplog.at_level(logging.ERROR, "agentguard"):
        forks._in_child()
    assert done == ["let go", "begun"]
    assert "could not begin as it should: IndexError" in caplog.text
