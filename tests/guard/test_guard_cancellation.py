"""Cancelled anywhere: no effect and a record, or an effect and a record (T38)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from agentguard import ApprovalPending, Guard, State, ToolCallDenied
from agentguard.ledger.verify import verify
from tests.guard.support import AGENT, ALLOW, CAP, EVIL, FLAG, LARGE, answer, events, make_guard, says, until

COUNT = {
    "id": "count",
    "effect": "allow",
    "when": "args.amount == 9",
    "reserve": {"key": "n", "limit": 10**6},
}
CALLS: dict[str, tuple[Any, ...]] = {
    "allow": ("ACME", 7),
    "flag": ("ACME", 50),
    "constrain": ("ACME", 8, "much too long"),
    "reserve": ("ACME", 9),
    "step up": ("ACME", 500),
    "deny": ("EVIL", 7),
    "invalid": ("ACME", float("nan")),
}
OPEN = {State.REQUESTED, State.APPROVED, State.CLAIMED}


class CancellingThread:
    """The store's thread, which has the task cancelled at its n-th job: while that waits, or is done."""

    def __init__(self, real: ThreadPoolExecutor, nth: int, late: bool) -> None:
        self.real, self.left, self.late = real, nth, late
        self.fired = False

    def submit(self, run: Callable[..., Any], *args: Any) -> Future[Any]:
        self.left -= 1
        if self.left != 0:
            return self.real.submit(run, *args)
        self.fired = True
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancelled = threading.Event()

        def cancel() -> None:
            task.cancel()
            loop.call_soon(cancelled.set)

        def work() -> Any:
            if self.late:
                result = run(*args)
                loop.call_soon_threadsafe(cancel)
                return result
            loop.call_soon_threadsafe(cancel)
            cancelled.wait(60)
            return run(*args)

        return self.real.submit(work)

    def shutdown(self, **options: Any) -> None:
        self.real.shutdown(**options)


def consistent(guard: Guard, ran: list[Any]) -> None:
    """Every run has its record and its outcome, every question has an end, the ledger is whole."""
    decided = {event["id"] for event in events(guard, "decision") if event["runs"]}
    ended = events(guard, "outcome")
    assert len(decided) >= len(ran)
    assert sum(event["status"] == "succeeded" for event in ended) <= len(ran)
    (report,) = verify(guard.store).tenants
    assert report.ok, report.findings
    assert report.open_decisions == 0
    assert not [a for a in guard.store.approvals("default") if a.state in OPEN]


def cancelled_at(nth: int, late: bool, case: str) -> bool:
    """One call that is cancelled at its n-th write; whether it had that many."""
    ran: list[Any] = []
    guard = make_guard(ALLOW, FLAG, CAP, LARGE, EVIL, COUNT, channels=[says("approve")])

    @guard.tool("t")
    async def transfer(payee: str, amount: float, note: str = "") -> str:
        ran.append(payee)
        return payee

    async def main() -> None:
        async with guard.session(agent=AGENT):
            await transfer(*CALLS[case])

    with guard:
        thread = CancellingThread(guard.store_thread, nth, late)
        guard.store_thread = thread  # type: ignore[assignment]
        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            assert thread.fired
        except ToolCallDenied:
            pass
        assert len(ran) <= 1
        consistent(guard, ran)
    return thread.fired


@pytest.mark.parametrize("late", [False, True], ids=["while", "after"])
@pytest.mark.parametrize("case", CALLS)
def test_cancelled_at_every_write_T38(case: str, late: bool) -> None:
    """One write that is waited for after the other, while it waits for its turn and when it is done."""
    writes = next(nth for nth in range(1, 30) if not cancelled_at(nth, late, case)) - 1
    assert writes >= {"step up": 4, "reserve": 2}.get(case, 1)


def test_cancelled_while_it_waits_is_withdrawn_T38() -> None:
    """Nobody can approve it afterwards."""
    ran: list[Any] = []

    async def main() -> None:
        async with guard.session(agent=AGENT):
            task = asyncio.ensure_future(transfer(500))
            await until(lambda: guard.waiter.waiting)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with make_guard() as guard:

        @guard.tool("t")
        async def transfer(amount: int, payee: str = "", note: str = "") -> None:
            ran.append(amount)

        asyncio.run(main())
        (approval,) = guard.store.approvals("default")
        assert approval.state is State.WITHDRAWN
        consistent(guard, ran)
        assert not ran


@pytest.mark.parametrize("amount", [1, 500])
@pytest.mark.parametrize("swallow", [False, True])
def test_cancelled_while_it_runs_is_unknown_T38(swallow: bool, amount: int) -> None:
    """Unless the tool itself comes to an end; under an approval too."""
    guard = make_guard(channels=[says("approve")])
    running: list[Any] = []

    @guard.tool("t")
    async def transfer(amount: int, payee: str = "", note: str = "") -> str:
        running.append(amount)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not swallow:
                raise
        return "finished"

    async def main() -> None:
        async with guard.session(agent=AGENT):
            task = asyncio.ensure_future(transfer(amount))
            await until(lambda: running)
            task.cancel()
            if swallow:
                assert await task == "finished"
            else:
                with pytest.raises(asyncio.CancelledError):
                    await task

    with guard:
        asyncio.run(main())
        (event,) = events(guard, "outcome")
        assert event["status"] == ("succeeded" if swallow else "unknown")
        consistent(guard, running)


def test_a_timeout_and_a_failing_sibling_T38() -> None:
    """`asyncio.timeout` and a task group end the waiting call; each is withdrawn."""

    async def fails() -> None:
        await until(lambda: guard.waiter.waiting)
        raise KeyError("sibling")

    async def time_is_up() -> None:
        """The clock of the loop is put forward when the call waits."""
        await until(lambda: guard.waiter.waiting)
        passed.append(3600)

    async def timed() -> None:
        async with asyncio.timeout(1800):
            await transfer(500)

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(transfer(500))
            group.create_task(fails())

    passed: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        loop.time = lambda: real() + sum(passed)  # type: ignore[method-assign]
        async with guard.session(agent=AGENT):
            for waiting in (asyncio.wait_for(transfer(500), 1800), timed()):
                late = asyncio.create_task(time_is_up())
                with pytest.raises(TimeoutError):
                    await waiting
                await late
            with pytest.raises(BaseExceptionGroup):
                await together()

    with make_guard() as guard:

        @guard.tool("t")
        async def transfer(amount: int, payee: str = "", note: str = "") -> None:
            raise AssertionError("it ran")

        asyncio.run(main())
        assert [approval.state for approval in guard.store.approvals("default")] == [State.WITHDRAWN] * 3
        consistent(guard, [])


@pytest.mark.parametrize("amount", [1, 500])
def test_a_loop_that_is_closed_over_a_call_T38(amount: int) -> None:
    """Waiting is withdrawn, running is unknown; recorded without a loop."""
    with make_guard() as guard:

        @guard.tool("t")
        async def transfer(amount: int, payee: str = "", note: str = "") -> None:
            started.append(amount)
            await asyncio.Event().wait()

        started: list[Any] = []
        loop = asyncio.new_event_loop()

        async def begin() -> Any:
            with guard.session(agent=AGENT) as session:
                call = transfer(amount)
                task = asyncio.ensure_future(call)
                await until(lambda: started or guard.waiter.waiting)
                assert session
                return task

        task = loop.run_until_complete(begin())
        coroutine = task.get_coro()
        coroutine.close()
        task._log_destroy_pending = False
        loop.close()
        if amount == 1:
            assert [event["status"] for event in events(guard, "outcome")] == ["unknown"]
        else:
            assert guard.store.approvals("default")[0].state is State.WITHDRAWN
        consistent(guard, started)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_in_a_synchronous_tool_is_unknown_T38(error: type[BaseException]) -> None:
    """And goes on as it came."""
    with make_guard() as guard, guard.session(agent=AGENT):

        @guard.tool("t")
        def transfer(amount: int, payee: str = "", note: str = "") -> None:
            raise error

        with pytest.raises(error):
            transfer(1)
        assert [event["status"] for event in events(guard, "outcome")] == ["unknown"]
        consistent(guard, [1])


def test_an_interrupt_of_a_synchronous_wait_withdraws_T38(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the terminal while nobody has answered."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with make_guard() as guard, guard.session(agent=AGENT):

        @guard.tool("t")
        def transfer(amount: int, payee: str = "", note: str = "") -> None: ...

        monkeypatch.setattr(guard.waiter, "wait_blocking", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transfer(500)
        consistent(guard, [])


def resume_cancelled_at(nth: int, late: bool) -> bool:
    """A resume that is cancelled at its n-th write, and one more that is not; whether it had that many."""
    guard = make_guard(pause="raise")
    ran: list[int] = []

    @guard.tool("t")
    async def transfer(amount: int, payee: str = "", note: str = "") -> int:
        ran.append(amount)
        return amount

    async def asked() -> str:
        async with guard.session(agent=AGENT):
            with pytest.raises(ApprovalPending) as caught:
                await transfer(500)
            return caught.value.approval_id

    with guard:
        name = asyncio.run(asked())
        answer(guard, name)
        real = guard.store_thread
        thread = CancellingThread(real, nth, late)
        guard.store_thread = thread  # type: ignore[assignment]
        try:
            asyncio.run(guard.resume(name))
        except asyncio.CancelledError:
            assert thread.fired
        guard.store_thread = real
        assert len(ran) <= 1
        found = asyncio.run(guard.resume(name))
        assert len(ran) <= 1
        assert found.ran is False or thread.fired
        consistent(guard, ran)
    return thread.fired


@pytest.mark.parametrize("late", [False, True], ids=["while", "after"])
def test_a_resume_cancelled_at_every_write_T38(late: bool) -> None:
    """It ran at most once, and what is left can be resumed or is known."""
    assert next(nth for nth in range(1, 30) if not resume_cancelled_at(nth, late)) > 3
