"""The only places that know about waiting: one asynchronous and one synchronous driver of the flow.

Writes are shielded: once a write has begun, a cancelled task waits for its end (bounded by the store's own
time-out) before the cancellation goes on into the flow.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from agentguard.canonical import Frozen, freeze
from agentguard.errors import ConfigurationError
from agentguard.operations import (
    Buffer,
    Change,
    Claim,
    Failed,
    Fetch,
    Flow,
    Load,
    Notify,
    Open,
    Operation,
    Record,
    Run,
    Take,
    Vet,
    Wait,
    WouldBlock,
)
from agentguard.recording import told

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.session import Session

__all__ = ["Active", "Done", "active", "advance", "drive", "drive_sync", "drive_to_run"]

FACTS_SECONDS: Final = 2.0
"""How long the fact providers of one call may take together; what is missing then is absent."""

MAX_PROVIDERS: Final = 64
"""Fact providers that may be asked at one time in this process; one that never answers takes a place."""

log = logging.getLogger("agentguard")


class Active:
    """A guarded call that is running: a guarded function it runs with the same arguments is the same call."""

    __slots__ = ("_left", "guard", "step")

    def __init__(self, guard: Guard, step: Run) -> None:
        self.guard = guard
        self.step = step
        self._left = [True]

    def take(self, guard: Guard, tool: str, session: Session | None, frozen: Frozen) -> bool:
        """True once, for the same tool with the same arguments and nobody else acting."""
        step = self.step
        if self.guard is not guard or step.tool != tool or step.frozen.canonical != frozen.canonical:
            return False
        if session is not None and session is not step.session:
            return False
        return self._spend()

    def end(self) -> None:
        """The call is over: what it started and left behind is no part of it."""
        self._spend()

    def _spend(self) -> bool:
        try:
            return self._left.pop()  # one step, so that of two threads one gets it
        except IndexError:
            return False


active: ContextVar[Active | None] = ContextVar("agentguard_active", default=None)


def perform(guard: Guard, op: Operation) -> Any:
    """Everything but `Fetch`, `Wait` and `Run`: short, synchronous, one transaction of the store."""
    store, tenant = guard.store, guard.tenant
    match op:
        case Record():
            store.append(tenant, op.events, payloads=op.payloads, durable=op.durable)
            op.done = True
            return None
        case Buffer():
            guard.recorder.add(op.make)
            op.done = True
            return None
        case Open():
            if op.payloads:
                store.append(tenant, (), payloads=op.payloads)
            found = store.open_approval(op.approval, op.events)
            op.done = True
            return found
        case Claim():
            claimed = store.claim(tenant, op.approval_id, op.digest, op.events)
            op.done = True
            return claimed
        case Change():
            changed = store.update_approval(tenant, op.approval_id, op.update)
            op.done = True
            return changed
        case Take():
            full = store.reserve(tenant, op.reservations)
            op.done = True
            return full
        case Load():
            return store.approval(tenant, op.approval_id)
        case Vet():
            return guard.departed(op.approval)
        case Notify():
            guard.notify(op.approval)
            return None
        case _:
            raise AssertionError(f"not a store operation: {op!r}")


def advance(guard: Guard, flow: Flow, value: Any = None, error: BaseException | None = None) -> Run | Done:
    """Drive synchronously up to the next `Run`, or to the end (wrapped in `_Done`)."""
    while True:
        try:
            op = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as stop:
            return Done(stop.value)
        value, error = None, None
        if type(op) is Run:
            return op
        try:
            if type(op) is Fetch:
                value = _fetch_sync(guard, op)
            elif type(op) is Wait:
                value = _wait_sync(guard, op)
            else:
                value = perform(guard, op)
        except BaseException as raised:
            error = raised


class Done:
    """The end of a flow."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        if type(self.value) is Failed:
            raise self.value.error
        return self.value


def drive_sync(guard: Guard, flow: Flow, run: Callable[[dict[str, Any]], Any]) -> Any:
    """Run a whole call on this thread."""
    step = advance(guard, flow)
    while isinstance(step, Run):
        mark = Active(guard, step)
        token = active.set(mark)
        try:
            value, error = _finished(run(step.arguments), step.tool), None
        except GeneratorExit:
            _close(guard, flow)
            raise
        except BaseException as raised:
            value, error = None, raised
        finally:
            active.reset(token)
            mark.end()
        step = advance(guard, flow, value, error)
    return step.result()


def _finished(value: Any, tool: str) -> Any:
    """What a plain function returned, unless its work has yet to happen: that would run unrecorded."""
    if not hasattr(type(value), "__await__"):
        return value
    stop = getattr(value, "close", None) or getattr(value, "cancel", None)
    if callable(stop):
        stop()
    raise ConfigurationError(
        f"`{tool}` is a plain function and returned something to await; declare it `async def` and await it "
        "inside, so that the guard sees it end"
    )


async def drive(guard: Guard, flow: Flow, run: Callable[[dict[str, Any]], Awaitable[Any]]) -> Any:
    """Run a whole call on this event loop; the store is used on a thread of its own."""
    step = await drive_to_run(guard, flow)
    while isinstance(step, Run):
        value: Any = None
        error: BaseException | None = None
        mark = Active(guard, step)
        token = active.set(mark)
        try:
            value = await run(step.arguments)
        except GeneratorExit:
            # The loop is gone: nothing can be awaited, so the rest is done here and now.
            _close(guard, flow)
            raise
        except BaseException as raised:
            error = raised
        finally:
            mark.end()
            try:
                active.reset(token)
            except ValueError:  # closed from another context than it ran in
                pass
        step = await drive_to_run(guard, flow, value, error)
    return step.result()


async def drive_to_run(
    guard: Guard, flow: Flow, value: Any = None, error: BaseException | None = None
) -> Run | Done:
    """Drive up to the next `Run`, or to the end (`Done`)."""
    while True:
        try:
            op = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as stop:
            return Done(stop.value)
        if isinstance(op, Run):
            return op
        kind = type(op)
        value, error = None, None
        try:
            if kind is Buffer or kind is Notify or (isinstance(op, Record) and not op.durable):
                value = perform(guard, op)
            elif isinstance(op, Wait):
                value = await guard.waiter.wait(op.approval.id, tenant=guard.tenant)
            elif isinstance(op, Fetch):
                value = await _fetch(guard, op)
            else:
                value = await _shielded(guard, op)
        except GeneratorExit:
            _close(guard, flow)
            raise
        except BaseException as raised:
            error = raised


def _close(guard: Guard, flow: Flow) -> None:
    try:
        advance(guard, flow, error=asyncio.CancelledError("the event loop was closed"))
    except BaseException as error:
        log.debug("a call ended with its event loop: %s", type(error).__name__)


async def _shielded(guard: Guard, op: Operation) -> Any:
    try:
        future = asyncio.get_running_loop().run_in_executor(guard.store_thread, perform, guard, op)
    except RuntimeError:
        # The guard was closed: its thread is gone, and what ends now is recorded here, if it still can be.
        return perform(guard, op)
    try:
        await asyncio.wait((future,))
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:
                continue
        failed = future.exception()
        if failed is not None:
            log.error("a cancelled call could not be recorded: %s", told(failed))
        raise
    return future.result()


# -- facts and waiting


_provider_turns: Final = threading.BoundedSemaphore(MAX_PROVIDERS)


def _merge(into: dict[str, Any], found: object) -> None:
    if not isinstance(found, Mapping):
        log.warning("a fact provider returned a %s instead of a mapping", type(found).__name__)
        return
    for name, value in list(islice(found.items(), 64)):
        if isinstance(name, str) and isinstance(value, Mapping):
            into[name] = {**into.get(name, {}), **freeze(value).view}  # bounded, whatever it is


def _ask(provider: Any, op: Fetch) -> Future[Any]:
    """Ask a provider in a thread of its own, for it may never answer; how many may hang is bounded."""
    answer: Future[Any] = Future()

    async def wait(found: Any) -> Any:
        return await found

    def work() -> None:
        found: Any = None
        outcome: BaseException | None = None
        try:
            found = provider(op.request, op.names)
            if inspect.isawaitable(found):
                found = asyncio.run(wait(found))
        except BaseException as error:
            outcome = error
        finally:
            _provider_turns.release()
        if not answer.set_running_or_notify_cancel():
            return
        if outcome is None:
            answer.set_result(found)
        else:
            answer.set_exception(outcome)

    if not _provider_turns.acquire(blocking=False):
        answer.set_exception(TimeoutError("too many fact providers do not answer"))
        return answer
    threading.Thread(target=work, name="agentguard-facts", daemon=True).start()
    return answer


async def _fetch(guard: Guard, op: Fetch) -> Mapping[str, Any]:
    known: dict[str, Any] = {}

    async def ask(provider: Any) -> None:
        try:
            if inspect.iscoroutinefunction(provider):
                found = await provider(op.request, op.names)
            else:
                found = await asyncio.wrap_future(_ask(provider, op))
            _merge(known, found)
        except Exception as error:
            log.warning("a fact provider failed: %s", type(error).__name__)

    tasks = [asyncio.ensure_future(ask(provider)) for provider in guard.providers]
    try:
        _, late = await asyncio.wait(tasks, timeout=FACTS_SECONDS)
    finally:
        for task in tasks:
            task.cancel()
    if late:
        log.warning("%d fact provider(s) took longer than %s s", len(late), FACTS_SECONDS)
    return dict(known)


def _fetch_sync(guard: Guard, op: Fetch) -> Mapping[str, Any]:
    known: dict[str, Any] = {}
    deadline = time.monotonic() + FACTS_SECONDS
    for answer in [_ask(provider, op) for provider in guard.providers]:
        try:
            _merge(known, answer.result(timeout=max(0.0, deadline - time.monotonic())))
        except FutureTimeout:
            answer.cancel()
            log.warning("a fact provider took longer than %s s", FACTS_SECONDS)
        except Exception as error:
            log.warning("a fact provider failed: %s", type(error).__name__)
    return known


def _wait_sync(guard: Guard, op: Wait) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return guard.waiter.wait_blocking(op.approval.id, tenant=guard.tenant)
    raise WouldBlock
