"""The tools of a loop by the names the model uses, each with what the guard knows about it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentguard import ConfigurationError, Guard, Tool
from agentguard.binding import Binder

__all__ = ["Callee", "Tools", "Usable", "toolbox"]


class Executable(Protocol):
    """A function of the SDK's tool runner, as `guard_runner_tools` answers it."""

    @property
    def execute(self) -> Callable[..., Any]: ...


Tools = Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any] | Executable]
"""Functions by the model's name for them, or functions that are called as they are named."""


class Usable(Protocol):
    """A tool as a turn uses it: arguments are bound before the decision, and run after it."""

    @property
    def tool(self) -> Tool: ...

    def bind(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments to decide on; TypeError or ArgumentsError when they do not fit."""
        ...

    def text_parameter(self) -> str | None:
        """The one parameter that takes the text of a custom tool call, if there is one."""
        ...

    def run(self, arguments: dict[str, Any]) -> Any: ...

    async def arun(self, arguments: dict[str, Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Callee:
    """A function, its fixed arguments (of a partial) and what is injected into it."""

    tool: Tool
    function: Callable[..., Any]
    binder: Binder
    fixed: tuple[Any, ...]
    fixed_named: Mapping[str, Any]
    injected: Mapping[str, Any]

    def bind(self, arguments: dict[str, Any]) -> dict[str, Any]:
        named = dict(arguments)
        taken = sorted(named.keys() & (self.fixed_named.keys() | self.binder.injected))
        if taken:
            raise TypeError(f"got an unexpected keyword argument {taken[0]!r}")
        positional = list(self.fixed)
        parameters = list(self.binder.signature.parameters.values())
        for parameter in parameters[len(self.fixed) :]:
            # JSON knows names only, and a positional-only parameter cannot be passed by one.
            if parameter.kind is not parameter.POSITIONAL_ONLY or parameter.name not in named:
                break
            positional.append(named.pop(parameter.name))
        bound, _ = self.binder.bind(tuple(positional), {**named, **self.fixed_named, **self.injected})
        return bound

    def text_parameter(self) -> str | None:
        named = [
            parameter
            for parameter in self.binder.signature.parameters.values()
            if parameter.name not in self.binder.injected
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        free = [item for item in named[len(self.fixed) :] if item.name not in self.fixed_named]
        required = [item for item in free if item.default is item.empty]
        chosen = required or free
        return chosen[0].name if chosen and len(required) <= 1 else None

    def run(self, arguments: dict[str, Any]) -> Any:
        result = self._call(arguments)
        if inspect.isasyncgen(result):
            raise TypeError("an asynchronous tool in a synchronous loop; use `run_tool_calls`")
        return result

    async def arun(self, arguments: dict[str, Any]) -> Any:
        if asynchronous(self.function):
            result = self._call(arguments)
        else:
            result = await asyncio.to_thread(self._in_thread, arguments)
        if inspect.isasyncgen(result):
            async with contextlib.aclosing(result) as stream:
                return [item async for item in stream]
        return await result if inspect.isawaitable(result) else result

    def _call(self, arguments: dict[str, Any]) -> Any:
        args, kwargs = self.binder.spread({**arguments, **self.injected})
        result = self.function(*args, **kwargs)
        # A generator is drained here, inside the call, and not later by whoever reads the result.
        return list(result) if inspect.isgenerator(result) else result

    def _in_thread(self, arguments: dict[str, Any]) -> Any:
        try:
            return self._call(arguments)
        except StopIteration as error:
            # It cannot cross a future: the waiting task would never wake up.
            raise RuntimeError("the tool raised StopIteration") from error


def asynchronous(function: Callable[..., Any]) -> bool:
    """Whether calling it answers an awaitable or an asynchronous generator."""
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in (function, getattr(function, "__call__", None))  # noqa: B004
    )


def toolbox(
    guard: Guard, tools: Tools, injected: Mapping[str, Any] | None, synchronous: bool
) -> dict[str, Usable]:
    """What the model may call, by its names.

    Raises:
        ConfigurationError: no name, a name twice, an injected parameter without a value, or an asynchronous
            tool in a synchronous loop.
    """
    named: list[tuple[str, Any]]
    if isinstance(tools, Mapping):
        named = [(str(name), function) for name, function in tools.items()]
    else:
        named = [(_name(function), function) for function in tools]
    found: dict[str, Usable] = {}
    for name, function in named:
        if name in found:
            raise ConfigurationError(f"two tools are called `{name}`; pass a mapping with other names")
        member: Usable | None = getattr(getattr(function, "execute", None), "member", None)
        callee = member if member is not None else _callee(guard, name, function, injected or {})
        if synchronous and asynchronous(getattr(callee, "function", len)):
            raise ConfigurationError(f"tool `{name}` is asynchronous; use `await run_tool_calls(...)`")
        found[name] = callee
    return found


def _name(function: Any) -> str:
    name = getattr(function, "__name__", "") or (getattr(function, "tool", None) or {}).get("name")
    if not name or name == "<lambda>":
        raise ConfigurationError("a tool in a list needs a name of its own; pass a mapping of names to tools")
    return str(name)


def _callee(guard: Guard, name: str, function: Any, given: Mapping[str, Any]) -> Callee:
    if not callable(function):
        raise ConfigurationError(f"tool `{name}` is a {type(function).__name__}, which cannot be called")
    fixed: tuple[Any, ...] = ()
    fixed_named: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        fixed, fixed_named = (*function.args, *fixed), {**function.keywords, **fixed_named}
        function = function.func
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"tool `{name}` has no signature to bind arguments to: {error}") from None
    tool = _tool(guard, name, function, signature, given)
    declared = tool.binder.injected if tool.binder is not None else frozenset(given)
    binder = Binder(signature, declared & signature.parameters.keys())
    values = {key: given[key] for key in binder.injected if key in given}
    missing = sorted(binder.injected - given.keys() - binder.optional - fixed_named.keys())
    if missing:
        raise ConfigurationError(
            f"tool `{name}` has injected parameters: pass injected={{'{missing[0]}': ...}}"
        )
    return Callee(tool, function, binder, fixed, fixed_named, values)


def _tool(
    guard: Guard, name: str, function: Any, signature: inspect.Signature, given: Mapping[str, Any]
) -> Tool:
    """The tool a function is: as it was decorated or registered, or else registered now."""
    marked = getattr(function, "__agentguard__", None)
    if isinstance(marked, Tool):
        known = guard.tools.get(marked.name)
        if known is not None and known.where == marked.where:
            return marked
    for tool in list(guard.tools.values()):
        if tool.run is not None and _same(tool.run, function):
            return tool
    known = guard.tools.get(name)
    if known is None:
        return guard.register(name, function, injected=given.keys() & signature.parameters.keys())
    if known.run is None:
        return known
    return guard.register(
        name,
        function,
        secrets=known.secrets,
        facts=known.facts,
        injected=known.binder.injected & signature.parameters.keys() if known.binder is not None else (),
        resource=known.resource,
    )


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    return isinstance(one, types.MethodType) and isinstance(other, types.MethodType) and one == other
