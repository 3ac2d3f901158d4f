"""The questions: a proof that nothing contradicts, a call that was decided so, or an honest unknown."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentguard.call import ContextRequest
from agentguard.errors import ConfigurationError
from agentguard.policy import Default, Snapshot
from agentguard.policy.evaluation import truth
from agentguard.policy.functions import bindings_for
from agentguard.policy.proving import (
    Answer,
    Bounds,
    Comparison,
    Consulted,
    Outcome,
    compare,
    never,
    reachable,
)
from agentguard.policy.proving.answers import VACUOUS
from agentguard.policy.proving.questions import became, condition_of
from tests.policy.support import PAYMENTS
from tests.proving.support import BEGIN, BOUNDS, snapshot

ALLOW = {"effect": "allow"}
APPROVAL = {"reviewers": ["group:finance"]}
TODAY = (
    {"effect": "allow", "when": 'agent.role == "billing" && args.amount <= 10000'},
    {"effect": "step_up", "when": 'args.amount > 1000 && environment == "prod"'},
)


def asked(found: Answer) -> dict[str, Any]:
    """The counterexample's request."""
    assert found.counterexample is not None
    return found.counterexample.request.to_mapping()


def runs(*rules: dict[str, Any], when: str | None = None, bounds: Bounds = BOUNDS, **options: Any) -> Answer:
    return never(snapshot(*rules, **options), "runs", tool="t", when=when, bounds=bounds)


# What grants, and what does not


def test_without_a_rule_nothing_runs() -> None:
    """The default is deny, for every tool."""
    assert never(snapshot(), "passes", bounds=BOUNDS).found == "proved"


def test_an_allow_rule_is_a_counterexample_with_a_decided_call() -> None:
    """The call that refutes is one that the evaluator allowed."""
    found = runs({"effect": "allow", "when": 'agent.role == "billing" && args.amount <= 10'})
    assert found.found == "refuted"
    assert found.counterexample is not None
    assert found.counterexample.decisions["today"].effect == "allow"
    assert asked(found)["agent"]["role"] == "billing"


@pytest.mark.parametrize("effect", ["flag", "deny", "step_up"])
def test_no_other_rule_lets_a_call_run_T40(effect: str) -> None:
    """Only an allow rule lets a call run without a person."""
    assert runs({"effect": effect}).found == "proved"


def test_a_step_up_permits_once_it_is_approved() -> None:
    """`passes` sees what an approval would let run; `runs` does not."""
    rules = snapshot({"effect": "step_up", "when": 'environment == "prod"'})
    assert never(rules, "runs", bounds=BOUNDS).found == "proved"
    assert never(rules, "passes", bounds=BOUNDS).found == "refuted"
    assert never(rules, "passes", when='environment == "test"', bounds=BOUNDS).found == "proved"


def test_a_default_of_flag_lets_calls_run_until_its_date() -> None:
    """What nobody permits runs while the default is flag, and is denied afterwards."""
    until = BEGIN + dt.timedelta(days=10)
    default = Default.from_mapping({"effect": "flag", "owner": "ana", "until": until.isoformat()})
    assert runs(default=default).found == "refuted"
    assert runs(default=default, bounds=Bounds(begin=until)).found == "proved"


# Errors


def test_an_absent_argument_makes_no_hole_in_a_deny_T29() -> None:
    """A deny rule in error fires: without the argument the call does not run."""
    assert (
        runs(ALLOW, {"effect": "deny", "when": "args.amount > 100"}, when="!has(args.amount)").found
        == "proved"
    )


def test_a_mistyped_argument_makes_no_hole_in_a_deny_T29() -> None:
    """Nor does one of another type."""
    when = "type(args.amount) == string"
    assert runs(ALLOW, {"effect": "deny", "when": "args.amount > 100"}, when=when).found == "proved"


def test_a_guard_against_absence_makes_one() -> None:
    """`has(x) && ...` is false where `x` is absent, and that is what the solver finds."""
    found = runs(
        ALLOW, {"effect": "deny", "when": "has(args.amount) && args.amount > 100"}, when="!has(args.amount)"
    )
    assert found.found == "refuted"
    assert "amount" not in asked(found)["args"]


def test_an_allow_rule_in_error_does_not_grant_T40() -> None:
    """An allow rule that cannot be evaluated permits nothing."""
    assert runs({"effect": "allow", "when": "args.amount <= 100"}, when="!has(args.amount)").found == "proved"


def test_an_integer_beyond_64_bits_is_an_error_to_read() -> None:
    """It is no small number to an allow rule, and no way round a deny."""
    rules = (
        {"effect": "allow", "when": "args.n < 5 || args.n >= 5"},
        {"effect": "deny", "when": "args.n > 100"},
    )
    assert runs(*rules, when="args.m == args.n || true").found == "refuted"
    assert runs({"effect": "allow", "when": "!(args.n == 1) && !(args.n != 1)"}).found == "proved"


def test_overflow_is_an_error() -> None:
    """`x + 1 > x` is not true for the largest integer."""
    found = runs(ALLOW, {"effect": "deny", "when": "args.n + 1 > args.n"})
    assert found.found == "proved"  # a deny in error fires
    found = runs(
        {"effect": "allow", "when": "args.n + 1 > 0 || !(args.n + 1 > 0)"},
        when="args.n == 9223372036854775807",
    )
    assert found.found == "proved"  # an allow in error does not


# Modes and times


def test_an_observed_deny_is_a_hole_until_its_date() -> None:
    """A rule in observe mode joins no decision until it is enforced."""
    until = BEGIN + dt.timedelta(days=30)
    deny = {"effect": "deny", "mode": "observe", "observe": {"owner": "ana", "until": until.isoformat()}}
    assert runs(ALLOW, deny).found == "refuted"
    assert runs(ALLOW, deny, bounds=Bounds(begin=until)).found == "proved"
    assert runs(ALLOW, deny, bounds=Bounds(begin=BEGIN, at=until)).found == "proved"


def test_a_flag_that_converts_denies_from_its_date_on() -> None:
    """An allow rule whose flag converted permits no more."""
    flag = {"owner": "ana", "converts": {"on": "2027-03-01", "to": "deny"}}
    rule = {"effect": "allow", "flag": flag}
    assert runs(rule).found == "refuted"
    after = Bounds(begin=dt.datetime(2027, 3, 1, tzinfo=dt.UTC))
    assert runs(rule, bounds=after).found == "proved"


def test_a_counter_that_cannot_be_named_denies() -> None:
    """A `reserve` whose key is in error is no grant of an allow rule, and a denial of any other."""
    reserve = {"key": "spend", "per": ["args.account"], "limit": 10}
    assert runs({"effect": "allow", "reserve": reserve}, when="!has(args.account)").found == "proved"
    assert runs({"effect": "allow", "reserve": reserve}, when="has(args.account)").found == "refuted"
    flag = {"effect": "flag", "reserve": reserve}
    assert never(snapshot(ALLOW, flag), "denied", when="!has(args.account)", bounds=BOUNDS).found == "refuted"
    assert runs(ALLOW, flag, when="!has(args.account)").found == "proved"


def test_a_counter_of_which_too_much_is_taken_denies() -> None:
    """Nor is a negative amount one that is taken."""
    reserve = {"key": "spend", "amount": "args.n", "limit": 10}
    assert runs({"effect": "allow", "reserve": reserve}, when="args.n < 0").found == "proved"
    assert runs({"effect": "allow", "reserve": reserve}, when="args.n == 3").found == "refuted"


# Constraints


def test_a_rewritten_call_is_decided_again() -> None:
    """What a constraint writes is what the other rules see the second time."""
    cap = {"effect": "constrain", "when": "args.n > 10", "set": {"args.n": 10}}
    assert runs(ALLOW, cap).found == "refuted"
    assert runs(ALLOW, cap, {"effect": "deny", "when": "args.n == 10"}, when="args.n > 10").found == "proved"


def test_a_constraint_makes_nothing_run_that_would_not() -> None:
    """A rule that denies the call as it was made denies it, whatever is written."""
    cap = {"effect": "constrain", "when": "args.n > 10", "set": {"args.n": 10}}
    assert runs(ALLOW, cap, {"effect": "deny", "when": "args.n > 100"}, when="args.n > 100").found == "proved"


# Lists, tools, facts


def test_a_tag_is_looked_for_in_lists_of_any_length() -> None:
    """A proof about tags holds for agents with many of them."""
    deny = {"effect": "deny", "when": '!("ok" in agent.tags)'}
    assert runs(ALLOW, deny, when='!("ok" in agent.tags)').found == "proved"
    many = " && ".join(f'"t{index}" in agent.tags' for index in range(6)) + " && type(agent.tags) == list"
    found = runs(ALLOW, deny, when=many)
    assert found.found == "refuted"
    assert {"ok", *(f"t{index}" for index in range(6))} <= set(asked(found)["agent"]["tags"])


def test_every_element_of_a_longer_list_counts() -> None:
    """`all` over recipients is no proof about the fourth one only because three are known."""
    inside = 'args.to.all(r, r.endsWith("@corp.example"))'
    assert (
        runs(ALLOW, {"effect": "deny", "when": f"!{inside}"}, when=f"size(args.to) > 5 && !{inside}").found
        == "proved"
    )
    one = 'args.to[0].endsWith("@corp.example")'
    assert runs({"effect": "allow", "when": inside}, when="size(args.to) > 5").found != "proved"
    assert runs({"effect": "allow", "when": one}).found == "unknown"


def test_patterns_and_tools_that_nobody_names() -> None:
    """A question about a pattern is one about each tool in it, named or not."""
    rules = [
        {"id": "a", "effect": "allow", "tools": ["pay.*"]},
        {"id": "b", "effect": "deny", "tools": ["pay.out"]},
        {"id": "c", "effect": "deny", "tools": ["pay.in.*"]},
    ]
    found = snapshot(*rules)
    assert never(found, "runs", tool="pay.out", bounds=BOUNDS).found == "proved"
    assert never(found, "runs", tool="pay.in.x", bounds=BOUNDS).found == "proved"
    assert never(found, "runs", tool="pay.in.*", bounds=BOUNDS).found == "proved"
    assert never(found, "runs", tool="pay", bounds=BOUNDS).found == "proved"
    other = never(found, "runs", tool="pay.*", bounds=BOUNDS)
    assert (other.found, asked(other)["tool"]) == ("refuted", "pay.other")
    assert never(found, "runs", bounds=BOUNDS).found == "refuted"


def test_a_condition_about_the_tools_name_is_one_about_the_tools() -> None:
    """Where a rule reads `tool`, tools that nobody names may have any name that is one."""
    rules = ({"effect": "allow"}, {"effect": "deny", "when": '!tool.endsWith("_read")'})
    found = never(snapshot(*rules, tools=("files.*",)), "runs", bounds=BOUNDS)
    assert asked(found)["tool"].startswith("files.")
    assert asked(found)["tool"].endswith("_read")
    found = never(snapshot(*rules), "runs", when='tool.contains("\\n")', bounds=BOUNDS)
    assert found.unknown[-1].reason == VACUOUS


def test_tools_of_a_deeper_pattern_are_asked_about_by_themselves() -> None:
    """A rule for `files.in.*` decides those tools, whatever is asked about `files.*`."""
    rules = [
        {"id": "a", "effect": "allow", "tools": ["files.*"]},
        {"id": "b", "effect": "deny", "tools": ["files.in.*"]},
        {"id": "c", "effect": "deny", "tools": ["files.inbox"]},
    ]
    when = 'tool.startsWith("files.in.") || tool == "files.inbox"'
    assert never(snapshot(*rules), "runs", tool="files.*", when=when, bounds=BOUNDS).found == "proved"


def test_facts_that_a_counterexample_needs_are_supplied() -> None:
    """Provenance, credential facts and history are in the call that is shown."""
    when = '!provenance(args.payee).from_user && secret("pay").age < duration("1h") && history.calls > 3'
    data = asked(runs({"effect": "allow", "when": when}))["supplied"]
    assert data["provenance"]["args.payee"]["from_user"] is False
    assert 0 <= data["secret"]["pay"]["age_s"] < 3600
    assert data["history"]["calls"] > 3


def test_supplied_history_that_is_null_is_none() -> None:
    """A fact provider that says nothing has said nothing."""
    assert runs({"effect": "allow", "when": "history == null"}).found == "proved"


def test_a_counterexample_looks_like_a_call() -> None:
    """Nothing is left out of it that would put more rules in error."""
    found = runs({"effect": "allow", "when": "args.n <= 5"}, {"effect": "flag", "when": 'args.note == "x"'})
    assert found.counterexample is not None
    assert [one.error for one in found.counterexample.decisions["today"].matched] == [None]
    assert set(asked(found)["args"]) == {"n", "note"}


def test_a_time_window_is_met_by_a_time() -> None:
    """A call within a window is shown at a time in it, and one outside it at another."""
    window = 'within("Mon-Fri 07:00-20:00 Europe/Berlin")'
    for when in (window, f"!{window}"):
        found = runs({"effect": "allow", "when": when})
        assert found.found == "refuted"
    assert runs({"effect": "allow", "when": window}, {"effect": "deny", "when": window}).found == "proved"


@pytest.mark.parametrize(
    "when",
    [
        'host(args.url) == "corp.example"',
        'path_within(args.path, "/srv/data")',
        'in_network(args.ip, "10.0.0.0/8")',
        'args.name.lowerAscii() == "ana"',
        "has_hidden(args.note)",
        'args.mail.matches("^[a-z]+@corp[.]example$")',
        'glob(args.path, "/srv/*/x")',
    ],
)
def test_texts_that_functions_want_are_found(when: str) -> None:
    """A function that the solver does not know is met by a text made for it, which the evaluator confirms."""
    assert runs({"effect": "allow", "when": when}).found == "refuted"


# Honest unknowns


@pytest.mark.parametrize(
    ("when", "construct"),
    [
        ("args.x * 2.0 > 1.0 && args.x * 2.0 < 0.5", "`*` of doubles or lists"),
        ("args.x.filter(t, t > 1) == [2]", "`filter(...)`"),
        ('args.x.matches("(?i)^secret$")', "`matches(...)`"),
        ("now.getHours() == 25", "`getHours(...)`"),
        ('args.x.substring(1) == "b"', "`substring(...)`"),
        ("args.x == args.y && size(args.x) == 2 && type(args.x) == list", "`==` of lists or maps"),
        ("engines.opa.allow", "`engines`"),
        ("args.x[args.y]", "an index that is no constant text"),
        ('within("Mon 07:00-08:00 UTC") && within("Tue 07:00-08:00 UTC")', "`within(...)`"),
    ],
)
def test_an_unknown_names_its_construct(when: str, construct: str) -> None:
    """What is outside the model is neither proof nor counterexample: it is named, with its rule and line."""
    found = runs({"effect": "allow", "when": when})
    assert (found.found, found.counterexample) == ("unknown", None)
    (why,) = found.unknown
    assert [one.rule for one in why.met] == ["p/r0"]
    assert construct in why.met[0].constructs


def test_a_proof_may_hold_whatever_an_unknown_is() -> None:
    """What is outside the model does not stand in the way of a proof that does not need it."""
    strange = {"effect": "deny", "when": 'args.x.substring(1) == "b"'}
    found = runs({"effect": "allow", "when": 'environment == "test"'}, strange, when='environment == "prod"')
    assert (found.found, [one.rule for one in found.outside]) == ("proved", ["p/r1"])


def test_a_deny_outside_the_model_closes_nothing() -> None:
    """A deny that may be false is not counted on: the answer is a call that runs, or unknown; no proof."""
    assert runs(ALLOW, {"effect": "deny", "when": "now.getHours() >= 0"}).found == "unknown"
    assert runs(ALLOW, {"effect": "deny", "when": "now.getHours() > 99"}).found == "refuted"


def test_a_question_that_takes_too_long_is_unknown() -> None:
    """The time that is given is kept, and said."""
    hard = " && ".join(
        f"args.a{i} * args.a{i} * args.a{i} + args.b{i} * args.b{i} == {10**15 + i}" for i in range(6)
    )
    found = runs({"effect": "allow", "when": hard}, bounds=dataclasses.replace(BOUNDS, timeout_s=1.5))
    assert found.found == "unknown"
    assert "within 1.5 s" in found.unknown[0].reason


# Rules that can matter


def test_a_rule_that_no_call_matches() -> None:
    """Contradictions are proved to be such; errors are no match."""
    rules = snapshot(
        {"effect": "deny", "when": 'environment == "prod" && environment == "test"'},
        {"effect": "deny", "when": "args.n > 10 && args.n < 5"},
        {"effect": "deny", "when": "args.n > 10 && args.n < 12"},
    )
    assert [reachable(rules, f"p/r{index}", bounds=BOUNDS).found for index in range(3)] == [
        "proved",
        "proved",
        "refuted",
    ]
    with pytest.raises(ConfigurationError, match="did you mean `p/r1`"):
        reachable(rules, "p/r11", bounds=BOUNDS)


# Comparing


def test_the_four_relations() -> None:
    """A candidate is narrower, wider, equal or incomparable, with a call for each difference."""
    today = snapshot(*TODAY)
    less = snapshot({**TODAY[0], "when": 'agent.role == "billing" && args.amount <= 500'}, TODAY[1])
    other = snapshot({**TODAY[0], "when": 'agent.role == "audit" && args.amount <= 500'}, TODAY[1])
    same = snapshot({**TODAY[0], "when": '!(args.amount > 10000) && agent.role == "billing"'}, TODAY[1])
    found = {
        name: compare(today, one, bounds=BOUNDS)
        for name, one in vars_of(less=less, other=other, same=same).items()
    }
    assert {name: one.relation for name, one in found.items()} == {
        "less": "narrower", "other": "incomparable", "same": "equal",
    }  # fmt: skip
    assert compare(less, today, bounds=BOUNDS).relation == "wider"
    for one in found.values():
        checked(one)


def vars_of(**found: Snapshot) -> dict[str, Snapshot]:
    return found


def checked(found: Comparison) -> None:
    """Each witness shows what it is a witness of."""
    ranks = {"runs": 0, "asks": 1, "denied": 2}
    for direction, sign in ((found.wider, -1), (found.narrower, 1)):
        assert (direction.witness is not None) == direction.differs
        if direction.witness is not None:
            decided = {name: ranks[became(one)] for name, one in direction.witness.decisions.items()}
            assert (decided["candidate"] - decided["today"]) * sign > 0


def test_asking_is_further_than_denying_and_less_far_than_running() -> None:
    """The order is: runs, waits for an approval, is denied; a flag runs."""
    sets = [snapshot(ALLOW), snapshot({"effect": "step_up"}), snapshot({"effect": "deny"})]
    for (i, one), (j, other) in itertools.product(enumerate(sets), repeat=2):
        wanted = "equal" if i == j else "narrower" if j > i else "wider"
        assert compare(one, other, bounds=BOUNDS).relation == wanted
    flagged = snapshot(ALLOW, {"effect": "flag"})
    assert compare(sets[0], flagged, bounds=BOUNDS).relation == "equal"


def test_a_difference_about_one_tool_is_found_among_many() -> None:
    """Sets are compared tool by tool, and what is the same is not asked again."""
    rules = [
        {"effect": "allow", "tools": [f"t{index}.run"], "when": f"args.n < {index}"} for index in range(40)
    ]
    changed = [*rules[:20], {**rules[20], "when": "args.n < 21"}, *rules[21:]]
    found = compare(snapshot(*rules), snapshot(*changed), bounds=BOUNDS)
    assert found.relation == "wider"
    assert [part.tools for part in found.parts if part.relation != "equal"] == [("t20.run",)]


def test_a_set_with_constraints_equals_itself_written_otherwise() -> None:
    """Sets that write the same are compared over what was written."""
    cap = {
        "effect": "constrain",
        "when": "size(args.note) > 140",
        "set": {"args.note": "args.note.substring(0, 140)"},
    }
    one = snapshot(ALLOW, cap, {"effect": "deny", "when": "args.n > 1 || args.n < 0"})
    other = snapshot(ALLOW, cap, {"effect": "deny", "when": "args.n < 0 || args.n > 1"})
    assert compare(one, other, bounds=BOUNDS).relation == "equal"


def test_terms_that_the_order_does_not_see_are_noted() -> None:
    """Fewer reviewers are no other outcome, and are not passed over in silence."""
    rule = {"id": "big", "effect": "step_up"}
    one = snapshot({**rule, "approval": {**APPROVAL, "quorum": 2}})
    other = snapshot({**rule, "approval": {**APPROVAL, "quorum": 1}})
    found = compare(one, other, bounds=BOUNDS)
    assert (found.relation, found.notes) == ("equal", ("`p/big`: the terms of the approval changed",))


def test_a_comparison_that_is_not_settled_is_unknown() -> None:
    """A difference that hangs on something outside the model is neither equal nor wider."""
    one = snapshot(ALLOW, {"effect": "deny", "when": "now.getHours() == 25"})
    assert compare(one, snapshot(ALLOW), bounds=BOUNDS).relation == "unknown"


def test_the_payments_of_the_design_can_be_asked_about() -> None:
    """The policy of DESIGN section 4, with every construct in it, gives answers."""
    found = Snapshot.from_documents([PAYMENTS])
    high = never(found, "runs", tool="payments.transfer", when="args.amount > 10000", bounds=BOUNDS)
    assert high.found == "proved"
    prod = never(
        found,
        "runs",
        tool="payments.transfer",
        when='environment == "prod" && args.amount > 1000',
        bounds=BOUNDS,
    )
    assert prod.found == "proved"
    assert (
        never(found, "runs", tool="payments.transfer", when="args.amount > 100", bounds=BOUNDS).found
        == "refuted"
    )
    stale = 'secret("payments:write").age > duration("2h")'
    assert never(found, "passes", tool="payments.transfer", when=stale, bounds=BOUNDS).found == "proved"
    for rule in found.rules:
        assert reachable(found, rule.name, bounds=BOUNDS).found == "refuted"


# Against brute force

ATOMS = [
    "args.n > 1",
    "args.n == 0", "has(args.n)", 'environment == "prod"', '"x" in agent.tags', "size(agent.tags) > 1",
    'args.s.startsWith("a")', "args.s == args.n",
    "type(args.n) == int", "args.?n.orValue(0) > 1", "args.n + 1 > 2",
    'agent.tags.all(t, t == "x")', "provenance(args.s).from_user", 'args.s in ["a", 1]',
]  # fmt: skip
ABSENT = object()


def conditions() -> st.SearchStrategy[str]:
    atom = st.sampled_from(ATOMS)
    return st.one_of(
        atom,
        atom.map(lambda one: f"!({one})"),
        st.builds(lambda one, op, two: f"({one}) {op} !({two})", atom, st.sampled_from(["&&", "||"]), atom),
    )


def rules() -> st.SearchStrategy[list[dict[str, Any]]]:
    effects = st.sampled_from(["allow", "allow", "flag", "step_up", "deny", "constrain"])

    def rule(effect: str, when: str, observed: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"effect": effect, "when": when}
        if effect == "constrain":
            found["set"] = {"args.n": 0}
        if observed:
            found |= {"mode": "observe", "observe": {"owner": "ana", "until": "2026-12-01"}}
        return found

    return st.lists(
        st.builds(rule, effects, conditions(), st.sampled_from([False, False, False, True])), max_size=4
    )


def domain() -> Iterator[ContextRequest]:
    """Every request over a few values for everything that the conditions read."""
    for n, s, environment, tags, user, now in itertools.product(
        (ABSENT, None, 0, 1, 2, 2.5, "a", 2**63 - 1, 2**70), (ABSENT, "a", "b", 1), (None, "prod", "x"),
        (ABSENT, "x", [], ["x"], ["y", "x"]), (ABSENT, True, False),
        ("2026-11-20T00:00:00Z", "2027-01-01T00:00:00Z"),
    ):  # fmt: skip
        args = {name: value for name, value in (("n", n), ("s", s)) if value is not ABSENT}
        agent = {"id": "a"} if tags is ABSENT else {"id": "a", "tags": tags}
        supplied = {} if user is ABSENT else {"provenance": {"args.s": {"from_user": user}}}
        data = {"tool": "t", "args": args, "agent": agent, "now": now, "supplied": supplied}
        yield ContextRequest.from_mapping(
            data if environment is None else {**data, "environment": environment}
        )


DOMAIN = list(domain())
SLOW = settings(max_examples=25, suppress_health_check=list(HealthCheck))


@SLOW
@given(rules(), conditions(), st.sampled_from(["runs", "asks", "passes", "denied"]), st.randoms())
def test_no_proof_is_contradicted_by_a_request(
    listed: list[dict[str, Any]], when: str, outcome: Outcome, random: Any
) -> None:
    """A proof holds for every request of a small world, and a counterexample satisfies the condition."""
    found, program = snapshot(*listed), condition_of(when)
    answer = never(found, outcome, tool="t", when=when, bounds=BOUNDS)
    constrained = any(rule["effect"] == "constrain" for rule in listed)
    vacuous = bool(answer.unknown) and answer.unknown[0].reason == VACUOUS
    assert answer.found != "unknown" or constrained or vacuous or answer.unknown[0].met
    if answer.counterexample is not None:
        assert truth(program, bindings_for(answer.counterexample.request)) is True
    for one in random.sample(DOMAIN, 600):
        became_ = became(found.decide(one))
        reached = became_ == outcome or (outcome == "passes" and became_ != "denied")
        if reached and truth(program, bindings_for(one)) is True:
            assert answer.found != "proved", one.to_mapping()


@SLOW
@given(rules(), rules(), st.randoms())
def test_no_comparison_is_contradicted_by_a_request(
    one: list[dict[str, Any]], other: list[dict[str, Any]], random: Any
) -> None:
    """Where a request gets further by the candidate, the candidate is not said to be equal or narrower."""
    today, candidate = snapshot(*one), snapshot(*other)
    found = compare(today, candidate, bounds=BOUNDS)
    checked(found)
    ranks = {"runs": 0, "asks": 1, "denied": 2}
    for asked_ in random.sample(DOMAIN, 600):
        before, after = ranks[became(today.decide(asked_))], ranks[became(candidate.decide(asked_))]
        assert not (after < before and found.wider.found == "proved"), asked_.to_mapping()
        assert not (after > before and found.narrower.found == "proved"), asked_.to_mapping()


def test_what_a_constraint_adds_is_counted() -> None:
    """A map that is written to may have a key more the second time: no proof rests on its size before."""
    cap = {"effect": "constrain", "when": "!has(args.n)", "set": {"args.n": 10}}
    found = snapshot(ALLOW, cap, {"effect": "deny", "when": "size(args) > 0"})
    assert never(found, "denied", tool="t", when="size(args) == 0", bounds=BOUNDS).found == "refuted"
    asks = snapshot(ALLOW, cap, {"effect": "step_up", "when": "size(args) == 1"})
    assert never(asks, "asks", tool="t", when="size(args) == 0", bounds=BOUNDS).found == "refuted"


def capped(value: Any, path: str = "args.x", when: str = "args.x > 10") -> dict[str, Any]:
    return {"effect": "constrain", "when": when, "set": {path: value}}


def test_a_constraint_that_cannot_be_refused_denies_nothing() -> None:
    """A constant, or a plain argument, is written as it stands."""
    for cap, when in ((capped(10), None), (capped("args.x", "args.y"), "type(args.x) == int")):
        assert never(snapshot(ALLOW, cap), "denied", tool="t", when=when, bounds=BOUNDS).found == "proved"


@pytest.mark.parametrize("others", [[], [capped(9)], [capped(11)]])
def test_constraints_that_refuse_nothing_are_equal(others: list[dict[str, Any]]) -> None:
    """Another value is another call, not another outcome; it is noted."""
    found = compare(snapshot(ALLOW, capped(10)), snapshot(ALLOW, *others), bounds=BOUNDS)
    assert (found.relation, len(found.notes)) == ("equal", 1)


@pytest.mark.parametrize(
    "rules",
    [
        [capped(3), capped(4)],
        [capped(3, "args.a.b")],
        [capped(11), capped(12, when="args.x == 11")],
        [capped("args.x + 1", when="true")],
    ],
)
def test_a_constraint_that_is_refused_is_shown(rules: list[dict[str, Any]]) -> None:
    """Two values, no map to write into, a change once more: the call that is denied for it."""
    assert never(snapshot(ALLOW, *rules), "denied", tool="t", bounds=BOUNDS).found == "refuted"


def test_an_unknown_of_a_constraint_names_it() -> None:
    """The sign of a zero is not in the model: the `set` is named, with its rule."""
    found = never(
        snapshot(ALLOW, capped("args.x", when="true")), "denied", tool="t",
        when="type(args.x) == double", bounds=BOUNDS,
    )  # fmt: skip
    assert found.found == "unknown"
    assert [(one.rule, "`set` of `args.x`" in one.constructs[0]) for one in found.unknown[0].met] == [
        ("p/r1", True)
    ]


def test_an_engine_that_permits_is_named() -> None:
    """Its allow may let a call run, unless a rule denies the call."""
    asked_ = dataclasses.replace(BOUNDS, engines=(Consulted("opa", ("t",), True),))
    found = never(snapshot(), "runs", tool="t", bounds=asked_)
    assert found.found == "unknown"
    assert "`engine/opa` may permit" in found.unknown[0].reason
    assert never(snapshot({"effect": "deny"}), "runs", tool="t", bounds=asked_).found == "proved"
    assert never(snapshot(), "runs", tool="u", bounds=asked_).found == "proved"
    assert never(snapshot(ALLOW), "runs", tool="t", bounds=asked_).found == "refuted"


def test_a_claim_about_no_call_is_not_proved() -> None:
    """A premise that contradicts itself proves nothing."""
    found = runs(ALLOW, when='args.x == "5" && args.x == 5')
    assert (found.found, found.unknown[0].reason) == ("unknown", VACUOUS)


def test_rules_that_came_or_went_are_noted() -> None:
    """A flag, a redaction, a counter that goes with its rule is listed."""
    listed: list[dict[str, Any]] = [
        {"id": "f", "effect": "flag"},
        {"id": "r", "effect": "constrain", "redact_result": ["$.a"]},
        {"id": "c", "effect": "constrain", "reserve": {"key": "k", "limit": 5}},
    ]
    both = snapshot(ALLOW, *listed), snapshot(ALLOW)
    for one, other, word in ((*both, "deleted"), (*both[::-1], "added")):
        notes = compare(one, other, bounds=BOUNDS).notes
        assert [note.split(",")[0] for note in notes] == [f"`p/{name}` was {word}" for name in "cfr"]
