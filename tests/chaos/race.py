"""Processes that vote on, claim, settle, withdraw and expire the same approvals and take from one counter.

Each approval needs two people; some expire while the race is on. Every process goes through all of them, a
few at a time with the others and those in an order of its own, and notes what the store acknowledged.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from agentguard.decision import Stage
from agentguard.errors import ClaimRefused, StoreUnavailable, VoteRefused
from agentguard.ledger.verify import verify_tenant
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.store import Reservation, Store, open_store
from tests.chaos.places import Place
from tests.store.support import answer, ask, needs, settled, take

__all__ = ["race"]

LIMIT: Final = 1000
_HEAP: Final = 10
_PATIENCE_S: Final = 300
_context: Final = multiprocessing.get_context("forkserver")


def race(place: Place, *, seconds: float, approvals: int, processes: int, seed: int = 0) -> dict[str, Any]:
    """Counts of what happened; those of `audit.FORBIDDEN` must be 0."""
    tenant = f"chaos-{uuid.uuid4().hex[:8]}"
    begun = _context.Barrier(processes)
    found = [
        _context.Process(
            target=_racer,
            args=(place.url, place.folder, tenant, number, processes, approvals, seconds, seed, begun),
            daemon=True,
        )
        for number in range(processes)
    ]
    for process in found:
        process.start()
    for process in found:
        process.join(_PATIENCE_S + seconds + approvals / 20)
    failed = sum(process.exitcode != 0 for process in found)
    for process in found:
        process.kill()
    notes = [json.loads(path.read_text()) for path in sorted(place.folder.glob("racer-*"))]
    store = open_store(place.url)
    try:
        return {
            "processes": processes,
            "approvals": approvals,
            **_counts(store, tenant, notes),
            "errors": failed,
            "seconds": round(max((note["seconds"] for note in notes), default=0), 1),
        }
    finally:
        store.close()


def _racer(
    url: str,
    folder: Path,
    tenant: str,
    number: int,
    processes: int,
    approvals: int,
    seconds: float,
    seed: int,
    begun: Any,
) -> None:
    logging.getLogger("agentguard").setLevel(logging.CRITICAL)
    dice = random.Random(f"{seed}-{number}")
    store = open_store(url, timeout_s=60)
    for call in range(number, approvals, processes):
        # A few seconds short of the race, so that some expire while votes and claims come in.
        lasts = dice.choice((3600, 3600, 3600, dice.randrange(2, max(3, int(seconds) + 2))))
        ask(
            store,
            tenant=tenant,
            call_id=f"call-{call}",
            requirement=needs(Stage(("group:finance",), 2)),
            expires_in_s=lasts,
        )
    begun.wait(_PATIENCE_S)
    started = time.monotonic()
    note: dict[str, Any] = {
        "claims": [],
        "votes": [],
        "reserved": 0,
        "settled": [],
        "busy": 0,
        "acts": 0,
        "reached": 0,
    }
    found = store.approvals(tenant, limit=approvals)
    for approval in _in_heaps(found, dice):
        note["reached"] += 1
        for act in (*dice.choices(*_FIRST), *dice.choices(*_THEN)):
            note["acts"] += 1
            try:
                act(store, approval, note, dice)
            except (ClaimRefused, VoteRefused):
                pass
            except StoreUnavailable:
                note["busy"] += 1
        if time.monotonic() - started > seconds:
            break
    note["seconds"] = time.monotonic() - started
    (folder / f"racer-{number}").write_text(json.dumps(note))
    store.close()


def _in_heaps(found: list[Approval], dice: random.Random) -> Iterator[Approval]:
    for first in range(0, len(found), _HEAP):
        yield from dice.sample(heap := found[first : first + _HEAP], len(heap))


def _approve(store: Store, approval: Approval, note: dict[str, Any], dice: random.Random) -> None:
    who = dice.choice(("ana", "bob"))
    answer(store, approval, who)
    note["votes"].append([approval.id, who, "approve"])


def _deny(store: Store, approval: Approval, note: dict[str, Any], dice: random.Random) -> None:
    answer(store, approval, "bob", "deny")
    note["votes"].append([approval.id, "bob", "deny"])


def _claim(store: Store, approval: Approval, note: dict[str, Any], dice: random.Random) -> None:
    take(store, approval)
    note["claims"].append(approval.id)
    settled(store, approval)
    note["settled"].append(approval.id)


def _withdraw(store: Store, approval: Approval, note: dict[str, Any], dice: random.Random) -> None:
    if dice.random() < 0.2:
        store.update_approval(approval.tenant, approval.id, machine.withdraw)


def _expire(store: Store, approval: Approval, note: dict[str, Any], dice: random.Random) -> None:
    store.update_approval(approval.tenant, approval.id, machine.expire)


def _reserve(store: Store, approval: Approval, note: dict[str, Any], dice: random.Random) -> None:
    amount = dice.randrange(1, 4)
    if (
        store.reserve(
            approval.tenant, [Reservation("spend", amount, LIMIT), Reservation("n", 1, 10**6, 3600)]
        )
        is None
    ):
        note["reserved"] += amount


_FIRST: Final = (_approve, _deny, _withdraw, _reserve), (16, 1, 1, 2)
_THEN: Final = (_claim, _approve, _expire, _reserve), (12, 4, 2, 2)
"""What may be done, and how often."""


def _counts(store: Store, tenant: str, notes: list[dict[str, Any]]) -> dict[str, Any]:
    events = [json.loads(event.leaf) for event in store.events(tenant)]
    table = {found.id: found for found in store.approvals(tenant, limit=10**6)}
    claimed = Counter(event["approval"] for event in events if event["type"] == "claimed")
    ended = Counter(event["approval"] for event in events if event["type"] == "outcome")
    voted = {(e["approval"], e["subject"], e["verdict"]) for e in events if e["type"] == "vote"}
    acknowledged = Counter(found for note in notes for found in note["claims"])
    reserved = sum(note["reserved"] for note in notes)
    report = verify_tenant(store, tenant)
    lost = sum(not claimed[found] for found in acknowledged)
    lost += sum(not ended[found] for note in notes for found in note["settled"])
    return {
        "reached": min((note["reached"] for note in notes), default=0),
        "acts": sum(note["acts"] for note in notes),
        "claims": sum(claimed.values()),
        "double_claims": sum(count - 1 for count in (claimed | acknowledged).values()),
        "double_effects": sum(count - 1 for count in ended.values()),
        "lost": lost,
        "unknown": sum(found.state is State.CLAIMED for found in table.values()),
        "votes": len(voted),
        "lost_votes": sum(tuple(vote) not in voted for note in notes for vote in note["votes"]),
        "expired": sum(found.state is State.EXPIRED for found in table.values()),
        "late_claims": sum(
            found.claimed_at is not None and found.claimed_at >= found.expires_at for found in table.values()
        ),
        "reserved": reserved,
        "overruns": max(0, reserved - LIMIT),
        "busy": sum(note["busy"] for note in notes),
        "events": len(events),
        "findings": len(report.findings),
    }
