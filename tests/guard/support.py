"""What the tests of the call path share: policies, a bank that notes every act, both ways of calling it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from typing import Any, Literal

from agentguard import AgentIdentity, Answer, Guard, Snapshot
from agentguard.ledger.verify import verify
from agentguard.stepup.directory import StaticDirectory
from agentguard.stepup.model import Approval

START = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)
AGENT = AgentIdentity("billing", owner="owen", tags=["prod"], role="billing")
PEOPLE = StaticDirectory(
    {
        "ana": {"groups": ["finance"]},
        "bob": {"groups": ["finance"]},
        "ben": {},
        "owen": {"groups": ["finance"]},
    },
    {"finance": {}},
)
APPROVAL = {"reviewers": ["group:finance"], "expires_in": "10m", "local": True}

ALLOW = {"id": "small", "effect": "allow", "when": "args.amount <= 100"}
FLAG = {"id": "round", "effect": "flag", "when": "args.amount == 50", "flag": {"owner": "ops"}}
CAP = {
    "id": "cap",
    "effect": "constrain",
    "when": "size(args.note) > 5",
    "set": {"args.note": "args.note.substring(0, 5)"},
}
LARGE = {
    "id": "large",
    "effect": "step_up",
    "when": "args.amount > 100",
    "reason": "above 100 a person decides",
    "approval": APPROVAL,
}
EVIL = {
    "id": "evil",
    "effect": "deny",
    "when": 'args.payee == "EVIL"',
    "reason": "never to EVIL",
    "non_waivable": True,
}
RULES = (ALLOW, FLAG, CAP, LARGE, EVIL)
ANY = {"id": "any", "effect": "allow"}

Way = Literal["sync", "async"]
WAYS: tuple[Way, ...] = ("sync", "async")


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> dt.datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)


def rules(*found: dict[str, Any], tools: str = "*", name: str = "bank") -> Snapshot:
    """A snapshot of one policy."""
    return Snapshot.from_documents(
        [{"policy": name, "owner": "secops", "tools": [tools], "rules": list(found)}]
    )


def make_guard(*found: dict[str, Any], **options: Any) -> Guard:
    """A guard in memory, with the bank's policy unless rules are given."""
    options.setdefault("store", "memory:")
    options.setdefault("directory", PEOPLE)
    options.setdefault("snapshot", rules(*(found or RULES)))
    return Guard(**options)


def bank(
    guard: Guard, way: Way = "sync", name: str = "bank.transfer", **options: Any
) -> tuple[Any, list[Any]]:
    """A guarded transfer that is called without `await` either way, and the list of what really ran."""
    ran: list[Any] = []
    if way == "sync":

        @guard.tool(name, **options)
        def transfer(payee: str, amount: int, note: str = "") -> str:
            ran.append((payee, amount, note))
            return f"sent {amount} to {payee}"

        return transfer, ran

    @guard.tool(name, **options)
    async def transfer_async(payee: str, amount: int, note: str = "") -> str:
        ran.append((payee, amount, note))
        await asyncio.sleep(0)
        return f"sent {amount} to {payee}"

    def call(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(transfer_async(*args, **kwargs))

    return call, ran


def resume(guard: Guard, way: Way, approval_id: str, **options: Any) -> Any:
    """Resume either way."""
    if way == "sync":
        return guard.resume_sync(approval_id, **options)
    return asyncio.run(guard.resume(approval_id, **options))


def events(guard: Guard, *types: str) -> list[dict[str, Any]]:
    """What the ledger says, without the loading of policies."""
    guard.flush()
    found = [json.loads(event.leaf) for event in guard.store.events(guard.tenant)]
    return [
        event for event in found if (event["type"] in types if types else event["type"] != "policy.loaded")
    ]


def types_of(guard: Guard) -> list[str]:
    return [event["type"] for event in events(guard)]


def is_whole(guard: Guard) -> bool:
    """Whether the ledger verifies."""
    return verify(guard.store).ok


def answer(
    guard: Guard, approval_id: str, verdict: Literal["approve", "deny"] = "approve", **more: Any
) -> Approval:
    """Ana votes, by a login unless told otherwise."""
    digest = guard.approval(approval_id).digest
    given: dict[str, Any] = {
        "subject": "ana",
        "assurance": "login",
        "digest": digest,
        "verdict": verdict,
        **more,
    }
    return guard.vote(approval_id, Answer(**given))


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go on until something in a thread has come about."""
    while not condition():
        await asyncio.sleep(0.001)


def says(verdict: Literal["approve", "deny"], before: Callable[[], object] = lambda: None) -> Any:
    """A channel in which Ana answers at once."""

    def ask(question: Any) -> None:
        before()
        question.answer(verdict, subject="ana", assurance="login")

    return ask
