"""What the guard raises: names that nobody knows, errors that travel, texts that must not."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest

from agentguard import (
    AgentGuardError,
    ApprovalPending,
    ConfigurationError,
    Guard,
    InvalidArguments,
    OutcomeUnknown,
    ToolCallDenied,
    ToolFailed,
)
from agentguard.decision import Decision, Effect, Matched, SetArgument
from agentguard.errors import ArgumentsError, ClaimRefused, NotFound, PolicyError
from tests.guard.support import AGENT, ANY, WAYS, events, make_guard

DECISION = Decision(
    effect=Effect.DENY,
    matched=(Matched(rule_id="a", policy="b", effect=Effect.DENY),),
    obligations=(SetArgument(path="args.x", value=[1, {"a": 2}], rule="b/a"),),
    snapshot="sha256:1",
)

ERRORS: list[AgentGuardError] = [
    ToolCallDenied("t", "p/r", "because", remedy="fix_call", decision_id="d", decision=DECISION),
    InvalidArguments("t", "p/r", "because"),
    ApprovalPending("a1", "t", "2026-11-20T10:00:00Z", "why"),
    OutcomeUnknown("a1", "t", "claimed"),
    ToolFailed("t", "ValueError"),
    ClaimRefused("no", "expired"),
    ArgumentsError("no", "args.x"),
    PolicyError("no", ("finding",)),
    NotFound("no"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", ["pickle", "copy"])
def test_errors_arrive_with_their_fields(error: AgentGuardError, way: str) -> None:
    """From a process pool, a task queue, or a copy."""
    found = pickle.loads(pickle.dumps(error)) if way == "pickle" else copy.copy(error)  # noqa: S301
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)


def test_what_cannot_travel_arrives_as_none() -> None:
    """The error is more important than the object it carries."""
    error = ToolCallDenied("t", "p/r", "because")
    error.decision = lambda: None  # type: ignore[assignment]
    found = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert found.decision is None
    assert found.rule == "p/r"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("paymnts", "paymnts"), ("pay\u202ements\x1b[2J\ud800", "pay\\u202ements\\x1b[2J\\ud800"), ("", "")],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_nobody_registered_is_a_recorded_denial_T28_T57(way: str, name: str, shown: str) -> None:
    """The name may come from a model: it is told apart, it is no error of the host's, and nothing runs."""
    ran: list[Any] = []

    def run(arguments: dict[str, Any]) -> None:
        ran.append(arguments)

    async def arun(arguments: dict[str, Any]) -> None:
        ran.append(arguments)

    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        with pytest.raises(ToolCallDenied, match="no tool of this name") as caught:
            if way == "sync":
                guard.call(name, {"x": 1}, run)
            else:
                asyncio.run(guard.acall(name, {"x": 1}, arun))
        assert not ran
        (event,) = events(guard, "decision")
        assert event["id"] == caught.value.decision_id
        assert event["tool"] == shown
        assert event["decision"]["matched"][0]["rule_id"] == "tool"
        assert caught.value.remedy == "ask_operator"


def failing(guard: Guard, way: str, error: Exception) -> tuple[Any, list[Any]]:
    """A guarded tool that acts and then raises, called without `await` either way."""
    ran: list[Any] = []

    if way == "sync":

        @guard.tool("t")
        def act() -> None:
            ran.append(1)
            raise error

        return act, ran

    @guard.tool("t")
    async def act_async() -> None:
        ran.append(1)
        raise error

    return lambda: asyncio.run(act_async()), ran


REDACTED = {"id": "hide", "effect": "allow", "redact_result": ["$.iban"]}


@pytest.mark.parametrize("way", WAYS)
def test_the_text_of_an_error_does_not_show_what_is_redacted_T37(way: str) -> None:
    """The class of the error is told, its text and its chain are not."""
    with make_guard(REDACTED) as guard:
        act, ran = failing(guard, way, ValueError("iban DE89 3704 0044"))
        with guard.session(agent=AGENT), pytest.raises(ToolFailed, match="ValueError") as caught:
            act()
        assert ran
        assert "DE89" not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert caught.value.kind == "ValueError"
        (outcome,) = events(guard, "outcome")
        assert (outcome["status"], outcome["error"]) == ("failed", "ValueError")


@pytest.mark.parametrize("way", WAYS)
def test_other_errors_of_a_tool_are_its_callers(way: str) -> None:
    """Where nothing is redacted they arrive as they were raised."""
    error = ValueError("no such account")
    with make_guard(ANY) as guard:
        act, _ = failing(guard, way, error)
        with guard.session(agent=AGENT), pytest.raises(ValueError, match="no such account") as caught:
            act()
        assert caught.value is error


def test_a_plain_function_may_not_return_work_to_be_awaited_T33() -> None:
    """Its effect would happen after its outcome was recorded."""
    ran: list[str] = []

    async def later() -> None:
        ran.append("later")

    with make_guard(ANY) as guard:

        @guard.tool("coroutine")
        def coroutine() -> Any:
            return later()

        @guard.tool("task")
        def task() -> Any:
            return asyncio.ensure_future(later())

        async def main() -> None:
            for tool in (coroutine, task):
                with pytest.raises(ConfigurationError, match="yet to happen"):
                    tool()
            for _ in range(5):
                await asyncio.sleep(0)

        with guard.session(agent=AGENT):
            asyncio.run(main())
        assert ran == []
        assert [event["status"] for event in events(guard, "outcome")] == ["failed", "failed"]


@pytest.mark.parametrize("way", WAYS)
def test_a_function_may_not_return_a_stream_that_is_yet_to_run_T33(way: str) -> None:
    """What a generator does, it does when somebody reads it: after the outcome was recorded."""
    ran: list[str] = []

    def items() -> Any:
        ran.append("read")
        yield 1

    async def aitems() -> Any:
        ran.append("read")
        yield 1

    with make_guard(ANY) as guard:
        for number, make in enumerate((items, aitems)):
            if way == "sync":

                @guard.tool(f"t{number}")
                def lazy() -> Any:
                    return make()

                call: Any = lazy
            else:

                @guard.tool(f"t{number}")
                async def alazy() -> Any:
                    return make()

                call = lambda: asyncio.run(alazy())  # noqa: E731
            with guard.session(agent=AGENT), pytest.raises(ConfigurationError, match="yet to happen"):
                call()
        assert ran == []
        assert [event["status"] for event in events(guard, "outcome")] == ["failed", "failed"]
