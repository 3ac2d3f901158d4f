"""The state machine as a table: every state and everything that can be tried in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentguard.decision import Stage
from agentguard.errors import StoreError, VoteRefused
from agentguard.stepup import machine
from agentguard.stepup.model import TERMINAL, Approval, State, Vote
from tests.store.support import DIGEST, START, make_approval, needs

EARLY = START + dt.timedelta(seconds=1)
LATE = START + dt.timedelta(seconds=600)
FINANCE = "group:finance"


def ballot(subject: str = "ana", verdict: str = "approve", *names: str, **more: Any) -> Vote:
    values = {"digest": DIGEST, "assurance": "login", "memberships": names or (FINANCE,), "at": EARLY, **more}
    return Vote(subject=subject, verdict=verdict, **values)  # type: ignore[arg-type]


def asked(*stages: Stage, state: State = State.REQUESTED, **changes: Any) -> Approval:
    terms = {key: changes.pop(key) for key in ("local", "reason_required") if key in changes}
    decided_at = None if state is State.REQUESTED else EARLY
    requirement = needs(*(stages or (Stage((FINANCE,), 1),)), **terms)
    return make_approval(state=state, requirement=requirement, decided_at=decided_at, **changes)


EVENTS: dict[str, Callable[[Approval], Any]] = {
    "approve": lambda a: machine.vote(a, ballot(), EARLY),
    "deny": lambda a: machine.vote(a, ballot("ana", "deny"), EARLY),
    "approve too late": lambda a: machine.vote(a, ballot(), LATE),
    "expire in time": lambda a: machine.expire(a, EARLY),
    "expire": lambda a: machine.expire(a, LATE),
    "withdraw": lambda a: machine.withdraw(a, EARLY),
    "supersede": lambda a: machine.supersede(a, EARLY),
    "revoke": lambda a: machine.revoke(a, EARLY),
    "succeed": lambda a: machine.settle(a, {"status": "succeeded"}, EARLY),
    "fail": lambda a: machine.settle(a, {"status": "failed", "error": "OSError"}, EARLY),
    "unknown": lambda a: machine.unknown(a, EARLY),
}

R, A, C = State.REQUESTED, State.APPROVED, State.CLAIMED
MOVES: dict[tuple[State, str], State] = {
    (R, "approve"): State.APPROVED,
    (R, "deny"): State.DENIED,
    (R, "approve too late"): State.EXPIRED,
    (R, "expire"): State.EXPIRED,
    (R, "withdraw"): State.WITHDRAWN,
    (R, "supersede"): State.SUPERSEDED,
    (A, "expire"): State.EXPIRED,
    (A, "withdraw"): State.WITHDRAWN,
    (A, "supersede"): State.SUPERSEDED,
    (A, "revoke"): State.REVOKED,
    (C, "succeed"): State.SUCCEEDED,
    (C, "fail"): State.FAILED,
    (C, "unknown"): State.UNKNOWN,
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", State)
def test_every_state_and_every_event(state: State, event: str) -> None:
    """What is not in the table changes nothing; a vote that comes too late is recorded nevertheless."""
    before = asked(state=state)
    change = EVENTS[event](before)
    wanted = MOVES.get((state, event), state)
    after = before if change is None else change.approval
    assert after.state is wanted
    if wanted is not state:
        assert wanted in machine.TRANSITIONS[state]
        assert change.events[-1]["type"] in ("outcome", f"approval.{wanted.value}")
        assert after.last_event == change.events[-1]["id"]
    elif event.startswith(("approve", "deny")) and state is not R:
        assert [e["type"] for e in change.events] == ["vote"]
        assert change.events[0]["counted"] is False
        assert replace(after, last_event=None) == before
    else:
        assert change is None


def test_the_transitions_are_those_of_the_table() -> None:
    """Claiming is the store's; nothing leaves a terminal state."""
    reached = {(state, wanted) for (state, _), wanted in MOVES.items()} | {(A, C)}
    assert {(a, b) for a, bs in machine.TRANSITIONS.items() for b in bs} == reached
    assert {state for state, after in machine.TRANSITIONS.items() if not after} == TERMINAL


def test_a_vote_on_another_digest_is_refused_T03() -> None:
    """Who saw another call did not approve this one."""
    with pytest.raises(VoteRefused, match="another call"):
        machine.vote(asked(), ballot(digest="sha256:" + "9" * 64), EARLY)


def test_exactly_at_the_expiry_is_too_late_T14() -> None:
    """A microsecond before still counts."""
    approval = asked()
    late = machine.vote(approval, ballot(), approval.expires_at)
    assert late is not None
    assert late.approval.state is State.EXPIRED
    assert [e["type"] for e in late.events] == ["vote", "approval.expired"]
    in_time = machine.vote(approval, ballot(), approval.expires_at - dt.timedelta(microseconds=1))
    assert in_time is not None
    assert in_time.approval.state is State.APPROVED
    assert machine.expire(approval, approval.expires_at) is not None


def test_the_same_answer_again_is_none() -> None:
    """Repeating a vote, in any spelling, changes and records nothing."""
    two = asked(Stage((FINANCE,), 2))
    once = machine.vote(two, ballot(), EARLY)
    assert once is not None
    for same in ("ana", "ANA", " ana ", "ａｎａ"):
        assert machine.vote(once.approval, ballot(same), EARLY) is None
    denied = machine.vote(asked(), ballot("ana", "deny"), EARLY)
    assert denied is not None
    assert machine.vote(denied.approval, ballot("ana", "deny"), LATE) is None


def test_a_quorum_needs_distinct_people_T10() -> None:
    """Case, width and space make no second person; another person does."""
    approval = asked(Stage((FINANCE,), 2))
    for subject in ("ana", "Ana", "ana "):
        change = machine.vote(approval, ballot(subject), EARLY)
        approval = change.approval if change else approval
    assert approval.state is State.REQUESTED
    assert machine.missing(approval) == 1
    change = machine.vote(approval, ballot("bob"), EARLY)
    assert change is not None
    assert change.approval.state is State.APPROVED


def test_stages_come_in_their_order() -> None:
    """A reviewer of the second stage cannot approve in the first."""
    approval = asked(Stage((FINANCE,), 1), Stage(("group:leads",), 1))
    with pytest.raises(VoteRefused, match="not a reviewer of stage 1"):
        machine.vote(approval, ballot("cai", "approve", "group:leads"), EARLY)
    first = machine.vote(approval, ballot(), EARLY)
    assert first is not None
    assert (first.approval.stage, first.approval.state) == (1, State.REQUESTED)
    second = machine.vote(first.approval, ballot("cai", "approve", "group:leads"), EARLY)
    assert second is not None
    assert second.approval.state is State.APPROVED
    assert [vote.stage for vote in second.approval.votes] == [0, 1]


def test_one_person_counts_once_in_the_whole_approval_T10() -> None:
    """Who approved in the first stage cannot complete the second."""
    approval = asked(Stage((FINANCE,), 1), Stage((FINANCE, "group:leads"), 1))
    first = machine.vote(approval, ballot(), EARLY)
    assert first is not None
    assert machine.vote(first.approval, ballot("Ana", "approve", FINANCE, "group:leads"), EARLY) is None


def test_a_deny_by_anybody_who_could_vote_ends_it() -> None:
    """Also by a reviewer of a later stage, and by somebody who approved before."""
    approval = asked(Stage((FINANCE,), 2), Stage(("group:leads",), 1))
    later = machine.vote(approval, ballot("cai", "deny", "group:leads"), EARLY)
    assert later is not None
    assert later.approval.state is State.DENIED
    once = machine.vote(approval, ballot(), EARLY)
    assert once is not None
    regret = machine.vote(once.approval, ballot("ana", "deny", reason="on second thought"), EARLY)
    assert regret is not None
    assert (regret.approval.state, regret.approval.note) == (State.DENIED, "on second thought")


@pytest.mark.parametrize("subject", ["ben", "BEN", "owen", " Owen", "billing", "outer"])
@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_who_asked_or_profits_is_excluded_T11(subject: str, verdict: str) -> None:
    """The principal, the agent's owner and the chain, although they are in the group."""
    approval = asked(excluded=frozenset({"ben", "owen", "billing", "outer"}))
    with pytest.raises(VoteRefused, match="excluded"):
        machine.vote(approval, ballot(subject, verdict), EARLY)


def test_another_name_of_somebody_excluded_is_excluded_T11() -> None:
    """The caller resolves aliases and names who they are."""
    with pytest.raises(VoteRefused, match="excluded"):
        machine.vote(asked(), ballot("benjamin"), EARLY, excluded=frozenset({"Benjamin"}))


def test_the_principals_confirmation_is_the_principals() -> None:
    """Where the reviewer is `principal`, that person counts although excluded, and nobody else does."""
    approval = asked(Stage(("principal",), 1))
    confirmed = machine.vote(approval, ballot("ben", "approve", "principal"), EARLY)
    assert confirmed is not None
    assert confirmed.approval.state is State.APPROVED
    assert confirmed.approval.votes[0].memberships == ("principal",)
    with pytest.raises(VoteRefused, match="`principal`"):
        machine.vote(approval, ballot("ana"), EARLY)


def test_a_local_answer_counts_only_where_the_rule_says_so() -> None:
    """As one person called `local`, in a stage that needs one."""
    local = {"assurance": "local", "memberships": ()}
    for stage in (Stage(("principal",), 1), Stage((FINANCE,), 1)):
        change = machine.vote(asked(stage, local=True), ballot("local", **local), EARLY)
        assert change is not None
        assert change.approval.state is State.APPROVED
        with pytest.raises(VoteRefused, match="unverified"):
            machine.vote(asked(stage), ballot("local", **local), EARLY)
    with pytest.raises(VoteRefused, match="one person"):
        machine.vote(asked(Stage((FINANCE,), 2), local=True), ballot("local", **local), EARLY)
    with pytest.raises(VoteRefused, match="one person"):
        machine.vote(asked(local=True), ballot("ana", **local), EARLY)
    with pytest.raises(VoteRefused, match="not of a person"):
        machine.vote(asked(local=True), ballot("Local", "approve", FINANCE), EARLY)


def test_local_counts_once_across_stages() -> None:
    """Whoever types, it is one person."""
    approval = asked(Stage((FINANCE,), 1), Stage(("principal",), 1), local=True)
    vote = ballot("local", assurance="local", memberships=())
    first = machine.vote(approval, vote, EARLY)
    assert first is not None
    assert first.approval.state is State.REQUESTED
    assert machine.vote(first.approval, vote, EARLY) is None


def test_a_reason_is_required_where_the_rule_says_so() -> None:
    """For either answer, and blank is none."""
    approval = asked(reason_required=True)
    for verdict in ("approve", "deny"):
        with pytest.raises(VoteRefused, match="reason"):
            machine.vote(approval, ballot("ana", verdict, reason="  "), EARLY)
        assert machine.vote(approval, ballot("ana", verdict, reason="seen"), EARLY) is not None


@pytest.mark.parametrize("quorum", [0, -3, 10**9, "2", None, 1.5, True])
def test_a_requirement_that_makes_no_sense_lets_nobody_vote_T12(quorum: object) -> None:
    """Also when it came out of a damaged store."""
    with pytest.raises(VoteRefused, match="quorum"):
        machine.vote(asked(Stage((FINANCE,), quorum)), ballot(), EARLY)  # type: ignore[arg-type]
    with pytest.raises(VoteRefused, match="stage"):
        machine.vote(make_approval(requirement=needs()), ballot(), EARLY)


def test_who_left_does_not_count_any_more_T12() -> None:
    """An earlier stage is open again when its voter left before the last vote."""
    approval = asked(Stage((FINANCE,), 1), Stage(("group:leads",), 1))
    first = machine.vote(approval, ballot(), EARLY)
    assert first is not None
    with pytest.raises(VoteRefused, match="stage 1"):
        machine.vote(first.approval, ballot("cai", "approve", "group:leads"), EARLY, void=frozenset({"Ana"}))
    again = machine.vote(first.approval, ballot("bob"), EARLY, void=frozenset({"ana"}))
    assert again is not None
    assert (again.approval.stage, again.approval.state) == (1, State.REQUESTED)
    last = machine.vote(
        again.approval, ballot("cai", "approve", "group:leads"), EARLY, void=frozenset({"ana"})
    )
    assert last is not None
    assert last.approval.state is State.APPROVED


@pytest.mark.parametrize(
    ("vote", "why"),
    [
        (ballot("ana", "maybe"), "not an answer"),
        (ballot(assurance="hearsay"), "way to know"),
        (ballot("  "), "who votes"),
        (ballot(reason="x" * 5000), "characters"),
        (ballot("dora", "approve", "group:other"), "not a reviewer"),
    ],
)
def test_what_is_not_a_vote_is_refused(vote: Vote, why: str) -> None:
    """Unknown words are denials; the refusal says who could vote."""
    with pytest.raises(VoteRefused, match=why):
        machine.vote(asked(), vote, EARLY)


def test_a_refusal_says_who_could_vote() -> None:
    """Quorum and reviewers of the current stage."""
    with pytest.raises(VoteRefused, match=r"2 of `group:finance`, `cai` can"):
        machine.vote(asked(Stage((FINANCE, "cai"), 2)), ballot("dora", "approve", "x"), EARLY)


@pytest.mark.parametrize("outcome", [{}, {"status": "done"}, {"status": "failed", "secret": 1}])
def test_an_outcome_is_one_of_three_T17(outcome: dict[str, Any]) -> None:
    """Anything else is refused."""
    with pytest.raises(StoreError, match="outcome"):
        machine.settle(asked(state=State.CLAIMED), outcome, EARLY)
