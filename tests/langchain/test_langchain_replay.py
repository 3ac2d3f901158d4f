"""At most once: LangGraph runs a task again when it resumes, here or in another process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from agentguard import Guard
from agentguard_langchain import GuardMiddleware, guard_tools
from agentguard_langchain.moment import moment
from tests.langchain.drive import (
    AGENT,
    asking,
    both_ways,
    call,
    config,
    events,
    model,
    python,
    results,
    said,
    snapshot,
    turn,
)
from tests.langchain.paused import (
    LARGE,
    agent,
    approvals,
    approve,
    both,
    go,
    guard_with_people,
    log,
    node,
    nothing_ran,
    ran,
    siblings_done,
    transfer,
)

__all__ = ["guard_with_people", "nothing_ran"]  # fixtures


@both
async def test_trap_3_a_sibling_that_ran_does_not_run_again(guard: Guard, asynchronous: bool) -> None:
    """A bare ToolNode runs every call of the turn again on resume; ours answer from memory."""
    calls = turn(
        call("log", {"text": "hi"}, "a"),
        call("transfer", LARGE, "b"),
        call("transfer", {"payee": "EVIL"}, "c"),
    )
    graph = node(guard)
    await go(graph, {"messages": [calls]}, asynchronous)
    if asynchronous:
        await siblings_done(guard, outcomes=1, decisions=3)
    approve(guard)
    state = await go(graph, Command(resume="go on"), asynchronous)
    assert sorted(ran) == [("log", "hi"), ("transfer", "A", 5000)]
    assert [(a.tool_call_id, a.status) for a in results(state)] == [
        ("a", "success"),
        ("b", "success"),
        ("c", "error"),
    ]
    assert results(state)[0].content == "noted"
    decided = sorted(event["call_id"] for event in events(guard, "decision"))
    assert decided == ["a", "b", "b", "c"]  # the second of `b` is that of its claim


@both
async def test_trap_3_a_sibling_that_failed_may_run_again(guard: Guard, asynchronous: bool) -> None:
    """A failed attempt is no result: the retry is a call of its own."""
    tries: list[int] = []

    @tool
    def flaky() -> str:
        """Fail once."""
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("down")
        return "up"

    graph = node(guard, flaky)
    with pytest.raises(ConnectionError):
        await go(graph, {"messages": [turn(call("flaky", {}))]}, asynchronous)
    state = await go(graph, None, asynchronous)
    assert results(state)[0].content == "up"


@both
async def test_trap_3_the_ledger_remembers_what_memory_does_not(tmp_path: Path, asynchronous: bool) -> None:
    """As in another process: a sibling that ran is refused, one that is idempotent runs again."""
    saver, store = InMemorySaver(), f"sqlite:///{tmp_path}/guard.db"

    @both_ways
    def look(at: str) -> str:
        """Look."""
        ran.append(("look", at))
        return "seen"

    facts = {"look": {"facts": {"idempotent": True}}}
    calls = turn(
        call("log", {"text": "hi"}, "a"), call("look", {"at": "x"}, "b"), call("transfer", LARGE, "c")
    )
    with Guard(snapshot=snapshot(), store=store, tool_facts=facts) as guard:
        await go(node(guard, transfer, log, look, saver=saver), {"messages": [calls]}, asynchronous)
        await siblings_done(guard, outcomes=2, decisions=3)
        approve(guard)
    with Guard(snapshot=snapshot(), store=store, tool_facts=facts) as guard:
        graph = node(guard, transfer, log, look, saver=saver)
        state = await go(graph, Command(resume="go"), asynchronous)
    assert [answer.status for answer in results(state)] == ["error", "success", "success"]
    assert said(results(state)[0])["error"] == "already_ran"
    assert sorted(ran) == [("log", "hi"), ("look", "x"), ("look", "x"), ("transfer", "A", 5000)]


def test_trap_3_in_another_process(tmp_path: Path) -> None:
    """Where the results are not at hand the ledger says that a sibling ran: it is refused, clearly."""
    script = str(Path(__file__).parent / "processes.py")
    asked = json.loads(python(script, str(tmp_path), "node", "ask"))
    assert asked["interrupts"][0]["name"] == "transfer"
    with Guard(snapshot=snapshot(), store=f"sqlite:///{tmp_path}/guard.db") as guard:
        approve(guard)
    done = json.loads(python(script, str(tmp_path), "node", "resume"))
    found = {id: (status, content) for id, status, content in done["results"]}
    assert found["call_2"] == ("success", "paid 5000")
    assert found["call_1"][0] == "error"
    assert json.loads(found["call_1"][1])["error"] == "already_ran"
    assert sorted((tmp_path / "effects.txt").read_text().split("\n")) == ["", "log hi", "transfer A 5000"]


@both
async def test_a_resumed_run_whose_beginning_was_not_seen_is_untrusted(
    guard: Guard, asynchronous: bool
) -> None:
    """Guarded tools made anew do not know what the run has seen, so they trust it less."""

    @tool
    def send(to: str) -> str:
        """Send a message."""
        ran.append(("send", to))
        return "sent"

    saver = InMemorySaver()
    given = {"messages": [turn(call("transfer", LARGE, "a"), call("send", {"to": "x"}, "b"))]}
    await go(node(guard, transfer, send, saver=saver), given, asynchronous)
    approve(guard)
    ran.clear()
    builder: Any = StateGraph(MessagesState)
    tools = guard_tools(guard, [transfer, send], agent=AGENT)
    builder.add_node("tools", ToolNode(tools))
    builder.add_node("later", lambda state: {"messages": [turn(call("send", {"to": "y"}, "c"))]})
    builder.add_node("again", ToolNode(tools))
    builder.add_edge(START, "tools")
    builder.add_edge("tools", "later")
    builder.add_edge("later", "again")
    builder.add_edge("again", END)
    state = await go(builder.compile(checkpointer=saver), Command(resume="go"), asynchronous)
    assert said(results(state)[-1])["rule"] == "payments/tainted"
    assert ("transfer", "A", 5000) in ran
    assert ("send", "y") not in ran


@both
async def test_trap_13_nothing_is_recorded_or_counted_twice(guard: Guard, asynchronous: bool) -> None:
    """Three runs of the same code before the interrupt: one decision, one question, one call."""
    middleware = GuardMiddleware(guard, agent=AGENT)
    graph: Any = create_agent(
        model(turn(call("transfer", LARGE))),
        [transfer],
        checkpointer=InMemorySaver(),
        middleware=[middleware],
    )
    await go(graph, asking(), asynchronous)
    await go(graph, Command(resume=1), asynchronous)
    await go(graph, Command(resume=2), asynchronous)
    assert [event["type"] for event in events(guard)] == ["decision", "approval.opened"]
    approve(guard)
    await go(graph, Command(resume=3), asynchronous)
    types = [event["type"] for event in events(guard)]
    assert [types.count(name) for name in ("decision", "approval.opened", "claimed", "outcome")] == [
        2,
        1,
        1,
        1,
    ]
    assert {event.get("phase") for event in events(guard, "decision")} == {"decide", "claim"}
    (session,) = middleware._sessions._open.values()
    assert session.calls == 1


# -- another process


def test_pause_here_resume_in_another_process(tmp_path: Path) -> None:
    """A new process, a new agent and the same checkpointer: the approved call runs once, ever."""
    script = str(Path(__file__).parent / "processes.py")
    asked = json.loads(python(script, str(tmp_path), "agent", "ask"))
    (question,) = asked["interrupts"]
    again = json.loads(python(script, str(tmp_path), "agent", "resume"))
    assert again["interrupts"] == [question]
    with Guard(snapshot=snapshot(), store=f"sqlite:///{tmp_path}/guard.db") as guard:
        approve(guard)
    # Trap 4: somebody else resumes it; it still acts for the one it began for.
    done = json.loads(python(script, str(tmp_path), "agent", "resume-as-eve"))
    assert sorted(answer[:2] for answer in done["results"]) == [["call_1", "success"], ["call_2", "success"]]
    assert done["last"] == "done"
    python(script, str(tmp_path), "agent", "resume")
    assert sorted((tmp_path / "effects.txt").read_text().split("\n")) == ["", "log hi", "transfer A 5000"]
    with Guard(snapshot=snapshot(), store=f"sqlite:///{tmp_path}/guard.db") as guard:
        assert {event["principal"] for event in events(guard, "decision")} == {"ben"}
        assert len(approvals(guard)) == 1
        assert [event["type"] for event in events(guard)].count("claimed") == 1


def test_call_ids_are_reused_across_threads(guard: Guard) -> None:
    """Models count `call_1` from the beginning in every conversation: an approval is for one thread."""
    saver = InMemorySaver()
    for thread in ("t-1", "t-2"):
        agent(guard, turn(call("transfer", LARGE)), saver=saver).invoke(asking(), config(thread))
    approve(guard, 0)
    state = agent(guard, turn(call("transfer", LARGE)), saver=saver).invoke(
        Command(resume="go"), config("t-2")
    )
    assert state["__interrupt__"]
    assert not ran
    agent(guard, turn(call("transfer", LARGE)), saver=saver).invoke(Command(resume="go"), config("t-1"))
    assert len(ran) == 1


def test_a_tool_call_without_an_id_converges(guard: Guard) -> None:
    """A node that invokes a tool by itself gives no call id; the place and the arguments stand in."""
    found = guard_tools(guard, [transfer], agent=AGENT)[0]
    builder: Any = StateGraph(MessagesState)
    builder.add_node("pay", lambda state: {"messages": [AIMessage(found.invoke(LARGE))]})
    builder.add_edge(START, "pay")
    builder.add_edge("pay", END)
    graph = builder.compile(checkpointer=InMemorySaver())
    assert graph.invoke({"messages": []}, config())["__interrupt__"]
    approve(guard)
    assert graph.invoke(Command(resume="go"), config())["messages"][-1].content == "paid 5000 to A"
    assert len(approvals(guard)) == 1


def test_langgraph_still_says_what_is_read_from_it(guard: Guard) -> None:
    """The undocumented keys that `moment` reads are there: task, thread, checkpointer, resuming."""
    seen: list[Any] = []

    @tool
    def look() -> str:
        """Look."""
        seen.append(moment())
        if len(seen) == 1:
            interrupt("x")
        return "ok"

    graph = node(guard, look)
    graph.invoke({"messages": [turn(call("look", {}))]}, config("t-9"))
    graph.invoke(Command(resume="y"), config("t-9"))
    first, second = seen
    assert (first.thread_id, first.durable, first.resuming) == ("t-9", True, False)
    assert (second.thread_id, second.durable, second.resuming) == ("t-9", True, True)
    assert first.task_id == second.task_id


@both
async def test_T17_a_call_that_nobody_saw_end_is_said_to_be_unknown(guard: Guard, asynchronous: bool) -> None:
    """Claimed by a process that died: it is not run again, and the model is told so."""
    graph = agent(guard, turn(call("transfer", LARGE)))
    await go(graph, asking(), asynchronous)
    approve(guard)
    (approval,) = approvals(guard)
    guard.store.claim(guard.tenant, approval.id, approval.digest, ())
    state = await go(graph, Command(resume="go"), asynchronous)
    assert said(results(state)[0])["error"] == "outcome_unknown"
    assert not ran


async def test_T36_a_sibling_that_still_runs_is_not_started_again(guard: Guard) -> None:
    """Resumed while it runs, an asynchronous sibling is not there yet, and not started beside itself."""
    release, started = asyncio.Event(), []

    @tool
    async def slow(x: int) -> str:
        """Take long."""
        started.append(x)
        await release.wait()
        return "late"

    graph = node(guard, slow, transfer)
    calls = turn(call("slow", {"x": 1}, "a"), call("transfer", LARGE, "b"))
    await go(graph, {"messages": [calls]}, True)
    approve(guard)
    state = await go(graph, Command(resume="go"), True)
    release.set()
    assert "has not ended" in said(results(state)[0])["reason"]
    assert results(state)[1].status == "success"
    assert started == [1]
    await siblings_done(guard, outcomes=2, decisions=2)


def test_two_calls_without_ids_in_one_node_are_two(guard: Guard) -> None:
    """Their arguments tell them apart, in the record too."""
    found = guard_tools(guard, [log], agent=AGENT)[0]
    builder: Any = StateGraph(MessagesState)
    builder.add_node("log", lambda state: {"messages": [found.invoke({"text": text}) for text in "ab"]})
    builder.add_edge(START, "log")
    builder.add_edge("log", END)
    builder.compile(checkpointer=InMemorySaver()).invoke({"messages": []}, config())
    assert len({event["call_id"] for event in events(guard, "decision")}) == 2


def test_T36_two_calls_of_one_id_are_not_taken_for_each_other(guard: Guard) -> None:
    """A model that gives two calls one id: on resume neither gets the result of the other."""

    @tool
    def echo(text: str) -> str:
        """Say it again."""
        ran.append(("echo", text))
        return f"<{text}>"

    calls = [call("echo", {"text": text}, "x") for text in "ab"]
    graph = node(guard, echo, transfer)
    graph.invoke({"messages": [turn(*calls, call("transfer", LARGE, "y"))]}, config())
    approve(guard)
    state = graph.invoke(Command(resume="go"), config())
    assert sorted(ran) == [("echo", "a"), ("echo", "b"), ("transfer", "A", 5000)]
    for text, answer in zip("ab", results(state), strict=False):
        assert answer.content == f"<{text}>" or "already_ran" in str(answer.content)


def test_what_is_remembered_is_bounded(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest output goes first; its call is still not run again, for the ledger knows it."""
    from agentguard_langchain import repeats

    monkeypatch.setattr(repeats, "_KEPT", 1)
    calls = turn(
        call("log", {"text": "a"}, "1"), call("log", {"text": "b"}, "2"), call("transfer", LARGE, "3")
    )
    graph = node(guard)
    graph.invoke({"messages": [calls]}, config())
    approve(guard)
    state = graph.invoke(Command(resume="go"), config())
    assert len(ran) == 3
    assert "already_ran" in str([answer.content for answer in results(state)])
