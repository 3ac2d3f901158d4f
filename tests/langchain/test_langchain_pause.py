"""A call that waits for a person: for whom it acts when it resumes, and where it cannot pause."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from agentguard import Answer, ApprovalPending, ConfigurationError, Guard, State
from agentguard_langchain import GuardMiddleware, guard_tools
from tests.langchain.drive import (
    AGENT,
    asking,
    call,
    config,
    events,
    model,
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
    clicked,
    go,
    guard_with_people,
    log,
    node,
    nothing_ran,
    ran,
    transfer,
    vouch,
)

__all__ = ["guard_with_people", "nothing_ran"]  # fixtures


# -- who resumes


@both
async def test_trap_4_the_principal_is_the_one_it_began_for(guard: Guard, asynchronous: bool) -> None:
    """The context of a resume is the resumer's; neither the paused nor a later call acts for them."""
    asked: list[str] = []

    def user(runtime: Any) -> str:
        asked.append(runtime.context["user"])
        return asked[-1]

    graph: Any = create_agent(
        model(turn(call("transfer", LARGE)), turn(call("log", {"text": "after"}, "call_2"))),
        [transfer, log],
        context_schema=dict,
        checkpointer=InMemorySaver(),
        middleware=[GuardMiddleware(guard, agent=AGENT, principal=user)],
    )
    await go(graph, asking(), asynchronous, context={"user": "ben"})
    approve(guard)
    await go(graph, Command(resume="go"), asynchronous, context={"user": "eve"})
    assert [event["principal"] for event in events(guard, "decision")] == ["ben"] * 3
    assert asked == ["ben"]
    assert ran == [("transfer", "A", 5000), ("log", "after")]


@both
async def test_trap_4_in_a_bare_tool_node(guard: Guard, asynchronous: bool) -> None:
    """The same without hooks; and where only the resumer could say for whom, the call is denied."""

    def user(runtime: Any) -> str:
        return str(runtime.context["user"])

    def graph(saver: Any) -> Any:
        builder: Any = StateGraph(MessagesState, context_schema=dict)
        tools = guard_tools(guard, [transfer, log], agent=AGENT, principal=user)
        builder.add_node("tools", ToolNode(tools))
        builder.add_node("later", lambda state: {"messages": [turn(call("log", {"text": "x"}, "call_2"))]})
        builder.add_node("again", ToolNode(tools))
        builder.add_edge(START, "tools")
        builder.add_edge("tools", "later")
        builder.add_edge("later", "again")
        builder.add_edge("again", END)
        return builder.compile(checkpointer=saver)

    saver = InMemorySaver()
    made = graph(saver)
    for thread in ("t-1", "t-2"):
        given = {"messages": [turn(call("transfer", LARGE))]}
        await go(made, given, asynchronous, thread, context={"user": "ben"})
    approve(guard, 0)
    await go(made, Command(resume="go"), asynchronous, "t-1", context={"user": "eve"})
    assert {event["principal"] for event in events(guard, "decision")} == {"ben"}
    assert ran == [("transfer", "A", 5000), ("log", "x")]
    approve(guard, 1)
    state = await go(graph(saver), Command(resume="go"), asynchronous, "t-2", context={"user": "eve"})
    assert "on whose behalf this run began" in said(results(state)[0])["reason"]
    assert len(ran) == 2
    assert "eve" not in {event.get("principal") for event in events(guard)}


# -- sub-agents


@both
async def test_a_sub_agent_pauses_its_caller(guard: Guard, asynchronous: bool) -> None:
    """A question inside of a sub-agent reaches the top, and its call runs once; its caller's call runs on."""
    helper: Any = create_agent(
        model(turn(call("transfer", LARGE))),
        [transfer],
        name="helper",
        middleware=[GuardMiddleware(guard, agent=AGENT, resolver=vouch)],
    )

    async def aresearch(question: str) -> str:
        return str((await helper.ainvoke(asking()))["messages"][-1].content)

    def research(question: str) -> str:
        """Ask the helper."""
        return str(helper.invoke(asking())["messages"][-1].content)

    graph: Any = create_agent(
        model(turn(call("research", {"question": "?"}, "outer"))),
        [StructuredTool.from_function(research, aresearch)],
        context_schema=dict,
        checkpointer=InMemorySaver(),
        middleware=[GuardMiddleware(guard, agent=AGENT, principal=lambda run: run.context["user"])],
    )
    state = await go(graph, asking(), asynchronous, context={"user": "ben"})
    assert state["__interrupt__"][0].value["name"] == "transfer"
    state = await go(graph, clicked("approve"), asynchronous, context={"user": "eve"})
    assert results(state)[0].content == "done"
    assert len(ran) == 1
    assert {event["principal"] for event in events(guard, "decision")} == {"ben"}
    assert len(approvals(guard)) == 1


# -- waiting


@both
async def test_trap_12_without_a_checkpointer_the_call_is_denied(guard: Guard, asynchronous: bool) -> None:
    """A pause that could never resume is no pause: nothing runs, and nobody is left with the question."""
    graph: Any = create_agent(
        model(turn(call("transfer", LARGE))),
        [transfer],
        middleware=[GuardMiddleware(guard, agent=AGENT)],
    )
    state = await go(graph, asking(), asynchronous)
    assert said(results(state)[0])["rule"] == "agentguard/pause"
    assert "no checkpointer" in said(results(state)[0])["reason"]
    assert approvals(guard)[0].state is State.WITHDRAWN
    assert not ran


@both
async def test_trap_12_strict_refuses_to_start_without_a_checkpointer(
    guard: Guard, asynchronous: bool
) -> None:
    """Before the model is asked anything."""
    graph: Any = create_agent(
        model(turn(call("transfer", LARGE))),
        [transfer],
        middleware=[GuardMiddleware(guard, agent=AGENT, strict=True)],
    )
    with pytest.raises(ConfigurationError, match="no checkpointer"):
        await go(graph, asking(), asynchronous)


def test_trap_12_outside_of_a_graph_the_session_says_what_to_do(guard: Guard) -> None:
    """There is nothing to pause: `raise` raises, `interrupt` is a denial."""
    found = guard_tools(guard, [transfer], agent=AGENT, pause="raise")[0]
    with pytest.raises(ApprovalPending):
        found.invoke(call("transfer", LARGE))
    found = guard_tools(guard, [transfer], agent=AGENT, pause="interrupt")[0]
    assert said(found.invoke(call("transfer", LARGE, "call_2")))["rule"] == "agentguard/pause"


@both
async def test_trap_12_a_tools_own_interrupt_passes(guard: Guard, asynchronous: bool) -> None:
    """A guarded tool may pause the graph itself; its answer is its own, and it is decided again."""

    @tool
    def ask(question: str) -> str:
        """Ask the user."""
        return f"said {interrupt(question)}"

    graph = node(guard, ask)
    state = await go(graph, {"messages": [turn(call("ask", {"question": "why?"}))]}, asynchronous)
    assert state["__interrupt__"][0].value == "why?"
    state = await go(graph, Command(resume="because"), asynchronous)
    assert results(state)[0].content == "said because"


@both
async def test_waiting_in_this_process(guard: Guard, asynchronous: bool) -> None:
    """`pause="wait"` needs no checkpointer: a channel's answer lets the call go on."""

    def answer(question: Any) -> None:
        approval = question.approval
        question.cast(Answer(subject="local", verdict="approve", digest=approval.digest))

    with Guard(snapshot=snapshot(), store="memory:", channels=[answer]) as asking_guard:
        graph: Any = create_agent(
            model(turn(call("transfer", LARGE))),
            [transfer],
            middleware=[GuardMiddleware(asking_guard, agent=AGENT, pause="wait")],
        )
        state = await go(graph, asking(), asynchronous)
    assert results(state)[0].status == "success"
    assert len(ran) == 1


def test_a_message_is_a_message(guard: Guard) -> None:
    """What a resumed agent keeps in its state are LangChain's own messages."""
    graph = agent(guard, turn(call("transfer", {"payee": "EVIL"})))
    state = graph.invoke(asking(), config())
    assert isinstance(results(state)[0], ToolMessage)
    assert "agentguard_run" not in state
