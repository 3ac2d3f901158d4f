"""What a model may send as arguments: none of it reaches a tool undecided."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import (
    BaseTool,
    StructuredTool,
    ToolException,
    tool,
)
from pydantic import BaseModel, Field

from agentguard import Guard
from agentguard_langchain import guard_tools
from tests.langchain.drive import AGENT, both_ways, call, events, said, snapshot

ran: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard(snapshot=snapshot(), store="memory:") as made:
        yield made


@tool
def transfer(payee: str, amount: int = 1, note: str = "") -> str:
    """Pay somebody."""
    ran.append((payee, amount, note))
    return f"paid {amount} to {payee}"


def one(guard: Guard, what: Any, **options: Any) -> Any:
    options.setdefault("agent", AGENT)
    return guard_tools(guard, [what], **options)[0]


def message(answer: Any) -> ToolMessage:
    assert isinstance(answer, ToolMessage)
    return answer


POLICY_HISTORY: dict[str, Any] = {
    "policy": "p",
    "owner": "o",
    "tools": ["*"],
    "rules": [
        {"id": "ok", "effect": "allow"},
        {"id": "ctx", "effect": "deny", "when": 'has(context.stop) && context.stop == "yes"'},
    ],
}


def _watched(found: BaseTool, given: dict[str, Any], **rules: Any) -> tuple[Any, list[Any]]:
    """One call of a tool; its answer, and what was decided on."""
    seen: list[Any] = []

    def spy(request: Any, names: frozenset[str]) -> dict[str, Any]:
        seen.append(dict(request.args))
        return {}

    with Guard(snapshot=snapshot(POLICY_HISTORY), store="memory:", facts=[spy]) as guard:
        return one(guard, found).invoke(call(found.name, given)), seen


def _deep(levels: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(levels):
        inner = [inner]
    return inner


def _cycle() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


HOSTILE: dict[str, Callable[[], Any]] = {
    "T20-nan": lambda: float("nan"),
    "T20-big-integer": lambda: 10**5_000,
    "T23-surrogate": lambda: "\ud800",
    "T24-deep": lambda: _deep(100_000),
    "T24-deep-inside": lambda: {"a": _deep(100_000)},
    "T24-somewhat-deep": lambda: _deep(80),
    "T24-cycle": _cycle,
    "T24-long": lambda: "x" * 3_000_000,
    "T24-many": lambda: [1] * 20_000,
    "T24-keys": lambda: {1: 2},
    "T24-object": object,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
async def test_arguments_that_cannot_be_frozen_are_denied(guard: Guard, make: Callable[[], Any]) -> None:
    """With a reason and a record, and never with a crash; in and outside of a tool call."""

    @both_ways
    def take(data: Any) -> str:
        """Take anything."""
        ran.append("took")
        return "ok"

    found, given = one(guard, take), {"data": make()}
    for answer in (found.invoke(call("take", given)), await found.ainvoke(call("take", given))):
        answer = said(message(answer))
        assert (answer["rule"], answer["remedy"]) == ("agentguard/arguments", "fix_call")
        assert len(answer["reason"]) < 1_000
    with pytest.raises(ToolException, match="agentguard/arguments"):
        found.invoke(given)
    assert len(events(guard, "decision")) == 3
    assert not ran


def test_T29_an_argument_that_the_tool_does_not_have(guard: Guard) -> None:
    """LangChain drops it silently; here the call is refused, for nobody knows what it was meant to do."""
    answer = message(one(guard, transfer).invoke(call("transfer", {"payee": "A", "force": True})))
    assert said(answer)["rule"] == "agentguard/arguments"
    assert "`force`" in said(answer)["reason"]
    assert len(events(guard, "decision")) == 1
    assert not ran


def test_T29_where_a_schema_takes_anything_everything_is_decided() -> None:
    """An argument that the schema lets in reaches the decision as it reaches the tool."""

    class Open(BaseModel):
        x: int
        model_config = {"extra": "allow"}

    def take(**given: Any) -> str:
        ran.append(tuple(sorted(given.items())))
        return "ok"

    made = StructuredTool(name="take", description="Take.", args_schema=Open, func=take)
    answer, seen = _watched(made, {"x": 1, "more": "yes"})
    assert message(answer).content == "ok"
    assert seen == [{"x": 1, "more": "yes"}]
    assert ran == [(("more", "yes"), ("x", 1))]


def test_T29_an_argument_called_like_one_of_langchains_is_decided() -> None:
    """Where the schema has a field `callbacks`, it is the model's: it cannot hide from the decision there."""

    class Named(BaseModel):
        callbacks: str

    class Hook(BaseTool):
        name: str = "hook"
        description: str = "Set a hook."
        args_schema: type[BaseModel] = Named

        def _run(self, callbacks: str) -> str:
            ran.append((callbacks,))
            return "ok"

    _, seen = _watched(Hook(), {"callbacks": "https://evil.test"})
    assert seen == [{"callbacks": "https://evil.test"}]
    assert ran == [("https://evil.test",)]


def test_nobody_is_asked_about_arguments_that_do_not_fit(guard: Guard) -> None:
    """Outside of a tool call too: a schema with a limit is checked before a person is."""

    class Capped(BaseModel):
        amount: int = Field(le=10)

    def pay(amount: int) -> str:
        return "paid"

    found = one(guard, StructuredTool(name="pay", description="Pay.", args_schema=Capped, func=pay))
    with pytest.raises(ToolException, match="agentguard/arguments"):
        found._run(amount=5000, config={})
    assert guard.store.approvals(guard.tenant) == []


def test_T29_invalid_arguments_are_refused_by_langchain_and_recorded(guard: Guard) -> None:
    """LangChain's own validation answers in its own words, and the record says that nothing ran."""
    with pytest.raises(ValueError, match="amount"):
        one(guard, transfer).invoke(call("transfer", {"payee": "A", "amount": "lots"}))
    (event,) = events(guard)
    assert event["decision"]["matched"][0]["rule_id"] == "arguments"
    assert not ran
