"""Guarded tools: a subclass for each type of tool, made on demand, and a copy of the tool as its instance.

The guard stands at `_run` and `_arun`, inside of LangChain's own handling: it decides on the validated
arguments, the tool runs with the very copy that was decided on, callbacks are given the result as it was
redacted, and `handle_tool_error` applies to a denial as to any error of a tool.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import threading
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeGuard

from langchain_core.tools import BaseTool
from langchain_core.tools import tool as create_tool
from pydantic import PrivateAttr

from agentguard import AgentIdentity, ConfigurationError, Guard, Principal, Tool, ToolCallDenied
from agentguard_langchain.answers import Resolver
from agentguard_langchain.arguments import Parameters, fits, misfit, schema_of, unwritable
from agentguard_langchain.coverage import Guarded, gaps
from agentguard_langchain.denial import Refused
from agentguard_langchain.gate import (
    Calling,
    Gate,
    Pause,
    already_ran,
    apass,
    calling,
    inside,
    parts_of,
    pass_,
)
from agentguard_langchain.sessions import PrincipalOf, Sessions
from agentguard_langchain.steps import AHEAD, Steps, awalk, walk

__all__ = ["bound", "gate_of", "guard_tools", "guarded"]

log = logging.getLogger("agentguard")


def guard_tools(
    guard: Guard,
    tools: Iterable[Any],
    *,
    agent: AgentIdentity | None = None,
    principal: str | Principal | PrincipalOf | None = None,
    pause: Pause | None = None,
    resolver: Resolver | None = None,
    strict: bool = False,
) -> list[Any]:
    """The same tools with the guard before them; the tools that were passed stay as they are.

    Each call acts in the session of the context, or, with `agent`, in a session of the LangGraph thread for
    `principal`. `pause` says what a step-up does: `interrupt` the graph, `wait`, or `raise ApprovalPending`;
    by default it interrupts where a checkpointer keeps the run and else does what the session says.
    `resolver` makes votes of what comes back on resume; here the answer has to name its approval
    (`approval_id`), because a ToolNode hands answers out by position.

    Provider tools (mappings) are passed through: nobody can stand before them. `strict` refuses them, and
    agents behind a tool whose own tools are not guarded.

    Raises:
        ConfigurationError: `strict` found a way around the guard, or a tool's name is refused.
    """
    if principal is not None and agent is None:
        raise ConfigurationError("a principal needs an agent that acts for it; pass agent= too")
    sessions = Sessions(guard, agent, principal) if agent is not None else None
    given = [tool if isinstance(tool, (BaseTool, dict)) else create_tool(tool) for tool in tools]
    found = gaps(given, guarded=True)
    if found and strict:
        raise ConfigurationError("strict: " + "; ".join(found))
    for gap in found:
        log.warning("not covered by the guard: %s", gap)
    return [
        tool
        if isinstance(tool, dict)
        else guarded(guard, tool, pause=pause, resolver=resolver, sessions=sessions)
        for tool in given
    ]


def guarded(
    guard: Guard,
    tool: BaseTool,
    *,
    pause: Pause | None = None,
    resolver: Resolver | None = None,
    sessions: Sessions | None = None,
) -> BaseTool:
    """A guarded copy of one tool."""
    if pause not in (None, "interrupt", "wait", "raise"):
        raise ConfigurationError(f"pause must be `interrupt`, `wait` or `raise`, not {pause!r}")
    if _is_guarded(tool):
        if gate_of(tool).guard is not guard:
            raise ConfigurationError(f"`{tool.name}` is guarded already, by another guard")
        return tool
    function = _function(tool)
    parameters = Parameters.of(tool, function)
    registered = _known(guard, tool, function, parameters)
    copy = tool.model_copy()
    object.__setattr__(copy, "__class__", _class_of(type(tool)))
    if copy.__pydantic_private__ is None:
        object.__setattr__(copy, "__pydantic_private__", {})
    for name in ("func", "coroutine"):
        own = getattr(copy, name, None)
        if isinstance(own, types.FunctionType) and not hasattr(own, "__agentguard__"):
            object.__setattr__(copy, name, _sealed(own, registered))
    gate = Gate(
        guard=guard,
        tool=registered,
        parameters=parameters,
        parts=parts_of(copy),
        pause=pause,
        resolver=resolver,
        sessions=sessions,
    )
    _set_gate(copy, gate)
    return copy


def bound(tool: BaseTool, **changes: Any) -> BaseTool:
    """Another copy of a guarded tool, before which another gate stands."""
    copy = tool.model_copy()
    _set_gate(copy, replace(gate_of(tool), **changes))
    return copy


def gate_of(tool: BaseTool) -> Gate:
    """What stands before a guarded tool."""
    gate: Gate = tool.__pydantic_private__["_agentguard"]  # type: ignore[index]
    return gate


def _set_gate(tool: BaseTool, gate: Gate) -> None:
    assert tool.__pydantic_private__ is not None
    tool.__pydantic_private__["_agentguard"] = gate


def _is_guarded(tool: BaseTool) -> TypeGuard[BaseTool]:
    return isinstance(tool, Guarded)


def _function(tool: BaseTool) -> Callable[..., Any]:
    """What runs in the end: the wrapped function, or the tool's own method."""
    for name in ("func", "coroutine"):
        found = getattr(tool, name, None)
        if callable(found):
            return typing.cast("Callable[..., Any]", found)
    kind = type(tool)
    own_async = kind._arun is not BaseTool._arun and getattr(kind._run, "__isabstractmethod__", False)
    return tool._arun if own_async else tool._run


def _known(guard: Guard, tool: BaseTool, function: Callable[..., Any], parameters: Parameters) -> Tool:
    """The tool as the guard knows it: as its function was decorated, as registered, or registered now."""
    for name in ("func", "coroutine"):
        own = getattr(getattr(tool, name, None), "__agentguard__", None)
        if isinstance(own, Tool) and guard.tools.get(own.name) is own:
            return own
    known = guard.tools.get(tool.name)
    if known is not None and known.run is None and not known.where:
        return known
    signature: Mapping[str, Any] | None
    try:
        signature = inspect.signature(function).parameters
    except (TypeError, ValueError):
        signature = None
    return guard.register(
        tool.name,
        function if signature is not None else None,
        injected=parameters.injected & set(signature or ()),
        definition={
            "schema": schema_of(tool),
            "coroutine": _fingerprint(getattr(tool, "coroutine", None)),
        },
        arguments=parameters.visible,
        check=fits(tool),
    )


def _fingerprint(function: Any) -> str:
    """What the second function of a tool consists of; the first is in the tool's digest anyway."""
    state, pending = hashlib.sha256(), [getattr(function, "__code__", None)]
    while pending:
        code = pending.pop()
        if isinstance(code, types.CodeType):
            state.update(code.co_code + repr((code.co_names, code.co_varnames)).encode())
            state.update(
                repr([item for item in code.co_consts if isinstance(item, (str, int, float))]).encode()
            )
            pending += code.co_consts
    return state.hexdigest()


_classes: Final[dict[tuple[Any, ...], type[BaseTool]]] = {}
_lock = threading.Lock()


def _class_of(kind: type[BaseTool]) -> type[BaseTool]:
    methods = (kind, kind.run, kind.arun, kind._run, kind._arun)  # a patched class is another one
    with _lock:
        found = _classes.get(methods)
        if found is None:
            found = _classes[methods] = _make(kind)
        return found


def _make(kind: type[BaseTool]) -> type[BaseTool]:
    """A subclass that looks like its base: LangChain reads the signatures of `_run` and `_arun`."""
    base_run, base_arun, base_inner, base_ainner = kind.run, kind.arun, kind._run, kind._arun

    @functools.wraps(base_run)
    def run(self: BaseTool, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
        return walk(
            _invocation(self, tool_input, kwargs), lambda: base_run(self, tool_input, *args, **kwargs)
        )

    @functools.wraps(base_arun)
    async def arun(self: BaseTool, tool_input: Any, *args: Any, **kwargs: Any) -> Any:
        return await awalk(
            _invocation(self, tool_input, kwargs), lambda: base_arun(self, tool_input, *args, **kwargs)
        )

    @functools.wraps(base_inner)
    def _run(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        gate = gate_of(self)
        if inside.get() is gate.tool:
            return base_inner(self, *args, **kwargs)
        raw: list[Any] = []
        arguments, injected = gate.parameters.split(gate.tool, args, kwargs)

        def go(final: dict[str, Any]) -> Any:
            positional, named = gate.parameters.join(len(args), final, injected)
            raw.append(base_inner(self, *positional, **named))
            return raw[0]

        return _shaped(self, pass_(_calling_of(self, args, kwargs), arguments, go), raw)

    @functools.wraps(base_ainner)
    async def _arun(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        gate = gate_of(self)
        if inside.get() is gate.tool:
            return await base_ainner(self, *args, **kwargs)
        raw: list[Any] = []
        arguments, injected = gate.parameters.split(gate.tool, args, kwargs)

        async def go(final: dict[str, Any]) -> Any:
            positional, named = gate.parameters.join(len(args), final, injected)
            raw.append(await base_ainner(self, *positional, **named))
            return raw[0]

        return _shaped(self, await apass(_calling_of(self, args, kwargs), arguments, go), raw)

    names: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__annotations__": {"_agentguard": Any},
        "_agentguard": PrivateAttr(default=None),
        "run": run,
        "arun": arun,
        "_run": _run,
    }
    if base_ainner is not BaseTool._arun:
        names["_arun"] = _arun
    meta: Any = type(kind)
    return typing.cast("type[BaseTool]", meta(kind.__name__, (Guarded, kind), names))


def _invocation(tool: BaseTool, given: Any, options: Mapping[str, Any]) -> Steps:
    """One `run` of a tool around LangChain's own: its answer, also where it ran before or does not run."""
    call = Calling(gate_of(tool), tool, given, options.get("tool_call_id"), options.get("config"))
    try:
        earlier = call.earlier()
        if earlier is not None:
            if earlier.over:
                return earlier.output
            raise already_ran(unfinished=True)
        problem = unwritable(given)
        if problem is None and call.tool_call_id:
            problem = misfit(tool, call.gate.parameters, given)
        if problem is not None:
            yield functools.partial(call.unfit, *problem)
        tokens = calling.set(call), inside.set(None)
        try:
            output = yield AHEAD
        finally:
            calling.reset(tokens[0])
            inside.reset(tokens[1])
    except Refused as refused:
        if call.tool_call_id is None:
            raise
        output = refused.message(tool.name, call.tool_call_id)
    call.answered(output)
    return output


def _calling_of(tool: BaseTool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Calling:
    """The invocation that led here; a direct call of `_run` is one of its own."""
    found = calling.get()
    if found is not None and found.gate is gate_of(tool) and not found.used:
        found.used = True
        return found
    return Calling(gate_of(tool), tool, {**kwargs, "": args})


def _shaped(tool: BaseTool, result: Any, raw: list[Any]) -> Any:
    """Masking parts of a (content, artifact) pair leaves a list, or text: make it a pair again."""
    if tool.response_format != "content_and_artifact" or not raw or result is raw[0]:
        return result
    return tuple(result) if isinstance(result, list) and len(result) == 2 else (result, None)


def _sealed(function: types.FunctionType, tool: Tool) -> Callable[..., Any]:
    """The function of a guarded tool, which runs inside of a guarded call only."""

    def check() -> None:
        if inside.get() is not tool:
            raise ToolCallDenied(
                tool.name,
                "agentguard/bypass",
                "the function was called around the guard",
                remedy="ask_operator",
            )

    if inspect.iscoroutinefunction(function):

        async def acall(*args: Any, **kwargs: Any) -> Any:
            check()
            return await function(*args, **kwargs)

        seal: Any = acall
    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            check()
            return function(*args, **kwargs)

        seal = call
    functools.update_wrapper(seal, function)
    del seal.__wrapped__
    seal.__signature__ = inspect.signature(function)
    try:
        seal.__annotations__ = typing.get_type_hints(function, include_extras=True)
    except Exception:
        seal.__annotations__ = dict(function.__annotations__)
    return seal  # type: ignore[no-any-return]
