"""A call that waits for a person: the graph pauses, and resumes in this or another process, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from agentguard import Answer, Approval, ApprovalPending, ConfigurationError, Guard, State
from agentguard_langchain import GuardMiddleware, guard_tools
from agentguard_langchain.moment import moment
from tests.langchain.drive import (
    AGENT,
    PEOPLE,
    PRINCIPAL,
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

ran: list[tuple[Any, ...]] = []
LARGE = {"payee": "A", "amount": 5000}


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    directory = tmp_path / "directory.yaml"
    directory.write_text(PEOPLE)
    with Guard(snapshot=snapshot(), store="memory:", directory=directory) as made:
        yield made


@both_ways
def transfer(payee: str, amount: int = 1, note: str = "") -> str:
    """Pay somebody."""
    ran.append(("transfer", payee, amount))
    return f"paid {amount} to {payee}"


@both_ways
def log(text: str) -> str:
    """Note something."""
    ran.append(("log", text))
    return "noted"


def agent(guard: Guard, *turns: AIMessage, saver: Any = None, more: Any = (), **options: Any) -> Any:
    options.setdefault("principal", PRINCIPAL)
    return create_agent(
        model(*turns),
        [transfer, log],
        checkpointer=saver if saver is not None else InMemorySaver(),
        middleware=[*more, GuardMiddleware(guard, agent=AGENT, **options)],
    )


def node(guard: Guard, *tools: Any, saver: Any = None, wrap: Any = None, **options: Any) -> Any:
    """A graph of one bare ToolNode with guarded tools."""
    options.setdefault("agent", AGENT)
    builder: Any = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode(guard_tools(guard, tools or [transfer, log], **options)))
    builder.add_edge(START, "tools")
    builder.add_edge("tools", END)
    return builder.compile(checkpointer=saver if saver is not None else InMemorySaver())


def approvals(guard: Guard) -> list[Approval]:
    return guard.store.approvals(guard.tenant)


def approve(guard: Guard, which: int = -1, verdict: Any = "approve") -> None:
    """What `agentguard approvals approve` does."""
    approval = approvals(guard)[which]
    guard.vote(approval.id, Answer(subject="local", verdict=verdict, digest=approval.digest))


def vouch(answer: Any, approval: Approval) -> Answer | None:
    """A resolver: the screen said who clicked."""
    decision = answer["decisions"][0]
    verdict: Any = {"approve": "approve", "reject": "deny"}[decision["type"]]
    return Answer(subject=answer["user"], verdict=verdict, digest=approval.digest)


def clicked(kind: str, user: str = "cleo", **more: Any) -> Command[Any]:
    return Command(resume={"decisions": [{"type": kind}], "user": user, **more})


async def go(graph: Any, given: Any, asynchronous: bool, thread: str = "t-1", **more: Any) -> Any:
    if asynchronous:
        return await graph.ainvoke(given, config(thread), **more)
    return graph.invoke(given, config(thread), **more)


async def siblings_done(guard: Guard, outcomes: int, decisions: int) -> None:
    """Asynchronous siblings of a call that paused go on after the graph has returned: wait for their end."""
    for _ in range(1_000):
        if len(events(guard, "outcome")) >= outcomes and len(events(guard, "decision")) >= decisions:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


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
    assert "nothing says on whose behalf" in said(results(state)[0])["reason"]
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


# -- traps 12 and 13


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
