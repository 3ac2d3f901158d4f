"""The SDK's own Responses tool runner, with guarded functions.

`guard_runner_tools` guards what the runner executes, in any way it is run. The runner does not tell a
function the id of its call; `guarded_turns` and `aguarded_turns` take each turn of `iterate()`, run its calls
under their own ids, and hand the runner the outputs.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from agentguard import ApprovalPending, ConfigurationError, Guard, Session, Tool, ToolCallDenied
from agentguard.errors import ArgumentsError
from agentguard.session import Pause
from agentguard_openai.answers import RESULT_LIMIT, Errors, denied, of_mapping, output
from agentguard_openai.calls import ModelCall, get, items_of, printable, read_calls
from agentguard_openai.coverage import uncovered
from agentguard_openai.running import Turn

if TYPE_CHECKING:
    from openai.lib.responses_tool_runner import (
        AsyncRegisteredFunction,
        RegisteredFunction,
        ResponsesRunnerTurn,
    )

__all__ = ["aguarded_turns", "guard_runner_tools", "guarded_turns"]

F = TypeVar("F", "RegisteredFunction", "AsyncRegisteredFunction")


def guard_runner_tools(
    guard: Guard,
    functions: Sequence[F],
    *,
    names: Mapping[str, str] | None = None,
    pause: Pause | None = None,
    limit: int = RESULT_LIMIT,
) -> list[F]:
    """The functions with their executors guarded, for `ResponsesToolRunner` or `AsyncResponsesToolRunner`.

    The policy's name of a function is the model's, or what `names` says. A denied or pending call answers
    the model with a short JSON text; an exception of the function itself ends the run, as without a guard.
    `allow_output_override` is set, so that `guarded_turns` can supply outputs.

    Raises:
        ConfigurationError: an entry is not a registered function.
    """
    guarded: list[F] = []
    for function in functions:
        native = getattr(function, "execute", None)
        name = get(getattr(function, "tool", None), "name")
        if not callable(native) or not isinstance(name, str):
            raise ConfigurationError(
                f"a {type(function).__name__} is not a function of the tool runner; pass RegisteredFunction"
            )
        if isinstance(native, _Execute):
            raise ConfigurationError(f"function `{name}` is guarded already")
        member = _Member.of(guard, function, native, (names or {}).get(name, name))
        kind = _AsyncExecute if type(function).__name__.startswith("Async") else _SyncExecute
        execute: Any = kind(guard, member, pause, limit)
        guarded.append(replace(function, execute=execute, allow_output_override=True))
    return guarded


def guarded_turns(
    guard: Guard,
    turns: Iterator[ResponsesRunnerTurn],
    functions: Sequence[RegisteredFunction],
    *,
    pause: Pause | None = None,
    session: Session | None = None,
    errors: Errors | None = None,
    limit: int = RESULT_LIMIT,
    strict: bool | None = None,
) -> Generator[ResponsesRunnerTurn, None, None]:
    """The turns of `runner.iterate(...)`, the calls of each run under their ids before the runner goes on.

    `functions` are those of `guard_runner_tools` that the runner was made with. A turn is handed out first;
    its calls run when the next one is asked for.

    Raises:
        ToolCallsPending: when the next turn is asked for; `turn.response` of the last one is the turn to
            keep, for `run_tool_calls_sync(guard, turn.response, functions, answered=...)`.
    """
    members = _members(functions)
    try:
        for turn in turns:
            calls = _open_calls(turn, members)
            uncovered(turn.response, strict=guard.strict if strict is None else strict)
            yield turn
            if calls:
                work = Turn(guard, calls, members, (), pause, session, errors, limit)
                turn.supply_outputs(work.run_sync())
    finally:
        if isinstance(turns, Generator):
            turns.close()


async def aguarded_turns(
    guard: Guard,
    turns: AsyncIterator[ResponsesRunnerTurn],
    functions: Sequence[AsyncRegisteredFunction],
    *,
    pause: Pause | None = None,
    session: Session | None = None,
    errors: Errors | None = None,
    limit: int = RESULT_LIMIT,
    strict: bool | None = None,
) -> AsyncGenerator[ResponsesRunnerTurn, None]:
    """The same as `guarded_turns` for the asynchronous runner; the calls of a turn run at the same time."""
    members = _members(functions)
    try:
        async for turn in turns:
            calls = _open_calls(turn, members)
            uncovered(turn.response, strict=guard.strict if strict is None else strict)
            yield turn
            if calls:
                work = Turn(guard, calls, members, (), pause, session, errors, limit)
                turn.supply_outputs(await work.run())
    finally:
        if isinstance(turns, AsyncGenerator):
            await turns.aclose()


def _members(functions: Sequence[Any]) -> dict[str, _Member]:
    found: dict[str, _Member] = {}
    for function in functions:
        execute = getattr(function, "execute", None)
        if not isinstance(execute, _Execute):
            raise ConfigurationError("pass these functions to `guard_runner_tools` first")
        found[function.tool["name"]] = execute.member
    return found


def _open_calls(turn: ResponsesRunnerTurn, members: Mapping[str, Any]) -> list[ModelCall]:
    """The calls of a turn that no eager execution has run; what is not guarded would run by itself."""
    done = {*turn.attempted_call_ids, *turn.completed_call_ids}
    asked = [] if turn.final else read_calls(turn.response)
    calls = [call for call in asked if call.id not in done]
    stray = sorted({printable(call.name) for call in calls if call.name not in members})
    if stray:
        raise ConfigurationError(
            f"the model calls `{stray[0]}`, which is not among these functions; pass every function of the "
            "runner through `guard_runner_tools`, and all of them here"
        )
    return calls


# -- one function


@dataclass(frozen=True, slots=True)
class _Member:
    """A function of the runner as the guard uses it: it takes one object, of JSON or of its own model."""

    tool: Tool
    execute: Callable[..., Any]
    schema: Mapping[str, Any]
    model: Any
    cancellable: bool

    @classmethod
    def of(cls, guard: Guard, function: Any, execute: Callable[..., Any], name: str) -> _Member:
        declared = dict(function.tool)
        schema = declared.get("parameters") or {}
        # from_tool keeps its model's parser here: such an executor is given the model, others a dict.
        parsed = getattr(function, "_parsed_tool", None)
        model = getattr(parsed, "model", None)

        def run(**arguments: Any) -> Any:
            return execute(model.model_validate(arguments) if model is not None else arguments)

        async def arun(**arguments: Any) -> Any:
            result = execute(model.model_validate(arguments) if model is not None else arguments)
            return await result if inspect.isawaitable(result) else result

        tool = guard.register(
            name,
            arun if type(function).__name__.startswith("Async") else run,
            definition={
                "tool": json.loads(json.dumps(declared, default=str)),
                "of": f"{getattr(execute, '__module__', '')}:{getattr(execute, '__qualname__', '')}",
            },
            arguments=tuple(get(schema, "properties") or ()),
        )
        try:
            cancellable = "cancelled" in inspect.signature(execute).parameters
        except (TypeError, ValueError):
            cancellable = False
        return cls(tool, execute, schema, model, cancellable)

    def bind(self, arguments: dict[str, Any]) -> dict[str, Any]:
        properties = get(self.schema, "properties") or {}
        missing = [name for name in items_of(get(self.schema, "required")) if name not in arguments]
        if missing:
            raise TypeError(f"missing a required argument: {missing[0]!r}")
        extra = sorted(arguments.keys() - properties.keys())
        if extra and get(self.schema, "additionalProperties") is False:
            raise TypeError(f"got an unexpected keyword argument {extra[0]!r}")
        return arguments if self.model is None else self.given(self._value(arguments))

    def text_parameter(self) -> str | None:
        return None

    def _value(self, arguments: dict[str, Any]) -> Any:
        if self.model is None:
            return arguments
        from pydantic import ValidationError

        try:
            return self.model.model_validate(arguments)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ArgumentsError(f"{first['type']}", f"args.{where}") from None

    def run(self, arguments: dict[str, Any], cancelled: Any = None) -> Any:
        value = self._value(arguments)
        return self.execute(value, cancelled=cancelled) if self.cancellable else self.execute(value)

    async def arun(self, arguments: dict[str, Any], cancelled: Any = None) -> Any:
        result = self.run(arguments, cancelled)
        return await result if inspect.isawaitable(result) else result

    def given(self, value: Any) -> dict[str, Any]:
        """What the runner passed, as arguments."""
        if self.model is not None and hasattr(value, "model_dump"):
            return dict(value.model_dump(mode="json", by_alias=True))
        if type(value) is not dict:
            raise ArgumentsError("they must be a JSON object", "arguments")
        return value


class _Execute:
    """What the runner executes instead of the function."""

    def __init__(self, guard: Guard, member: _Member, pause: Pause | None, limit: int) -> None:
        self.guard = guard
        self.member = member
        self.pause: Pause | None = pause
        self.limit = limit

    def _bound(self, value: Any) -> tuple[dict[str, Any], Exception | None]:
        try:
            return self.member.bind(self.member.given(value)), None
        except (TypeError, ArgumentsError) as error:
            return {}, error

    @staticmethod
    def _refused(error: ToolCallDenied | ApprovalPending) -> str:
        if isinstance(error, ToolCallDenied):
            return denied(error)
        return of_mapping(
            {
                "error": "pending",
                "reason": error.reason or "a person has to approve this call; it has not run",
                "approval": error.approval_id,
                "expires_at": error.expires_at,
            }
        )


class _SyncExecute(_Execute):
    def __call__(self, value: Any, *, cancelled: Any = None) -> Any:
        arguments, problem = self._bound(value)
        try:
            result = self.guard.call(
                self.member.tool,
                arguments,
                lambda decided: self.member.run(decided, cancelled),
                pause=self.pause,
                problem=problem,
            )
        except (ToolCallDenied, ApprovalPending) as error:
            return self._refused(error)
        return output(result, self.limit)


class _AsyncExecute(_Execute):
    async def __call__(self, value: Any, *, cancelled: Any = None) -> Any:
        arguments, problem = self._bound(value)
        try:
            result = await self.guard.acall(
                self.member.tool,
                arguments,
                lambda decided: self.member.arun(decided, cancelled),
                pause=self.pause,
                problem=problem,
            )
        except (ToolCallDenied, ApprovalPending) as error:
            return self._refused(error)
        return output(result, self.limit)
