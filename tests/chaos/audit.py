"""What is true after a run: the marks that tools and processes left, against the store."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from agentguard import Guard
from agentguard.canonical import freeze
from agentguard.errors import NotFound
from agentguard.ledger.verify import verify_tenant
from agentguard.stepup.model import State
from tests.chaos.bank import LARGE, Task, make_guard, marks

__all__ = ["FORBIDDEN", "audited", "forbidden"]

FORBIDDEN: Final = (
    "double_claims",
    "double_effects",
    "unrecorded",
    "lost",
    "lost_votes",
    "late_claims",
    "overruns",
    "findings",
    "errors",
)
"""Counts that must be 0."""


def forbidden(result: dict[str, Any]) -> list[str]:
    """Those that are not."""
    return [name for name in FORBIDDEN if result.get(name)]


def audited(task: Task) -> dict[str, Any]:
    """Counts of what happened, from `effects` and `acks` of the task's folder and from the ledger."""
    guard = make_guard(task)
    try:
        return _audited(guard, task.tenant, task.folder)
    finally:
        guard.close()
        guard.store.close()


def _audited(guard: Guard, tenant: str, folder: Path) -> dict[str, Any]:
    events = [json.loads(event.leaf) for event in guard.store.events(tenant)]
    report = verify_tenant(guard.store, tenant)
    permitted = {event["args_hmac"] for event in events if event["type"] == "decision" and event["runs"]}
    effects = Counter(marks(folder, "effects"))
    acks = [line.split() for line in marks(folder, "acks")]
    claims = Counter(event["approval"] for event in events if event["type"] == "claimed")
    return {
        "effects": sum(effects.values()),
        "double_effects": sum(count - 1 for count in effects.values()),
        "unrecorded": sum(_hmac(guard, mark) not in permitted for mark in effects),
        "claims": sum(claims.values()),
        "double_claims": sum(count - 1 for count in claims.values()),
        "acknowledged": len(acks),
        "lost": sum(_lost(guard, tenant, ack, effects, permitted, events) for ack in acks),
        "unknown": report.open_decisions,
        "events": len(events),
        "findings": len(report.findings),
    }


def _hmac(guard: Guard, mark: str) -> str:
    ref, amount = mark.split()
    return guard.hmac(freeze({"ref": ref, "amount": int(amount)}).canonical)


def _lost(
    guard: Guard,
    tenant: str,
    ack: list[str],
    effects: Counter[str],
    permitted: set[str],
    events: list[dict[str, Any]],
) -> bool:
    """Whether the store no longer knows what it had said was done."""
    match ack:
        case ["ran", ref, amount]:
            mark = f"{ref} {amount}"
            return not effects[mark] or _hmac(guard, mark) not in permitted
        case ["asked", approval, ref]:
            try:
                found = guard.store.approval(tenant, approval)
            except NotFound:
                return True
            return found.args_hmac != _hmac(guard, f"{ref} {LARGE}")
        case ["voted", approval]:
            told = any(event["type"] == "vote" and event["approval"] == approval for event in events)
            return not told or guard.store.approval(tenant, approval).state is State.REQUESTED
        case _:
            raise AssertionError(f"not an acknowledgement: {ack}")
