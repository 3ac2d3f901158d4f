"""The life of exceptions against a model: whatever people do, only what was approved holds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from agentguard.decision import Effect
from agentguard.errors import RecordRefused
from agentguard.governance import Terms
from agentguard.governance.sweeping import expire_due
from agentguard.ledger.verify import verify
from agentguard.store import open_store
from tests.governance.support import Office
from tests.store.support import START, FakeClock

PEOPLE = ("ana", "bob", "cai", "ben", "local")
HOUR = dt.timedelta(hours=1)
WEEK = 7 * 24


@dataclass
class Known:
    """What the model knows of one exception."""

    amount: int
    requester: str
    expires: dt.datetime
    confirm: bool
    state: str = "requested"
    vouched: dt.datetime | None = None
    renewals: int = 0
    pending: tuple[str, dt.datetime] | None = None
    involved: set[str] = field(default_factory=set)

    def holds(self, now: dt.datetime) -> bool:
        if self.state != "active" or self.vouched is None or now >= self.expires:
            return False
        return not self.confirm or now < self.vouched + WEEK * HOUR


class Life(RuleBasedStateMachine):
    """Each exception waives the denial of one amount, so that what holds is seen in a decision."""

    records = Bundle("records")
    store_url = "memory:"
    seen: ClassVar[set[Effect]]

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.store = open_store(self.store_url, clock=self.clock)
        self.office = Office(store=self.store, terms=Terms(max_renewals=2, max_days=60))
        self.known: dict[str, Known] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert verify(self.store).ok
            self.store.close()

    @rule(
        target=records, hours=st.integers(1, 24 * 60), who=st.sampled_from(PEOPLE[1:4]), confirm=st.booleans()
    )
    def ask(self, hours: int, who: str, confirm: bool) -> object:
        if len(self.known) >= 4:
            return multiple()
        expires, amount = self.clock.at + hours * HOUR, 101 + len(self.known)
        record = self.office.ask(
            who,
            expires=expires.isoformat(),
            when=f"args.amount == {amount}",
            revalidate_every="7d" if confirm else None,
        )
        self.known[record.id] = Known(amount, who, expires, confirm)
        return record.id

    @rule(id=records, who=st.sampled_from(PEOPLE))
    def approve(self, id: str, who: str) -> None:
        one, now = self.known[id], self.clock.at
        renewing = one.state == "active" and one.pending is not None
        asked, until = one.pending if renewing and one.pending else (one.requester, one.expires)
        may = who not in ("local", asked, one.requester)
        fresh = one.state == "requested" or renewing
        in_time = now < one.expires and until - now <= dt.timedelta(days=60)
        if fresh and may and in_time:
            self.office.say("approve", id, who)
            if renewing:
                one.renewals, one.pending, one.requester = one.renewals + 1, None, asked
            one.state, one.expires, one.vouched = "active", until, now
        else:
            self.refused("approve", id, who)

    @rule(id=records, who=st.sampled_from(PEOPLE))
    def revalidate(self, id: str, who: str) -> None:
        one = self.known[id]
        if one.state == "active" and self.clock.at < one.expires and who not in ("local", one.requester):
            self.office.say("revalidate", id, who)
            one.vouched = self.clock.at
        else:
            self.refused("revalidate", id, who)

    @rule(id=records, who=st.sampled_from(PEOPLE), hours=st.integers(1, 24 * 60))
    def renew(self, id: str, who: str, hours: int) -> None:
        one, until = self.known[id], self.clock.at + hours * HOUR
        record = self.store.record("default", "exception", id)
        possible = one.state == "active" and self.clock.at < one.expires < until and one.renewals < 2
        possible = possible and who != "local"
        if possible:
            self.office.renew(record, until.isoformat(), who)
            one.pending = (who, until)
        else:
            with pytest.raises(RecordRefused):
                self.office.renew(record, until.isoformat(), who)

    @rule(id=records, act=st.sampled_from(["reject", "withdraw"]), who=st.sampled_from(PEOPLE))
    def decline(self, id: str, act: str, who: str) -> None:
        one = self.known[id]
        if one.state == "active" and one.pending is not None:
            self.office.say(act, id, who)
            one.pending = None
        elif one.state == "requested":
            self.office.say(act, id, who)
            one.state = "rejected" if act == "reject" else "withdrawn"
        else:
            self.refused(act, id, who)

    @rule(id=records, who=st.sampled_from(PEOPLE))
    def revoke(self, id: str, who: str) -> None:
        one = self.known[id]
        if one.state == "active":
            self.office.say("revoke", id, who)
            one.state, one.pending = "revoked", None
        else:
            self.refused("revoke", id, who)

    @rule(hours=st.sampled_from([1, 24, WEEK, 24 * 40]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours * 3600)

    @rule(id=records)
    def time_passes_to_its_end(self, id: str) -> None:
        self.clock.at = max(self.clock.at, self.known[id].expires)

    @rule()
    def sweep(self) -> None:
        expire_due(self.store, "default")
        for one in self.known.values():
            if one.state in ("requested", "active") and self.clock.at >= one.expires:
                one.state, one.pending = "expired", None

    def refused(self, act: str, id: str, who: str) -> None:
        before = self.store.record("default", "exception", id)
        try:
            self.office.say(act, id, who)
        except RecordRefused:
            pass
        assert self.store.record("default", "exception", id) == before

    @invariant()
    def only_what_holds_is_waived(self) -> None:
        if not getattr(self, "known", None):
            return
        assert self.office.register.refused == ()
        snapshot = self.office.snapshot
        from tests.governance.support import request

        for one in self.known.values():
            for at in (self.clock.at, one.expires, one.expires - dt.timedelta(microseconds=1)):
                decision = snapshot.decide(request(now=at.isoformat(), args={"amount": one.amount}))
                begun = one.vouched is not None and at >= self.begun(one)
                wanted = Effect.FLAG if begun and one.holds(at) else Effect.DENY
                assert decision.effect is wanted, (at, one)
                self.seen.add(wanted)

    def begun(self, one: Known) -> dt.datetime:
        """When its approval counts from: the model keeps the latest word, the store the approval's."""
        id = next(id for id, known in self.known.items() if known is one)
        word = self.store.record("default", "exception", id).body.get("approved")
        return START if word is None else dt.datetime.fromisoformat(word["at"])


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_whatever_people_do_only_what_was_approved_holds_T49(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Asked, approved, confirmed, renewed, declined, revoked, expired: in any order, by anybody."""

    class OnStore(Life):
        seen: ClassVar[set[Effect]] = set()

        @property
        def store_url(self) -> str:  # type: ignore[override]
            if kind == "memory":
                return "memory:"
            return f"sqlite:///{tmp_path_factory.mktemp('model')}/store.db"

    run_state_machine_as_test(
        OnStore,
        settings=settings(max_examples=60 if kind == "memory" else 15, stateful_step_count=25),
    )


def test_the_model_has_exceptions_that_hold_and_such_that_do_not() -> None:
    """What is asked for holds once somebody else approved it: the search above is about both."""

    class Approved(Life):
        seen: ClassVar[set[Effect]] = set()

    life = Approved()
    life.begin()
    life.ask(hours=24, who="bob", confirm=False)
    life.only_what_holds_is_waived()
    assert Approved.seen == {Effect.DENY}
    (id,) = life.known
    life.approve(id, "cai")
    life.only_what_holds_is_waived()
    assert Approved.seen == {Effect.DENY, Effect.FLAG}
    life.teardown()
