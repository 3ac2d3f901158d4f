"""What the tests of pauses share: two tools that say what they did, an agent, a bare ToolNode, the votes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from agentguard import Answer, Approval, Guard
from agentguard_langchain import GuardMiddleware, guard_tools
from tests.langchain.drive import (
    AGENT,
    PEOPLE,
    PRINCIPAL,
    both_ways,
    config,
    events,
    model,
    snapshot,
)

ran: list[tuple[Any, ...]] = []


LARGE = {"payee": "A", "amount": 5000}


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    """Each test begins with nothing done."""
    ran.clear()


@pytest.fixture(name="guard")
def guard_with_people(tmp_path: Path) -> Iterator[Guard]:
    """A guard whose directory knows cleo and dan."""
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
    async with asyncio.timeout(120):
        while len(events(guard, "outcome")) < outcomes or len(events(guard, "decision")) < decisions:
            await asyncio.sleep(0.01)
        siblings = asyncio.all_tasks() - {asyncio.current_task()}
        if siblings:
            await asyncio.wait(siblings)
