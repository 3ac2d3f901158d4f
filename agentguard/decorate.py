"""Turning a function into a guarded one that looks, types and awaits as before.

The guarded function keeps name, signature, annotations and kind (plain, coroutine, generator, asynchronous
generator), and has no `__wrapped__`: the function below is not handed out. Its code runs with the module of
the original as its globals, so that annotations written as text resolve as they did.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agentguard.drivers import Done, advance, drive_sync
from agentguard.errors import ConfigurationError
from agentguard.operations import Closed

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.tools import Tool

__all__ = ["decorator", "kind_of"]


def kind_of(function: Callable[..., Any]) -> str:
    """`sync`, `async`, `generator` or `async generator`."""
    if inspect.isasyncgenfunction(function):
        return "async generator"
    if inspect.isgeneratorfunction(function):
        return "generator"
    if inspect.iscoroutinefunction(function):
        return "async"
    return "sync"


def decorator(
    guard: Guard, name: str | None, **options: Any
) -> Callable[[types.FunctionType], Callable[..., Any]]:
    """What registers a function under a name, by default its own, and returns the guarded one; `options` are
    those of `Guard.tool`."""

    def decorate(function: types.FunctionType) -> Callable[..., Any]:
        _check_function(function)
        tool = guard.register(name if name is not None else function.__name__, function, **options)
        guard.registry.raw[tool.name] = function
        return _guarded(guard, tool, function)

    return decorate


def _check_function(function: object) -> None:
    """Refuse what cannot be decorated.

    Raises:
        ConfigurationError: not a plain function (decorate the function, not a class or a partial).
    """
    if not isinstance(function, types.FunctionType):
        raise ConfigurationError(
            f"only functions can be decorated, not a {type(function).__name__}; put `@guard.tool` next to "
            "the function, below `@staticmethod` and the like, or use `guard.register(name, callable)`"
        )


def _guarded(guard: Guard, tool: Tool, function: types.FunctionType) -> Callable[..., Any]:
    """The guarded function."""
    make = {
        "sync": _sync,
        "async": _async,
        "generator": _generator,
        "async generator": _async_generator,
    }[kind_of(function)]
    inner = make(guard, tool, function)
    wrapper = types.FunctionType(
        inner.__code__, function.__globals__, function.__name__, inner.__defaults__, inner.__closure__
    )
    functools.update_wrapper(wrapper, function)
    del wrapper.__wrapped__  # type: ignore[attr-defined]
    wrapper.__kwdefaults__ = None
    wrapper.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    wrapper.__agentguard__ = tool  # type: ignore[attr-defined]
    return wrapper


# INVARIANT: the inner functions below name nothing global: they run with the globals of the tool's module.


def _sync(guard: Guard, tool: Tool, function: types.FunctionType) -> types.FunctionType:
    begin, drive_ = guard.begin, drive_sync

    def call(*args: Any, **kwargs: Any) -> Any:
        flow, run = begin(tool, function, args, kwargs)
        if flow is None:
            return run({})
        return drive_(guard, flow, run, lends=False)

    return call  # type: ignore[return-value]


def _async(guard: Guard, tool: Tool, function: types.FunctionType) -> types.FunctionType:
    from agentguard.asyncdriver import drive  # here: synchronous programs need no event loop

    begin, drive_ = guard.begin, drive

    async def call(*args: Any, **kwargs: Any) -> Any:
        flow, run = begin(tool, function, args, kwargs)
        if flow is None:
            return await run({})
        return await drive_(guard, flow, run, lends=False)

    return call  # type: ignore[return-value]


def _generator(guard: Guard, tool: Tool, function: types.FunctionType) -> types.FunctionType:
    begin, advance_, kind, done_type = guard.begin, advance, type, Done
    closed, base, exit_ = Closed, BaseException, GeneratorExit

    def call(*args: Any, **kwargs: Any) -> Any:
        flow, run = begin(tool, function, args, kwargs, True)
        if flow is None:
            return (yield from run({}))
        step: Any = advance_(guard, flow)
        if kind(step) is done_type:
            return step.result()
        try:
            value = yield from run(step.arguments)
        except exit_:
            advance_(guard, flow, None, closed())
            raise
        except base as error:
            advance_(guard, flow, None, error)
            raise
        ended: Any = advance_(guard, flow, value)
        return ended.result()

    return call  # type: ignore[return-value]


def _async_generator(guard: Guard, tool: Tool, function: types.FunctionType) -> types.FunctionType:
    from agentguard.asyncdriver import drive_to_run

    begin, advance_, kind, done_type = guard.begin, advance, type, Done
    closed, base, exit_, stop_, stepping = (
        Closed,
        BaseException,
        GeneratorExit,
        StopAsyncIteration,
        drive_to_run,
    )

    async def call(*args: Any, **kwargs: Any) -> Any:
        flow, run = begin(tool, function, args, kwargs, True)
        if flow is None:
            source = run({})
        else:
            step: Any = await stepping(guard, flow)
            if kind(step) is done_type:
                step.result()
                return
            source = run(step.arguments)
        try:
            send = thrown = None
            while True:
                try:
                    item = await (source.asend(send) if thrown is None else source.athrow(thrown))
                except stop_:
                    break
                send = thrown = None
                try:
                    send = yield item
                except exit_:
                    await source.aclose()
                    raise
                except base as error:
                    thrown = error
        except exit_:
            if flow is not None:
                advance_(guard, flow, None, closed())
            raise
        except base as error:
            if flow is not None:
                advance_(guard, flow, None, error)
            raise
        if flow is not None:
            await stepping(guard, flow, None)

    return call  # type: ignore[return-value]
