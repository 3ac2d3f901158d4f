"""Beside other middleware of LangChain's, in either order; and cut short, streamed, batched."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    TodoListMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentguard import Guard, State
from agentguard_langchain import GuardMiddleware, guard_tools
from tests.langchain.drive import AGENT, PRINCIPAL, asking, call, config, events, model, results, said, turn
from tests.langchain.paused import (
    LARGE,
    agent,
    approvals,
    both,
    clicked,
    go,
    guard_with_people,
    log,
    nothing_ran,
    ran,
    transfer,
    vouch,
)

__all__ = ["guard_with_people", "nothing_ran"]  # fixtures

orders = pytest.mark.parametrize("order", [1, -1], ids=["before", "after"])


def beside(
    guard: Guard, other: AgentMiddleware[Any, Any, Any], order: int, *turns: AIMessage, tools: Any = ()
) -> Any:
    """An agent with another middleware before or after ours."""
    middleware: list[AgentMiddleware[Any, Any, Any]] = [
        other,
        GuardMiddleware(guard, agent=AGENT, principal=PRINCIPAL, resolver=vouch),
    ]
    return create_agent(
        model(*turns),
        list(tools) or [transfer, log],
        checkpointer=InMemorySaver(),
        middleware=middleware[::order],
    )


@both
@orders
async def test_T33_an_approved_call_that_fails_is_not_retried(
    guard: Guard, asynchronous: bool, order: int
) -> None:
    """One approval is one start: the retry is refused, and the model is told that it ran."""

    @tool("transfer")
    def breaks(payee: str, amount: int) -> str:
        """Fail."""
        ran.append(payee)
        raise ConnectionError

    retry = ToolRetryMiddleware(max_retries=3, initial_delay=0.0, jitter=False)
    graph = beside(guard, retry, order, turn(call("transfer", LARGE)), tools=[breaks])
    await go(graph, asking(), asynchronous)
    state = await go(graph, clicked("approve"), asynchronous)
    assert ran == ["A"]
    assert "already ran once" in said(results(state)[0])["reason"]
    assert approvals(guard)[0].state is State.FAILED


@both
@orders
async def test_two_questions_about_one_call(guard: Guard, asynchronous: bool, order: int) -> None:
    """LangChain's own question first, then ours: the answer to the first is none to the second."""
    people = HumanInTheLoopMiddleware({"transfer": True})
    graph = beside(guard, people, order, turn(call("transfer", LARGE)))
    theirs = (await go(graph, asking(), asynchronous))["__interrupt__"][0].value
    assert "approval_id" not in theirs
    ours = (await go(graph, clicked("approve"), asynchronous))["__interrupt__"][0].value
    assert ours["approval_id"] == approvals(guard)[0].id
    assert approvals(guard)[0].votes == ()
    state = await go(graph, clicked("approve"), asynchronous)
    assert results(state)[0].status == "success"
    assert len(ran) == 1


@orders
def test_a_limit_of_calls_stays_a_limit(guard: Guard, order: int) -> None:
    """What LangChain's limit stops never reaches the guard; the rest is decided."""
    limit = ToolCallLimitMiddleware(run_limit=1)
    calls = turn(call("log", {"text": "a"}, "1"), call("log", {"text": "b"}, "2"))
    state = beside(guard, limit, order, calls).invoke(asking(), config())
    assert ran == [("log", "a")]
    assert sorted(answer.status for answer in results(state)) == ["error", "success"]
    assert [event["call_id"] for event in events(guard, "decision")] == ["1"]


@orders
def test_a_tool_that_another_middleware_brings_is_decided(guard: Guard, order: int) -> None:
    """Whatever its name: the policy of this agent speaks of every tool."""
    todo = turn(call("write_todos", {"todos": [{"content": "x", "status": "pending"}]}))
    state = beside(guard, TodoListMiddleware(), order, todo).invoke(asking(), config())
    assert results(state)[0].status == "success"
    assert [event["tool"] for event in events(guard, "decision")] == ["write_todos"]


@both
async def test_T36_several_questions_are_answered_at_once_by_their_ids(
    guard: Guard, asynchronous: bool
) -> None:
    """Approved, rejected with a reason, and edited: each call gets its own answer in one resume."""

    def with_reason(answer: Any, approval: Any) -> Any:
        from dataclasses import replace

        found = vouch(answer, approval)
        message = answer["decisions"][0].get("message", "")
        return found if found is None else replace(found, reason=message)

    calls = [call("transfer", {**LARGE, "payee": who}, who) for who in ("A", "B", "C")]
    graph = agent(guard, turn(*calls), resolver=with_reason)
    asked = (await go(graph, asking(), asynchronous))["__interrupt__"]
    answers: dict[str, Any] = {
        "A": {"type": "approve"},
        "B": {"type": "reject", "message": "too much"},
        "C": {"type": "edit", "edited_action": {"name": "transfer", "args": {"payee": "C", "amount": 1}}},
    }
    resume = {one.id: {"decisions": [answers[one.value["args"]["payee"]]], "user": "cleo"} for one in asked}
    state = await go(graph, Command(resume=resume), asynchronous)
    assert ran == [("transfer", "A", 5000)]
    paid, rejected, edited = results(state)
    assert paid.content == "paid 5000 to A"
    assert said(rejected)["reason"] == "cleo rejected it: too much"
    assert said(edited)["rule"] == "agentguard/edit"


# -- T38


async def _hanging(guard: Guard) -> tuple[Any, asyncio.Event]:
    started = asyncio.Event()

    @tool
    async def slow(x: int) -> str:
        """Hang."""
        started.set()
        await asyncio.Event().wait()
        return "never"

    graph: Any = create_agent(
        model(turn(call("slow", {"x": 1}))),
        [slow],
        checkpointer=InMemorySaver(),
        middleware=[GuardMiddleware(guard, agent=AGENT)],
    )
    return graph, started


async def _settled(guard: Guard) -> list[str]:
    """How calls ended, once that is recorded: cancelled tasks of a graph end after it."""
    async with asyncio.timeout(120):
        while not (found := [event["status"] for event in events(guard, "outcome")]):
            await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize("stream", [False, True])
async def test_T38_a_cancelled_run_leaves_a_record(guard: Guard, stream: bool) -> None:
    """What was running is unknown, and is not run again when the thread goes on."""
    graph, started = await _hanging(guard)

    async def run() -> None:
        if stream:
            async for _ in graph.astream(asking(), config(), stream_mode="updates"):
                pass
        else:
            await graph.ainvoke(asking(), config())

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _settled(guard) == ["unknown"]
    started.clear()
    state = await graph.ainvoke(None, config())
    assert said(results(state)[0])["error"] == "already_ran"
    assert not started.is_set()


async def test_T38_a_stream_that_nobody_reads_on(guard: Guard) -> None:
    """Closed after the model's turn, before the call: nothing ran, and nothing is left open."""
    graph = agent(guard, turn(call("log", {"text": "a"})))
    stream: AsyncIterator[Any] = graph.astream(asking(), config(), stream_mode="updates")
    async with aclosing(stream) as updates:  # type: ignore[type-var]
        async for update in updates:
            if "model" in update:
                break
    ended = {event["decision_id"] for event in events(guard, "outcome")}
    assert {event["id"] for event in events(guard, "decision")} == ended


async def test_T34_a_batch_keeps_its_runs_apart(guard: Guard) -> None:
    """`abatch` runs threads side by side: each has its own session, question and answer."""
    graphs = agent(guard, turn(call("transfer", LARGE)), resolver=vouch)
    one = await graphs.ainvoke(asking(), config("a"))
    graphs = agent(guard, turn(call("transfer", LARGE)), resolver=vouch, saver=graphs.checkpointer)
    two = await graphs.ainvoke(asking(), config("b"))
    ids = {state["__interrupt__"][0].value["approval_id"] for state in (one, two)}
    assert len(ids) == 2
    go_on = [clicked("approve"), clicked("reject")]
    done = await graphs.abatch(go_on, [config("a"), config("b")])
    assert [results(state)[0].status for state in done] == ["success", "error"]
    assert len(ran) == 1
    assert {event["session"] for event in events(guard, "decision")} == {"a", "b"}


# -- drivers


def test_T33_what_a_tool_raises_is_raised(guard: Guard) -> None:
    """Whatever it is: also an exception that a generator would turn into another."""

    @tool
    def ends(x: int) -> str:
        """End."""
        raise StopIteration("its own")

    found = guard_tools(guard, [ends], agent=AGENT)[0]
    with pytest.raises(StopIteration, match="its own"):
        found.invoke(call("ends", {"x": 1}))
    assert [event["status"] for event in events(guard, "outcome")] == ["failed"]


async def test_a_slow_resolver_does_not_hold_up_the_loop(guard: Guard) -> None:
    """What may block is done in a thread: here it waits for something that only the loop can do."""
    loop, free = asyncio.get_running_loop(), threading.Event()

    def slow(answer: Any, approval: Any) -> Any:
        loop.call_soon_threadsafe(free.set)
        assert free.wait(60)
        return vouch(answer, approval)

    graph = agent(guard, turn(call("transfer", LARGE)), resolver=slow)
    await graph.ainvoke(asking(), config())
    state = await graph.ainvoke(clicked("approve"), config())
    assert results(state)[0].status == "success"


async def test_T38_cancelled_while_a_person_is_asked_in_process(guard: Guard) -> None:
    """`pause="wait"`: who gives up withdraws the question, and nothing runs."""
    graph: Any = create_agent(
        model(turn(call("transfer", LARGE))),
        [transfer],
        middleware=[GuardMiddleware(guard, agent=AGENT, pause="wait")],
    )
    task = asyncio.create_task(graph.ainvoke(asking()))
    async with asyncio.timeout(120):
        while not approvals(guard):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while approvals(guard)[0].state is not State.WITHDRAWN:
            await asyncio.sleep(0.01)
    assert not ran
