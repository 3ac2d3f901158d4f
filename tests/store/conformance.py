"""What every store has to do. Subclass `StoreConformance`, say how to `open` yours, and run pytest.

The subclass gives a fixture-free method `open(clock)`; a store that other processes see as well gives
`open_again(clock)` too, for another connection to the same data.
"""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from agentguard.canonical import digest
from agentguard.decision import Effect, Stage
from agentguard.errors import ClaimRefused, NotFound, StoreError, TooManyPending, VoteRefused
from agentguard.ids import uuid7
from agentguard.ledger import approvals as written
from agentguard.ledger.log import leaf_hash, tree_root
from agentguard.ledger.verify import verify
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, Proposal, State
from agentguard.store.protocol import ApprovalChange, Payload, Reservation, Store
from tests.store.record_conformance import RecordConformance
from tests.store.support import (
    DIGEST,
    START,
    FakeClock,
    answer,
    ask,
    contents,
    decided,
    ended,
    make_approval,
    needs,
    settled,
    take,
    types,
)

OTHER = "sha256:" + "9" * 64


class StoreConformance(RecordConformance):
    """The behaviour of `agentguard.store.protocol.Store`."""

    def open(self, clock: FakeClock) -> Store:
        raise NotImplementedError

    # Events

    def test_events_are_numbered_from_one_without_gaps(self, store: Store) -> None:
        """Each appended event gets the next number of its tenant."""
        for _ in range(5):
            store.append("default", [decided(), decided()])
        assert [event.seq for event in store.events("default")] == list(range(1, 11))

    @pytest.mark.parametrize("durable", [True, False])
    def test_a_leaf_is_kept_as_it_was_written(self, store: Store, durable: bool) -> None:
        """The bytes that were hashed are the bytes that are read back, with id, type and time beside them."""
        event = decided()
        store.append("default", [event], durable=durable)
        (kept,) = store.events("default")
        assert (kept.leaf, kept.id, kept.type, kept.at) == (event.leaf, event["id"], "decision", START)  # type: ignore[attr-defined]

    def test_the_head_is_the_rfc_9162_root(self, store: Store) -> None:
        """Size and root are those of the Merkle tree over all leaves."""
        for size in range(1, 20):
            store.append("default", [decided()], durable=size % 3 == 0)
            leaves = [leaf_hash(event.leaf) for event in store.events("default")]
            assert store.head("default") == (size, tree_root(leaves))

    def test_an_empty_ledger_has_the_empty_root(self, store: Store) -> None:
        """A tenant that nobody wrote has size 0."""
        assert store.head("default") == (0, tree_root([]))
        assert list(store.events("default")) == []

    def test_events_can_be_read_from_a_number_by_type_and_in_part(self, store: Store) -> None:
        """`after`, `types` and `limit` select; the order is the ledger's."""
        first = decided()
        store.append("default", [first, ended(first), decided(), decided()])
        assert [event.seq for event in store.events("default", after=2)] == [3, 4]
        assert [event.seq for event in store.events("default", types=["outcome"])] == [2]
        assert [event.seq for event in store.events("default", after=1, limit=2)] == [2, 3]
        assert list(store.events("default", limit=0)) == []

    def test_tenants_do_not_see_each_other_T62(self, store: Store) -> None:
        """Numbers, events, approvals, payloads and counters are each tenant's own."""
        store.append("one", [decided("one")], payloads={"k": Payload("ben", b"1")})
        store.append("two", [decided("two"), decided("two")])
        approval = ask(store, tenant="one")
        assert store.tenants() == ["one", "two"]
        assert store.head("two")[0] == 2
        assert store.payload("two", "k") is None
        with pytest.raises(NotFound):
            store.approval("two", approval.id)
        with pytest.raises(NotFound):
            store.update_approval("two", approval.id, machine.expire)
        with pytest.raises(NotFound):
            take(store, replace(approval, tenant="two"))
        assert store.approval_for_call("two", approval.call_id, approval.digest) is None
        assert store.approvals("two") == []
        assert store.changes_since("two", 0)[1] == frozenset()
        assert store.reserve("one", [Reservation("k", 5, 5)]) is None
        assert store.reserve("two", [Reservation("k", 5, 5)]) is None

    def test_an_event_of_another_tenant_is_refused(self, store: Store) -> None:
        """Nothing of the batch is kept."""
        with pytest.raises(StoreError, match="tenant"):
            store.append("default", [decided(), decided("other")])
        assert store.head("default")[0] == 0

    def test_an_event_that_is_not_json_is_refused(self, store: Store) -> None:
        """Nothing of the batch is kept."""
        for bad in (object(), float("nan"), "\ud800"):
            event = {"v": 1, "id": uuid7(), "type": "x", "tenant": "default", "at": "2026-01-01T00:00:00Z"}
            with pytest.raises(StoreError):
                store.append("default", [decided(), {**event, "bad": bad}])
        assert store.head("default")[0] == 0

    def test_payloads_are_kept_beside_the_ledger_and_erased_by_subject(self, store: Store) -> None:
        """Erasing leaves other people's payloads and the ledger as they are."""
        payloads = {"k1": Payload("ben", b"one"), "k2": Payload("ana", b"two")}
        store.append("default", [decided()], payloads=payloads)
        store.append("default", [], payloads={"k1": Payload("ana", b"one")})
        before = store.head("default")
        assert store.payload("default", "k1") is not None
        assert store.erase("default", "ben") == 1
        assert store.payload("default", "k1") == Payload("ana", b"one")
        assert store.payload("default", "k2") == Payload("ana", b"two")
        assert store.erase("default", "ana") == 2
        assert store.payload("default", "k1") is None
        assert store.head("default") == before
        assert store.erase("nobody-here", "ana") == 0
        assert store.tenants() == ["default"]

    def test_payloads_are_read_together(self, store: Store) -> None:
        """Those that are there, of this tenant, wherever the store keeps them; a bounded look is enough."""
        store.append("default", [decided()], payloads={"k1": Payload("ben", b"one")})
        store.append("default", [decided(), decided()], payloads={"k2": Payload("ben", b"two")})
        both = {"k3": Payload("ana", b"three"), "k4": Payload("ben", b"four")}
        store.append("default", [decided()], payloads=both)
        store.append("other", [decided("other")], payloads={"k5": Payload("ben", b"five")})
        every = [*(f"k{number}" for number in range(1, 6)), *(f"x{number}" for number in range(1200))]
        assert set(store.payloads("default", every)) == {"k1", "k2", "k3", "k4"}
        assert store.payloads("default", ["k4"]) == {"k4": Payload("ben", b"four")}
        assert store.payloads("default", ["k1", "k2"], after=0, upto=2).keys() == {"k1", "k2"}
        assert store.payloads("default", []) == {}
        assert store.payloads("nobody-here", every) == {}
        store.erase("default", "ben")
        assert set(store.payloads("default", every)) == {"k3"}

    def test_rows_are_the_events_with_what_stands_beside_them(self, store: Store) -> None:
        """The same numbers, ids, types and leaves, a stretch at a time; payloads where they are beside."""
        store.append("default", [decided()], payloads={"k1": Payload("ben", b"one")})
        store.append("default", [decided(), decided()], payloads={"k2": Payload("ben", b"two")})
        ask(store)
        every = [(one.seq, one.id, one.type, one.leaf) for one in store.events("default")]
        assert [row[:4] for row in store.rows("default")] == every
        assert [row[:4] for row in store.rows("default", after=1, limit=2)] == every[1:3]
        opened = [row for row in every if row[2] == "approval.opened"]
        assert [row[:4] for row in store.rows("default", types=["approval.opened"])] == opened
        for row in store.rows("default"):
            if row[4] is not None:
                assert store.payload("default", row[4]) == Payload("ben", row[5] or b"")
        store.erase("default", "ben")
        assert all(row[4:] == (None, None) for row in store.rows("default"))
        assert store.rows("nobody-here") == []

    # Opening

    def test_an_approval_comes_back_as_it_was_opened(self, store: Store) -> None:
        """Every field, typed values included; the epoch is the store's."""
        approval = ask(store)
        assert approval.epoch
        assert store.approval("default", approval.id) == approval
        assert store.approval_for_call("default", "call-1", DIGEST) == approval
        assert types(store) == ["decision", "approval.opened"]
        assert approval.request["args"]["pair"] == (1, 2)
        assert approval.request["args"]["when"] == START

    def test_opening_twice_is_one_opening(self, store: Store) -> None:
        """The same call and digest gives the first approval, and the events are not appended again."""
        first = ask(store)
        again = ask(store)
        assert again == first
        assert types(store) == ["decision", "approval.opened"]

    def test_another_digest_or_call_is_another_approval(self, store: Store) -> None:
        """The call id alone does not find it (T02)."""
        ids = {ask(store).id, ask(store, digest=OTHER).id, ask(store, call_id="call-2").id}
        assert len(ids) == 3
        assert store.approval_for_call("default", "call-2", OTHER) is None

    @pytest.mark.parametrize("quorum", [0, -1, 101, 2**40, "2", 1.0, True, None])
    def test_an_unreachable_or_empty_quorum_is_refused_T12(self, store: Store, quorum: object) -> None:
        """A quorum that is not a whole number from 1 opens nothing."""
        bad = needs(Stage(("group:finance",), quorum))  # type: ignore[arg-type]
        with pytest.raises(StoreError, match="quorum"):
            store.open_approval(make_approval(store.now(), requirement=bad), [])
        assert store.approvals("default") == []

    @pytest.mark.parametrize("requirement", [needs(), needs(Stage((), 1)), needs(Stage((" ",), 1))])
    def test_a_requirement_without_reviewers_is_refused_T12(self, store: Store, requirement: object) -> None:
        """Missing metadata is a denial."""
        with pytest.raises(StoreError, match="review"):
            store.open_approval(make_approval(store.now(), requirement=requirement), [])

    def test_an_approval_cannot_be_opened_in_another_state(self, store: Store) -> None:
        """Nobody opens an approved or an expired question."""
        for changes in ({"state": State.APPROVED}, {"expires_at": store.now()}, {"digest": ""}):
            with pytest.raises(StoreError):
                store.open_approval(make_approval(store.now(), **changes), [])
        assert store.tenants() == []

    def test_approvals_are_listed_oldest_first_by_state_and_prefix(
        self, store: Store, clock: FakeClock
    ) -> None:
        """What people type is the beginning of an id."""
        found = []
        for number in range(4):
            found.append(ask(store, call_id=f"call-{number}"))
            clock.advance(1)
        answer(store, found[1])
        assert [a.id for a in store.approvals("default")] == [a.id for a in found]
        assert [a.id for a in store.approvals("default", states=[State.APPROVED])] == [found[1].id]
        assert [a.id for a in store.approvals("default", prefix=found[2].id[:9])] == [found[2].id]
        assert [a.id for a in store.approvals("default", limit=2)] == [a.id for a in found[:2]]
        assert store.approvals("default", prefix="%") == store.approvals("default", prefix="_") == []

    def test_a_flood_of_questions_is_bounded_T61(self, store: Store, clock: FakeClock) -> None:
        """A quota counts one agent's open questions under one rule; other rules are not buried."""

        def open_(number: int, rule: str = "payments/large", **changes: object) -> Approval:
            requirement = replace(needs(Stage(("group:finance",), 1)), rules=(rule,))
            asked = make_approval(store.now(), call_id=f"{rule}-{number}", requirement=requirement, **changes)
            return store.open_approval(asked, [], quota=3)

        for number in range(3):
            open_(number)
        with pytest.raises(TooManyPending, match="payments/large"):
            open_(3)
        assert open_(0).call_id == "payments/large-0"  # one that is open already is still found
        open_(0, "payments/critical")
        open_(7, agent="other")
        assert len(store.approvals("default")) == 5
        answer(store, open_(1))
        open_(3)
        clock.advance(601)
        for number in range(10, 13):
            open_(number)

    def test_racing_questions_do_not_pass_the_quota_T61(self, store: Store) -> None:
        """Sixteen at once, three places."""

        def attempt(number: int) -> bool:
            try:
                store.open_approval(make_approval(store.now(), call_id=f"call-{number}"), [], quota=3)
            except TooManyPending:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(16))) == 3

    # Updating

    def test_an_update_writes_the_approval_and_its_events_together(self, store: Store) -> None:
        """The events of one approval each name the one before."""
        approval = ask(store)
        changed = answer(store, approval)
        assert changed.state is State.APPROVED
        assert store.approval("default", approval.id) == changed
        told = contents(store)[1:]
        assert [event["type"] for event in told] == ["approval.opened", "vote", "approval.approved"]
        assert [event.get("prev") for event in told] == [None, told[0]["id"], told[1]["id"]]
        assert changed.last_event == told[-1]["id"]

    def test_an_update_that_changes_nothing_writes_nothing(self, store: Store) -> None:
        """None is no change."""
        approval = ask(store)
        version, _ = store.changes_since("default", 0)
        assert store.update_approval("default", approval.id, machine.expire) == approval
        assert store.changes_since("default", version) == (version, frozenset())

    def test_an_update_that_raises_writes_nothing(self, store: Store) -> None:
        """The error comes out as it is."""
        approval = ask(store)
        with pytest.raises(VoteRefused):
            answer(store, approval, "cai")
        assert store.approval("default", approval.id) == approval
        assert len(types(store)) == 2

    def test_a_move_that_the_state_machine_does_not_know_is_refused(self, store: Store) -> None:
        """Nor can an update claim."""
        approval = ask(store)
        for state in (State.SUCCEEDED, State.CLAIMED, State.REVOKED):
            with pytest.raises(StoreError, match="cannot become"):
                store.update_approval(
                    "default",
                    approval.id,
                    lambda a, _, s=state: ApprovalChange(replace(a, state=s)),  # type: ignore[misc]
                )
        answer(store, approval)
        with pytest.raises(StoreError, match="cannot become"):
            store.update_approval(
                "default", approval.id, lambda a, _: ApprovalChange(replace(a, state=State.CLAIMED))
            )
        with pytest.raises(StoreError, match="another"):
            store.update_approval(
                "default", approval.id, lambda a, _: ApprovalChange(replace(a, digest=OTHER))
            )

    def test_changes_are_seen_by_version(self, store: Store) -> None:
        """Each change has a version of its own; appending events is not a change of an approval."""
        first, second = ask(store), ask(store, call_id="call-2")
        version, changed = store.changes_since("default", 0)
        assert changed == {first.id, second.id}
        store.append("default", [decided()])
        assert store.changes_since("default", version) == (version, frozenset())
        answer(store, second)
        later, changed = store.changes_since("default", version)
        assert later > version
        assert changed == {second.id}
        assert store.changes_since("default", 2**62) == (later, frozenset())

    # Claiming

    def test_a_claim_happens_once_T01(self, store: Store) -> None:
        """A second claim of the same approval is refused and says what state it is in."""
        approval = answer(store, ask(store))
        claimed = take(store, approval)
        assert claimed.state is State.CLAIMED
        assert claimed.claimed_at == store.now()
        with pytest.raises(ClaimRefused) as refused:
            take(store, approval)
        assert refused.value.state == "claimed"
        assert types(store).count("claimed") == 1

    def test_a_claimed_event_names_the_event_before_it(self, store: Store) -> None:
        """The store fills in `prev`, whatever the caller had read."""
        asked = ask(store)
        stale = answer(store, asked)
        answer(store, stale, "bob")  # late: recorded, and now the newest event
        claimed = take(store, stale)
        told = contents(store)
        assert told[-1]["prev"] == told[-2]["id"]
        assert claimed.last_event == told[-1]["id"]
        assert verify(store).ok

    def test_a_claim_for_another_digest_is_refused_T02(self, store: Store) -> None:
        """The approval is worth nothing for another call, and stays usable for its own."""
        approval = answer(store, ask(store))
        with pytest.raises(ClaimRefused, match="digests differ"):
            take(store, approval, OTHER)
        assert store.approval("default", approval.id).state is State.APPROVED
        take(store, approval)

    def test_an_unknown_approval_cannot_be_claimed_T08(self, store: Store) -> None:
        """A guessed id finds nothing."""
        with pytest.raises(NotFound):
            take(store, make_approval())
        assert store.tenants() == []

    def test_a_question_nobody_decided_cannot_be_claimed(self, store: Store) -> None:
        """Only `approved` can."""
        approval = ask(store)
        with pytest.raises(ClaimRefused) as refused:
            take(store, approval)
        assert refused.value.state == "requested"

    def test_at_its_expiry_an_approval_is_too_old_T14_T15(self, store: Store, clock: FakeClock) -> None:
        """Exactly equal is expired; the refusal leaves a durable `expired`."""
        approval = answer(store, ask(store))
        clock.at = approval.expires_at
        with pytest.raises(ClaimRefused) as refused:
            take(store, approval)
        assert refused.value.state == "expired"
        assert store.approval("default", approval.id).state is State.EXPIRED
        assert types(store)[-1] == "approval.expired"

    def test_just_before_its_expiry_an_approval_can_be_claimed_T14(
        self, store: Store, clock: FakeClock
    ) -> None:
        """A microsecond before is in time."""
        approval = answer(store, ask(store))
        clock.at = approval.expires_at - dt.timedelta(microseconds=1)
        assert take(store, approval).state is State.CLAIMED

    def test_a_clock_that_was_set_back_claims_nothing_T14(self, store: Store, clock: FakeClock) -> None:
        """An approval that was decided later than now is refused; a few seconds are forgiven."""
        approval = answer(store, ask(store))
        clock.advance(-3600)
        with pytest.raises(ClaimRefused, match="clock"):
            take(store, approval)
        clock.advance(3597)
        assert take(store, approval).state is State.CLAIMED

    def test_an_approval_of_another_epoch_is_refused_T18(self, store: Store) -> None:
        """After a restored backup nothing that was approved before can be claimed."""
        approval = answer(store, ask(store))
        store.renew_epoch("another")
        with pytest.raises(ClaimRefused, match="restored"):
            take(store, approval)
        assert ask(store, call_id="call-2").epoch == "another"

    def test_a_proposal_of_another_epoch_is_not_taken_T18(self, store: Store) -> None:
        """The edit of a question from before a restored backup may have run since."""
        asked = ask(store)
        words = b'{"amount":60}'
        proposal = Proposal(editor="ana", assurance="login", arguments=words, digest=digest(words))
        edited = store.update_approval(
            "default",
            asked.id,
            lambda found, now: machine.propose(
                found, proposal, now, excluded=frozenset(), memberships=("group:finance",)
            ),
        )
        assert edited.state is State.SUPERSEDED
        store.renew_epoch("another")
        with pytest.raises(ClaimRefused, match="restored"):
            store.update_approval("default", asked.id, machine.take_proposal)
        kept = store.approval("default", asked.id).proposal
        assert kept is not None
        assert not kept.taken

    def test_a_new_epoch_is_a_new_register_for_guards_that_run_T18(self, store: Store) -> None:
        """One that a guard knows from after the backup cannot be met again by later changes."""
        ask(store)
        before = store.register_version("default")
        store.renew_epoch("another")
        assert store.register_version("default") > before + 1_000_000

    def test_erased_arguments_cannot_be_claimed(self, store: Store) -> None:
        """Nobody can check any more what would run."""
        approval = answer(store, ask(store))
        assert store.erase("default", "ben") == 1
        kept = store.approval("default", approval.id)
        assert (kept.arguments, kept.shown, kept.request) == (None, {}, {})
        with pytest.raises(ClaimRefused, match="erased"):
            take(store, approval)

    def test_a_revoked_approval_cannot_be_claimed_T05(self, store: Store) -> None:
        """Nor a superseded or withdrawn one."""
        for number, end in enumerate((machine.revoke, machine.supersede, machine.withdraw)):
            approval = answer(store, ask(store, call_id=f"call-{number}"))
            ended = store.update_approval("default", approval.id, end)
            with pytest.raises(ClaimRefused) as refused:
                take(store, approval)
            assert refused.value.state == ended.state.value

    def test_an_outcome_is_recorded_once_T17(self, store: Store) -> None:
        """The first outcome stands; an unknown one is not run again."""
        approval = take(store, answer(store, ask(store)))
        unknown = store.update_approval("default", approval.id, machine.unknown)
        assert unknown.state is State.UNKNOWN
        assert settled(store, approval).state is State.UNKNOWN
        assert types(store).count("outcome") == 1
        with pytest.raises(ClaimRefused) as refused:
            take(store, approval)
        assert refused.value.state == "unknown"

    def test_a_decision_taken_at_the_claim_stands_beside_the_chain(self, store: Store) -> None:
        """Both events are appended with the claim."""
        approval = answer(store, ask(store))
        again = {**decided(effect=Effect.STEP_UP), "approval": approval.id, "phase": "claim"}
        event = written.claimed(approval, id=uuid7(), at=store.now(), decision_id=again["id"])
        claimed = store.claim("default", approval.id, approval.digest, [again, event])
        settled(store, claimed)
        assert types(store)[-3:] == ["decision", "claimed", "outcome"]
        assert verify(store).ok

    # Reservations

    def test_a_limit_is_never_passed_T50(self, store: Store) -> None:
        """All amounts are taken or none, and the key that would pass is named."""
        assert store.reserve("default", [Reservation("a", 6, 10), Reservation("b", 1, 1)]) is None
        assert store.reserve("default", [Reservation("a", 1, 10), Reservation("b", 1, 1)]) == "b"
        assert store.reserve("default", [Reservation("a", 4, 10)]) is None
        assert store.reserve("default", [Reservation("a", 1, 10)]) == "a"
        assert store.reserve("default", [Reservation("a", 0, 10)]) is None

    def test_the_same_counter_twice_in_one_call_counts_twice(self, store: Store) -> None:
        """Two rules that take from one counter both take."""
        twice = [Reservation("a", 6, 10), Reservation("a", 6, 10)]
        assert store.reserve("default", twice) == "a"
        assert store.reserve("default", [Reservation("a", 10, 10)]) is None

    def test_a_window_slides(self, store: Store, clock: FakeClock) -> None:
        """What was taken comes back when it is as old as the window, and not before."""
        ten = Reservation("a", 10, 10, window_s=60)
        assert store.reserve("default", [ten]) is None
        clock.advance(59.999)
        assert store.reserve("default", [ten]) == "a"
        clock.advance(0.001)
        assert store.reserve("default", [ten]) is None

    def test_a_window_is_exact_at_any_moment(self, store: Store, clock: FakeClock) -> None:
        """In no stretch of the window's length is more taken than the limit."""
        taken: list[dt.datetime] = []
        for _ in range(200):
            if store.reserve("default", [Reservation("a", 1, 5, window_s=10)]) is None:
                taken.append(clock.at)
            clock.advance(0.7)
        for moment in taken:
            later = [t for t in taken if moment <= t < moment + dt.timedelta(seconds=10)]
            assert len(later) <= 5
        assert len(taken) >= 65

    def test_refused_reservations_append_nothing(self, store: Store) -> None:
        """Events come with the taking."""
        assert store.reserve("default", [Reservation("a", 1, 1)], [decided()]) is None
        assert store.reserve("default", [Reservation("a", 1, 1)], [decided()]) == "a"
        assert types(store) == ["decision"]

    @pytest.mark.parametrize("amount", [-1, 1.5, True, "1", 2**60])
    def test_an_amount_that_would_give_back_is_refused(self, store: Store, amount: object) -> None:
        """Amounts are whole and not negative."""
        with pytest.raises(StoreError, match="amount"):
            store.reserve("default", [Reservation("a", amount, 10)])  # type: ignore[arg-type]

    # Concurrency

    def test_fifty_threads_claim_once_T09(self, store: Store) -> None:
        """One of them gets it."""
        approval = answer(store, ask(store))
        barrier = threading.Barrier(16)

        def attempt(_: int) -> bool:
            barrier.wait()
            try:
                take(store, approval)
            except ClaimRefused:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(attempt, range(48))) == 1
        assert types(store).count("claimed") == 1

    def test_racing_votes_all_count_once_T09(self, store: Store) -> None:
        """Two approvers and a denier at the same time: one decision, every vote recorded."""
        for number in range(20):
            approval = ask(store, call_id=f"call-{number}", requirement=needs(Stage(("group:finance",), 2)))
            barrier = threading.Barrier(3)

            def attempt(
                vote: tuple[str, str], approval: Approval = approval, barrier: threading.Barrier = barrier
            ) -> None:
                barrier.wait()
                answer(store, approval, *vote)

            with ThreadPoolExecutor(3) as pool:
                list(pool.map(attempt, [("ana", "approve"), ("bob", "approve"), ("ana@example.com", "deny")]))
            final = store.approval("default", approval.id)
            assert final.state in (State.APPROVED, State.DENIED)
            votes = [e for e in contents(store) if e["type"] == "vote" and e["approval"] == approval.id]
            assert len(votes) == 3
        assert verify(store).ok

    def test_parallel_appends_leave_no_gap_T44(self, store: Store) -> None:
        """Four threads, one chain."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: store.append("default", [decided()], durable=n % 2 == 0), range(100)))
        assert [event.seq for event in store.events("default")] == list(range(1, 101))
        assert verify(store).ok

    def test_parallel_reservations_never_overrun_T50(self, store: Store) -> None:
        """Exactly as many are taken as fit."""
        with ThreadPoolExecutor(8) as pool:
            taken = pool.map(lambda _: store.reserve("default", [Reservation("a", 3, 100)]), range(60))
        assert sum(result is None for result in taken) == 33

    def test_a_closed_store_says_so(self, clock: FakeClock) -> None:
        """Nothing works after `close`, and closing twice does no harm."""
        store = self.open(clock)
        store.close()
        store.close()
        for use in (
            lambda: store.append("default", [decided()]),
            lambda: store.approval("default", "a"),
            lambda: store.head("default"),
            lambda: ask(store),
        ):
            with pytest.raises(StoreError, match="closed"):
                use()
