"""Questions that ask the same are shown as one and may be answered together; each keeps its own record."""

from __future__ import annotations

import json
from pathlib import Path

from agentguard.stepup.model import State
from tests.cli.support import open_question, run, stored


def test_what_asks_the_same_is_one_line_T61(project: Path) -> None:
    """The arguments, or who acts for whom, make another line."""
    same = [open_question(project, call_id=f"call-{number}") for number in range(3)]
    open_question(project, call_id="other", args={"amount": 5001, "iban": "DE99SECRET", "note": "hi"})
    out = run("approvals", "list").stdout
    assert f"{same[0].id[:9]} x3" in out
    assert same[1].id[:9] not in out
    assert "4 approvals, 2 different" in out
    assert len(json.loads(run("approvals", "list", "--json").stdout)) == 4


def test_one_answer_for_all_that_ask_the_same(project: Path) -> None:
    """Each signed for its own call; what differs is left alone."""
    run("reviewers", "enroll", "ana")
    same = [open_question(project, call_id=f"call-{number}") for number in range(3)]
    other = open_question(project, call_id="other", args={"amount": 5001, "iban": "x", "note": "hi"})
    out = run("approvals", "approve", same[0].id, "--as", "ana", "--yes", "--alike").stdout
    assert "2 more" in out
    after = [stored(project, one) for one in same]
    assert {one.state for one in after} == {State.APPROVED}
    assert len({one.votes[0].signature for one in after}) == 3
    assert stored(project, other).state is State.REQUESTED
    assert run("ledger", "verify").exit_code == 0


def test_without_it_one_is_answered(project: Path) -> None:
    """Approving one call releases none of its likes (T36)."""
    one, two = open_question(project, local=True), open_question(project, local=True, call_id="call-2")
    run("approvals", "deny", one.id)
    assert stored(project, two).state is State.REQUESTED
    run("approvals", "deny", two.id, "--alike")
    assert stored(project, two).state is State.DENIED


def test_a_session_that_saw_untrusted_text_asks_something_else(project: Path) -> None:
    """Labels are part of what is asked; the session's own id is not."""
    shown = {"tool": "pay", "session": {"id": "s-1", "labels": [], "calls": 3}}
    one = open_question(project, shown=shown)
    two = open_question(project, call_id="call-2", shown={**shown, "session": {"id": "s-2", "labels": []}})
    tainted = {**shown, "session": {"id": "s-3", "labels": ["untrusted"]}}
    three = open_question(project, call_id="call-3", shown=tainted)
    out = run("approvals", "list").stdout
    assert f"{one.id[:9]} x2" in out
    assert two.id[:9] not in out
    assert three.id[:9] in out


def test_a_grant_is_not_given_in_passing(project: Path) -> None:
    """It is given by the one approval that says so."""
    one = open_question(project)
    assert "--alike" in run("approvals", "approve", one.id, "--grant", "--alike", "--yes", code=2).stderr
