"""What the LangChain tests share: LangChain's fake model, an agent on it, one call through each way in."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool
from langchain_core.tools import tool as as_tool
from langgraph.checkpoint.memory import InMemorySaver

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard_langchain import GuardMiddleware, guard_tools

Verdict = Literal["ran", "denied", "pending"]
Event = dict[str, Any]

AGENT = AgentIdentity("billing", owner="ana", role="billing")
PRINCIPAL = "ben"
ROOT = Path(__file__).parents[2]

POLICY: dict[str, Any] = {
    "policy": "payments",
    "owner": "finance",
    "tools": ["*"],
    "rules": [
        {"id": "all", "effect": "allow", "when": 'agent.id == "billing"'},
        {
            "id": "large",
            "effect": "step_up",
            "when": "has(args.amount) && args.amount > 1000",
            "reason": "transfers above 1000 need a person",
            "approval": {"reviewers": ["cleo"], "local": True, "expires_in": "30m"},
        },
        {
            "id": "evil",
            "effect": "deny",
            "when": 'has(args.payee) && args.payee == "EVIL"',
            "reason": "this payee is blocked",
        },
        {
            "id": "cap",
            "effect": "constrain",
            "when": "has(args.note) && size(args.note) > 5",
            "set": {"args.note": "args.note.substring(0, 5)"},
        },
        {
            "id": "tainted",
            "effect": "deny",
            "when": '"untrusted" in session.labels && tool == "send"',
            "reason": "untrusted words are in this conversation",
        },
    ],
}
PEOPLE = "people:\n  cleo: {}\n  dan: {}\n"


class FakeModel(FakeMessagesListChatModel):
    """LangChain's fake model, which takes tools as any other does. It begins again where a list ends."""

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        """As a real model: a new message each time, so that no conversation takes it for an old one."""
        result = super()._generate(*args, **kwargs)
        message = result.generations[0].message.model_copy(update={"id": None})
        return ChatResult(generations=[ChatGeneration(message=message)])


def both_ways(function: Callable[..., Any]) -> StructuredTool:
    """A tool with a synchronous and an asynchronous version, so that `ainvoke` stays asynchronous."""

    @functools.wraps(function)
    async def afunction(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return StructuredTool.from_function(function, afunction)


def call(name: str, args: dict[str, Any], id: str = "call_1") -> dict[str, Any]:
    return {"name": name, "args": args, "id": id, "type": "tool_call"}


def turn(*calls: dict[str, Any]) -> AIMessage:
    return AIMessage("", tool_calls=list(calls))


def model(*turns: AIMessage) -> FakeModel:
    return FakeModel(responses=[*turns, AIMessage("done")])


def snapshot(*policies: dict[str, Any]) -> Snapshot:
    return Snapshot.from_documents(policies or (POLICY,))


def events(guard: Guard, *types: str) -> list[Event]:
    """What the ledger holds, without the loading of policies."""
    guard.flush()
    found = [json.loads(event.leaf) for event in guard.store.events(guard.tenant, types=types)]
    return [event for event in found if event["type"] != "policy.loaded"]


def results(state: dict[str, Any]) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def said(message: ToolMessage) -> dict[str, Any]:
    """The guard's answer in a tool message."""
    found: dict[str, Any] = json.loads(str(message.content))
    return found


def config(thread: str = "t-1") -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


def asking(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "please"}]}


# -- one call through each way in, for tables


def _verdict(state: dict[str, Any]) -> Verdict:
    if state.get("__interrupt__"):
        return "pending"
    return "ran" if results(state)[-1].status == "success" else "denied"


def _agent(guard: Guard, function: Callable[..., Any], args: dict[str, Any]) -> Any:
    tool = as_tool(function)
    return create_agent(
        model(turn(call(tool.name, args))),
        [tool],
        checkpointer=InMemorySaver(),
        middleware=[GuardMiddleware(guard, agent=AGENT, principal=PRINCIPAL)],
    )


def _agent_of_tools(guard: Guard, function: Callable[..., Any], args: dict[str, Any]) -> Any:
    tools = guard_tools(guard, [as_tool(function)], agent=AGENT, principal=PRINCIPAL)
    return create_agent(model(turn(call(tools[0].name, args))), tools, checkpointer=InMemorySaver())


def run_middleware(
    guard: Guard, tool_fn: Callable[..., Any], args: dict[str, Any]
) -> tuple[Verdict, list[Event]]:
    """One call of a plain or decorated function in `create_agent` with the middleware."""
    before = len(events(guard))
    state = _agent(guard, tool_fn, args).invoke(asking(), config())
    return _verdict(state), events(guard)[before:]


async def arun_middleware(
    guard: Guard, tool_fn: Callable[..., Any], args: dict[str, Any]
) -> tuple[Verdict, list[Event]]:
    """The same, asynchronously."""
    before = len(events(guard))
    state = await _agent(guard, tool_fn, args).ainvoke(asking(), config())
    return _verdict(state), events(guard)[before:]


def run_tools(guard: Guard, tool_fn: Callable[..., Any], args: dict[str, Any]) -> tuple[Verdict, list[Event]]:
    """One call in `create_agent` with guarded tools and no middleware."""
    before = len(events(guard))
    state = _agent_of_tools(guard, tool_fn, args).invoke(asking(), config())
    return _verdict(state), events(guard)[before:]


async def arun_tools(
    guard: Guard, tool_fn: Callable[..., Any], args: dict[str, Any]
) -> tuple[Verdict, list[Event]]:
    """The same, asynchronously."""
    before = len(events(guard))
    state = await _agent_of_tools(guard, tool_fn, args).ainvoke(asking(), config())
    return _verdict(state), events(guard)[before:]


# -- another process


def python(*arguments: str, cwd: Path | None = None) -> str:
    """Run Python in a process of its own, with this project importable; returns what it printed."""
    paths = [str(ROOT), str(ROOT / "adapters"), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "LANGSMITH_TRACING": "false"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd or ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
