"""What the guard does not cover: tools that run elsewhere, agents behind tools, nodes with half a wrapper.

Nothing here can prove that all is covered; what can be seen from the objects at hand is listed.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain.agents.middleware.types import ModelRequest
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol

__all__ = ["Guarded", "Guarding", "gaps", "offered_to", "uncovered"]

_DEPTH: Final = 6


class Guarded:
    """Marks the guarded subclasses of tools."""

    __slots__ = ()


class Guarding:
    """Marks middleware that stands before tool calls."""


def uncovered(subject: Any) -> list[str]:
    """Every tool that can be reached around the guard from an agent, a graph, a ToolNode, a tool or a list of
    tools, one line each: unguarded tools, provider tools, tools of agents that are called as tools."""
    return gaps([subject], guarded=False)


def gaps(subjects: Iterable[Any], *, guarded: bool) -> list[str]:
    """The same; `guarded` says that the guard stands before the tools themselves."""
    walk = _Walk()
    for subject in subjects:
        walk.look(subject, guarded, "")
    return list(dict.fromkeys(walk.found))


def offered_to(request: ModelRequest[Any]) -> list[Any]:
    """The tools that a model is given: by the agent, and provider tools that it was bound to before."""
    bound = getattr(request.model, "kwargs", None)
    more = bound.get("tools") if isinstance(bound, Mapping) else None
    return [*request.tools, *(tool for tool in more or () if isinstance(tool, Mapping) and _provider(tool))]


def _provider(tool: Mapping[str, Any]) -> bool:
    """Whether a bound tool runs elsewhere; one that is described by its parameters can only run here."""
    described = {"parameters", "input_schema", "function_declarations"} & set(tool)
    return tool.get("type") not in ("function", "custom") and not described


class _Walk:
    def __init__(self) -> None:
        self.found: list[str] = []
        self._seen: dict[int, Any] = {}

    def look(self, subject: Any, guarded: bool, where: str) -> None:
        if isinstance(subject, (list, tuple, set, frozenset)):
            for item in subject:
                self.look(item, guarded, where)
        elif isinstance(subject, Mapping):
            name = subject.get("name") or subject.get("type") or next(iter(subject), "?")
            self.found.append(f"{where}`{name}` runs at the model's provider, where nothing stands before it")
        elif id(subject) in self._seen:
            return
        else:
            self._seen[id(subject)] = subject  # kept, so that no other object gets its id
            if isinstance(subject, BaseTool):
                self._tool(subject, guarded, where)
            elif isinstance(subject, ToolNode):
                self._node(subject, where)
            elif isinstance(subject, Pregel):
                self._graph(subject, where)
            elif isinstance(subject, PregelProtocol):
                name = getattr(subject, "name", None) or "agent"
                self.found.append(f"{where}`{name}` runs elsewhere, where nothing stands before its tools")
            elif callable(subject):
                self._function(subject, guarded, where)

    def _tool(self, tool: BaseTool, guarded: bool, where: str) -> None:
        functions = [
            f for f in (getattr(tool, "func", None), getattr(tool, "coroutine", None)) if f is not None
        ]
        decorated = bool(functions) and all(hasattr(f, "__agentguard__") for f in functions)
        if not (guarded or isinstance(tool, Guarded) or decorated):
            self.found.append(f"{where}`{tool.name}` is not guarded")
        for agent in _agents([*functions, *_fields(tool)]):
            name = getattr(agent, "name", None) or "agent"
            self.look(agent, False, f"{where}`{tool.name}` calls the agent `{name}`: ")

    def _function(self, function: Any, guarded: bool, where: str) -> None:
        name = getattr(function, "__name__", type(function).__name__)
        if not (guarded or hasattr(function, "__agentguard__")):
            self.found.append(f"{where}`{name}` is not guarded")
        for agent in _agents([function]):
            called = getattr(agent, "name", None) or "agent"
            self.look(agent, False, f"{where}`{name}` calls the agent `{called}`: ")

    def _node(self, node: ToolNode, where: str) -> None:
        sync, async_ = getattr(node, "_wrap_tool_call", None), getattr(node, "_awrap_tool_call", None)
        by_sync, by_async = _leads_to_guard(sync), _leads_to_guard(async_)
        # Without an asynchronous wrapper a ToolNode uses the synchronous one for both.
        both = by_sync and (by_async or async_ is None)
        for name, tool in node.tools_by_name.items():
            if (by_sync or by_async) and not both and not isinstance(tool, Guarded):
                how = "synchronously" if by_sync else "asynchronously"
                self.found.append(
                    f"{where}`{name}` is guarded only when it is called {how}; give the ToolNode both "
                    "`wrap_tool_call` and `awrap_tool_call`"
                )
            self.look(tool, both or by_sync or by_async, where)

    def _graph(self, graph: Pregel[Any, Any, Any, Any], where: str) -> None:
        for name, node in graph.nodes.items():
            runnable = node.bound
            if isinstance(runnable, (ToolNode, PregelProtocol)):
                self.look(runnable, False, where)
                continue
            for function in (getattr(runnable, "func", None), getattr(runnable, "afunc", None)):
                for tool in _provider_tools(function):
                    self.look(tool, False, where)
                for agent in _agents([function]) if function is not None else ():
                    self.look(agent, False, f"{where}node `{name}`: ")


def _cells(function: Any) -> dict[str, Any]:
    code, closure = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    found: dict[str, Any] = {}
    if code is not None:
        for name, cell in zip(code.co_freevars, closure or (), strict=False):
            try:
                found[name] = cell.cell_contents
            except ValueError:
                continue
    return found


def _provider_tools(function: Any) -> list[Mapping[str, Any]]:
    """The mappings among the tools that `create_agent` binds to its model."""
    tools = _cells(function).get("default_tools")
    return [tool for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []


def _next(value: Any) -> list[Any]:
    """What a value can lead to: what a function closes over, names or is bound to."""
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.FunctionType):
        spaces = value.__globals__
        named = [spaces[name] for name in value.__code__.co_names if name in spaces]
        return [
            *_cells(value).values(),
            *named,
            *(value.__defaults__ or ()),
            getattr(value, "__wrapped__", None),
        ]
    if isinstance(value, (list, tuple)):
        return list(value[:64])
    if isinstance(value, dict):
        return list(value.values())[:64]
    return []


def _fields(tool: BaseTool) -> list[Any]:
    return [value for name, value in vars(tool).items() if name not in ("func", "coroutine", "args_schema")]


def _agents(values: Iterable[Any]) -> list[PregelProtocol[Any, Any, Any, Any]]:
    """The graphs that values lead to, in a few steps; also those that run elsewhere."""
    found: list[PregelProtocol[Any, Any, Any, Any]] = []
    seen: dict[int, Any] = {}
    now = list(values)
    for _ in range(_DEPTH):
        following: list[Any] = []
        for value in now:
            if id(value) in seen or isinstance(value, (types.ModuleType, type, str, bytes, int, float)):
                continue
            seen[id(value)] = value
            if isinstance(value, PregelProtocol):
                found.append(value)
            else:
                following += _next(value)
                inner = getattr(value, "bound", None)
                following += [inner] if inner is not None else []
        now = following
    return found


def _leads_to_guard(wrapper: Any) -> bool:
    """Whether a wrapper is, or composes, that of a guarding middleware."""
    seen: dict[int, Any] = {}
    now = [wrapper]
    for _ in range(4 * _DEPTH):
        following: list[Any] = []
        for value in now:
            if value is None or id(value) in seen:
                continue
            seen[id(value)] = value
            if isinstance(value, Guarding):
                return True
            if isinstance(value, types.MethodType):
                following.append(value.__self__)
            elif isinstance(value, types.FunctionType):
                following += [*_cells(value).values(), getattr(value, "__wrapped__", None)]
            elif isinstance(value, functools.partial):
                following.append(value.func)
        now = following
    return False
