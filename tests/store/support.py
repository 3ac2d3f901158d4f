"""What the tests of stores, approvals and the ledger have in common."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from agentguard.call import ContextRequest
from agentguard.decision import Decision, Effect, Matched, Stage
from agentguard.ids import approval_id, uuid7
from agentguard.ledger import approvals as written
from agentguard.ledger import events
from agentguard.stepup import machine
from agentguard.stepup.ballot import Answer, cast
from agentguard.stepup.directory import StaticDirectory
from agentguard.stepup.model import Approval, Requirement, State
from agentguard.store.protocol import Event, Store

START = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)
DIGEST = "sha256:" + "1" * 64
ARGS_HMAC = "hmac-sha256:" + "2" * 64

PEOPLE = StaticDirectory(
    {
        "ana": {"groups": ["finance"], "aliases": ["ana@example.com"]},
        "bob": {"groups": ["finance"]},
        "cai": {"groups": ["leads"]},
        "ben": {"groups": ["finance"]},
        "owen": {"groups": ["finance"]},
    },
    {"finance": {}, "leads": {}},
)


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self, at: dt.datetime = START) -> None:
        self.at = at

    def __call__(self) -> dt.datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)


def make_request(**changes: Any) -> ContextRequest:
    data = {
        "tool": "payments.transfer",
        "args": {"payee": "ACME", "amount": 5000},
        "agent": {"id": "billing", "owner": "owen"},
        "principal": "ben",
        "call_id": "call-1",
        "now": START.isoformat(),
    }
    return ContextRequest.from_mapping({**data, **changes})


def make_decision(effect: Effect = Effect.ALLOW) -> Decision:
    match = Matched(rule_id="small", policy="payments", effect=effect)
    return Decision(effect=effect, matched=(match,), snapshot="sha256:" + "a" * 64)


def decided(
    tenant: str = "default", *, runs: bool = True, effect: Effect = Effect.ALLOW, at: dt.datetime = START
) -> Event:
    """A decision event."""
    return events.decision(
        id=uuid7(),
        tenant=tenant,
        at=at,
        request=make_request(),
        decision=make_decision(effect),
        args_hmac=ARGS_HMAC,
        runs=runs,
    )


def ended(decision: Event, tenant: str = "default", at: dt.datetime = START) -> Event:
    """The outcome event of a decision."""
    return events.outcome(
        id=uuid7(),
        tenant=tenant,
        at=at,
        request=make_request(),
        decision_id=decision["id"],
        status="succeeded",
        args_hmac=ARGS_HMAC,
    )


def make_approval(now: dt.datetime = START, **changes: Any) -> Approval:
    expires_in = changes.pop("expires_in_s", 600)
    values: dict[str, Any] = {
        "id": approval_id(),
        "tenant": "default",
        "call_id": "call-1",
        "digest": DIGEST,
        "state": State.REQUESTED,
        "tool": "payments.transfer",
        "tool_digest": "sha256:" + "3" * 64,
        "agent": "billing",
        "principal": "ben",
        "excluded": frozenset({"ben", "owen", "billing"}),
        "requirement": Requirement(
            stages=(Stage(("group:finance",), 1),), expires_in_s=expires_in, rules=("payments/large",)
        ),
        "arguments": b'{"amount":5000}',
        "shown": {"tool": "payments.transfer", "session": {"id": "s-1"}},
        "request": {"args": {"amount": 5000, "when": START, "pair": (1, 2)}},
        "snapshot": "sha256:" + "a" * 64,
        "decision_id": "none",
        "opened_at": now,
        "expires_at": now + dt.timedelta(seconds=expires_in),
        "epoch": "",
        "args_hmac": ARGS_HMAC,
        "chain": ("outer",),
    }
    return Approval(**{**values, **changes})


def needs(*stages: Stage, **terms: Any) -> Requirement:
    return Requirement(stages=stages, expires_in_s=600, rules=("payments/large",), **terms)


def ask(store: Store, **changes: Any) -> Approval:
    """Record a step-up and open its approval."""
    now = store.now()
    tenant = changes.get("tenant", "default")
    decision = decided(tenant, runs=False, effect=Effect.STEP_UP, at=now)
    approval = make_approval(now, decision_id=decision["id"], **changes)
    change = machine.opened(approval, now)
    return store.open_approval(change.approval, [decision, *change.events])


def answer(
    store: Store, approval: Approval, subject: str = "ana", verdict: str = "approve", **more: Any
) -> Approval:
    """Vote, by a login unless told otherwise."""
    values: dict[str, Any] = {"assurance": "login", "digest": approval.digest, **more}
    return cast(
        store,
        PEOPLE,
        approval.tenant,
        approval.id,
        Answer(subject=subject, verdict=verdict, **values),  # type: ignore[arg-type]
    )


def take(store: Store, approval: Approval, digest: str | None = None) -> Approval:
    """Claim an approval."""
    event = written.claimed(approval, id=uuid7(), at=store.now())
    return store.claim(approval.tenant, approval.id, digest or approval.digest, [event])


def settled(store: Store, approval: Approval, status: str = "succeeded") -> Approval:
    return store.update_approval(
        approval.tenant, approval.id, lambda a, now: machine.settle(a, {"status": status}, now)
    )


def types(store: Store, tenant: str = "default") -> list[str]:
    return [event.type for event in store.events(tenant)]


def contents(store: Store, tenant: str = "default") -> list[dict[str, Any]]:
    return [json.loads(event.leaf) for event in store.events(tenant)]
