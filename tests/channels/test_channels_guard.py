"""Delivering beside a guard's calls: never in their way, begun before the first, ended with the guard."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import pytest

from agentguard import AgentIdentity, ApprovalPending, Guard
from agentguard.channels.channel import Notice
from agentguard.channels.running import Deliveries
from agentguard.errors import ConfigurationError, StoreError
from tests.channels.support import Memory, Scene
from tests.guard.support import make_guard


class Waiting(Memory):
    """A channel whose notices can be waited for."""

    def __init__(self, name: str = "mem", **changes: Any) -> None:
        super().__init__(name, **changes)
        self.came = threading.Semaphore(0)

    def send(self, notice: Notice) -> dict[str, Any]:
        found = super().send(notice)
        self.came.release()
        return found

    def wait(self) -> Notice:
        assert self.came.acquire(timeout=120)
        return self.told[-1]


def ask(guard: Guard, amount: int = 5000) -> str:
    """A question that a guarded call asks."""

    @guard.tool("transfer")
    def transfer(payee: str, amount: int, note: str = "") -> str:
        return "done"

    with (
        guard.session(agent=AgentIdentity("billing", owner="owen"), principal="ben", pause="raise"),
        pytest.raises(ApprovalPending) as found,
    ):
        transfer("ACME", amount)
    return found.value.approval_id


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "agentguard-outbox"}


def test_a_guards_question_is_told_at_once() -> None:
    """It wakes the channels; they do not wait for the next look."""
    channel = Waiting()
    with make_guard() as guard:
        guard.deliver([channel])
        id = ask(guard)
        assert channel.wait().subject == id


def test_a_channel_that_hangs_holds_up_no_call_and_no_other_channel() -> None:
    """Each has a thread of its own."""
    release = threading.Event()
    hanging, good = Waiting("bad"), Waiting("good")

    def hang(notice: Notice) -> dict[str, Any]:
        assert release.wait(120)
        return {}

    hanging.send = hang  # type: ignore[method-assign]
    with make_guard() as guard:
        guard.deliver([hanging, good])
        ask(guard)
        ask(guard, 6000)
        good.wait()
        good.wait()
        release.set()


def test_a_closed_guard_tells_nothing_more() -> None:
    """Its threads end with it."""
    others = threads()
    with make_guard() as guard:
        guard.deliver([Waiting("a"), Waiting("b")])
        mine = threads() - others
        assert len(mine) == 2
    for thread in mine:
        thread.join(60)
        assert not thread.is_alive()


def test_a_guard_delivers_once() -> None:
    """Asked twice it says so."""
    with make_guard() as guard:
        guard.deliver([Waiting()])
        with pytest.raises(ConfigurationError, match="delivers to channels already"):
            guard.deliver([Waiting()])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """A child has none of its parent's."""
    with make_guard() as guard:
        guard.deliver([Waiting()])
        child = os.fork()
        if child == 0:
            os._exit(0 if len(threads()) == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_store_that_is_away_is_said_once_and_tried_again(
    here: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Not each second; and what waited is told when it is back."""
    channel = Waiting()
    real = here.store.head
    tries = threading.Semaphore(0)
    away = True

    def head(tenant: str) -> tuple[int, bytes]:
        if away:
            tries.release()
            raise StoreError("the store is away")
        return real(tenant)

    deliveries = Deliveries(here.store, here.tenant, [channel])
    try:
        with caplog.at_level(logging.ERROR, logger="agentguard"):
            here.store.head = head  # type: ignore[method-assign]
            for _ in range(3):
                deliveries.wake()
                assert tries.acquire(timeout=120)
            away = False
            here.ask()
            deliveries.wake()
            channel.wait()
    finally:
        deliveries.stop()
    assert [record.message for record in caplog.records] == [
        "channel `mem` could not be told what is due: the store is away"
    ]
