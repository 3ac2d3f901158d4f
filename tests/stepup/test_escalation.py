"""Further people may answer when nobody decided for long enough, and what is due is recorded by a sweep."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from agentguard import PolicyError, Snapshot, VoteRefused
from agentguard.decision import Escalation, Stage
from agentguard.ledger.verify import verify
from agentguard.stepup.model import Approval, State
from agentguard.stepup.sweeping import sweep_approvals
from agentguard.store import Store, open_store
from tests.guard.support import AGENT, LARGE, PEOPLE, bank, make_guard, resume
from tests.guard.support import FakeClock as GuardClock
from tests.guard.support import answer as vote
from tests.postgres.server import drop, fresh_url
from tests.store.support import FakeClock, answer, ask, contents, needs

TEN = Stage(("group:finance",), 1, (Escalation(120, ("group:leads",)), Escalation(300, ("owen",))))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: Any, tmp_path: Path) -> Any:
    clock = FakeClock()
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/a.db"}.get(request.param) or fresh_url()
    found = open_store(url, clock=clock)
    found.clock = clock
    yield found
    found.close()
    if request.param == "postgres":
        drop(url)


def asked(store: Store, *stages: Stage, **changes: Any) -> Approval:
    return ask(store, requirement=needs(*(stages or (TEN,))), **changes)


def test_further_people_may_answer_from_their_instant_on(store: Any) -> None:
    """Whether a sweep told anybody or not; not a microsecond earlier."""
    approval = asked(store)
    store.clock.advance(119.999999)
    with pytest.raises(VoteRefused, match="group:finance"):
        answer(store, approval, "cai")
    store.clock.advance(0.000001)
    assert answer(store, approval, "cai").state is State.APPROVED
    assert verify(store).ok


def test_who_is_excluded_stays_excluded_T11(store: Any) -> None:
    """An escalation to the agent's owner is none."""
    approval = asked(store)
    store.clock.advance(400)
    with pytest.raises(VoteRefused, match="excluded"):
        answer(store, approval, "owen")


def test_an_escalation_is_of_its_own_stage(store: Any) -> None:
    """The other stage is answered by its own people."""
    approval = asked(
        store, Stage(("group:finance",), 1, (Escalation(60, ("group:leads",)),)), Stage(("bob",))
    )
    store.clock.advance(60)
    approval = answer(store, approval, "cai")
    assert (approval.state, approval.stage) == (State.REQUESTED, 1)
    with pytest.raises(VoteRefused, match="bob"):
        answer(store, approval, "ana")
    assert answer(store, approval, "bob").state is State.APPROVED


def test_a_sweep_tells_each_escalation_once_and_then_the_end(store: Any) -> None:
    """However often it runs, and after a long sleep all that was missed."""
    approval, told = asked(store), []
    other = asked(store, Stage(("group:finance",)), call_id="call-2")

    def sweep() -> int:
        return sweep_approvals(store, "default", told.append)

    assert sweep() == 0
    store.clock.advance(120)
    assert [sweep(), sweep()] == [1, 0]
    assert [(one.id, one.level) for one in told] == [(approval.id, 1)]
    assert store.approval("default", approval.id).due == approval.opened_at + dt.timedelta(seconds=300)
    store.clock.advance(480)
    assert [sweep(), sweep()] == [2, 0]
    assert len(told) == 1, "nobody is called to a question that is over"
    for one in (approval, other):
        assert store.approval("default", one.id).state is State.EXPIRED
    events = [event for event in contents(store) if event["type"] == "approval.escalated"]
    assert [(event["after_s"], event["reviewers"]) for event in events] == [(120, ["group:leads"])]
    assert verify(store).ok


def test_what_was_missed_is_told_at_once(store: Any) -> None:
    """Two steps that are due are two events and one call to the channels."""
    asked(store)
    told: list[Approval] = []
    store.clock.advance(301)
    sweep_approvals(store, "default", told.append)
    assert [one.level for one in told] == [2]
    found = [event for event in contents(store) if event["type"] == "approval.escalated"]
    assert [event["after_s"] for event in found] == [120, 300]


def test_an_approval_that_nobody_uses_ends_by_itself_T15(store: Any) -> None:
    """And a claimed one is left alone."""
    unused = answer(store, asked(store))
    used = answer(store, asked(store, call_id="call-2"))
    from tests.store.support import take

    take(store, used)
    store.clock.advance(600)
    assert sweep_approvals(store, "default") == 1
    assert store.approval("default", unused.id).state is State.EXPIRED
    assert store.approval("default", used.id).state is State.CLAIMED


def test_many_that_are_due_are_all_swept(store: Any) -> None:
    """More than one batch."""
    for number in range(503):
        asked(store, Stage(("group:finance",)), call_id=f"call-{number}")
    store.clock.advance(600)
    assert sweep_approvals(store, "default") == 503


ESCALATING = {
    "reviewers": ["ana"],
    "expires_in": "10m",
    "escalate": [{"after": "2m", "to": ["group:finance"]}],
}


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_vote_of_somebody_it_escalated_to_holds_at_the_claim(way: Any) -> None:
    """Today's rule is asked about the time of the vote."""
    clock = GuardClock()
    from agentguard import ApprovalPending

    with make_guard({**LARGE, "approval": ESCALATING}, clock=clock, pause="raise") as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT, principal="ben"), pytest.raises(ApprovalPending) as pending:
            transfer("A", 500)
        name = pending.value.approval_id
        with pytest.raises(VoteRefused):
            vote(guard, name, subject="bob")
        clock.advance(121)
        vote(guard, name, subject="bob")
        assert resume(guard, way, name).ran
        assert len(ran) == 1
        assert PEOPLE.members("finance")


def test_a_rule_without_that_escalation_today_does_not_accept_its_vote_T05() -> None:
    """Who approved could not do so under today's policy."""
    from agentguard import ApprovalPending, ToolCallDenied
    from tests.guard.support import rules

    clock = GuardClock()
    with make_guard({**LARGE, "approval": ESCALATING}, clock=clock, pause="raise") as guard:
        transfer, ran = bank(guard)
        with guard.session(agent=AGENT, principal="ben"), pytest.raises(ApprovalPending) as pending:
            transfer("A", 500)
        clock.advance(121)
        vote(guard, pending.value.approval_id, subject="bob")
        guard.swap(rules({**LARGE, "approval": {**ESCALATING, "escalate": []}}))
        with pytest.raises(ToolCallDenied, match="asks for more today"):
            resume(guard, "sync", pending.value.approval_id)
        assert ran == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"escalate": [{"after": "10m", "to": ["bob"]}]},
        {"escalate": [{"after": "5m", "to": ["bob"]}, {"after": "5m", "to": ["cai"]}]},
        {"escalate": [{"after": "5m", "to": ["principal"]}]},
        {"escalate": [{"after": "5m", "to": []}]},
        {"escalate": [{"after": "0s", "to": ["bob"]}]},
        {"escalate": [{"to": ["bob"]}]},
        {"escalate": [{"after": "5m", "to": ["bob"]}], "reviewers": None, "stages": [{"reviewers": ["ana"]}]},
    ],
    ids=["too late", "not in order", "principal", "nobody", "at once", "when", "beside stages"],
)
def test_an_escalation_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """At load, with the rule."""
    approval = {key: value for key, value in {**ESCALATING, **wrong}.items() if value is not None}
    with pytest.raises(PolicyError):
        Snapshot.from_documents(
            [{"policy": "p", "owner": "o", "tools": ["*"], "rules": [{**LARGE, "approval": approval}]}]
        )


def test_stages_have_escalations_of_their_own() -> None:
    """And a decision shows them."""
    stages = [{"reviewers": ["ana"], "escalate": [{"after": "1m", "to": ["bob"]}]}, {"reviewers": ["cai"]}]
    snapshot = Snapshot.from_documents(
        [{"policy": "p", "owner": "o", "tools": ["*"], "rules": [{**LARGE, "approval": {"stages": stages}}]}]
    )
    from tests.store.support import make_request

    shown = json.loads(json.dumps(snapshot.decide(make_request()).to_json()))
    (approve,) = [one for one in shown["obligations"] if one["kind"] == "approve"]
    assert approve["stages"] == [
        {"reviewers": ["ana"], "quorum": 1, "escalate": [{"after_s": 60, "reviewers": ["bob"]}]},
        {"reviewers": ["cai"], "quorum": 1},
    ]
