"""Which question an answer is about: LangGraph hands answers out by position, and old ones again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, ToolRuntime
from langgraph.types import Command, interrupt

from agentguard import Guard, State
from agentguard_langchain import GuardMiddleware
from tests.langchain.drive import (
    AGENT,
    PEOPLE,
    PRINCIPAL,
    asking,
    call,
    config,
    model,
    results,
    snapshot,
    turn,
)
from tests.langchain.paused import (
    LARGE,
    agent,
    approvals,
    both,
    clicked,
    go,
    guard_with_people,
    node,
    nothing_ran,
    ran,
    transfer,
    vouch,
)

__all__ = ["guard_with_people", "nothing_ran"]  # fixtures


def _paused(graph: Any, thread: str, payee: str) -> str:
    """Pause a thread of a bare ToolNode; returns its approval."""
    state = graph.invoke({"messages": [turn(call("transfer", {**LARGE, "payee": payee}))]}, config(thread))
    return str(state["__interrupt__"][0].value["approval_id"])


def test_T36_an_answer_is_about_the_approval_that_it_names(guard: Guard) -> None:
    """Wherever it comes back: it is a vote on that one, and changes nothing about the call that it woke."""
    graph = node(guard, principal=PRINCIPAL, resolver=vouch)
    first, second = _paused(graph, "t-1", "A"), _paused(graph, "t-2", "B")
    assert graph.invoke(clicked("approve", approval_id=second), config("t-1"))["__interrupt__"]
    assert [guard.approval(one).state for one in (first, second)] == [State.REQUESTED, State.APPROVED]
    assert not ran
    graph.invoke(Command(resume="go"), config("t-2"))
    assert ran == [("transfer", "B", 5000)]


def test_T36_an_edit_of_another_call_ends_none(guard: Guard) -> None:
    """What names one approval withdraws no other, and one that names two is about neither."""
    graph = node(guard, principal=PRINCIPAL, resolver=vouch)
    first, second = _paused(graph, "t-1", "A"), _paused(graph, "t-2", "B")
    assert graph.invoke(clicked("edit", approval_id=second), config("t-1"))["__interrupt__"]
    both_named = {"decisions": [{"type": "approve", "approval_id": first}], "approval_id": second}
    assert graph.invoke(Command(resume={**both_named, "user": "cleo"}), config("t-1"))["__interrupt__"]
    assert [guard.approval(one).state for one in (first, second)] == [State.REQUESTED] * 2
    assert not ran


@both
async def test_T36_questions_inside_of_a_tool_want_named_answers(guard: Guard, asynchronous: bool) -> None:
    """A tool that calls two others shares one task with them: the answer for one is none for the next."""

    @tool
    def several(x: int, runtime: ToolRuntime) -> str:
        """Pay two."""
        other = next(one for one in runtime.tools if one.name == "transfer")
        paid = [other.invoke(call("transfer", {**LARGE, "payee": who}, who)) for who in ("A", "B")]
        return " ".join(str(answer.content) for answer in paid)

    graph: Any = create_agent(
        model(turn(call("several", {"x": 1}))),
        [several, transfer],
        checkpointer=InMemorySaver(),
        middleware=[GuardMiddleware(guard, agent=AGENT, principal=PRINCIPAL, resolver=vouch)],
    )
    await go(graph, asking(), asynchronous)
    for _ in range(3):
        state = await go(graph, clicked("approve"), asynchronous)
    assert not ran
    for who in ("A", "B"):
        question = state["__interrupt__"][0].value
        assert question["args"]["payee"] == who
        state = await go(graph, clicked("approve", approval_id=question["approval_id"]), asynchronous)
    assert results(state)[0].content == "paid 5000 to A paid 5000 to B"
    assert ran == [("transfer", "A", 5000), ("transfer", "B", 5000)]


def test_T36_in_a_node_of_ones_own_an_answer_must_name_its_approval(guard: Guard) -> None:
    """The middleware's wrapper on a bare ToolNode: there several calls share a task."""
    middleware = GuardMiddleware(guard, agent=AGENT, principal=PRINCIPAL, resolver=vouch)
    builder: Any = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([transfer], wrap_tool_call=middleware.wrap_tool_call))
    builder.add_edge(START, "tools")
    builder.add_edge("tools", END)
    graph = builder.compile(checkpointer=InMemorySaver())
    calls = [call("transfer", {**LARGE, "payee": who}, who) for who in ("A", "B")]
    graph.invoke({"messages": [turn(*calls)]}, config())
    for _ in range(3):
        assert graph.invoke(clicked("approve"), config())["__interrupt__"]
    assert not ran
    assert not any(approval.votes for approval in approvals(guard))
    state = graph.invoke(clicked("approve", approval_id=approvals(guard)[0].id), config())
    assert [len(approval.votes) for approval in approvals(guard)] == [1, 0]
    assert state["__interrupt__"]


class _Asks(AgentMiddleware[Any, Any, Any]):
    """Asks a question of its own in the same task, before the call goes on; once, or whenever it runs."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def _ask(self) -> None:
        if self.left:
            self.left -= 1
            interrupt("shall I go on?")

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        self._ask()
        return handler(request)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        self._ask()
        return await handler(request)


@both
@pytest.mark.parametrize("times", [1, 100], ids=["once", "always"])
async def test_T36_the_answer_to_another_middlewares_question_is_no_vote(
    guard: Guard, asynchronous: bool, times: int
) -> None:
    """However often LangGraph hands it out again; only an answer that names our approval is one."""
    graph = agent(guard, turn(call("transfer", LARGE)), more=[_Asks(times)], resolver=vouch)
    state = await go(graph, asking(), asynchronous)
    assert state["__interrupt__"][0].value == "shall I go on?"
    for given in (clicked("approve"), None, None, Command(resume="what?"), None):
        state = await go(graph, given, asynchronous)
        (approval,) = approvals(guard)
        assert approval.votes == ()
        assert state["__interrupt__"][0].value["approval_id"] == approval.id
    assert not ran
    state = await go(graph, clicked("approve", approval_id=approval.id), asynchronous)
    assert results(state)[0].status == "success"
    assert len(ran) == 1


@both
async def test_T06_an_answer_to_a_question_before_is_none_to_this_one(
    tmp_path: Path, asynchronous: bool
) -> None:
    """Who approved the tool of before did not approve the one of a new release; it is asked about anew."""
    directory, saver = tmp_path / "directory.yaml", InMemorySaver()
    directory.write_text(PEOPLE)

    def release(guard: Guard, description: str) -> Any:
        return create_agent(
            model(turn(call("transfer", LARGE))),
            [transfer.model_copy(update={"description": description})],
            checkpointer=saver,
            middleware=[GuardMiddleware(guard, agent=AGENT, principal=PRINCIPAL, resolver=vouch)],
        )

    def open_guard() -> Guard:
        return Guard(snapshot=snapshot(), store=f"sqlite:///{tmp_path}/guard.db", directory=directory)

    with open_guard() as guard:
        await go(release(guard, "Pay somebody."), asking(), asynchronous)
    with open_guard() as guard:
        graph = release(guard, "Pay anybody, silently.")
        for answer in (clicked("approve"), None, clicked("approve"), None):
            state = await go(graph, answer, asynchronous)
        assert [approval.votes for approval in approvals(guard)] == [(), ()]
        assert not ran
        approval_id = state["__interrupt__"][0].value["approval_id"]
        assert approval_id == approvals(guard)[-1].id
        await go(graph, clicked("approve", approval_id=approval_id), asynchronous)
        assert len(ran) == 1
