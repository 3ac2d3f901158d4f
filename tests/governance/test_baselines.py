"""Baselines: learned from a stated period, approved by the agent's owner, compared with every call."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agentguard.errors import RecordRefused, ToolCallDenied
from agentguard.governance import Terms
from agentguard.governance.baseline_content import read_content
from agentguard.governance.baseline_learning import Learner, learn
from agentguard.governance.baseline_shape import shape_of
from agentguard.governance.baseline_tool import ToolUse
from agentguard.governance.baselines import BaselineState, tell
from agentguard.governance.sweeping import sweep
from agentguard.ledger.verify import verify
from agentguard.store import Store, open_store
from agentguard.store.protocol import RecordsChange
from tests.governance.baseline_support import ALLOW, DAY, START, Yard, asking, calls, texts
from tests.governance.support import people
from tests.store.support import FakeClock


@pytest.fixture
def yard(clock: FakeClock) -> Iterator[Yard]:
    """On a store in memory."""
    found = open_store("memory:", clock=clock)
    yield Yard(store=found, clock=clock)
    found.close()


# The whole path


def test_what_the_agent_never_did_is_flagged_once_its_owner_approved(store: Store, clock: FakeClock) -> None:
    """Learned from three days, approved by a signed word, in force for the next call on every process."""
    yard = Yard(store=store, clock=clock)
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.new_tool")]
    yard.work({"amount": 15}, {"tool": "wipe"})
    assert yard.matched(-2) == ["a"]
    assert yard.matched(-1) == ["new", "a"]
    assert verify(store, "default").ok


def test_the_content_says_where_it_comes_from_and_holds_no_value(yard: Yard) -> None:
    """The numbers of the events, the tree that was read, and what was left out; names and buckets only."""
    yard.register()
    yard.days()
    size, root = yard.store.head("default")
    content = yard.draft()
    learned = content["learned"]
    assert learned["calls"] == 60
    assert learned["days"] == 3
    assert learned["tree"] == {"size": size, "root": root.hex()}
    assert (learned["begin"], learned["end"]) == (
        "2026-11-20T10:00:00.000000Z",
        "2026-11-23T10:00:00.000000Z",
    )
    assert content["tools"]["pay"]["rate"] == {"hours": 3, "median": 20, "p95": 20, "maximum": 20}
    assert content["hours"] == {"fri": {"10": 20}, "sat": {"10": 20}, "sun": {"10": 20}}
    assert "ACME" not in json.dumps(content)


# Approving


@pytest.mark.parametrize(
    ("who", "why"), [("ana", "owns agent"), ("eve", "owns agent"), ("local", "unverified answer")]
)
def test_nobody_but_the_owner_approves(yard: Yard, who: str, why: str) -> None:
    """Whatever else they may approve."""
    yard.register()
    yard.days()
    yard.propose()
    with pytest.raises(RecordRefused, match=why):
        yard.approve(who=who)


def test_an_owner_in_the_chain_of_the_agent_does_not_approve(yard: Yard) -> None:
    """An agent that delegates to it would vouch for itself."""
    from agentguard import AgentIdentity

    yard.register()
    yard.days(chain=[AgentIdentity("owen")])
    yard.propose()
    with pytest.raises(RecordRefused, match="in the chain"):
        yard.approve()


def test_a_forged_approval_does_not_count(yard: Yard) -> None:
    """Signed with somebody else's key."""
    yard.register()
    yard.days()
    yard.propose()
    with pytest.raises(RecordRefused, match="not made with a key"):
        yard.approve(key="eve")


def test_another_word_than_approve_does_not_approve(yard: Yard) -> None:
    """A signed rejection is none, whoever hands it in."""
    yard.register()
    yard.days()
    shown = yard.propose().content
    with pytest.raises(RecordRefused, match="not what the record says"):
        yard.desk.approve("billing", yard.said("reject", shown, "owen"))


def test_what_was_changed_after_it_was_shown_is_not_approved(yard: Yard) -> None:
    """The word is about exactly the content."""
    yard.register()
    yard.days()
    shown = yard.propose().content
    word = yard.said("approve", shown, "owen")
    yard.propose(yard.draft(days=60))
    with pytest.raises(RecordRefused, match="not what was shown"):
        yard.desk.approve("billing", word)


@pytest.mark.parametrize("how", ["tools", "word", "agent"])
def test_a_record_that_was_altered_is_not_in_force_T64(yard: Yard, how: str) -> None:
    """By whoever can write to the store: it is refused visibly, and verification names it."""
    told = yard.settled()
    body = json.loads(json.dumps(dict(told.record.body)))
    if how == "tools":
        body["content"]["tools"]["wipe"] = body["content"]["tools"]["pay"]
    elif how == "word":
        body["approved"]["subject"] = "ana"
    else:
        body["content"]["agent"] = "other"
    forged = replace(told.record, body=body)
    yard.store.change_records("default", [forged.key], lambda known, now: RecordsChange([forged]))
    with yard.guard() as guard:
        register = guard.snapshot.register
    assert register.baselines == {}
    assert "baseline `billing`" in register.refused[0].message
    if how != "word":
        assert not verify(yard.store, "default").ok


@pytest.mark.parametrize("assurance", ["signed", "local", "rule"])
def test_an_approval_that_was_written_into_the_store_does_not_count_T64(yard: Yard, assurance: str) -> None:
    """In the owner's name, over the altered content: the signature is somebody else's, or there is none."""
    told = yard.settled()
    content = json.loads(json.dumps(dict(told.content)))
    content["tools"]["wipe"] = content["tools"]["pay"]
    said = yard.said("approve", content, "owen", key="eve")
    said = replace(said, assurance=assurance, signature=said.signature if assurance == "signed" else None)
    forged = replace(told.record, body={**told.record.body, "content": content, "approved": said.to_json()})
    yard.store.change_records("default", [forged.key], lambda known, now: RecordsChange([forged]))
    with yard.guard() as guard:
        assert guard.snapshot.register.baselines == {}


def test_an_owner_who_left_vouches_for_nothing(yard: Yard) -> None:
    """Their signature is not believed any more."""
    yard.settled()
    yard.directory = people(owen={"disabled": True})
    with yard.guard() as guard:
        assert guard.snapshot.register.baselines == {}


def test_an_agent_without_an_owner_has_no_baseline(yard: Yard) -> None:
    """Nobody could approve it."""
    yard.days()
    with pytest.raises(RecordRefused, match="nobody owns agent `billing`"):
        yard.draft()


def test_an_unverified_answer_counts_where_the_operator_says_so(yard: Yard) -> None:
    """`governance: {local: true}`."""
    yard.terms = Terms(local=True)
    yard.register()
    yard.days()
    yard.propose(who="local")
    assert yard.approve(who="local").state is BaselineState.APPROVED


# Poisoned


def test_what_was_flagged_or_denied_is_left_out_however_often_it_was_tried(yard: Yard) -> None:
    """An attacker who repeats a new tool while the baseline is learned finds it missing."""
    yard.register()
    yard.rules = [
        ALLOW,
        {"id": "f", "effect": "flag", "tools": ["wipe"], "flag": {"owner": "ana"}},
        {"id": "d", "effect": "deny", "tools": ["read"]},
    ]
    yard.days()
    yard.work(*calls(100, tool="wipe"), *calls(100, tool="read"))
    content = yard.draft(end=yard.clock.at + DAY)
    assert list(content["tools"]) == ["pay"]
    assert content["learned"]["left_out"]["flagged"] == 100
    assert "`wipe` is left out whole" in texts(content)
    assert "`read` is left out whole" in texts(content)


def test_a_tool_that_is_repeated_late_and_in_one_session_is_named(yard: Yard) -> None:
    """What no rule saw is learned and shown: late in the period, on one day only."""
    yard.register()
    yard.days()
    yard.work(*calls(30, tool="wipe"))
    content = yard.draft(end=yard.clock.at + dt.timedelta(hours=1))
    assert "wipe" in content["tools"]
    assert "`wipe` was first called on 2026-11-23, late in the period" in texts(content)
    assert "`wipe` was called on one day only" in texts(content)
    assert "scope `root` was first seen on 2026-11-23" in texts(content)


def test_a_rate_that_grows_within_the_period_is_named(yard: Yard) -> None:
    """From a few calls an hour to many."""
    yard.register()
    for count in (20, 20, 20, 80):
        yard.days(1, count)
    assert "`pay` grew from 20 to 80 calls an hour" in texts(yard.draft())


@pytest.mark.parametrize(("days", "count"), [(1, 60), (2, 20)])
def test_too_few_calls_are_refused(yard: Yard, days: int, count: int) -> None:
    """A day, or a handful of calls, says nothing about what is normal."""
    yard.register()
    yard.days(days, count)
    with pytest.raises(RecordRefused, match="too few to tell"):
        yard.draft()


def test_only_the_stated_period_counts(yard: Yard) -> None:
    """To the microsecond, its end excluded."""
    yard.register()
    yard.days()
    yard.work({"tool": "wipe"})
    assert "wipe" not in yard.draft()["tools"]
    assert "wipe" in yard.draft(end=yard.clock.at + dt.timedelta(microseconds=1))["tools"]


def test_calls_of_another_agent_teach_nothing(yard: Yard) -> None:
    """Also of one whose id begins alike."""
    yard.register()
    yard.days()
    yard.work(*calls(30, tool="wipe"), agent="billing2")
    yard.work(*calls(30, tool="wipe"), agent='billing","x":"')
    yard.clock.at += DAY
    assert list(yard.draft()["tools"]) == ["pay"]


def test_a_baseline_of_another_agent_is_nobody_elses(yard: Yard) -> None:
    """One without its own is not known, however alike the names."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.known")]
    yard.work({"amount": 15}, agent="Billing")
    yard.work({"amount": 15})
    assert yard.matched(-2) == ["a"]
    assert yard.matched(-1) == ["new", "a"]


def test_a_content_for_one_agent_is_not_proposed_for_another(yard: Yard) -> None:
    """The signature is for the record of its agent."""
    yard.register()
    yard.days()
    content = yard.draft()
    word = yard.said("propose", content, "ben")
    with pytest.raises(RecordRefused, match="another record"):
        yard.desk.propose({**content, "agent": "other"}, word)


# The next version


def test_the_next_version_waits_beside_the_one_in_force(yard: Yard) -> None:
    """And takes its place when it is approved; what was in force before is kept."""
    first = yard.settled()
    yard.days(1)
    waiting = yard.propose()
    assert waiting.read.version == 1
    assert waiting.pending is not None
    assert waiting.pending["version"] == 2
    second = yard.approve()
    assert (second.read.version, second.read.replaces) == (2, first.digest)
    assert [one["digest"] for one in second.history] == [first.digest]
    assert yard.desk.past(first.digest).version == 1
    assert verify(yard.store, "default").ok


def test_two_versions_that_were_learned_side_by_side_do_not_follow_each_other(yard: Yard) -> None:
    """The second would hide from its approver what the first changed."""
    yard.settled()
    stale = yard.draft()
    yard.propose()
    yard.approve()
    with pytest.raises(RecordRefused, match="came first"):
        yard.propose(stale)


def test_what_waits_can_be_rejected_and_what_is_in_force_stays(yard: Yard) -> None:
    """By anybody who looks at it."""
    yard.settled()
    waiting = yard.propose()
    assert waiting.pending is not None
    told = tell(yard.desk.reject("billing", yard.said("reject", waiting.pending, "ana")))
    assert (told.state, told.pending) == (BaselineState.APPROVED, None)
    assert verify(yard.store, "default").ok


# Ended, or not there


def test_without_a_baseline_what_asks_for_it_fires(yard: Yard) -> None:
    """The facts are absent, which is an error: a flag rule fires, and an allow rule does not."""
    yard.rules = [ALLOW, asking("baseline.new_tool")]
    yard.work({"amount": 1})
    assert yard.decisions[-1]["decision"]["matched"][0]["error"]
    yard.rules = [{**ALLOW, "when": "!baseline.new_tool"}]
    (error,) = yard.work({"amount": 1})
    assert isinstance(error, ToolCallDenied)


@pytest.mark.parametrize("swept", [True, False])
def test_a_baseline_that_has_ended_is_not_known_to_the_moment(yard: Yard, swept: bool) -> None:
    """Swept or not."""
    yard.settled(days=1)
    yard.rules = [ALLOW, asking("baseline.known")]
    yard.clock.at += DAY - dt.timedelta(microseconds=1)
    yard.work({"amount": 1})
    assert yard.matched() == ["new", "a"]
    yard.clock.at += dt.timedelta(microseconds=1)
    if swept:
        sweep(yard.store, "default")
        assert yard.desk.told("billing").state is BaselineState.EXPIRED
        assert verify(yard.store, "default").ok
    yard.work({"amount": 1})
    assert yard.matched() == ["a"]


def test_a_revoked_baseline_is_gone_at_once(yard: Yard) -> None:
    """On a guard that runs, for the next call."""
    told = yard.settled()
    yard.desk.revoke("billing", yard.said("revoke", told.content, "ana"))
    yard.rules = [ALLOW, asking("baseline.known")]
    yard.work({"amount": 1})
    assert yard.matched() == ["a"]
    assert verify(yard.store, "default").ok


# Facts


@pytest.mark.parametrize(
    ("condition", "call", "session"),
    [
        ("baseline.new_tool", {"tool": "wipe"}, {}),
        ("baseline.new_scope", {"tool": "wipe"}, {}),
        ("baseline.new_argument_shape", {"tool": "wipe"}, {}),
        ("baseline.new_argument_shape", {"amount": 15, "to": "ACME", "items": [1]}, {}),
        ("baseline.new_argument_shape", {"amount": 15.5, "to": "ACME"}, {}),
        ("baseline.new_argument_shape", {"amount": 1500, "to": "ACME"}, {}),
        ("baseline.new_argument_shape", {"amount": -15, "to": "ACME"}, {}),
        ("baseline.new_argument_shape", {"amount": 15, "to": "A" * 9}, {}),
        ("baseline.new_argument_shape", {"amount": 15, "to": "EVIL"}, {}),
        ("baseline.new_argument_shape", {"amount": 15, "to": "https://x"}, {}),
        ("baseline.new_environment", {"amount": 15}, {"environment": "prod"}),
    ],
)
def test_what_differs_is_a_fact(
    yard: Yard, condition: str, call: dict[str, Any], session: dict[str, Any]
) -> None:
    """And what was learned differs in nothing."""
    yard.settled()
    yard.rules = [ALLOW, asking(condition)]
    yard.work({"amount": 15, "to": "ACME"})
    assert yard.matched() == ["a"]
    yard.work(call, **session)
    assert yard.matched() == ["new", "a"]
    assert "error" not in yard.decisions[-1]["decision"]["matched"][0]


def test_a_longer_text_is_another_shape_where_the_words_are_open(yard: Yard) -> None:
    """Up to the same number of binary digits it is none."""
    yard.register()
    for _ in range(3):
        yard.work(*({"amount": 15, "to": f"P{n:04}"} for n in range(20)))
        yard.clock.at += DAY
    yard.propose()
    yard.approve()
    yard.rules = [ALLOW, asking("baseline.new_argument_shape")]
    for text, new in (("Q9999", False), ("Q999999", False), ("Q9999999", True)):
        yard.work({"amount": 15, "to": text})
        assert yard.matched() == (["new", "a"] if new else ["a"]), text


def test_an_hour_of_the_week_is_unusual_that_was_never_seen(yard: Yard) -> None:
    """In the zone that the baseline names."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.unusual_hour")]
    for moment, unusual in (
        (START + 7 * DAY, False),
        (START + 7 * DAY + dt.timedelta(minutes=59), False),
        (START + 7 * DAY + dt.timedelta(hours=1), True),
        (START + 10 * DAY, True),
    ):
        yard.clock.at = moment
        yard.work({"amount": 1})
        assert yard.matched() == (["new", "a"] if unusual else ["a"]), moment


def test_the_rate_is_counted_from_the_ledger_and_no_restart_resets_it_T61(yard: Yard) -> None:
    """Each guard here is a new one, as after a restart; calls of another agent do not count."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.rate_ratio > 1.0")]
    yard.work(*calls(10, amount=1))
    yard.work(*calls(50, amount=1), agent="other")
    yard.work(*calls(10, amount=1))
    assert yard.matched() == ["a"]
    yard.work({"amount": 1})
    assert yard.matched() == ["new", "a"]
    yard.clock.at += dt.timedelta(minutes=62)
    yard.work({"amount": 1})
    assert yard.matched() == ["a"]


def test_denied_calls_count_in_the_rate(yard: Yard) -> None:
    """Trying is what a rate is about."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.rate_ratio > 1.0", "deny")]
    results = yard.work(*({"amount": n} for n in range(22)))
    assert [isinstance(one, ToolCallDenied) for one in results].count(True) == 2


def test_the_age_counts_full_days_since_the_approval(yard: Yard) -> None:
    """So that a rule can ask for a newer one."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.age_days >= 5")]
    for days, old in ((4, False), (5, True)):
        yard.clock.at = START + (3 + days) * DAY
        yard.work({"amount": 1})
        assert yard.matched() == (["new", "a"] if old else ["a"])


def test_a_fact_provider_does_not_speak_for_the_guard(yard: Yard) -> None:
    """What it says of these names is dropped; further ones are its own."""
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.new_tool"), asking("baseline.mood == 'calm'", id="mood")]

    def liar(request: Any, names: frozenset[str]) -> dict[str, Any]:
        return {"baseline": {"new_tool": False, "known": True, "mood": "calm"}}

    with yard.guard(facts=[liar]) as guard:
        from agentguard import AgentIdentity

        @guard.tool("wipe")
        def wipe() -> None:
            return None

        with guard.session(agent=AgentIdentity("billing")):
            wipe()
        assert sorted(yard.matched()) == ["a", "mood", "new"]
        with guard.session(agent=AgentIdentity("stranger")):
            wipe()
        assert yard.decisions[-1]["decision"]["matched"][-2]["error"]


def test_a_baseline_in_the_register_is_read_once_a_version(yard: Yard) -> None:
    """A new one is in force on a guard that runs, from its next call on."""
    yard.register()
    yard.days()
    yard.rules = [ALLOW, asking("baseline.known")]
    with yard.guard() as guard:
        from agentguard import AgentIdentity

        @guard.tool("pay")
        def pay(amount: int) -> None:
            return None

        with guard.session(agent=AgentIdentity("billing")):
            pay(amount=1)
            assert yard.matched() == ["a"]
            yard.propose()
            yard.approve()
            pay(amount=1)
            assert yard.matched() == ["new", "a"]


def test_a_damaged_content_is_refused(yard: Yard) -> None:
    """With the key that is wrong."""
    content = dict(yard.settled().content)
    for key, value in (("zone", "Mars/Base"), ("version", 0), ("extra", 1), ("hours", {"abc": {}})):
        with pytest.raises(RecordRefused, match=f"`{key}"):
            read_content({**content, key: value})


def test_hours_of_the_week_are_those_of_the_zone(yard: Yard) -> None:
    """Ten o'clock in London is eleven in Berlin; which one counts says the baseline."""
    yard.register()
    yard.days()
    parts = learn(
        yard.store, "default", "billing", begin=START, end=yard.clock.at, zone=ZoneInfo("Europe/Berlin"),
        digest=None,
    )  # fmt: skip
    assert list(parts["hours"]["fri"]) == ["11"]
    content = yard.desk.draft(
        "billing", parts, zone="Europe/Berlin", ends=yard.clock.at + DAY, proposer="ben"
    )
    read = read_content(content)
    assert read.usual(START + 7 * DAY)
    assert not read.usual(START + 7 * DAY + dt.timedelta(hours=1))


@pytest.mark.parametrize(("later", "runs"), [(DAY / 2, True), (1.5 * DAY, False)])
def test_a_call_is_compared_again_when_it_is_claimed(yard: Yard, later: dt.timedelta, runs: bool) -> None:
    """An approval given before the baseline ended does not run past it; until then it does."""
    from agentguard import AgentIdentity, ApprovalPending
    from agentguard.stepup.ballot import Answer

    yard.settled(days=1)
    step_up = {"id": "ask", "effect": "step_up", "approval": {"reviewers": ["ana"], "expires_in": "2d"}}
    yard.rules = [step_up, asking("!baseline.known", "deny")]
    with yard.guard() as guard:

        @guard.tool("pay")
        def pay(amount: int) -> str:
            return "done"

        session = guard.session(agent=AgentIdentity("billing"), pause="raise")
        with session, pytest.raises(ApprovalPending) as asked:
            pay(amount=1)
        waiting = guard.approval(asked.value.approval_id)
        said = Answer(subject="ana", verdict="approve", digest=waiting.digest, assurance="login")
        guard.vote(waiting.id, said)
        yard.clock.at += later
        if runs:
            assert guard.resume_sync(waiting.id).result == "done"
            return
        with pytest.raises(ToolCallDenied) as denied:
            guard.resume_sync(waiting.id)
    assert denied.value.rule == "p/new"


def test_nothing_is_learned_of_what_an_exception_let_through(yard: Yard) -> None:
    """Nor of what an observed rule would have stopped, or one that could not be evaluated matched."""
    yard.register()
    yard.days()
    observe = {"owner": "ana", "until": "2030-01-01"}
    yard.rules = [ALLOW, {"id": "o", "effect": "deny", "tools": ["wipe"], "observe": observe}]
    yard.work(*calls(30, tool="wipe"))
    yard.rules = [ALLOW, {"id": "e", "effect": "flag", "when": "args.nope > 1", "flag": {"owner": "ana"}}]
    yard.work(*calls(30, tool="read"))
    content = yard.draft(end=yard.clock.at + DAY)
    assert list(content["tools"]) == ["pay"]
    assert content["learned"]["left_out"] == {"failed to evaluate": 30, "observed": 30}


def test_a_flood_of_names_is_no_baseline(yard: Yard) -> None:
    """What nobody could look through is refused, and memory stays bounded."""
    learner = Learner(begin=START, end=START + DAY, zone=dt.UTC, digest=None)
    event = {"at": "2026-11-20T10:00:00.000000Z", "session": "s", "decision": {}}
    with pytest.raises(RecordRefused, match="more than 500 tools"):
        for number in range(600):
            learner.take({**event, "tool": f"t{number}"}, None)
    with pytest.raises(RecordRefused, match="more than 200 secret scopes"):
        for number in range(300):
            learner.take({**event, "tool": "t1", "secrets": [f"s{number}"]}, None)


def test_more_shapes_than_are_kept_are_new_ones(yard: Yard) -> None:
    """The most frequent fifty of a tool are kept, and the rest is said."""
    use = ToolUse("t", "2026-11-20T10:00:00.000000Z")
    for number in range(80):
        shape = shape_of(f'{{"a{number:02}":1}}'.encode())
        use.take(f"2026-11-20T10:00:{number % 60:02}.000000Z", 1, shape, None, late=False)
    content = use.content()
    assert len(content["shapes"]) == 50
    assert content["other_shapes"] == 30
