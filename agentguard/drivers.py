"""The only places that know about waiting: one asynchronous and one synchronous driver of the flow.

Writes are shielded: once a write has begun, a cancelled task waits for its end (bounded by the store's own
time-out) before the cancellation goes on into the flow.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from agentguard.canonical import Frozen
from agentguard.flow import Flow
from agentguard.operations import (
    Buffer,
    Change,
    Claim,
    Failed,
    Fetch,
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

if TYPE_CHECKING:
    from agentguard.guard import Guard

__all__ = ["Active", "Done", "active", "advance", "drive", "drive_sync", "drive_to_run"]

FACTS_SECONDS: Final = 2.0
"""How long the fact providers of one call may take together; what is missing then is absent."""

log = logging.getLogger("agentguard")


class Active:
    """A guarded call that is running: a guarded function it runs with the same arguments is the same call."""

    __slots__ = ("canonical", "guard", "tool", "used")

    def __init__(self, guard: Guard, tool: str, canonical: bytes) -> None:
        self.guard = guard
        self.tool = tool
        self.canonical = canonical
        self.used = False

    def take(self, guard: Guard, tool: str, frozen: Frozen) -> bool:
        """True once, for the same tool with the same arguments."""
        if self.used or self.guard is not guard or self.tool != tool or self.canonical != frozen.canonical:
            return False
        self.used = True
        return True


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


def advance(guard: Guard, flow: Flow, value: Any = None, error: BaseException | None = None) -> Run | Any:
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


def drive_sync(guard: Guard, flow: Flow, tool: str, run: Callable[[dict[str, Any]], Any]) -> Any:
    """Run a whole call on this thread."""
    step = advance(guard, flow)
    while type(step) is Run:
        token = active.set(Active(guard, tool, step.frozen.canonical))
        try:
            value, error = run(step.arguments), None
        except BaseException as raised:
            value, error = None, raised
        finally:
            active.reset(token)
        step = advance(guard, flow, value, error)
    return step.result()


async def drive(guard: Guard, flow: Flow, tool: str, run: Callable[[dict[str, Any]], Awaitable[Any]]) -> Any:
    """Run a whole call on this event loop; the store is used on a thread of its own."""
    step = await drive_to_run(guard, flow)
    while type(step) is Run:
        value: Any = None
        error: BaseException | None = None
        token = active.set(Active(guard, tool, step.frozen.canonical))
        try:
            value = await run(step.arguments)
        except GeneratorExit:
            # The loop is gone: nothing can be awaited, so the rest is done here and now.
            _close(guard, flow)
            raise
        except BaseException as raised:
            error = raised
        finally:
            active.reset(token)
        step = await drive_to_run(guard, flow, value, error)
    return step.result()


async def drive_to_run(
    guard: Guard, flow: Flow, value: Any = None, error: BaseException | None = None
) -> Run | Any:
    """Drive up to the next `Run`, or to the end (`Done`)."""
    while True:
        try:
            op = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as stop:
            return Done(stop.value)
        kind = type(op)
        if kind is Run:
            return op
        value, error = None, None
        try:
            if kind is Buffer or kind is Notify:
                value = perform(guard, op)
            elif kind is Wait:
                value = await guard.waiter.wait(op.approval.id, tenant=guard.tenant)
            elif kind is Fetch:
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
    future = asyncio.get_running_loop().run_in_executor(guard.store_thread, perform, guard, op)
    try:
        await asyncio.wait((future,))
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:
                continue
        if future.exception() is not None:
            log.error("a cancelled call could not be recorded: %s", future.exception())
        raise
    return future.result()


# -- facts and waiting


def _merge(into: dict[str, Any], found: object, provider: object) -> None:
    if not isinstance(found, Mapping):
        log.warning("a fact provider returned a %s instead of a mapping: %r", type(found).__name__, provider)
        return
    for name, value in found.items():
        if isinstance(name, str) and isinstance(value, Mapping):
            into[name] = {**into.get(name, {}), **value}


async def _fetch(guard: Guard, op: Fetch) -> Mapping[str, Any]:
    known: dict[str, Any] = {}

    async def ask(provider: Any) -> None:
        try:
            if inspect.iscoroutinefunction(provider):
                found = await provider(op.request, op.names)
            else:
                found = await asyncio.to_thread(provider, op.request, op.names)
                if inspect.isawaitable(found):
                    found = await found
        except Exception as error:
            log.warning("a fact provider failed: %s", type(error).__name__)
        else:
            _merge(known, found, provider)

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

    def ask(provider: Any) -> object:
        found = provider(op.request, op.names)
        if inspect.isawaitable(found):

            async def wait() -> object:
                return await found

            return asyncio.run(wait())
        return found

    futures = [guard.fact_threads.submit(ask, provider) for provider in guard.providers]
    for provider, future in zip(guard.providers, futures, strict=True):
        try:
            _merge(known, future.result(timeout=FACTS_SECONDS), provider)
        except FutureTimeout:
            future.cancel()
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
