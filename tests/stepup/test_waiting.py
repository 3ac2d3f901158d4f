"""Waiting: woken by a vote, by another process, by the clock; cancelled; and failing closed."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentguard.errors import NotFound, StoreError
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.stepup.waiting import ApprovalWaiter
from agentguard.store import Store, open_store
from tests.postgres.server import drop, fresh_url
from tests.store.postgres_support import until
from tests.store.support import FakeClock, answer, ask, types


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory:", "sqlite:///{folder}/store.db", "postgresql:"])
def store(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Iterator[Store]:
    postgres = request.param == "postgresql:"
    url = fresh_url() if postgres else request.param.format(folder=tmp_path)
    store = open_store(url, clock=clock)
    yield store
    store.close()
    if postgres:
        drop(url)


class Looks:
    """Counts how often the listener asks the store what changed."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        self.real = store.changes_since
        store.changes_since = self  # type: ignore[method-assign]

    def __call__(self, tenant: str, version: int) -> tuple[int, frozenset[str]]:
        self.count += 1
        return self.real(tenant, version)

    async def more(self, count: int = 3) -> None:
        """Let it look so many times more."""
        wanted = self.count + count
        await asyncio.to_thread(until, lambda: self.count >= wanted)


def idle(waiter: ApprovalWaiter) -> bool:
    return waiter._thread is None


async def test_a_vote_in_this_process_wakes_at_once(store: Store) -> None:
    """Long before the next tick."""
    waiter = ApprovalWaiter(store, tick=3600)
    approval = ask(store)
    waiting = asyncio.create_task(waiter.wait(approval.id))
    await asyncio.sleep(0)
    await asyncio.to_thread(answer, store, approval)
    assert (await asyncio.wait_for(waiting, 60)).state is State.APPROVED
    until(lambda: idle(waiter))


async def test_what_was_decided_before_is_there_at_once(store: Store) -> None:
    """No tick is needed."""
    approval = answer(store, ask(store))
    waiter = ApprovalWaiter(store, tick=3600)
    assert (await asyncio.wait_for(waiter.wait(approval.id), 60)).state is State.APPROVED


def test_a_thread_waits_as_well(store: Store) -> None:
    """With the same waiter."""
    waiter = ApprovalWaiter(store, tick=3600)
    approval = ask(store)
    found: list[Approval] = []
    thread = threading.Thread(target=lambda: found.append(waiter.wait_blocking(approval.id)))
    thread.start()
    until(lambda: waiter.waiting == 1)
    answer(store, approval, verdict="deny")
    thread.join(60)
    assert found[0].state is State.DENIED


async def test_at_its_expiry_it_is_denied_for_good_T14(store: Store, clock: FakeClock) -> None:
    """The listener records it, whoever waits sees the record."""
    looks = Looks(store)
    waiter = ApprovalWaiter(store, tick=0.01)
    approval = ask(store)
    waiting = asyncio.create_task(waiter.wait(approval.id, approval.expires_at))
    await looks.more()
    assert not waiting.done()
    clock.at = approval.expires_at
    ended = await asyncio.wait_for(waiting, 60)
    assert ended.state is State.EXPIRED
    assert store.approval("default", approval.id) == ended
    assert types(store)[-1] == "approval.expired"


async def test_an_earlier_deadline_gives_the_question_back(store: Store, clock: FakeClock) -> None:
    """Still `requested`: the caller withdraws it, or leaves it to others."""
    looks = Looks(store)
    waiter = ApprovalWaiter(store, tick=0.01)
    approval = ask(store)
    waiting = asyncio.create_task(waiter.wait(approval.id, store.now() + dt.timedelta(seconds=5)))
    patient = asyncio.create_task(waiter.wait(approval.id))
    await looks.more()
    assert not waiting.done()
    clock.advance(5)
    assert (await asyncio.wait_for(waiting, 60)).state is State.REQUESTED
    assert not patient.done()
    answer(store, approval)
    assert (await asyncio.wait_for(patient, 60)).state is State.APPROVED


async def test_cancelling_leaves_nothing_T38(store: Store) -> None:
    """The approval is as it was, and the listener goes home."""
    looks = Looks(store)
    waiter = ApprovalWaiter(store, tick=3600)
    approval = ask(store)
    waiting = asyncio.create_task(waiter.wait(approval.id))
    await looks.more(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiter.waiting == 0
    until(lambda: idle(waiter))
    assert store.approval("default", approval.id).state is State.REQUESTED


async def test_who_leaves_before_the_listener_came_does_not_wait_T38(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted no more, although nobody took notice of it yet."""
    late = threading.Event()
    monkeypatch.setattr(store, "listen", lambda wake: not late.wait(60))
    waiter = ApprovalWaiter(store, tick=3600)
    waiting = asyncio.create_task(waiter.wait(ask(store).id))
    await asyncio.sleep(0)
    assert waiter.waiting == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiter.waiting == 0
    late.set()
    until(lambda: idle(waiter))


async def test_one_listener_asks_once_a_tick_for_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait; nobody waits, nobody asks."""
    monkeypatch.setattr(store, "listen", lambda wake: False)  # each tick is one of ours
    looks = Looks(store)
    waiter = ApprovalWaiter(store, tick=3600)
    approvals = [ask(store, call_id=f"call-{number}") for number in range(300)]
    waiting = [asyncio.create_task(waiter.wait(approval.id)) for approval in approvals]
    await asyncio.sleep(0)
    await asyncio.to_thread(until, lambda: looks.count == 1 and not waiter._arrived)
    for tick in (2, 3, 4):
        waiter.wake()
        await asyncio.to_thread(until, lambda: looks.count >= tick)
        assert looks.count == tick
    for approval in approvals:
        await asyncio.to_thread(store.update_approval, "default", approval.id, machine.withdraw)
    waiter.wake()
    done = await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert {approval.state for approval in done} == {State.WITHDRAWN}
    until(lambda: idle(waiter))
    looks.count = 0
    waiter.wake()
    assert idle(waiter)
    assert looks.count == 0


def test_several_event_loops_wait_through_one_waiter_T43(store: Store) -> None:
    """Each is woken in its own thread."""
    waiter = ApprovalWaiter(store, tick=3600)
    approval = ask(store)
    found: list[Approval] = []
    threads = [
        threading.Thread(target=lambda: found.append(asyncio.run(waiter.wait(approval.id)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    until(lambda: waiter.waiting == 4)
    answer(store, approval)
    for thread in threads:
        thread.join(60)
    assert [one.state for one in found] == [State.APPROVED] * 4


async def test_a_loop_that_was_closed_disturbs_nobody(store: Store) -> None:
    """Its waiter is simply not there any more."""
    waiter = ApprovalWaiter(store, tick=3600)
    approval = ask(store)

    async def leave() -> None:
        waiting = asyncio.create_task(waiter.wait(approval.id))
        await asyncio.sleep(0)
        waiting.cancel()

    await asyncio.to_thread(asyncio.run, leave())
    here = asyncio.create_task(waiter.wait(approval.id))
    await asyncio.sleep(0)
    await asyncio.to_thread(answer, store, approval)
    assert (await asyncio.wait_for(here, 60)).state is State.APPROVED


async def test_a_store_that_fails_fails_the_waiting_T41(store: Store) -> None:
    """The call does not run."""
    looks = Looks(store)
    waiter = ApprovalWaiter(store, tick=0.01)
    approval = ask(store)
    waiting = asyncio.create_task(waiter.wait(approval.id))
    await looks.more()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        await asyncio.wait_for(waiting, 60)
    until(lambda: idle(waiter))


async def test_an_error_of_any_kind_fails_the_waiting(store: Store) -> None:
    """Also one that no store should raise."""
    approval = ask(store)
    store.changes_since = lambda *_: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    with pytest.raises(StoreError, match="division"):
        await asyncio.wait_for(ApprovalWaiter(store).wait(approval.id), 60)


async def test_an_unknown_approval_is_not_found(store: Store) -> None:
    """In this tenant; others who wait are not disturbed."""
    waiter = ApprovalWaiter(store, tick=3600)
    approval = ask(store)
    here = asyncio.create_task(waiter.wait(approval.id))
    with pytest.raises(NotFound):
        await asyncio.wait_for(waiter.wait(approval.id, tenant="other"), 60)
    await asyncio.to_thread(answer, store, approval)
    assert (await asyncio.wait_for(here, 60)).state is State.APPROVED


def test_a_vote_in_another_process_is_seen_at_the_next_tick(tmp_path: Path) -> None:
    """A real process, a real clock."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    approval = ask(store)
    script = (
        "import sys\nfrom agentguard.store import open_store\nfrom tests.store.support import answer\n"
        "store = open_store('sqlite:///' + sys.argv[1], timeout_s=60)\n"
        "answer(store, store.approval('default', sys.argv[2]))\n"
    )
    found: list[Approval] = []
    waiter = ApprovalWaiter(store)
    thread = threading.Thread(target=lambda: found.append(waiter.wait_blocking(approval.id)))
    thread.start()
    until(lambda: waiter.waiting == 1)
    subprocess.run(
        [sys.executable, "-c", script, f"{tmp_path}/store.db", approval.id], check=True, timeout=300
    )
    thread.join(60)
    assert found[0].state is State.APPROVED
    store.close()
