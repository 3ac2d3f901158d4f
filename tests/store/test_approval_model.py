"""The life of an approval against a naive model, on every store, with a clock that hypothesis moves."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from agentguard.decision import Stage
from agentguard.errors import ClaimRefused, VoteRefused
from agentguard.ledger.verify import verify
from agentguard.stepup import machine
from agentguard.stepup.model import State
from agentguard.store import Store, open_store
from tests.postgres.server import drop, fresh_url
from tests.store.support import DIGEST, FakeClock, answer, ask, needs, settled, take

OTHER = "sha256:" + "9" * 64
ELIGIBLE = {"ana", "bob"}
OPEN = {State.REQUESTED, State.APPROVED}


class ApprovalLife(RuleBasedStateMachine):
    """One store, some approvals, everything anybody may do to them."""

    url = "memory:"
    approvals: Bundle[str] = Bundle("approvals")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.place = self.place_of()
        self.store: Store = open_store(self.place, clock=self.clock)
        self.model: dict[str, dict[str, Any]] = {}

    def teardown(self) -> None:
        report = verify(self.store)
        assert report.ok, report.tenants[0].findings
        self.store.close()
        self.folder.cleanup()
        if self.place.startswith("postgresql:"):
            drop(self.place)

    def place_of(self) -> str:
        return fresh_url() if self.url == "postgresql:" else self.url.format(folder=self.folder.name)

    def expired(self, name: str) -> bool:
        return bool(self.clock.at >= self.model[name]["expires_at"])

    def end(self, name: str, state: State) -> None:
        self.model[name]["state"] = state

    @rule(target=approvals, quorum=st.integers(1, 2), seconds=st.integers(1, 60))
    def open(self, quorum: int, seconds: int) -> str:
        approval = ask(
            self.store,
            call_id=f"call-{len(self.model)}",
            requirement=needs(Stage(("group:finance",), quorum)),
            expires_in_s=seconds,
        )
        self.model[approval.id] = {
            "state": State.REQUESTED,
            "quorum": quorum,
            "voters": set(),
            "expires_at": approval.expires_at,
            "claims": 0,
        }
        return approval.id

    @rule(seconds=st.sampled_from([0.5, 1, 10, 59, 61]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(
        name=approvals,
        subject=st.sampled_from(["ana", " ANA@Example.com", "bob", "cai", "ben", "owen", "dora"]),
        verdict=st.sampled_from(["approve", "approve", "deny"]),
        digest=st.sampled_from([DIGEST, DIGEST, DIGEST, OTHER]),
    )
    def vote(self, name: str, subject: str, verdict: str, digest: str) -> None:
        known = self.model[name]
        who = "ana" if "ana" in subject.casefold() else subject
        may = who in ELIGIBLE and digest == DIGEST
        try:
            answer(self.store, self.store.approval("default", name), subject, verdict, digest=digest)
        except VoteRefused:
            assert not may
            return
        assert may
        if known["state"] is not State.REQUESTED or (who in known["voters"] and verdict == "approve"):
            return
        if self.expired(name):
            self.end(name, State.EXPIRED)
        elif verdict == "deny":
            self.end(name, State.DENIED)
        else:
            known["voters"].add(who)
            if len(known["voters"]) >= known["quorum"]:
                self.end(name, State.APPROVED)

    @rule(name=approvals, digest=st.sampled_from([DIGEST, DIGEST, OTHER]))
    def claim(self, name: str, digest: str) -> None:
        known = self.model[name]
        may = known["state"] is State.APPROVED and not self.expired(name) and digest == DIGEST
        try:
            take(self.store, self.store.approval("default", name), digest)
        except ClaimRefused:
            assert not may
            if known["state"] in OPEN and self.expired(name):
                self.end(name, State.EXPIRED)
            return
        assert may
        known["claims"] += 1
        self.end(name, State.CLAIMED)

    @rule(name=approvals, status=st.sampled_from(["succeeded", "failed", "unknown"]))
    def settle(self, name: str, status: str) -> None:
        settled(self.store, self.store.approval("default", name), status)
        if self.model[name]["state"] is State.CLAIMED:
            self.end(name, State(status))

    @rule(name=approvals, move=st.sampled_from(["withdraw", "supersede", "revoke", "expire"]))
    def move(self, name: str, move: str) -> None:
        self.store.update_approval("default", name, getattr(machine, move))
        state = self.model[name]["state"]
        if move == "expire" and state in OPEN and self.expired(name):
            self.end(name, State.EXPIRED)
        elif move == "revoke" and state is State.APPROVED:
            self.end(name, State.REVOKED)
        elif move in ("withdraw", "supersede") and state in OPEN:
            self.end(name, State.WITHDRAWN if move == "withdraw" else State.SUPERSEDED)

    @rule()
    def restart(self) -> None:
        if self.url != "memory:":
            self.store.close()
            self.store = open_store(self.place, clock=self.clock)

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        for name, known in self.model.items():
            assert self.store.approval("default", name).state is known["state"]
            assert known["claims"] <= 1


class SQLiteApprovalLife(ApprovalLife):
    url = "sqlite:///{folder}/store.db"


class PostgresApprovalLife(ApprovalLife):
    url = "postgresql:"


@pytest.mark.parametrize(
    ("life", "examples"), [(ApprovalLife, 120), (SQLiteApprovalLife, 120), (PostgresApprovalLife, 15)]
)
def test_an_approval_lives_as_the_model_says_T09(life: type[ApprovalLife], examples: int) -> None:
    """Whatever is done in whatever order, state and ledger agree with the model."""
    case = life.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=30,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").debug()
