"""What the tests of replays share: a guard that keeps what a replay needs, a mixed run, how to replay it."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.errors import AgentGuardError
from agentguard.ledger.recorded import StoreReader
from agentguard.policy import Register
from agentguard.policy.replay import Recorded, Replay, Report
from agentguard.stepup.model import State
from tests.guard.support import (
    AGENT,
    ALLOW,
    APPROVAL,
    CAP,
    EVIL,
    FLAG,
    LARGE,
    PEOPLE,
    FakeClock,
    answer,
    rules,
)

__all__ = [
    "AGENT",
    "ALLOW",
    "APPROVAL",
    "CAP",
    "EVIL",
    "FLAG",
    "LARGE",
    "PEOPLE",
    "FakeClock",
    "answer",
    "rules",
]

OTHER = AgentIdentity("reports", owner="cleo", tags=["test"], role="reports")

WATCHED = {
    "id": "watched",
    "effect": "deny",
    "when": 'args.payee == "ODD"',
    "observe": {"owner": "ops", "until": "2027-06-01"},
}
MASK = {
    "id": "mask",
    "effect": "constrain",
    "when": 'args.payee == "IBAN"',
    "redact_result": ["$.iban"],
}
HISTORY = {
    "id": "known",
    "effect": "step_up",
    "when": "history.payments > 3 && args.amount > 60",
    "approval": APPROVAL,
}
NIGHT = {
    "id": "night",
    "effect": "flag",
    "when": '!within("Mon-Fri 07:00-20:00 UTC")',
    "flag": {"owner": "ops"},
}
RISKY = {"id": "risky", "effect": "deny", "when": 'resource.data_class == "secret"'}
MIXED = (ALLOW, FLAG, CAP, LARGE, EVIL, WATCHED, MASK, HISTORY, NIGHT, RISKY)


def bare(*found: Mapping[str, Any], tools: str = "*") -> dict[str, Any]:
    """A policy document of these rules."""
    return {"policy": "bank", "owner": "secops", "tools": [tools], "rules": [dict(one) for one in found]}


def policy_file(folder: Path, *found: Mapping[str, Any]) -> Path:
    """The same as a file in a folder of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "bank.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(bare(*found)))), encoding="utf-8")
    return folder


def keeping(*found: Mapping[str, Any], **options: Any) -> Guard:
    """A guard that keeps what a replay needs, in memory unless told otherwise."""
    options.setdefault("store", "memory:")
    options.setdefault("directory", PEOPLE)
    options.setdefault("snapshot", rules(*(dict(one) for one in (found or MIXED))))
    return Guard(replayable=True, **options)


def pay_tool(guard: Guard, name: str = "bank.transfer", **options: Any) -> Callable[..., Any]:
    """A guarded transfer in which a refusal of the guard is no error."""

    @guard.tool(name, **options)
    def transfer(payee: str, amount: int, note: str = "") -> dict[str, Any]:
        return {"sent": amount, "iban": "DE00"}

    def call(*args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(AgentGuardError):
            transfer(*args, **kwargs)

    return call


def knows(request: Any, names: frozenset[str]) -> dict[str, Any]:
    """A fact provider that knows how often a payee was paid, and fails for one."""
    if request.args.get("payee") == "LOST":
        raise RuntimeError("the history is down")
    return {"history": {"payments": len(str(request.args.get("payee", "")))}}


def touched(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "account", "data_class": "secret" if arguments["payee"] == "VAULT" else "open"}


PAYEES = ("ACME", "EVIL", "ODD", "IBAN", "LOST", "VAULT", "A")
AMOUNTS = (5, 20, 50, 70, 150)


def mixed_run(guard: Guard, clock: FakeClock, vote: bool = True) -> int:
    """Calls of every kind by two agents, with and without a principal; answers how many."""
    pay = pay_tool(guard, resource=touched)
    count = 0
    for agent, principal in ((AGENT, "ben"), (OTHER, None)):
        with guard.session(agent=agent, principal=principal, environment="prod", pause="raise") as session:
            for payee, amount in itertools.product(PAYEES, AMOUNTS):
                clock.advance(3600)
                pay(payee, amount, "a longer note" if amount == 5 else "")
                count += 1
                if vote and payee != "A":
                    _answer_all(guard)
                if count == 9:
                    session.label("untrusted")
    guard.flush()
    return count


def _answer_all(guard: Guard) -> None:
    for approval in guard.store.approvals(guard.tenant, states=[State.REQUESTED]):
        answer(guard, approval.id)
        with contextlib.suppress(AgentGuardError):
            guard.resume_sync(approval.id)


def with_register(snapshot: Snapshot) -> Snapshot:
    """The same policies with an exception from the flag on round amounts, and a grant."""
    register = Register.from_mapping(
        {
            "version": 3,
            "exceptions": [
                {
                    "id": "EX-1",
                    "agent": "billing",
                    "rules": ["bank/risky"],
                    "tools": ["bank.transfer"],
                    "owner": "ops",
                    "approver": "ciso",
                    "approved_at": "2026-11-01T00:00:00Z",
                    "expires": "2026-12-31T00:00:00Z",
                    "reason": "moving the vault",
                    "control": {"redact_result": ["$.iban"]},
                }
            ],
            "grants": [
                {
                    "id": "G-1",
                    "agent": "reports",
                    "rules": ["bank/large"],
                    "tools": ["bank.transfer"],
                    "stages": [{"reviewers": ["group:finance"]}],
                    "approved_at": "2026-11-01T00:00:00Z",
                    "expires": "2026-12-31T00:00:00Z",
                    "reason": "quarter end",
                    "local": True,
                }
            ],
        }
    )
    return snapshot.with_register(register)


def recorded_of(guard: Guard, **options: Any) -> list[Recorded]:
    """Every recorded decision of a guard, read with its key."""
    guard.flush()
    return list(StoreReader(guard.store, guard.tenant, key=guard._key, **options))


def replayed(guard: Guard, candidate: Snapshot, *, against: Snapshot | None = None, **options: Any) -> Report:
    """A candidate over what a guard recorded."""
    guard.flush()
    running = Replay(candidate, against=against, keep=100)
    reader = StoreReader(guard.store, guard.tenant, key=guard._key, **options)
    for recorded in reader:
        running.take(recorded)
    return running.report(reader.approvals.values())
