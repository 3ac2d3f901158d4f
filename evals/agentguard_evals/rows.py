"""One recorded run, as a line of a JSONL file holds it.

::

    {"suite": "mail", "prompt": "…", "tools": [{"name": "send", "parameters": {…}}],
     "steps": [{"call": "read", "args": {"id": 1}}, {"result": "…", "of": 0},
               {"call": "send", "args": {"to": "x"}}, {"result": "sent", "of": 2}],
     "attack_steps": [2], "utility": true, "attack_succeeded": true}

Tools are JSON schemas as OpenAI (`function`), Anthropic (`input_schema`) or MCP (`inputSchema`) write them.
`of` is the index of the call whose result it is, or the tool's name (its oldest call that has none yet);
without it, the newest call that has none. A step `{"user": "…"}` is what the user said in between. `id` and
`group` name a row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agentguard.canonical import freeze, loads
from agentguard.errors import AgentGuardError, ArgumentsError
from agentguard.policy.findings import closest
from agentguard.tools import tool_name
from agentguard_evals.case import ToolDefinition

__all__ = ["BrokenRow", "Call", "Row", "Said", "parse_row", "tool_definition"]

MAX_LINE: Final = 64 * 1024 * 1024


class BrokenRow(ValueError):
    """A row that cannot be replayed; the message says why."""


@dataclass(frozen=True, slots=True)
class Call:
    """A recorded call with its result; `recorded` is false where the recording holds none."""

    index: int
    tool: str
    args: Mapping[str, Any]
    recorded: bool
    result: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What the user said between the calls."""

    text: str


def _flag(value: object) -> object:
    """1 and 0, as other programs write them."""
    return bool(value) if type(value) in (int, float) and value in (0, 1) else value


_Flag = Annotated[bool | None, BeforeValidator(_flag)]


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    call: str | None = None
    args: dict[str, Any] | None = None
    result: Any = None
    of: int | str | None = None
    error: Any = None
    user: str | None = None


class _Row(BaseModel):
    """The keys that mean something; others are ignored and counted, unless they look like a misspelt one."""

    model_config = ConfigDict(extra="allow", strict=True)

    suite: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    prompt: str | None = None
    tools: list[dict[str, Any]] | None = None
    steps: list[_Step]
    attack_steps: list[int] | None = None
    utility: _Flag = None
    attack_succeeded: _Flag = None
    id: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    group: Annotated[str, Field(min_length=1, max_length=200)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that can be replayed. `bare` are tools that are called and that the row does not describe."""

    suite: str | None
    prompt: str | None
    tools: tuple[ToolDefinition, ...]
    steps: tuple[Call | Said, ...]
    attack_steps: frozenset[int]
    utility: bool | None
    attack_succeeded: bool | None
    id: str | None
    group: str | None
    bare: tuple[str, ...]
    ignored: tuple[str, ...]


def parse_row(line: str) -> Row:
    """Read one line.

    Raises:
        BrokenRow: it is no such row.
    """
    try:
        data = loads(line, what="row", limit=MAX_LINE)
    except ArgumentsError as error:
        raise BrokenRow(str(error)) from None
    return row_of(data)


def row_of(data: object) -> Row:
    """The row that a mapping describes.

    Raises:
        BrokenRow: it describes none.
    """
    if not isinstance(data, Mapping):
        raise BrokenRow(f"a row is an object, not a {type(data).__name__}")
    try:
        found = _Row.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BrokenRow(f"`{where}`: {first['msg'].lower()}") from None
    except RecursionError:
        raise BrokenRow("it is nested too deeply") from None
    ignored = tuple(sorted(found.model_extra or ()))
    for name in ignored:
        near = closest(name, _Row.model_fields)
        if near is not None and near not in found.model_fields_set:
            raise BrokenRow(f"unknown key `{name}`; did you mean `{near}`?")
    steps = _steps(found.steps)
    attack = _attack(found.attack_steps or [], steps)
    described = [tool_definition(tool) for tool in found.tools or ()]
    tools = {tool.name: tool for tool in described}
    if len(tools) < len(described):
        raise BrokenRow("`tools`: two tools have the same name")
    called = dict.fromkeys(step.tool for step in steps if isinstance(step, Call))
    bare = tuple([name for name in called if name not in tools])
    return Row(
        suite=found.suite,
        prompt=found.prompt,
        tools=(*tools.values(), *(ToolDefinition(name=name) for name in bare)),
        steps=steps,
        attack_steps=attack,
        utility=found.utility,
        attack_succeeded=found.attack_succeeded,
        id=found.id,
        group=found.group,
        bare=bare,
        ignored=ignored,
    )


def tool_definition(schema: Mapping[str, Any]) -> ToolDefinition:
    """A tool from its schema, in any of the usual spellings.

    Raises:
        BrokenRow: it has no usable name, or its parameters are no object.
    """
    inner = schema.get("function")
    found: Mapping[str, Any] = inner if isinstance(inner, Mapping) else schema
    parameters: object = next(
        (found[key] for key in ("parameters", "input_schema", "inputSchema") if found.get(key) is not None),
        {},
    )
    hints = found.get("annotations") or {}
    description = found.get("description") or ""
    if not isinstance(parameters, Mapping) or not isinstance(hints, Mapping):
        raise BrokenRow("`tools`: the parameters and annotations of a tool are objects")
    return ToolDefinition(
        name=_named(found.get("name")), description=str(description), parameters=parameters, hints=hints
    )


def _named(name: object) -> str:
    try:
        return tool_name(name)
    except AgentGuardError as error:
        raise BrokenRow(str(error)) from None


def _steps(steps: list[_Step]) -> tuple[Call | Said, ...]:
    """Calls with their results, and what was said, in the order in which the calls were made."""
    results: dict[int, _Step] = {}
    calls: list[int] = []
    for index, step in enumerate(steps):
        given = step.model_fields_set
        match bool(given & {"call", "args"}), bool(given & {"result", "of", "error"}), "user" in given:
            case True, False, False:
                if step.call is None:
                    raise BrokenRow(f"`steps.{index}`: `call` must name a tool")
                calls.append(index)
            case False, True, False:
                if not given & {"result", "error"}:
                    raise BrokenRow(f"`steps.{index}`: `of` without a `result` or an `error`")
                results[_owner(index, step, steps, calls, results)] = step
            case False, False, True:
                if step.user is None:
                    raise BrokenRow(f"`steps.{index}`: `user` must be text")
            case _:
                raise BrokenRow(f"`steps.{index}`: a step is one `call`, one `result` or one `user`")
    found: list[Call | Said] = []
    for index, step in enumerate(steps):
        if step.call is not None:
            found.append(_call(index, step, results.get(index)))
        elif step.user is not None:
            found.append(Said(step.user))
    return tuple(found)


def _owner(
    index: int, step: _Step, steps: list[_Step], calls: list[int], results: Mapping[int, _Step]
) -> int:
    """The call that a result belongs to: by index, by the tool's name, or the newest open one."""
    open_calls = [call for call in calls if call not in results]
    if isinstance(step.of, str):
        named = [call for call in open_calls if steps[call].call == step.of]
        if not named:
            raise BrokenRow(f"`steps.{index}`: there is no open call of `{step.of[:60]}` before it")
        return named[0]
    if step.of is None:
        if not open_calls:
            raise BrokenRow(f"`steps.{index}`: a result without a call before it")
        return open_calls[-1]
    if step.of not in calls:
        raise BrokenRow(f"`steps.{index}`: `of` is {step.of}, and step {step.of} is no call before it")
    if step.of in results:
        raise BrokenRow(f"`steps.{index}`: step {step.of} has a result already")
    return step.of


def _call(index: int, step: _Step, result: _Step | None) -> Call:
    try:
        freeze(step.args or {})
    except ArgumentsError as error:
        raise BrokenRow(f"`steps.{index}`: {error}") from None
    failed = None
    if result is not None and result.error not in (None, False, ""):
        text = result.result if result.error is True else result.error
        failed = text if isinstance(text, str) else "the tool failed" if text is None else json.dumps(text)
    return Call(
        index=index,
        tool=_named(step.call),
        args=step.args or {},
        recorded=result is not None,
        result=None if result is None else result.result,
        error=failed,
    )


def _attack(indexes: list[int], steps: tuple[Call | Said, ...]) -> frozenset[int]:
    calls = {step.index for step in steps if isinstance(step, Call)}
    for index in indexes:
        if index not in calls:
            raise BrokenRow(f"`attack_steps`: step {index} is no call")
    return frozenset(indexes)
