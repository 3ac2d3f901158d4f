"""One table of calls, made in every way there is: the same verdict and the same record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("langchain")
pytest.importorskip("openai")

from agentguard import ApprovalPending, Guard, Snapshot, ToolCallDenied
from tests.langchain import drive as langchain
from tests.openai import drive as openai

POLICY: dict[str, Any] = {
    "policy": "payments",
    "owner": "finance",
    "tools": ["transfer"],
    "rules": [
        {"id": "permit", "effect": "allow", "when": 'agent.role == "billing"'},
        {
            "id": "odd",
            "effect": "flag",
            "when": "args.amount == 13",
            "flag": {"owner": "ops", "review_in": "3d", "escalate_to": "ciso"},
        },
        {
            "id": "cap",
            "effect": "constrain",
            "when": "size(args.note) > 5",
            "set": {"args.note": "args.note.substring(0, 5)"},
        },
        {
            "id": "large",
            "effect": "step_up",
            "when": "args.amount > 1000",
            "approval": {"reviewers": ["cleo"], "expires_in": "30m"},
        },
        {
            "id": "blocked",
            "effect": "deny",
            "when": 'args.payee == "EVIL"',
            "reason": "this payee is blocked",
        },
    ],
}

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "allow": ({"payee": "ACME", "amount": 5}, "ran", "allow"),
    "flag": ({"payee": "ACME", "amount": 13}, "ran", "flag"),
    "constrain": ({"payee": "ACME", "amount": 5, "note": "hello world"}, "ran", "constrain"),
    "step up": ({"payee": "ACME", "amount": 5000}, "pending", "step_up"),
    "deny": ({"payee": "EVIL", "amount": 5}, "denied", "deny"),
    "deny beats step up": ({"payee": "EVIL", "amount": 5000}, "denied", "deny"),
    "a missing argument": ({"payee": "ACME"}, "denied", "deny"),
    "an unknown argument": ({"payee": "ACME", "amount": 5, "cc": "eve"}, "denied", "deny"),
}

Way = Callable[[Guard, Any, dict[str, Any]], str]


def decorated(guard: Guard, function: Any, args: dict[str, Any]) -> str:
    with guard.session(agent=langchain.AGENT, principal=langchain.PRINCIPAL, pause="raise"):
        try:
            function(**args)
        except ToolCallDenied:
            return "denied"
        except ApprovalPending:
            return "pending"
        return "ran"


async def adecorated(guard: Guard, function: Any, args: dict[str, Any]) -> str:
    async with guard.session(agent=langchain.AGENT, principal=langchain.PRINCIPAL, pause="raise"):
        try:
            await function(**args)
        except ToolCallDenied:
            return "denied"
        except ApprovalPending:
            return "pending"
        return "ran"


def within(drive: Any) -> Way:
    def way(guard: Guard, function: Any, args: dict[str, Any]) -> str:
        with guard.session(agent=langchain.AGENT, principal=langchain.PRINCIPAL):
            return str(drive(guard, function, args)[0])

    return way


def awithin(drive: Any) -> Way:
    def way(guard: Guard, function: Any, args: dict[str, Any]) -> str:
        async def go() -> str:
            async with guard.session(agent=langchain.AGENT, principal=langchain.PRINCIPAL):
                return str((await drive(guard, function, args))[0])

        return asyncio.run(go())

    return way


WAYS: dict[str, tuple[str, Way]] = {
    "decorator": ("sync", decorated),
    "decorator, async": ("async", lambda *a: asyncio.run(adecorated(*a))),
    "LangChain middleware": ("sync", lambda *a: langchain.run_middleware(*a)[0]),
    "LangChain middleware, async": ("async", lambda *a: asyncio.run(langchain.arun_middleware(*a))[0]),
    "LangChain tools": ("sync", lambda *a: langchain.run_tools(*a)[0]),
    "LangChain tools, async": ("async", lambda *a: asyncio.run(langchain.arun_tools(*a))[0]),
    "OpenAI Chat": ("sync", within(openai.run_chat_sync)),
    "OpenAI Chat, async": ("async", awithin(openai.run_chat)),
    "OpenAI Responses": ("sync", within(openai.run_responses_sync)),
    "OpenAI Responses, async": ("async", awithin(openai.run_responses)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_every_way_gives_the_same_verdict_and_record(case: str, way: str) -> None:
    """A call is answered and recorded alike, whichever way it comes in: decided once, run at most once."""
    args, verdict, effect = CASES[case]
    ran: list[tuple[str, int, str]] = []
    with Guard(snapshot=Snapshot.from_documents([POLICY]), store="memory:") as guard:

        def transfer(payee: str, amount: int, note: str = "") -> str:
            """Send money."""
            ran.append((payee, amount, note))
            return f"sent {amount}"

        async def atransfer(payee: str, amount: int, note: str = "") -> str:
            """Send money."""
            return transfer(payee, amount, note)

        kind, drive = WAYS[way]
        atransfer.__name__ = "transfer"
        function = guard.tool("transfer")(transfer if kind == "sync" else atransfer)
        assert drive(guard, function, dict(args)) == verdict
        expected = {"ran": [("ACME", args.get("amount"), args.get("note", "")[:5])]}.get(verdict, [])
        assert ran == expected
        events = [json.loads(event.leaf) for event in guard.store.events(guard.tenant)]
        decisions = [event for event in events if event["type"] == "decision"]
        assert [event["decision"]["effect"] for event in decisions] == [effect]
        assert decisions[0]["tool"] == "transfer"
        assert decisions[0]["agent"] == "billing"
        assert decisions[0]["principal"] == "ben"
        outcomes = [event["status"] for event in events if event["type"] == "outcome"]
        assert outcomes == (["succeeded"] if verdict == "ran" else [])
        assert ("flag.raised" in [event["type"] for event in events]) == (effect == "flag")
        assert ("approval.opened" in [event["type"] for event in events]) == (verdict == "pending")
