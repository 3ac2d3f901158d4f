"""What happens by itself while a guard runs: escalations, ends, items made of flags, and who hears of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from agentguard import ApprovalPending, ConfigurationError
from agentguard.errors import StoreError
from agentguard.governance.flag_sweeping import FlagNotice
from agentguard.stepup.channels import Question
from tests.guard.support import AGENT, ANY, LARGE, FakeClock, bank, events, make_guard

ESCALATING = {**LARGE, "approval": {"reviewers": ["ana"], "escalate": [{"after": "2m", "to": ["bob"]}]}}
FLAGGED = {
    "id": "odd",
    "effect": "flag",
    "when": "args.amount == 7",
    "flag": {"owner": "ops", "review_in": "1d"},
}


class Desk:
    """A channel that notes what it is told."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.flags: list[FlagNotice] = []
        self.told = threading.Semaphore(0)

    def notify(self, question: Question) -> None:
        self.questions.append(question)
        self.told.release()

    def notify_flag(self, notice: FlagNotice) -> None:
        self.flags.append(notice)
        self.told.release()


def test_a_sweep_tells_who_may_answer_now_and_of_flags() -> None:
    """A question whose time of escalation has come is told again; a flagged call becomes an item once."""
    clock, desk = FakeClock(), Desk()
    with make_guard(ANY, ESCALATING, FLAGGED, clock=clock, channels=[desk], pause="raise") as guard:
        transfer, _ = bank(guard)
        with guard.session(agent=AGENT, principal="ben"):
            with pytest.raises(ApprovalPending):
                transfer("A", 500)
            transfer("A", 7)
            transfer("A", 7)
        assert desk.told.acquire(timeout=120)
        clock.advance(121)
        assert guard.sweep() == 2
        assert desk.told.acquire(timeout=120)
        assert desk.told.acquire(timeout=120)
        assert [question.approval.level for question in desk.questions] == [0, 1]
        assert [(flag.move, flag.to, flag.rule, flag.count) for flag in desk.flags] == [
            ("opened", "ops", "bank/odd", 1)
        ]
        assert guard.sweep() == 0
        clock.advance(1800)
        assert guard.sweep() == 1
        assert len(events(guard, "approval.expired")) == 1
        assert [record.id for record in guard.store.records("default", "sighting")] == ["billing"]


def test_a_running_guard_sweeps_by_itself_until_it_is_closed(tmp_path: Path) -> None:
    """On a thread of its own, as often as it is told to."""
    desk = Desk()
    guard = make_guard(ANY, FLAGGED, store=f"sqlite:///{tmp_path}/store.db", channels=[desk], sweep_s=0.05)
    transfer, _ = bank(guard)
    with guard.session(agent=AGENT):
        transfer("A", 7)
    assert desk.told.acquire(timeout=120)
    guard.close()
    assert desk.flags[0].rule == "bank/odd"


def test_a_store_that_fails_is_told_once_and_swept_again(caplog: Any, monkeypatch: Any) -> None:
    """Calls are not concerned by it."""
    tried = threading.Semaphore(0)
    with make_guard(ANY, sweep_s=0.05) as guard:
        real = guard.sweep

        def fail() -> int:
            tried.release()
            raise OSError("away")

        monkeypatch.setattr(guard, "sweep", fail)
        for _ in range(3):
            assert tried.acquire(timeout=120)
        transfer, ran = bank(guard)
        with guard.session(agent=AGENT):
            transfer("A", 5)
        assert len(ran) == 1
        assert sum("swept" in record.message for record in caplog.records) == 1
        assert real() == 0


def test_a_sweep_that_is_under_way_when_its_guard_closes_is_no_fault(caplog: Any, monkeypatch: Any) -> None:
    """What it finds closed under its hands is not told as an error."""
    inside, closed = threading.Event(), threading.Event()
    workers: list[threading.Thread] = []
    with make_guard(ANY, sweep_s=0.05) as guard:

        def late() -> int:
            workers.append(threading.current_thread())
            inside.set()
            assert closed.wait(60)
            raise StoreError("the store was closed")

        monkeypatch.setattr(guard, "sweep", late)
        assert inside.wait(60)
    closed.set()
    workers[0].join(60)
    assert not workers[0].is_alive()
    assert not [record for record in caplog.records if "swept" in record.message]


@pytest.mark.parametrize("wrong", [0, -1, 0.01, float("nan")])
def test_a_sweep_without_a_pause_is_refused(wrong: float) -> None:
    """It would be a busy loop."""
    with pytest.raises(ConfigurationError, match="sweep_s"):
        make_guard(ANY, sweep_s=wrong)
