"""The report: what the events of a period and the records of today say, and what to look into."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentguard.decision import Effect, Stage
from agentguard.governance import agents, flag_sweeping
from agentguard.governance.report import Limits, Report, make
from agentguard.governance.report.controls import catalogue
from agentguard.governance.report.spread import Spread
from agentguard.governance.sweeping import sweep
from agentguard.policy import Snapshot
from agentguard.stepup import machine
from agentguard.stepup.model import Requirement
from agentguard.store import Store, open_store
from tests.governance.baseline_support import ALLOW, DAY, Yard, asking
from tests.governance.support import ASKED, DIRECTORY, Office, local
from tests.policy.support import policy, rule
from tests.store.support import START, FakeClock, ask, decided

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def shelf(clock: FakeClock) -> Iterator[Store]:
    """A store in memory."""
    found = open_store("memory:", clock=clock)
    yield found
    found.close()


def report(store: Store, **changes: Any) -> Report:
    """Of everything until now."""
    now = store.now()
    values: dict[str, Any] = {"begin": START - DAY, "end": now + HOUR, "directory": DIRECTORY, **changes}
    return make(store, "default", **values)


def found(one: Report, kind: str) -> dict[str, str]:
    """The findings of a kind: what each is about, and its message."""
    return {finding.about: finding.message for finding in one.findings if finding.kind == kind}


def asked(store: Store, number: int, **changes: Any) -> Any:
    """A question about a rule that no other question is the same as."""
    wanted = Requirement(stages=(Stage(("group:security",), 1),), expires_in_s=600, rules=("payments/large",))
    return ask(
        store,
        call_id=f"call-{number}",
        epoch=store.epoch,
        requirement=wanted,
        excluded=frozenset(),
        **changes,
    )


def vote(store: Store, approval: Any, who: str = "ana", verdict: str = "approve") -> None:
    from agentguard.stepup.ballot import Answer, cast

    said = Answer(subject=who, verdict=verdict, digest=approval.digest, assurance="login")  # type: ignore[arg-type]
    cast(store, DIRECTORY, "default", approval.id, said)


# Questions and people


def test_what_people_were_asked_and_how_they_answered_T66(store: Store, clock: FakeClock) -> None:
    """Per rule: counts, the time to the answer, and the share of approvals."""
    for number in range(10):
        approval = asked(store, number)
        clock.advance(60 if number < 9 else 300)
        vote(store, approval, verdict="approve" if number < 9 else "deny")
    asked(store, 99)
    (one,) = report(store).questions
    assert (one.rule, one.asked, one.approved, one.denied, one.waiting) == ("payments/large", 11, 9, 1, 1)
    assert one.share == 0.9
    assert one.median_s == pytest.approx(60, rel=0.02)
    assert one.p95_s == pytest.approx(300, rel=0.02)


@pytest.mark.parametrize(
    ("yes", "no", "finding"), [(9, 1, True), (9, 2, False), (9, 0, False), (10, 0, True)]
)
def test_a_rule_that_is_nearly_always_approved_asks_too_much_T66(
    shelf: Store, clock: FakeClock, yes: int, no: int, finding: bool
) -> None:
    """Nine times of ten, and only where enough questions were answered."""
    for number in range(yes + no):
        clock.advance(60)
        vote(shelf, asked(shelf, number), verdict="approve" if number < yes else "deny")
    assert bool(found(report(shelf), "asks too much")) is finding


def test_a_question_that_ended_otherwise_is_no_answer(shelf: Store, clock: FakeClock) -> None:
    """Expired and withdrawn ones are counted apart."""
    one, two = asked(shelf, 1), asked(shelf, 2)
    shelf.update_approval("default", one.id, lambda current, now: machine.withdraw(current, now, reason="x"))
    clock.advance(601)
    shelf.update_approval("default", two.id, machine.expire)
    (questions,) = report(shelf).questions
    assert (questions.withdrawn, questions.expired, questions.share) == (1, 1, None)


def test_a_person_who_is_asked_too_often_in_an_hour_is_a_finding_T66(shelf: Store, clock: FakeClock) -> None:
    """Every member of a group that is asked; exactly so many are not too many."""
    clock.at = START.replace(minute=0)
    for number in range(31):
        asked(shelf, number)
    limits = Limits(per_hour=31)
    assert found(report(shelf, limits=limits), "reviewer overloaded") == {}
    overloaded = found(report(shelf), "reviewer overloaded")
    assert set(overloaded) == {"ana", "bob", "cai", "owen", "ben"}
    assert "31 questions within one hour" in overloaded["ana"]


def test_approving_forty_in_a_minute_is_a_finding_T61(shelf: Store, clock: FakeClock) -> None:
    """Nobody has read them. Answers that are spread out are none."""
    waiting = [asked(shelf, number) for number in range(40)]
    for approval in waiting:
        clock.advance(1.4)
        vote(shelf, approval)
    one = report(shelf)
    assert found(one, "approved too fast") == {"ana": "approved 40 in 60 s"}
    clock.at += HOUR
    waiting = [asked(shelf, number) for number in range(100, 112)]
    for approval in waiting:
        clock.advance(30)
        vote(shelf, approval, "bob")
    assert set(found(report(shelf), "approved too fast")) == {"ana"}


# What deviated, what fired


def test_what_deviated_is_shown_with_its_events(shelf: Store, clock: FakeClock) -> None:
    """By rule, agent and tool; a rule that could not be evaluated is another finding."""
    yard = Yard(store=shelf, clock=clock)
    yard.settled()
    yard.rules = [ALLOW, asking("baseline.new_tool")]
    yard.work({"tool": "wipe"}, {"tool": "wipe"}, {"amount": 11})
    yard.work({"amount": 1}, agent="stranger")
    one = report(shelf)
    (row,) = one.deviations
    assert (row.rule, row.agent, row.tool, row.effect, row.calls) == ("p/new", "billing", "wipe", "flag", 2)
    assert list(row.events) == [event["id"] for event in yard.decisions[-4:-2]]
    assert one.deviating_calls == 2
    assert found(one, "deviation") == {"billing": "2 deviating calls of wipe"}
    assert list(found(one, "no baseline")) == ["stranger"]


def test_a_report_of_one_agent_leaves_out_the_others(shelf: Store, clock: FakeClock) -> None:
    """Calls, flags and records."""
    yard = Yard(store=shelf, clock=clock, rules=[ALLOW])
    yard.work({"amount": 1}, {"amount": 2})
    yard.work({"amount": 1}, agent="other")
    assert report(shelf).effects == {"allow": 3}
    assert report(shelf, agent="other").effects == {"allow": 1}
    assert report(shelf, agent="nobody").effects == {}


def test_only_events_of_the_period_count(shelf: Store, clock: FakeClock) -> None:
    """Its end is not part of it."""
    yard = Yard(store=shelf, clock=clock, rules=[ALLOW])
    yard.work({"amount": 1})
    clock.at += HOUR
    yard.work({"amount": 1})
    assert report(shelf, begin=START, end=START + HOUR).effects == {"allow": 1}
    assert report(shelf, begin=START + HOUR, end=START + 2 * HOUR).effects == {"allow": 1}
    assert [day.effects for day in report(shelf).days] == [{"allow": 2}]


def test_a_rule_in_force_that_never_fired_is_a_finding(shelf: Store, clock: FakeClock) -> None:
    """One that fired, or was only observed to, is none; without policies nobody can tell."""
    observe = {"owner": "ana", "until": "2030-01-01"}
    rules = [
        rule("a", "allow"),
        rule("never", "deny", "false"),
        rule("seen", "deny", "true", observe=observe),
    ]
    yard = Yard(store=shelf, clock=clock, rules=rules)
    yard.work({"amount": 1})
    in_force = Snapshot.from_documents([policy(*rules)]).rules
    assert list(found(report(shelf, rules=in_force), "rule unused")) == ["p/never"]
    assert found(report(shelf), "rule unused") == {}
    assert not report(shelf).rules_known


# Records as they stand


def test_overdue_flags_and_breaches_are_findings(shelf: Store, clock: FakeClock) -> None:
    """The breach first."""
    flag = {"id": "f", "effect": "flag", "flag": {"owner": "ana", "review_in": "1h"}}
    later = {**flag, "id": "g", "flag": {"owner": "ana", "review_in": "1h", "escalate_to": "bob"}}
    yard = Yard(store=shelf, clock=clock, rules=[ALLOW, flag, later])
    yard.work({"amount": 1})
    clock.at += 1.5 * HOUR
    flag_sweeping.sweep(shelf, "default")
    flag_sweeping.sweep(shelf, "default")
    one = report(shelf)
    assert (one.flags.open, one.flags.overdue, one.flags.breaches) == (2, 2, 1)
    assert [line.breach for line in one.flags.lines] == [True, False]
    assert [finding.kind for finding in one.findings if finding.kind.startswith("flag")] == [
        "flag breach",
        "flag overdue",
    ]


def test_exceptions_by_age_expiry_use_and_repetition(shelf: Store, clock: FakeClock) -> None:
    """One that ends within two weeks, that nobody used, and the third for the same scope."""
    office = Office(store=shelf)
    kept = office.granted(expires="2027-06-01T10:00:00Z")
    clock.at += 31 * DAY
    soon = office.granted(expires=(clock.at + 10 * DAY).isoformat())
    office.say("revoke", office.granted(expires=(clock.at + 10 * DAY).isoformat()))
    one = report(shelf)
    state = one.exceptions
    assert state.active == 2
    assert {age: count for age, count in state.ages.items() if count} == {
        "under 30 days": 1,
        "30 to 90 days": 1,
    }
    assert state.expiring == (soon.id,)
    assert set(state.unused) == {kept.id, soon.id}
    (again,) = state.recurring
    assert (again.agent, again.rules, again.times) == ("billing", tuple(ASKED["rules"]), 3)
    for kind in ("exception expiring", "exception unused", "exception recurring"):
        assert found(one, kind), kind


def test_an_exception_that_expired_is_shown_with_the_calls_that_need_it(
    shelf: Store, clock: FakeClock
) -> None:
    """Swept or not; one that was revoked is none, and one that expired before the period neither."""
    office = Office(store=shelf)
    yard = Yard(store=shelf, clock=clock, rules=[ALLOW, rule("no", "deny", "args.amount > 100")])
    over = office.granted(expires=(clock.at + 3 * DAY).isoformat(), tools=["pay"])
    office.say("revoke", office.granted(expires=(clock.at + 3 * DAY).isoformat()))
    clock.at += 4 * DAY
    yard.work({"amount": 5}, {"amount": 500}, {"tool": "read", "amount": 500})
    one = report(shelf)
    (ended,) = one.exceptions.ended
    assert (ended.id, ended.agent, ended.uses, ended.matching, ended.unclear) == (over.id, "billing", 0, 1, 0)
    assert "1 calls of billing" in found(one, "exception still needed")[over.id]
    assert report(shelf, begin=clock.at - HOUR).exceptions.ended == ()


def test_an_exception_that_sleeps_until_it_is_confirmed_is_a_finding(shelf: Store, clock: FakeClock) -> None:
    """It waives nothing meanwhile."""
    office = Office(store=shelf)
    asleep = office.granted(expires=(clock.at + 20 * DAY).isoformat(), revalidate_every="2d")
    assert report(shelf).exceptions.unvalidated == ()
    clock.at += 2 * DAY
    one = report(shelf)
    assert one.exceptions.unvalidated == (asleep.id,)
    assert list(found(one, "exception unvalidated")) == [asleep.id]


def test_agents_without_an_owner_and_suspended_ones_are_findings(shelf: Store, clock: FakeClock) -> None:
    """As the inventory says."""
    office = Office(store=shelf)
    shelf.append("default", [decided()])
    sweep(shelf, "default")
    digest = agents.state_digest("default", "other", None)
    office.desk.suspend("other", local(digest, START))
    one = report(shelf)
    assert one.agents.suspended == ("other",)
    assert list(found(one, "agent suspended")) == ["other"]
    assert "nobody registered it" in found(one, "inventory")["billing"]


def test_the_ledger_is_verified_up_to_its_first_bad_event_T64(shelf: Store, clock: FakeClock) -> None:
    """Or said not to be verified."""
    for _ in range(3):
        shelf.append("default", [decided()])
    one = report(shelf)
    assert (one.ledger.size, one.ledger.verified, one.ledger.problems) == (3, 3, ())
    assert found(one, "ledger not vouched for")
    assert report(shelf, verify=False).ledger.verified is None


# Changes


def test_policies_that_restrict_less_are_findings_T65(shelf: Store, clock: FakeClock) -> None:
    """Whoever loaded them, and however: by name."""
    yard = Yard(store=shelf, clock=clock, rules=[ALLOW, rule("no", "deny", "args.amount > 100")])
    yard.work({"amount": 1})
    yard.rules = [ALLOW]
    yard.work({"amount": 1})
    one = report(shelf)
    (message,) = found(one, "policies loosened").values()
    assert "removed: p/no" in message
    assert [change.loosens for change in one.changes] == [False, True]


def test_breaking_the_glass_is_a_finding_T65(shelf: Store, clock: FakeClock) -> None:
    """With who did it and why."""
    from tests.governance.test_break_glass import GLASS, broken

    office = Office(store=shelf, terms=GLASS)
    record = broken(office)
    (message,) = found(report(shelf), "break glass").values()
    assert record.id in message
    assert "by ana" in message


# Controls


def test_the_evidence_of_a_control_is_what_its_rules_did(shelf: Store, clock: FakeClock) -> None:
    """Counts with events, under one name whatever its spelling; an unknown identifier is a finding."""
    rules = [
        rule("a", "allow", controls=["NHI5"]),
        {"id": "f", "effect": "flag", "flag": {"owner": "ana"}, "controls": ["PR.AC-4", "XX-9"]},
    ]
    yard = Yard(store=shelf, clock=clock, rules=rules)
    yard.work({"amount": 1}, {"amount": 2})
    one = report(shelf, rules=Snapshot.from_documents([policy(*rules)]).rules)
    by_id = {control.id: control for control in one.controls}
    assert set(by_id) == {"NHI5:2025", "PR.AA-05", "XX-9"}
    assert by_id["NHI5:2025"].title == "Overprivileged NHI"
    assert by_id["PR.AA-05"].decisions == by_id["PR.AA-05"].flags == 2
    assert list(by_id["PR.AA-05"].events) == [event["id"] for event in yard.decisions]
    assert list(found(one, "unknown control")) == ["XX-9"]


def test_every_control_of_the_catalogue_has_a_source() -> None:
    """And every alias leads to one."""
    known = catalogue()
    assert len(known.entries) > 50
    for entry in known.entries.values():
        assert entry.title
        assert entry.source
        assert entry.standing in ("primary", "secondary")
    for alias, name in known.aliases.items():
        assert alias not in known.entries
        assert name in known.entries


# As data


def test_the_report_is_the_same_as_data(shelf: Store, clock: FakeClock) -> None:
    """Written and read back, of version 1."""
    yard = Yard(store=shelf, clock=clock)
    yard.settled()
    one = report(shelf)
    text = one.model_dump_json()
    assert Report.model_validate_json(text) == one
    assert json.loads(text)["schema_version"] == 1


@pytest.mark.parametrize("count", [1, 7, 5000])
def test_a_spread_is_right_within_two_percent(count: int) -> None:
    """Whatever the order, in bounded memory."""
    values = [((n * 7919) % count + 1) / 10 for n in range(count)]
    spread = Spread()
    for value in values:
        spread.add(value)
    ordered = sorted(values)
    for share in (0.5, 0.95, 1.0):
        exact = ordered[max(0, -int(-share * count // 1) - 1)]
        assert spread.quantile(share) == pytest.approx(exact, rel=0.02)
    assert Spread().quantile(0.5) is None


def test_a_denied_call_is_a_decision_of_its_day(shelf: Store, clock: FakeClock) -> None:
    """By effect."""
    shelf.append("default", [decided(effect=Effect.DENY, runs=False), decided()])
    (day,) = report(shelf).days
    assert day.effects == {"deny": 1, "allow": 1}
