"""`GuardMiddleware`: every call of an agent, in one session for each thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ToolRetryMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langgraph.prebuilt import InjectedState, ToolRuntime
from langgraph.types import Command

from agentguard import ConfigurationError, Guard
from agentguard_langchain import GuardMiddleware, guard_tools
from tests.langchain.drive import (
    AGENT,
    PRINCIPAL,
    arun_middleware,
    arun_tools,
    asking,
    both_ways,
    call,
    config,
    events,
    model,
    results,
    run_middleware,
    run_tools,
    said,
    snapshot,
    turn,
)
from tests.langchain.scene import agent, both, go, ran, transfer


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def guard() -> Iterator[Guard]:
    facts = {"fetch": {"facts": {"untrusted_output": True}}}
    with Guard(snapshot=snapshot(), store="memory:", tool_facts=facts) as made:
        yield made


# -- decisions


@pytest.mark.parametrize(
    ("args", "verdict", "types"),
    [
        ({"payee": "A"}, "ran", ["decision", "outcome"]),
        ({"payee": "EVIL"}, "denied", ["decision"]),
        ({"payee": "A", "amount": 5000}, "pending", ["decision", "approval.opened"]),
        ({"payee": "A", "note": "abcdefgh"}, "ran", ["decision", "outcome"]),
    ],
)
async def test_every_way_in_decides_and_records_the_same(
    args: dict[str, Any], verdict: str, types: list[str]
) -> None:
    """Middleware and guarded tools, synchronous and asynchronous."""

    def transfer(payee: str, amount: int = 1, note: str = "") -> str:
        """Pay."""
        return "paid"

    for way in (run_middleware, run_tools, arun_middleware, arun_tools):
        with Guard(snapshot=snapshot(), store="memory:") as guard:
            answer: Any = way(guard, transfer, args)
            found, recorded = await answer if asyncio.iscoroutine(answer) else answer
        assert (found, [event["type"] for event in recorded]) == (verdict, types), way.__name__
        assert {(event["agent"], event["principal"]) for event in recorded} == {("billing", PRINCIPAL)}
        assert {event["session"] for event in recorded} == {"t-1"}


@both
async def test_parallel_calls_are_decided_one_by_one(guard: Guard, asynchronous: bool) -> None:
    """T36: one turn with an allowed, a denied and a constrained call."""
    graph = agent(
        guard,
        turn(
            call("transfer", {"payee": "A"}, "1"),
            call("transfer", {"payee": "EVIL"}, "2"),
            call("transfer", {"payee": "B", "note": "abcdefgh"}, "3"),
        ),
    )
    state = await go(graph, asking(), asynchronous)
    assert [answer.status for answer in results(state)] == ["success", "error", "success"]
    assert sorted(ran) == [("transfer", "A", 1, ""), ("transfer", "B", 1, "abcde")]


@both
async def test_a_decorated_tool_is_one_call(guard: Guard, asynchronous: bool) -> None:
    """Under its policy name, with one decision."""

    @guard.tool("payments.transfer")
    def transfer(payee: str, amount: int = 1) -> str:
        """Pay."""
        return "paid"

    state = await go(
        agent(guard, turn(call("transfer", {"payee": "A"})), tools=[transfer]), asking(), asynchronous
    )
    assert results(state)[0].content == "paid"
    assert [event["tool"] for event in events(guard)] == ["payments.transfer"] * 2


@both
async def test_guarded_tools_under_the_middleware_are_one_call(guard: Guard, asynchronous: bool) -> None:
    """And they act in the middleware's session."""
    tools = guard_tools(guard, [transfer])
    await go(agent(guard, turn(call("transfer", {"payee": "A"})), tools=tools), asking(), asynchronous)
    assert [event["type"] for event in events(guard)] == ["decision", "outcome"]


@both
async def test_a_guarded_call_inside_of_a_tool_is_a_call_of_its_own(guard: Guard, asynchronous: bool) -> None:
    """A decorated function that a tool calls acts in the same session."""

    @guard.tool("inner")
    def inner(payee: str) -> str:
        """Do more."""
        return "done"

    @tool
    def outer(x: int) -> str:
        """Do."""
        return inner("A")

    await go(agent(guard, turn(call("outer", {"x": 1})), tools=[outer]), asking(), asynchronous)
    assert [event["tool"] for event in events(guard, "decision")] == ["outer", "inner"]
    assert {event["session"] for event in events(guard)} == {"t-1"}


@both
async def test_an_unknown_tool_is_denied_and_recorded(guard: Guard, asynchronous: bool) -> None:
    """Whatever name a model invents."""
    state = await go(agent(guard, turn(call("rm -rf /", {"x": 1}))), asking(), asynchronous)
    assert said(results(state)[0])["rule"] == "agentguard/unknown-tool"
    assert [event["tool"] for event in events(guard, "decision")] == ["rm -rf /"]


@both
@pytest.mark.parametrize("name", ["transf\u0435r", "a\x1b[2Jb", "\ud800", "x" * 100_000])
async def test_T21_the_name_of_an_unknown_tool_is_spelt_out(
    guard: Guard, asynchronous: bool, name: str
) -> None:
    """T21, T23: a look-alike, an escape, half a character: none of it stands in a record or a message."""
    state = await go(agent(guard, turn(call(name, {}))), asking(), asynchronous)
    (event,) = events(guard, "decision")
    assert event["tool"].isascii()
    assert event["tool"].isprintable()
    assert len(event["tool"]) <= 200
    assert said(results(state)[0])["error"] == "denied"
    assert not ran


@both
async def test_tools_see_what_is_injected(guard: Guard, asynchronous: bool) -> None:
    """Trap 15, in an agent; other tools that a tool finds there are guarded too."""
    found: list[Any] = []

    @tool
    def peek(x: int, state: Annotated[dict[str, Any], InjectedState], runtime: ToolRuntime) -> str:
        """Look around."""
        other = next(one for one in runtime.tools if one.name == "transfer")
        found.append(other.invoke(call("transfer", {"payee": "EVIL"}, "inner")))
        return f"{len(state['messages'])} {runtime.tool_call_id}"

    graph = agent(guard, turn(call("peek", {"x": 1}, "c-5")), tools=[peek, transfer])
    state = await go(graph, asking(), asynchronous)
    assert results(state)[0].content == "2 c-5"
    assert found[0].status == "error"
    assert not ran


@both
async def test_a_tool_may_answer_with_a_command(guard: Guard, asynchronous: bool) -> None:
    """Commands pass through unchanged."""

    @tool
    def rename(name: str, runtime: ToolRuntime) -> Command[Any]:
        """Answer with a state update."""
        return Command(update={"messages": [ToolMessage(name.upper(), tool_call_id=runtime.tool_call_id)]})

    state = await go(
        agent(guard, turn(call("rename", {"name": "x"})), tools=[rename]), asking(), asynchronous
    )
    assert results(state)[0].content == "X"


@both
async def test_a_pause_inside_of_a_tool_is_said_to_the_model(guard: Guard, asynchronous: bool) -> None:
    """A guarded function that a tool calls with other arguments, and that raises, cannot pause the graph."""
    with Guard(snapshot=snapshot(), store="memory:", pause="raise") as raising:

        @raising.tool("inner")
        def inner(amount: int) -> str:
            """Pay."""
            return "paid"

        @both_ways
        def outer(x: int) -> str:
            """Do."""
            return inner(5000)

        graph = agent(raising, turn(call("outer", {"x": 1})), tools=[outer])
        state = await go(graph, asking(), asynchronous)
        found = said(results(state)[0])
        (approval,) = raising.store.approvals(raising.tenant)
        assert found["error"] == "pending"
        assert approval.id in found["reason"]
        assert approval.tool == "inner"


# -- T33, T16: other middleware


@both
async def test_T33_each_run_of_the_handler_is_a_call_of_its_own(guard: Guard, asynchronous: bool) -> None:
    """Other middleware may run a call twice: each is decided and recorded, also where the first succeeded."""

    class Twice(AgentMiddleware[Any, Any, Any]):
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            handler(request)
            return handler(request)

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            await handler(request)
            return await handler(request)

    await go(agent(guard, turn(call("transfer", {"payee": "A"})), more=[Twice()]), asking(), asynchronous)
    assert len(ran) == 2
    assert [event["type"] for event in events(guard)] == ["decision", "outcome"] * 2


@both
async def test_T33_a_retry_inside_of_the_middleware_is_a_call_of_its_own(
    guard: Guard, asynchronous: bool
) -> None:
    """Wherever the retry stands in the list, each attempt is decided."""
    tries: list[int] = []

    @tool
    def flaky(payee: str) -> str:
        """Fail once."""
        tries.append(1)
        if len(tries) % 2:
            raise ConnectionError
        return "ok"

    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False)
    for order in (1, -1):
        middleware: list[AgentMiddleware[Any, Any, Any]] = [retry, GuardMiddleware(guard, agent=AGENT)]
        graph: Any = create_agent(
            model(turn(call("flaky", {"payee": "A"}))), [flaky], middleware=middleware[::order]
        )
        state = await go(graph, asking(), asynchronous)
        assert results(state)[0].content == "ok"
    assert [event["status"] for event in events(guard, "outcome")] == ["failed", "succeeded"] * 2
    assert len(events(guard, "decision")) == 4


def test_arguments_changed_by_other_middleware_are_decided(guard: Guard) -> None:
    """Also by one that stands between the guard and the tool."""

    class Swap(AgentMiddleware[Any, Any, Any]):
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(tool_call={**request.tool_call, "args": {"payee": "EVIL"}}))

    graph: Any = create_agent(
        model(turn(call("transfer", {"payee": "A"}))),
        [transfer],
        middleware=[GuardMiddleware(guard, agent=AGENT), Swap()],
    )
    state = graph.invoke(asking())
    assert said(results(state)[0])["rule"] == "payments/evil"
    assert not ran


async def test_T33_streaming_an_agent(guard: Guard) -> None:
    """Every stream mode goes through the guard."""
    graph = agent(guard, turn(call("transfer", {"payee": "EVIL"})))
    assert [*graph.stream(asking(), config("a"), stream_mode=["updates", "messages", "values", "custom"])]
    assert [one async for one in graph.astream(asking(), config("b"), stream_mode=["updates", "messages"])]
    assert not ran
    assert len(events(guard, "decision")) == 2


# -- starting


def test_options_are_checked(guard: Guard) -> None:
    """At once, with a reason."""
    wrong: Any = {"agent": "billing"}
    with pytest.raises(ConfigurationError, match="AgentIdentity"):
        GuardMiddleware(guard, **wrong)
    wrong = {"agent": AGENT, "pause": "never"}
    with pytest.raises(ConfigurationError, match="pause"):
        GuardMiddleware(guard, **wrong)
    with pytest.raises(ConfigurationError, match="needs an agent"):
        guard_tools(guard, [transfer], principal="ben")
    wrong = {"pause": "never"}
    with pytest.raises(ConfigurationError, match="pause"):
        guard_tools(guard, [transfer], **wrong)
    wrong = {"principal": 5}
    with pytest.raises(ConfigurationError, match="principal must be a name"):
        agent(guard, turn(), **wrong).invoke(asking(), config())


@both
async def test_a_strict_guard_refuses_before_the_model_is_asked(asynchronous: bool) -> None:
    """A policy that names a tool which nobody registered is found before anything runs."""
    policy = {
        "policy": "p",
        "owner": "o",
        "tools": ["transfr"],
        "rules": [{"id": "ok", "effect": "allow"}],
    }
    asked = model(turn(call("transfer", {"payee": "A"})))
    with Guard(snapshot=snapshot(policy), store="memory:", strict=True) as guard:
        graph = create_agent(asked, [transfer], middleware=[GuardMiddleware(guard, agent=AGENT)])
        with pytest.raises(ConfigurationError, match="transfr"):
            await go(graph, asking(), asynchronous)
    assert asked.i == 0
    assert not ran
