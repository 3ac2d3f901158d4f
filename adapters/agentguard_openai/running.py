"""Tool calls in, tool messages out: the calls of one turn, each decided, recorded, and run or not."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentguard import (
    ApprovalPending,
    ConfigurationError,
    Guard,
    InvalidArguments,
    OutcomeUnknown,
    Session,
    StoreError,
    Tool,
    ToolCallDenied,
)
from agentguard.canonical import freeze, loads
from agentguard.errors import ArgumentsError
from agentguard.session import Pause
from agentguard.tools import definition_digest
from agentguard_openai.answers import (
    RESULT_LIMIT,
    AlreadyRan,
    Errors,
    denied,
    error_text,
    message,
    output,
    result_text,
)
from agentguard_openai.calls import ModelCall, get, printable, read_calls
from agentguard_openai.coverage import uncovered
from agentguard_openai.once import mark, recall, remember, reservation
from agentguard_openai.pending import PendingCall, ToolCallsPending
from agentguard_openai.toolbox import Tools, Usable, toolbox

__all__ = ["Turn", "run_tool_calls", "run_tool_calls_sync"]

log = logging.getLogger("agentguard")


async def run_tool_calls(
    guard: Guard,
    response: Any,
    tools: Tools,
    *,
    answered: Iterable[Any] = (),
    pause: Pause | None = None,
    session: Session | None = None,
    injected: Mapping[str, Any] | None = None,
    errors: Errors | None = None,
    limit: int = RESULT_LIMIT,
    strict: bool | None = None,
) -> list[Any]:
    """The answers to a turn's tool calls, in the order asked, ready to be appended to the transcript.

    `response` is a Chat Completions or Responses turn. Calls run at the same time, each decided for itself;
    plain functions run in threads. `answered` are answers kept from before: their calls are left alone.
    `injected` are values for declared injected parameters. `errors` writes what the model is told when a
    tool raised (by default only that it did), `limit` cuts a result's text. `strict`, by default the
    guard's, refuses a turn with tools that the guard cannot cover.

    A call that was started is never started again under the same id and arguments, in any process that uses
    the same store, unless its tool is declared read-only or idempotent.

    Raises:
        ToolCallsPending: with `pause="raise"`, when calls wait for a person; it holds the other answers.
        ConfigurationError: before anything ran: this is no turn, or a tool cannot be used.
    """
    calls = read_calls(response)
    uncovered(response, strict=guard.strict if strict is None else strict)
    usable = toolbox(guard, tools, injected, synchronous=False)
    return await Turn(guard, calls, usable, answered, pause, session, errors, limit).run()


def run_tool_calls_sync(
    guard: Guard,
    response: Any,
    tools: Tools,
    *,
    answered: Iterable[Any] = (),
    pause: Pause | None = None,
    session: Session | None = None,
    injected: Mapping[str, Any] | None = None,
    errors: Errors | None = None,
    limit: int = RESULT_LIMIT,
    strict: bool | None = None,
) -> list[Any]:
    """The same as `run_tool_calls` for plain functions, one call after the other."""
    calls = read_calls(response)
    uncovered(response, strict=guard.strict if strict is None else strict)
    usable = toolbox(guard, tools, injected, synchronous=True)
    return Turn(guard, calls, usable, answered, pause, session, errors, limit).run_sync()


@dataclass(slots=True)
class _Attempt:
    """One call on its way: what it would run, or why it cannot."""

    tool: Tool
    callee: Usable | None = None
    arguments: Mapping[str, Any] | None = None
    problem: Exception | None = None
    error: str = "invalid_arguments"
    key: str | None = None
    started: bool = False


class Turn:
    """The calls of one turn and how they are to be answered."""

    def __init__(
        self,
        guard: Guard,
        calls: Sequence[ModelCall],
        tools: Mapping[str, Usable],
        answered: Iterable[Any],
        pause: Pause | None,
        session: Session | None,
        errors: Errors | None,
        limit: int,
    ) -> None:
        self.guard = guard
        self.calls = calls
        self.tools = tools
        self.pause: Pause | None = pause
        self.session = session if session is not None else guard.current
        self.errors = errors
        self.limit = limit
        self.known = {
            str(identity): entry
            for entry in answered
            if (identity := get(entry, "tool_call_id") or get(entry, "call_id"))
        }

    async def run(self) -> list[Any]:
        """Every call at the same time, none of which can end another."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.answer(call)) for call in self.calls]
        return self.answers([task.result() for task in tasks])

    def run_sync(self) -> list[Any]:
        """One call after the other."""
        return self.answers([self.answer_sync(call) for call in self.calls])

    def answers(self, found: list[Any]) -> list[Any]:
        """The messages, or what is missing."""
        pending = [item for item in found if isinstance(item, PendingCall)]
        messages = [item for item in found if not isinstance(item, PendingCall)]
        if pending:
            raise ToolCallsPending(messages, pending)
        return messages

    # -- one call

    async def answer(self, call: ModelCall) -> Any:
        """The message for one call, or the approval it waits for."""
        if call.id in self.known:
            return self.known[call.id]
        attempt = self.prepare(call)
        kept = self.kept(call, attempt)
        if kept is not None:
            return kept

        async def run(arguments: dict[str, Any]) -> Any:
            if attempt.key is not None:
                taken = await asyncio.get_running_loop().run_in_executor(
                    self.guard.store_thread, self._take, attempt.key
                )
                self._permit(attempt, taken)
            assert attempt.callee is not None
            attempt.started = True
            return await attempt.callee.arun(arguments)

        try:
            result = await self.guard.acall(
                attempt.tool,
                attempt.arguments or {},
                run,
                call_id=call.record_id,
                pause=self.pause,
                session=self.session,
                problem=attempt.problem,
            )
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The tool cancelled itself, not somebody us: its siblings go on.
            return self.failed(call, attempt, RuntimeError("the tool cancelled itself"))
        except Exception as error:
            return self.failed(call, attempt, error)
        return self.succeeded(call, attempt, result)

    def answer_sync(self, call: ModelCall) -> Any:
        """The same, on this thread."""
        if call.id in self.known:
            return self.known[call.id]
        attempt = self.prepare(call)
        kept = self.kept(call, attempt)
        if kept is not None:
            return kept

        def run(arguments: dict[str, Any]) -> Any:
            if attempt.key is not None:
                self._permit(attempt, self._take(attempt.key))
            assert attempt.callee is not None
            attempt.started = True
            return attempt.callee.run(arguments)

        try:
            result = self.guard.call(
                attempt.tool,
                attempt.arguments or {},
                run,
                call_id=call.record_id,
                pause=self.pause,
                session=self.session,
                problem=attempt.problem,
            )
        except Exception as error:
            return self.failed(call, attempt, error)
        return self.succeeded(call, attempt, result)

    def prepare(self, call: ModelCall) -> _Attempt:
        """Which tool is meant, with which arguments; everything that is wrong with the call is found here."""
        callee = next((self.tools[name] for name in call.names if name in self.tools), None)
        if callee is None:
            name = printable(call.names[0] if call.names else call.name, 120)
            attempt = _Attempt(Tool(name=name, digest=definition_digest(name, {}), facts={}))
        else:
            attempt = _Attempt(callee.tool, callee)
        if call.problem is not None:
            attempt.problem, attempt.error = ArgumentsError(call.problem, "call"), "invalid_call"
            return attempt
        if callee is None:
            known = ", ".join(f"`{name}`" for name in list(self.tools)[:20]) or "none"
            attempt.problem = ArgumentsError(f"there is no such tool; there are: {known}", "name")
            attempt.error = "unknown_tool"
            return attempt
        try:
            frozen = freeze(callee.bind(self._given(call, callee)))
        except (TypeError, ArgumentsError) as error:
            attempt.problem = error
        except Exception as error:
            attempt.problem = TypeError(f"binding raised {type(error).__name__}")
        else:
            attempt.arguments = frozen.thaw()
            harmless = callee.tool.read_only or callee.tool.facts.get("idempotent") is True
            if call.record_id and self.session is not None and not harmless:
                attempt.key = mark(self.guard, self.session, callee.tool, call.record_id, frozen.digest)
        return attempt

    def _given(self, call: ModelCall, callee: Usable) -> dict[str, Any]:
        if call.custom:
            name = callee.text_parameter()
            if name is None:
                raise TypeError("it takes no single text, as a custom tool does")
            given: Any = {name: call.text}
        else:
            given = loads(call.text)
            if type(given) is not dict:
                raise ArgumentsError("they must be a JSON object", "arguments")
        return dict(given)

    def _take(self, key: str) -> bool:
        return self.guard.store.reserve(self.guard.tenant, [reservation(key)]) is None

    @staticmethod
    def _permit(attempt: _Attempt, taken: bool) -> None:
        if not taken:
            raise AlreadyRan

    # -- its answer

    def kept(self, call: ModelCall, attempt: _Attempt) -> Any:
        """The answer that this process gave to the very same call before."""
        if attempt.key is None or self.session is None or self.session.closed:
            return None
        content = recall(self.guard, attempt.key)
        return None if content is None else message(call, copy.deepcopy(content))

    def succeeded(self, call: ModelCall, attempt: _Attempt, result: Any) -> Any:
        native = call.shape.startswith("responses")
        content = output(result, self.limit) if native else result_text(result, self.limit)
        if attempt.key is not None:
            remember(self.guard, attempt.key, copy.deepcopy(content))
        return message(call, content)

    def failed(self, call: ModelCall, attempt: _Attempt, error: Exception) -> Any:
        """The message for a call that did not run, or ran and raised."""
        if attempt.started:
            log.warning("tool `%s` failed: %s", attempt.tool.name, type(error).__name__)
            content = error_text(error, self.errors)
            if attempt.key is not None:
                remember(self.guard, attempt.key, content)
            return message(call, content)
        match error:
            case ApprovalPending():
                return PendingCall(call.id, error.tool, error.approval_id, error.expires_at, error.reason)
            case InvalidArguments() if error.rule == "agentguard/arguments":
                return message(call, denied(error, attempt.error))
            case ToolCallDenied():
                return message(call, denied(error))
            case AlreadyRan() | OutcomeUnknown():
                return message(call, error_text(error, None))
            case _:
                log.error("`%s` was not run: %s", attempt.tool.name, type(error).__name__)
                known = isinstance(error, (StoreError, ConfigurationError))
                refusal = ToolCallDenied(
                    attempt.tool.name,
                    "agentguard/store" if known else "agentguard/error",
                    "the guard could not decide it" if not known else "the guard's store could not take it",
                    remedy="ask_operator",
                )
                return message(call, denied(refusal))
