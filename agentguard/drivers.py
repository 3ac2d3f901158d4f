"""Driving the flow on this thread: what every operation does, and the synchronous driver.

Only here and in `agentguard.asyncdriver` is anything waited for or written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from agentguard.canonical import Frozen
from agentguard.errors import ConfigurationError
from agentguard.operations import (
    Buffer,
    Change,
    Claim,
    Consult,
    Count,
    Failed,
    Fetch,
    Flow,
    Load,
    Notify,
    Open,
    Operation,
    Record,
    Refresh,
    Run,
    Take,
    Vet,
    Wait,
    WouldBlock,
)
from agentguard.providers import fetch_sync

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.session import Session

__all__ = ["Active", "Done", "active", "advance", "close", "drive_sync", "finished", "lending", "perform"]

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
            store.append(tenant, op.events, payloads=op.payloads, durable=op.durable, register=op.register)
            op.done = True
            return None
        case Buffer():
            guard.recorder.add(op.make)
            op.done = True
            return None
        case Open():
            if op.payloads:
                store.append(tenant, (), payloads=op.payloads)
            found = store.open_approval(op.approval, op.events, register=op.register, quota=op.quota)
            op.done = True
            return found
        case Claim():
            claimed = store.claim(tenant, op.approval_id, op.digest, op.events, register=op.register)
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
        case Refresh():
            guard.in_force.refresh()
            return None
        case Count():
            return guard.recent.count(op.agent, op.tool, guard.now())
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
                value = fetch_sync(guard, op)
            elif type(op) is Consult:
                value = _consult(op)
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


def drive_sync(guard: Guard, flow: Flow, run: Callable[[dict[str, Any]], Any], *, lends: bool = True) -> Any:
    """Run a whole call on this thread.

    `lends` says that `run` leads to a tool of a framework's, in which a guarded function with the same
    arguments is the same call. A guarded function lends to nobody: what it calls are calls of their own,
    itself included.
    """
    step = advance(guard, flow)
    while isinstance(step, Run):
        mark = Active(guard, step)
        token = active.set(mark if lends else None)
        try:
            value, error = finished(run(step.arguments), step.tool), None
        except GeneratorExit:
            close(guard, flow)
            raise
        except BaseException as raised:
            value, error = None, raised
        finally:
            active.reset(token)
            mark.end()
        step = advance(guard, flow, value, error)
        value = error = None  # a traceback through here shows neither a result nor an error that is withheld
    return step.result()


@contextmanager
def lending(lends: bool) -> Iterator[None]:
    """Take the mark of the running call away from what runs inside, unless it is a framework's tool."""
    if lends:
        yield
        return
    token = active.set(None)
    try:
        yield
    finally:
        active.reset(token)


def finished(value: Any, tool: str) -> Any:
    """What a function returned, unless its work has yet to happen: that would run unrecorded."""
    kind = type(value)
    if not (hasattr(kind, "__await__") or kind is GeneratorType or kind is AsyncGeneratorType):
        return value
    stop = getattr(value, "close", None) or getattr(value, "cancel", None)
    if callable(stop):  # an asynchronous generator that was never begun has nothing to close
        stop()
    raise ConfigurationError(
        f"`{tool}` returned work that is yet to happen ({kind.__name__}); await it inside an `async def`, or "
        "`yield` from the function itself, so that the guard sees it end"
    )


def close(guard: Guard, flow: Flow) -> None:
    """The loop or the generator is gone: what is left of the call is done here and now."""
    from asyncio import CancelledError

    try:
        advance(guard, flow, error=CancelledError("the event loop was closed"))
    except BaseException as error:
        log.debug("a call ended with its event loop: %s", type(error).__name__)


def _wait_sync(guard: Guard, op: Wait) -> Any:
    from asyncio import get_running_loop  # here: few synchronous calls wait

    try:
        get_running_loop()
    except RuntimeError:
        return guard.waiter.wait_blocking(op.approval_id, tenant=guard.tenant)
    raise WouldBlock


def _consult(op: Consult) -> Any:
    from agentguard.engines.consulting import consult_sync, facts_of  # here: few guards ask others

    return facts_of(consult_sync(op.engines, op.request))
