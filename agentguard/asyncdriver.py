"""The asynchronous driver of the flow: the store is used on a thread of its own, the event loop never waits.

Writes are shielded: once a write has begun, a cancelled task waits for its end (bounded by the store's own
time-out) before the cancellation goes on into the flow.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentguard import providers
from agentguard.drivers import Active, Done, active, close, finished, perform
from agentguard.operations import Buffer, Consult, Fetch, Flow, Notify, Operation, Record, Run, Wait
from agentguard.providers import ask, merge
from agentguard.recording import told

if TYPE_CHECKING:
    from agentguard.engines import Engine
    from agentguard.guard import Guard
    from agentguard.opinion import Opinion

__all__ = ["drive", "drive_to_run"]

log = logging.getLogger("agentguard")


async def drive(
    guard: Guard, flow: Flow, run: Callable[[dict[str, Any]], Awaitable[Any]], *, lends: bool = True
) -> Any:
    """Run a whole call on this event loop; the store is used on a thread of its own."""
    step = await drive_to_run(guard, flow)
    while isinstance(step, Run):
        value: Any = None
        error: BaseException | None = None
        mark = Active(guard, step)
        token = active.set(mark if lends else None)
        try:
            found: Any = run(step.arguments)
            value = finished(await found if hasattr(type(found), "__await__") else found, step.tool)
        except GeneratorExit:
            # The loop is gone: nothing can be awaited, so the rest is done here and now.
            close(guard, flow)
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
        value = error = found = None  # for tracebacks
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
            if kind is Buffer or kind is Notify or _waits_for_nothing(op):
                value = perform(guard, op)
            elif isinstance(op, Wait):
                value = await guard.waiter.wait(op.approval_id, tenant=guard.tenant)
            elif isinstance(op, Fetch):
                value = await _fetch(guard, op)
            elif isinstance(op, Consult):
                value = await _consult(op)
            else:
                value = await _shielded(guard, op)
        except GeneratorExit:
            close(guard, flow)
            raise
        except BaseException as raised:
            error = raised


def _waits_for_nothing(op: Operation) -> bool:
    """An outcome, which the store keeps in memory for a moment; payloads are written at once."""
    return isinstance(op, Record) and not op.durable and not op.payloads


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


async def _fetch(guard: Guard, op: Fetch) -> Mapping[str, Any]:
    known: dict[str, Any] = {}

    async def answer(provider: Any) -> None:
        try:
            if inspect.iscoroutinefunction(provider):
                found = await provider(op.request, op.names)
            else:
                found = await asyncio.wrap_future(ask(provider, op.request, op.names))
            merge(known, found)
        except Exception as error:
            log.warning("a fact provider failed: %s", type(error).__name__)

    tasks = [asyncio.ensure_future(answer(provider)) for provider in guard.providers]
    try:
        _, late = await asyncio.wait(tasks, timeout=providers.FACTS_SECONDS)
    finally:
        for task in tasks:
            task.cancel()
    if late:
        log.warning("%d fact provider(s) took longer than %s s", len(late), providers.FACTS_SECONDS)
    return dict(known)


async def _consult(op: Consult) -> Mapping[str, Any]:
    """Every engine side by side, each within its own time."""
    from agentguard.engines.consulting import checked, facts_of, failed

    async def answer(engine: Engine) -> Opinion:
        try:
            if inspect.iscoroutinefunction(engine.decide):
                return checked(engine, await asyncio.wait_for(engine.decide(op.request), engine.timeout_s))
            if engine.local:
                return checked(engine, engine.decide(op.request))
            future = asyncio.wrap_future(ask(engine.decide, op.request))
            return checked(engine, await asyncio.wait_for(future, engine.timeout_s))
        except Exception as error:
            return failed(engine, error)

    opinions = await asyncio.gather(*[answer(engine) for engine in op.engines])
    return facts_of({engine.name: found for engine, found in zip(op.engines, opinions, strict=True)})
