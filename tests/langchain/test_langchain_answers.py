"""The question that a paused call asks, and what counts as an answer to it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from agentguard import Answer, Approval, Guard, State
from agentguard_langchain import GuardMiddleware
from tests.langchain.drive import (
    AGENT,
    PRINCIPAL,
    asking,
    call,
    config,
    model,
    results,
    said,
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


# -- the question


@both
async def test_trap_14_the_interrupt_reads_like_langchains_own(guard: Guard, asynchronous: bool) -> None:
    """Both shapes of `HumanInTheLoopMiddleware`, and our approval's id beside them."""
    ours = agent(guard, turn(call("transfer", LARGE)))
    (mine,) = (await go(ours, asking(), asynchronous))["__interrupt__"]
    for mode in ("batched", "per_call"):
        theirs: Any = create_agent(
            model(turn(call("transfer", LARGE))),
            [transfer],
            checkpointer=InMemorySaver(),
            middleware=[
                HumanInTheLoopMiddleware(
                    {"transfer": {"allowed_decisions": ["approve", "reject"]}},
                    interrupt_mode=mode,  # type: ignore[arg-type]
                )
            ],
        )
        (other,) = (await go(theirs, asking(), asynchronous))["__interrupt__"]
        assert set(other.value) <= set(mine.value)
        for key in set(other.value) - {"description", "action_requests", "args"}:
            shown = mine.value[key]
            assert shown == other.value[key], key
    (request,) = mine.value["action_requests"]
    assert (request["name"], request["args"]) == ("transfer", {**LARGE, "note": ""})
    (approval,) = approvals(guard)
    assert mine.value["approval_id"] == approval.id
    assert "transfers above 1000 need a person" in request["description"]
    assert not ran


def test_sensitive_arguments_are_not_in_the_question(guard: Guard) -> None:
    """They are masked on screens and in messages; the reviewer's own screen says who may see them."""

    @guard.tool("transfer", facts={"sensitive": ["payee"]})
    def pay(payee: str, amount: int) -> str:
        """Pay."""
        return "paid"

    graph = node(guard, tool("transfer")(pay))
    state = graph.invoke({"messages": [turn(call("transfer", LARGE))]}, config())
    assert state["__interrupt__"][0].value["args"] == {"payee": "[hidden: sensitive]", "amount": 5000}


# -- the answer


@both
async def test_a_stored_approval_runs_the_call_once(guard: Guard, asynchronous: bool) -> None:
    """Voted elsewhere; any answer wakes the call, and a later resume runs nothing."""
    graph = agent(guard, turn(call("transfer", LARGE)))
    await go(graph, asking(), asynchronous)
    approve(guard)
    state = await go(graph, Command(resume="wake up"), asynchronous)
    assert [answer.content for answer in results(state)] == ["paid 5000 to A"]
    assert ran == [("transfer", "A", 5000)]
    assert approvals(guard)[0].state is State.SUCCEEDED
    await go(graph, Command(resume="again"), asynchronous)
    assert len(ran) == 1


@both
async def test_without_a_resolver_an_answer_is_no_vote(guard: Guard, asynchronous: bool) -> None:
    """However much it looks like one, nobody knows who sent it; undecided, the call pauses again."""
    graph = agent(guard, turn(call("transfer", LARGE)))
    first = await go(graph, asking(), asynchronous)
    for word in ("approve", "reject", "approve"):
        state = await go(graph, clicked(word), asynchronous)
        assert state["__interrupt__"][0].value == first["__interrupt__"][0].value
    assert not ran
    assert len(approvals(guard)) == 1
    approve(guard)
    await go(graph, clicked("reject"), asynchronous)
    assert len(ran) == 1


@both
async def test_a_resolver_makes_votes(guard: Guard, asynchronous: bool) -> None:
    """Its word says who answered; the approval records it with that assurance."""
    graph = agent(guard, turn(call("transfer", LARGE)), resolver=vouch)
    await go(graph, asking(), asynchronous)
    state = await go(graph, clicked("approve"), asynchronous)
    assert results(state)[0].status == "success"
    (vote,) = approvals(guard)[0].votes
    assert (vote.subject, vote.assurance) == ("cleo", "resolver")
    assert len(ran) == 1


@both
async def test_a_resolver_that_rejects_ends_it(guard: Guard, asynchronous: bool) -> None:
    """The model is told that it was rejected."""
    graph = agent(guard, turn(call("transfer", LARGE)), resolver=vouch)
    await go(graph, asking(), asynchronous)
    state = await go(graph, clicked("reject"), asynchronous)
    assert "cleo rejected it" in said(results(state)[0])["reason"]
    assert not ran


@both
@pytest.mark.parametrize("who", ["ben", "dan", "nobody"])
async def test_a_vote_that_does_not_count_pauses_again(guard: Guard, asynchronous: bool, who: str) -> None:
    """T11: not the principal's, not that of somebody who is no reviewer."""
    graph = agent(guard, turn(call("transfer", LARGE)), resolver=vouch)
    await go(graph, asking(), asynchronous)
    state = await go(graph, clicked("approve", who), asynchronous)
    assert state["__interrupt__"]
    assert not ran


def test_a_resolver_that_fails_is_no_vote(guard: Guard) -> None:
    """Whatever it raises."""

    def broken(answer: Any, approval: Approval) -> Answer | None:
        raise RuntimeError(answer)

    graph = agent(guard, turn(call("transfer", LARGE)), resolver=broken)
    graph.invoke(asking(), config())
    assert graph.invoke(clicked("approve"), config())["__interrupt__"]
    assert not ran


@both
@pytest.mark.parametrize("resolver", [None, vouch])
@pytest.mark.parametrize("kind", ["edit", "respond"])
async def test_trap_5_an_edit_is_a_new_proposal(
    guard: Guard, asynchronous: bool, resolver: Any, kind: str
) -> None:
    """Edited arguments never run undecided: the question is withdrawn and the model told to call again."""
    graph = agent(
        guard,
        turn(call("transfer", LARGE)),
        turn(call("transfer", {"payee": "EVIL"}, "call_2")),
        resolver=resolver,
    )
    await go(graph, asking(), asynchronous)
    edited = {"type": kind, "edited_action": {"name": "transfer", "args": {"payee": "EVIL", "amount": 1}}}
    state = await go(graph, Command(resume={"decisions": [edited], "user": "cleo"}), asynchronous)
    first, second = results(state)
    assert said(first)["rule"] == "agentguard/edit"
    assert said(second)["rule"] == "payments/evil"
    assert approvals(guard)[0].state is State.WITHDRAWN
    assert not ran


def test_trap_5_edits_of_langchains_own_middleware_are_decided(guard: Guard) -> None:
    """`HumanInTheLoopMiddleware` edits before or after the guard in the list: what would run is decided."""
    for order in (1, -1):
        people = HumanInTheLoopMiddleware({"log": True})
        middleware: list[AgentMiddleware[Any, Any, Any]] = [people, GuardMiddleware(guard, agent=AGENT)]
        graph: Any = create_agent(
            model(turn(call("log", {"text": "x"}))),
            [transfer, log],
            checkpointer=InMemorySaver(),
            middleware=middleware[::order],
        )
        graph.invoke(asking(), config())
        edited = {"type": "edit", "edited_action": {"name": "transfer", "args": {"payee": "EVIL"}}}
        state = graph.invoke(Command(resume={"decisions": [edited]}), config())
        assert "payments/evil" in str(results(state)[-1].content)
    assert not ran


# -- parallel calls


@both
async def test_T36_one_approval_releases_one_call(guard: Guard, asynchronous: bool) -> None:
    """Two identical calls in one turn are two questions; approving one runs one."""
    graph = agent(guard, turn(call("transfer", LARGE, "a"), call("transfer", LARGE, "b")), resolver=vouch)
    state = await go(graph, asking(), asynchronous)
    first, second = sorted(state["__interrupt__"], key=lambda one: one.value["tool_call_id"])
    assert first.value["approval_id"] != second.value["approval_id"]
    answer = {"decisions": [{"type": "approve"}], "user": "cleo"}
    state = await go(graph, Command(resume={first.id: answer}), asynchronous)
    assert len(ran) == 1
    (left,) = state["__interrupt__"]
    assert left.value["approval_id"] == second.value["approval_id"]
    reject = {"decisions": [{"type": "reject"}], "user": "cleo"}
    state = await go(graph, Command(resume={left.id: reject}), asynchronous)
    assert [answer.status for answer in results(state)] == ["success", "error"]
    assert len(ran) == 1


@both
async def test_T36_in_a_tool_node_an_answer_must_name_its_approval(guard: Guard, asynchronous: bool) -> None:
    """There LangGraph hands answers out by position: without a name an answer only wakes, for every call."""
    calls = turn(call("transfer", LARGE, "a"), call("transfer", {"payee": "B", "amount": 7000}, "b"))
    graph = node(guard, principal=PRINCIPAL, resolver=vouch)
    await go(graph, {"messages": [calls]}, asynchronous)
    state = await go(graph, clicked("approve"), asynchronous)
    assert state["__interrupt__"]
    assert not ran
    while len(approvals(guard)) < 2:  # a call that had not begun when the other paused begins on a resume
        await go(graph, clicked("approve"), asynchronous)
    by_call = {approval.call_id: approval.id for approval in approvals(guard)}
    for _ in range(20):
        if not ran:
            await go(graph, clicked("approve", approval_id=by_call["b"]), asynchronous)
    assert ran == [("transfer", "B", 7000)]
    assert guard.approval(by_call["a"]).state is State.REQUESTED


@both
async def test_an_answer_for_the_guard_never_answers_the_tool(guard: Guard, asynchronous: bool) -> None:
    """T36: approved elsewhere, the call runs on resume; the answer is used up, and the tool asks its own."""
    heard: list[Any] = []

    @tool
    def transfer(payee: str, amount: int) -> str:
        """Pay, after asking by itself."""
        heard.append(interrupt("really?"))
        return "paid"

    graph: Any = create_agent(
        model(turn(call("transfer", LARGE))),
        [transfer],
        checkpointer=InMemorySaver(),
        middleware=[GuardMiddleware(guard, agent=AGENT)],
    )
    await go(graph, asking(), asynchronous)
    await go(graph, clicked("approve"), asynchronous)
    approve(guard)
    state = await go(graph, clicked("approve"), asynchronous)
    assert state["__interrupt__"][0].value == "really?"
    assert not heard


# -- resolvers


@pytest.mark.filterwarnings("error")
def test_a_resolver_is_a_plain_function(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """A coroutine answers nothing; that is said, and is no vote."""

    async def later(answer: Any, approval: Approval) -> Answer:
        return vouch(answer, approval) or pytest.fail("no answer")

    wrong: Any = later
    graph = agent(guard, turn(call("transfer", LARGE)), resolver=wrong)
    graph.invoke(asking(), config())
    assert graph.invoke(clicked("approve"), config())["__interrupt__"]
    assert "must be a plain function" in caplog.text
    assert not ran


def test_a_refused_vote_is_logged_with_its_reason(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """So that an operator sees why a click did nothing."""
    graph = agent(guard, turn(call("transfer", LARGE)), resolver=vouch)
    graph.invoke(asking(), config())
    graph.invoke(clicked("approve", "ben"), config())
    assert "does not count: " in caplog.text
