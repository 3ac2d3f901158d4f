"""What the hashed bytes cover: each field of the table in docs/ledger.md is in a leaf, and counts.

Each test reads the leaf, and changes that one thing: the hash is another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.canonical import freeze
from agentguard.decision import Decision
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.ledger.keys import args_hmac
from agentguard.ledger.log import leaf_hash
from agentguard.policy import Register
from agentguard.store import Store, open_store
from tests.policy.support import exception, grant, request, rule, snapshot
from tests.store.support import START, answer, ask, settled, take

DOCS = Path(__file__).parents[2] / "docs" / "ledger.md"
POLICY = {
    "policy": "pay",
    "tools": ["pay"],
    "rules": [{"id": "small", "effect": "allow", "when": "args.amount < 100", "reason": "small ones"}],
}
ALLOW, NO = rule("a", "allow"), rule("no", "deny", "args.amount > 100")
ASK = rule("ask", "step_up", "args.amount > 100")


@dataclass
class Scene:
    """One call of a guard, as its ledger has it."""

    amount: int = 5
    agent: str = "billing"
    principal: str = "ben"
    chain: tuple[str, ...] = ("planner",)
    policy: Any = None
    fails: bool = False

    def leaves(self) -> dict[str, dict[str, Any]]:
        """The decision and the outcome, without what differs from call to call."""
        store = open_store("memory:")
        snapshot = Snapshot.from_documents([self.policy or POLICY])
        with Guard(snapshot=snapshot, store=store) as guard:
            guard._key = b"k" * 32

            @guard.tool("pay")
            def pay(amount: int) -> int:
                if self.fails:
                    raise ValueError("no")
                return amount

            with guard.session(
                agent=AgentIdentity(self.agent),
                principal=self.principal,
                chain=[AgentIdentity(link) for link in self.chain],
                id="s-1",
            ):
                try:
                    pay(self.amount)
                except Exception:
                    assert self.fails or self.amount >= 100
        found = {row.type: json.loads(row.leaf) for row in store.events("default")}
        store.close()
        return found


def hashed(event: dict[str, Any]) -> bytes:
    """Of what a call always says, so that two calls can be compared."""
    apart = ("id", "at", "call_id", "decision_id", "duration_us", "tool_digest", "digest")
    return leaf_hash(events.leaf({key: value for key, value in event.items() if key not in apart}))


@pytest.mark.parametrize(
    ("other", "event", "path", "value"),
    [
        (Scene(agent="other"), "decision", "agent", "billing"),
        (Scene(principal="eve"), "decision", "principal", "ben"),
        (Scene(chain=("planner", "helper")), "decision", "chain", ["planner"]),
        (Scene(agent="other"), "outcome", "agent", "billing"),
        (Scene(chain=()), "outcome", "chain", ["planner"]),
        (Scene(amount=500), "decision", "decision.effect", "allow"),
        (Scene(amount=500), "decision", "runs", True),
        (
            Scene(policy={**POLICY, "rules": [{**POLICY["rules"][0], "id": "other"}]}),  # type: ignore[dict-item]
            "decision",
            "decision.matched.0.rule_id",
            "small",
        ),
        (
            Scene(policy={**POLICY, "rules": [{**POLICY["rules"][0], "reason": "because"}]}),  # type: ignore[dict-item]
            "decision",
            "decision.matched.0.reason",
            "small ones",
        ),
        (Scene(fails=True), "outcome", "status", "succeeded"),
    ],
)
def test_who_what_why_and_how_it_ended_are_hashed(other: Scene, event: str, path: str, value: Any) -> None:
    """Agent, chain, principal, effect, rules, outcome."""
    first = Scene().leaves()
    found: Any = first[event]
    for step in path.split("."):
        found = found[int(step)] if step.isdigit() else found[step]
    assert found == value
    assert hashed(first[event]) == hashed(Scene().leaves()[event])
    assert hashed(first[event]) != hashed(other.leaves()[event])


def test_the_keyed_digest_of_the_arguments_is_hashed() -> None:
    """And nothing of the arguments themselves."""
    first, other = Scene(amount=5).leaves(), Scene(amount=6).leaves()
    digest = args_hmac(b"k" * 32, freeze({"amount": 5}).canonical)
    assert first["decision"]["args_hmac"] == first["outcome"]["args_hmac"] == digest
    assert hashed(first["decision"]) != hashed(other["decision"])


def test_the_digest_of_the_snapshot_is_hashed() -> None:
    """Of the decision, and when it came into force."""
    first = Scene().leaves()
    digest = Snapshot.from_documents([POLICY]).digest
    assert first["decision"]["decision"]["snapshot"] == first["policy.loaded"]["snapshot"] == digest


def decision_leaf(decision: Decision) -> dict[str, Any]:
    return dict(
        json.loads(
            events.leaf(
                events.decision(
                    id=uuid7(),
                    tenant="default",
                    at=START,
                    request=request(),
                    decision=decision,
                    args_hmac="hmac-sha256:1",
                    runs=True,
                )
            )
        )
    )


def test_an_exception_is_hashed_with_the_rules_that_it_waived() -> None:
    """By its id, and the version of the register."""
    register = Register.from_records(3, [exception()])
    waived = decision_leaf(snapshot(ALLOW, NO, register=register).decide(request()))
    assert waived["decision"]["exceptions"] == [{"id": "EX-1", "waived": ["p/no"]}]
    assert waived["decision"]["register"] == 3
    assert hashed(waived) != hashed(decision_leaf(snapshot(ALLOW).decide(request())))


def test_a_grant_is_hashed_as_what_granted() -> None:
    """By its id, among what matched."""
    register = Register.from_records(3, [grant()])
    granted = snapshot(ALLOW, ASK, register=register).decide(request())
    found = decision_leaf(granted)
    names = [f"{one['policy']}/{one['rule_id']}" for one in found["decision"]["matched"]]
    assert [name for name in names if name.startswith("grant/")], names
    assert hashed(found) != hashed(decision_leaf(snapshot(ALLOW, ASK).decide(request())))


@pytest.fixture
def store() -> Iterator[Store]:
    found = open_store("memory:")
    yield found
    found.close()


@pytest.mark.parametrize(
    ("event", "field", "expected"),
    [
        ("approval.opened", "approval", lambda one: one.id),
        ("approval.opened", "digest", lambda one: one.digest),
        ("approval.opened", "snapshot", lambda one: one.snapshot),
        ("approval.opened", "args_hmac", lambda one: one.args_hmac),
        ("vote", "subject", lambda one: "ana"),
        ("vote", "memberships", lambda one: ["group:finance"]),
        ("vote", "digest", lambda one: one.digest),
        ("approval.approved", "by", lambda one: "ana"),
        ("claimed", "reviewers", lambda one: ["ana"]),
        ("claimed", "epoch", lambda one: one.epoch),
        ("outcome", "approval", lambda one: one.id),
        ("outcome", "status", lambda one: "succeeded"),
    ],
)
def test_an_approval_and_its_reviewers_are_hashed(
    store: Store, event: str, field: str, expected: Callable[[Any], Any]
) -> None:
    """The question, each answer, the claim with those who approved it, the end."""
    approval = settled(store, take(store, answer(store, ask(store))))
    found = {row.type: json.loads(row.leaf) for row in store.events("default")}
    assert found[event][field] == expected(approval)


def test_every_field_of_the_table_has_its_test() -> None:
    """The table of the documentation names tests that are here."""
    text = DOCS.read_text()
    table = text[text.index("| what is covered |") :]
    rows = table[: table.index("\n\n")].splitlines()[2:]
    assert len(rows) >= 11
    for line in rows:
        for name in re.findall(r"`(test_[a-z_]+)`", line):
            assert name in globals(), name
        assert "`test_" in line, line
