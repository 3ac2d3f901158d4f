"""Who acts in which run of an agent: one session for each thread, sealed in its checkpoint."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from agentguard import AgentIdentity, Answer, Guard
from agentguard_langchain import GuardMiddleware, guard_tools
from tests.langchain.drive import (
    AGENT,
    POLICY,
    PRINCIPAL,
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
from tests.langchain.scene import agent, both, fetch, go, ran, send, transfer


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def guard() -> Iterator[Guard]:
    facts = {"fetch": {"facts": {"untrusted_output": True}}}
    with Guard(snapshot=snapshot(), store="memory:", tool_facts=facts) as made:
        yield made


@both
async def test_labels_last_for_the_thread(guard: Guard, asynchronous: bool) -> None:
    """What an untrusted tool returned taints the conversation: later turns, runs and agents of it."""
    saver = InMemorySaver()
    turns = (turn(call("fetch", {"url": "u"}, "1")), turn(call("send", {"to": "x"}, "2")))
    state = await go(agent(guard, *turns, saver=saver), asking(), asynchronous)
    assert [answer.status for answer in results(state)] == ["success", "error"]
    # Another agent object, as after a restart, in the same thread and in another one.
    again = agent(guard, turn(call("send", {"to": "y"}, "3")), saver=saver)
    state = await go(again, asking(), asynchronous)
    assert said(results(state)[-1])["rule"] == "payments/tainted"
    again = agent(guard, turn(call("send", {"to": "y"}, "3")), saver=saver)
    await go(again, asking(), asynchronous, "t-2")
    assert ran == [("fetch", "u"), ("send", "y")]


def test_labels_outlive_a_trimmed_conversation(guard: Guard) -> None:
    """They are kept beside the messages, where summaries and trimming do not reach."""
    saver = InMemorySaver()
    graph = agent(guard, turn(call("fetch", {"url": "u"}, "1")), saver=saver)
    graph.invoke(asking(), config())
    graph.update_state(config(), {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES)]})
    again = agent(guard, turn(call("send", {"to": "y"}, "3")), saver=saver)
    state = again.invoke(asking(), config())
    assert said(results(state)[-1])["rule"] == "payments/tainted"


def test_what_entered_the_conversation_is_observed(guard: Guard) -> None:
    """The user's words, the operator's, and tools' results, each once and with the right trust."""
    middleware = GuardMiddleware(guard, agent=AGENT)
    graph: Any = create_agent(
        model(turn(call("fetch", {"url": "u"}, "1")), turn(call("transfer", {"payee": "A"}, "2"))),
        [transfer, fetch],
        checkpointer=InMemorySaver(),
        middleware=[middleware],
    )
    given = [
        SystemMessage("be kind"),
        HumanMessage("pay A"),
        ToolMessage("old", name="old", tool_call_id="0"),
    ]
    graph.invoke({"messages": given}, config())
    (session,) = middleware._sessions._open.values()
    assert [(seen.source, seen.trust, seen.call_id) for seen in session.observations] == [
        ("system", "system", None),
        ("prompt", "user", None),
        ("old", "untrusted", "0"),
        ("fetch", "untrusted", "1"),
        ("transfer", "trusted", "2"),
    ]


def test_the_principal_of_each_run_is_its_own(guard: Guard) -> None:
    """A new run in the same thread, for somebody else, acts for somebody else."""
    saver = InMemorySaver()
    graph: Any = create_agent(
        model(turn(call("transfer", {"payee": "A"}, "1"))),
        [transfer],
        context_schema=dict,
        checkpointer=saver,
        middleware=[GuardMiddleware(guard, agent=AGENT, principal=lambda runtime: runtime.context["user"])],
    )
    for user in ("ben", "eve"):
        graph.invoke(asking(), config(), context={"user": user})
    assert [event["principal"] for event in events(guard, "decision")] == ["ben", "eve"]


def test_what_is_kept_for_the_guard_cannot_be_passed_in(guard: Guard) -> None:
    """T34: an input that brings a principal of its own is not listened to."""
    forged = {"run": '{"session": "t-1", "labels": [], "principal": {"id": "boss"}}', "seal": "x"}
    graph = agent(guard, turn(call("transfer", {"payee": "A"})), principal=PRINCIPAL)
    state = graph.invoke({**asking(), "agentguard_run": forged}, config())
    assert {event["principal"] for event in events(guard)} == {PRINCIPAL}
    assert "agentguard_run" not in state


async def test_T34_concurrent_runs_do_not_mix(guard: Guard) -> None:
    """Forty runs of one agent at once, in tasks and in threads: each acts for its own principal."""
    barrier = threading.Barrier(2)

    @tool
    def whoami(user: str) -> str:
        """Say who."""
        return user

    def graph(user: str) -> Any:
        return model(turn(call("whoami", {"user": user})))

    class Route(AgentMiddleware[Any, Any, Any]):
        """Each run has its own model turn: the user's name comes from the context."""

        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(request.override(model=self._model(request)))

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return await handler(request.override(model=self._model(request)))

        def _model(self, request: Any) -> Any:
            done = any(isinstance(message, ToolMessage) for message in request.messages)
            return model() if done else graph(request.runtime.context["user"])

    made: Any = create_agent(
        model(),
        [whoami],
        context_schema=dict,
        checkpointer=InMemorySaver(),
        middleware=[Route(), GuardMiddleware(guard, agent=AGENT, principal=lambda run: run.context["user"])],
    )

    async def task(n: int) -> None:
        await made.ainvoke(asking(), config(f"a{n}"), context={"user": f"a{n}"})

    await asyncio.gather(*(task(n) for n in range(20)))

    def thread(n: int) -> None:
        if n < 2:
            barrier.wait(120)
        made.invoke(asking(), config(f"b{n}"), context={"user": f"b{n}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(thread, range(20)))
    found = events(guard, "decision")
    assert len(found) == 40
    assert all(event["principal"] == event["session"] for event in found)


def test_T34_after_a_run_nobody_acts(guard: Guard) -> None:
    """A session of a run is not that of its caller."""
    agent(guard, turn(call("transfer", {"payee": "A"}))).invoke(asking(), config())
    assert guard.current is None
    loose = guard_tools(guard, [send])[0]
    assert said(loose.invoke(call("send", {"to": "x"})))["rule"] == "agentguard/identity"


@both
async def test_a_sub_agent_acts_in_the_chain(guard: Guard, asynchronous: bool) -> None:
    """For the same principal, with the calling agent before it in the chain, and its labels come back."""
    helper: Any = create_agent(
        model(turn(call("fetch", {"url": "u"}, "1"))),
        [fetch],
        name="helper",
        middleware=[GuardMiddleware(guard, agent=AgentIdentity("billing", tags=["helper"]))],
    )

    @tool
    def research(question: str) -> str:
        """Ask the helper."""
        return str(helper.invoke(asking())["messages"][-1].content)

    graph = agent(
        guard,
        turn(call("research", {"question": "?"}, "1")),
        turn(call("send", {"to": "x"}, "2")),
        tools=[research, send],
        principal=PRINCIPAL,
    )
    state = await go(graph, asking(), asynchronous)
    inner = next(event for event in events(guard, "decision") if event["tool"] == "fetch")
    assert (inner["principal"], inner["chain"], inner["session"]) == (PRINCIPAL, ["billing"], "t-1")
    assert said(results(state)[-1])["rule"] == "payments/tainted"


# -- what was seen, and by whom


def test_without_a_thread_each_run_has_a_session_of_its_own(guard: Guard) -> None:
    """Nothing says that two such runs are one conversation."""
    for _ in range(2):
        graph: Any = create_agent(
            model(turn(call("transfer", {"payee": "A"}))),
            [transfer],
            middleware=[GuardMiddleware(guard, agent=AGENT)],
        )
        graph.invoke(asking())
    assert len({event["session"] for event in events(guard, "decision")}) == 2


def _observed(middleware: GuardMiddleware) -> list[tuple[str, str]]:
    (session,) = middleware._sessions._open.values()
    return [(seen.source, seen.trust) for seen in session.observations]


def test_what_a_calling_agent_says_is_not_the_users_word(guard: Guard) -> None:
    """To a sub-agent another model speaks: trusted, and no user."""
    inner = GuardMiddleware(guard, agent=AgentIdentity("helper"))
    helper: Any = create_agent(model(turn(call("transfer", {"payee": "A"}))), [transfer], middleware=[inner])

    @tool
    def research(question: str) -> str:
        """Ask the helper."""
        return str(helper.invoke(asking())["messages"][-1].content)

    agent(guard, turn(call("research", {"question": "?"})), tools=[research]).invoke(asking(), config())
    assert _observed(inner)[0] == ("prompt", "trusted")


def test_results_in_a_conversation_from_elsewhere_keep_their_trust(guard: Guard) -> None:
    """What an untrusted tool said taints, what a known tool said does not, and a denial is no result."""
    for name, artifact, status in (
        ("fetch", None, "error"),
        ("transfer", None, "success"),
        ("gone", {"agentguard": {"error": "denied"}}, "success"),
    ):
        middleware = GuardMiddleware(guard, agent=AGENT)
        graph: Any = create_agent(
            model(turn(call("send", {"to": "x"}))),
            [transfer, fetch, send],
            checkpointer=InMemorySaver(),
            middleware=[middleware],
        )
        old = ToolMessage("words", name=name, tool_call_id="0", artifact=artifact)
        state = graph.invoke({"messages": [old, HumanMessage("go on")]}, config(name))
        assert results(state)[-1].status == status, name


# -- sessions inside of sessions, and beside each other


def _who(runtime: Any) -> str:
    return str(runtime.context["user"])


def _node(guard: Guard, who: Any, *calls: dict[str, Any], tools: Any = None) -> Any:
    """A bare ToolNode with guarded tools that act for whoever `who` says, called at each run."""
    builder: Any = StateGraph(MessagesState, context_schema=dict)
    builder.add_node("ask", lambda state: {"messages": [turn(*calls)]})
    builder.add_node(
        "tools", ToolNode(tools or guard_tools(guard, [fetch, send], agent=AGENT, principal=who))
    )
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "tools")
    builder.add_edge("tools", END)
    return builder.compile(checkpointer=InMemorySaver())


def test_T34_in_a_bare_tool_node_each_run_has_its_own_principal(guard: Guard) -> None:
    """A new run in the same thread is for whom it was begun; the labels of the thread stay."""
    tools = guard_tools(guard, [fetch, send], agent=AGENT, principal=_who)
    first = _node(guard, _who, call("fetch", {"url": "u"}, "1"), tools=tools)
    second = _node(guard, _who, call("send", {"to": "x"}, "2"), tools=tools)
    first.invoke({"messages": []}, config(), context={"user": "ben"})
    state = second.invoke({"messages": []}, config(), context={"user": "eve"})
    assert [event["principal"] for event in events(guard, "decision")] == ["ben", "eve"]
    assert said(results(state)[-1])["rule"] == "payments/tainted"


def test_trap_4_a_sub_agent_that_starts_in_a_resumed_run(guard: Guard) -> None:
    """It acts for the one the run began for, also where its own function would name the resumer."""
    helper: Any = create_agent(
        model(turn(call("fetch", {"url": "u"}, "1"))),
        [fetch],
        context_schema=dict,
        middleware=[GuardMiddleware(guard, agent=AgentIdentity("billing", tags=["helper"]), principal=_who)],
    )

    @tool
    def research(payee: str, amount: int) -> str:
        """Ask the helper, after a person agreed."""
        return str(helper.invoke(asking(), context={"user": "eve"})["messages"][-1].content)

    graph: Any = create_agent(
        model(turn(call("research", {"payee": "A", "amount": 5000}))),
        [research],
        context_schema=dict,
        checkpointer=InMemorySaver(),
        middleware=[GuardMiddleware(guard, agent=AGENT, principal=_who)],
    )
    graph.invoke(asking(), config(), context={"user": "ben"})
    (approval,) = guard.store.approvals(guard.tenant)
    guard.vote(approval.id, Answer(subject="local", verdict="approve", digest=approval.digest))
    graph.invoke(Command(resume="go"), config(), context={"user": "eve"})
    assert {event["principal"] for event in events(guard, "decision")} == {"ben"}
    assert ran == [("fetch", "u")]


def test_a_sub_agent_has_the_chain_environment_and_labels_of_its_caller(guard: Guard) -> None:
    """Of each of its callers in one thread; what tainted the caller taints it."""
    seen: list[tuple[Any, ...]] = []

    def spy(request: Any, names: frozenset[str]) -> dict[str, Any]:
        chain = tuple(link["id"] for link in request.chain)
        seen.append((request.tool, chain, request.environment, request.session["labels"]))
        return {}

    asks_context = {
        **POLICY,
        "rules": [*POLICY["rules"], {"id": "ctx", "effect": "deny", "when": "has(context.stop)"}],
    }
    with Guard(snapshot=snapshot(asks_context), store="memory:", facts=[spy]) as watched:
        inner = GuardMiddleware(watched, agent=AgentIdentity("billing", tags=["helper"]))
        helper: Any = create_agent(model(turn(call("send", {"to": "x"}))), [send], middleware=[inner])

        @tool
        def delegate(question: str) -> str:
            """Ask the helper."""
            return str(helper.invoke(asking())["messages"][-2].content)

        for tag in ("one", "two"):
            outer: Any = create_agent(
                model(turn(call("delegate", {"question": "?"}))),
                [delegate],
                checkpointer=InMemorySaver(),
                middleware=[GuardMiddleware(watched, agent=AgentIdentity("billing", tags=[tag]))],
            )
            with watched.session(agent=AgentIdentity(tag), environment="prod") as around:
                around.label("untrusted")
                outer.invoke(asking(), config())
    inner_calls = [entry[1:] for entry in seen if entry[0] == "send"]
    assert inner_calls == [
        (("one", "billing"), "prod", ("untrusted",)),
        (("two", "billing"), "prod", ("untrusted",)),
    ]
    assert not ran


def test_open_sessions_are_bounded(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread used longest ago is forgotten here; its checkpoint still has its labels."""
    from agentguard_langchain import sessions

    monkeypatch.setattr(sessions, "_KEPT", 2)
    middleware = GuardMiddleware(guard, agent=AGENT)
    saver = InMemorySaver()

    def run(thread: str, *calls: dict[str, Any]) -> Any:
        graph: Any = create_agent(
            model(turn(*calls)), [fetch, send], checkpointer=saver, middleware=[middleware]
        )
        return graph.invoke(asking(), config(thread))

    for thread in ("a", "b", "c"):
        run(thread, call("fetch", {"url": "u"}, "1"))
    assert len(middleware._sessions._open) == 2
    assert said(results(run("a", call("send", {"to": "x"}, "2")))[-1])["rule"] == "payments/tainted"
