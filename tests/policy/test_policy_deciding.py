"""DESIGN 3, Deciding, law by law and by example."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from agentguard.decision import Approve, Effect, Flag, RedactResult, Reserve, SetArgument, Stage
from agentguard.errors import ConfigurationError
from agentguard.policy import Default, Snapshot
from tests.policy.support import PAYMENTS, decide, kinds, names, policy, request, rule, snapshot, transfer

OBSERVE = {"owner": "secops", "until": "2027-01-01"}

payments = Snapshot.from_documents([PAYMENTS])


# The example of the design


def test_a_small_transfer_is_allowed_by_name() -> None:
    """The decision says which rule permits and which snapshot was asked."""
    decision = payments.decide(transfer())
    assert decision.effect is Effect.ALLOW
    assert decision.granted_by == ("payments/small-transfers",)
    assert decision.snapshot == payments.digest
    assert decision.obligations == ()


def test_a_large_transfer_asks_two_people_from_finance() -> None:
    """A step-up carries its stages, expiry and reason."""
    decision = payments.decide(transfer(amount=5000))
    assert decision.effect is Effect.STEP_UP
    assert decision.approval == Approve(
        stages=(Stage(("group:finance",), 2),),
        expires_in_s=1800,
        rules=("payments/large-transfer",),
        reason="transfers above 1000 need two people from finance",
    )


def test_two_step_ups_are_one_question_with_every_stage_and_the_earliest_expiry() -> None:
    """The requirements of all are met together."""
    decision = payments.decide(
        request(
            args={"payee": "X", "amount": 5000, "note": ""},
            supplied={
                "provenance": {"args.payee": {"from_user": False}},
                "secret": {"payments:write": {"age_s": 1}},
            },
        )
    )
    approval = decision.approval
    assert approval is not None
    assert set(approval.stages) == {Stage(("group:finance",), 2), Stage(("principal",), 1)}
    assert approval.expires_in_s == 600
    assert approval.rules == ("payments/large-transfer", "payments/payee-not-from-user")


def test_a_long_note_is_cut_and_decided_again() -> None:
    """The constraint's value is an obligation."""
    decision = payments.decide(transfer(note="n" * 200))
    assert decision.effect is Effect.CONSTRAIN
    assert decision.obligations == (SetArgument(path="args.note", value="n" * 140, rule="payments/cap-note"),)


def test_a_transfer_at_night_is_flagged_with_owner_deadline_and_escalation() -> None:
    """The call proceeds and somebody answers for it."""
    decision = payments.decide(request(now="2026-11-20T23:00:00Z"))
    assert decision.effect is Effect.FLAG
    assert decision.obligations == (
        Flag(
            rule="payments/night",
            owner="finance-ops",
            review_in_s=259_200,
            escalate_to="ciso",
            converts_on="2027-03-01",
            converts_to=Effect.DENY,
        ),
    )


def test_a_stale_token_denies_whatever_else_permits() -> None:
    """Deny is the strongest effect."""
    supplied = {
        "provenance": {"args.payee": {"from_user": True}},
        "secret": {"payments:write": {"age_s": 3601}},
    }
    decision = payments.decide(request(supplied=supplied))
    assert decision.effect is Effect.DENY
    assert decision.deciding is not None
    assert decision.deciding.name == "payments/stale-token"


def test_needs_names_the_facts_that_a_tools_rules_read_and_no_others() -> None:
    """The flow fetches only those."""
    assert payments.needs("payments.transfer") == {"provenance", "secret"}
    assert payments.needs("crm.read") == frozenset()
    more = Snapshot.from_documents(
        [
            policy(
                rule(
                    "a",
                    "deny",
                    'rates["x"] > 1 || context.a || resource.type == "b" || history.n > 1',
                    tools=["a"],
                )
            )
        ]
    )
    assert more.needs("a") == {"rates", "context", "resource", "history"}


# 3.1 What grants permission


def test_law_1_without_a_rule_the_default_denies_by_name() -> None:
    """The default is never anonymous."""
    decision = Snapshot.from_documents([]).decide(request())
    assert decision.effect is Effect.DENY
    assert names(decision) == ["agentguard/default"]
    assert decision.granted_by == ()


@pytest.mark.parametrize(
    "one",
    [
        rule("r", "flag"),
        rule("r", "constrain", set={"args.note": '"x"'}),
        rule("r", "allow", observe={"owner": "a", "until": "2027-01-01"}),
        rule("r", "flag", observe={"owner": "a", "until": "2027-01-01"}),
    ],
)
def test_law_1_nothing_but_allow_and_step_up_permits(one: dict[str, object]) -> None:
    """A flag, a constraint and an observed rule leave the default in place."""
    decision = decide(one)
    assert decision.effect is Effect.DENY
    assert decision.granted_by == ()
    assert "agentguard/default" in names(decision)


def test_law_1_a_step_up_permits_once_it_is_completed() -> None:
    """No allow rule is needed beside it, and none is claimed."""
    decision = decide(rule("ask", "step_up"))
    assert decision.effect is Effect.STEP_UP
    assert decision.granted_by == ()
    assert names(decision) == ["p/ask"]


def test_law_1_an_allow_rule_with_a_flag_permits_and_records() -> None:
    """The classical flag policy."""
    decision = decide(rule("watched", "allow", flag={"owner": "ops", "review_in": "1d"}))
    assert decision.effect is Effect.FLAG
    assert decision.granted_by == ("p/watched",)
    assert decision.obligations == (Flag(rule="p/watched", owner="ops", review_in_s=86_400),)


def test_law_1_a_default_of_flag_lets_through_and_records_until_its_end() -> None:
    """A first rollout sees everything and stops nothing; afterwards it is deny again."""
    found = Snapshot.from_documents(
        [], default=Default(Effect.FLAG, owner="secops", until=dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    )
    decision = found.decide(request())
    assert decision.effect is Effect.FLAG
    assert [o.owner for o in decision.obligations if isinstance(o, Flag)] == ["secops"]
    assert found.decide(request(now="2026-12-01T00:00:00Z")).effect is Effect.DENY
    assert found.decide(request(now="2026-11-30T23:59:59Z")).effect is Effect.FLAG


@pytest.mark.parametrize(
    "keys",
    [
        {"effect": "allow"},
        {"effect": "flag"},
        {"effect": "flag", "owner": "a"},
        {"effect": "flag", "until": "2027-01-01"},
        {"effect": "flag", "owner": " ", "until": "2027-01-01"},
        {"effect": "flag", "owner": "a", "until": "soon"},
        {"effect": "nothing"},
    ],
)
def test_law_1_a_default_that_permits_is_refused_without_owner_and_end(keys: dict[str, str]) -> None:
    """Only deny, or flag with both."""
    with pytest.raises(ConfigurationError):
        Default(**keys)  # type: ignore[arg-type]


def test_the_default_effect_is_part_of_the_digest() -> None:
    """A set with another default is another snapshot."""
    flagging = Default(Effect.FLAG, owner="a", until=dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
    assert Snapshot.from_documents([PAYMENTS]).digest == payments.digest
    assert Snapshot.from_documents([PAYMENTS], default=flagging).digest != payments.digest


# 3.2 The order of effects


def test_law_2_the_strongest_effect_wins_and_flags_still_apply() -> None:
    """What matched besides the strongest is recorded and kept."""
    rules = [
        rule("a", "allow"),
        rule("b", "flag"),
        rule("c", "constrain", set={"args.note": '"x"'}),
        rule("d", "step_up"),
    ]
    decision = decide(*rules)
    assert decision.effect is Effect.STEP_UP
    assert names(decision) == ["p/d", "p/c", "p/b", "p/a"]
    assert kinds(decision) == ["set", "flag", "approve"]
    assert decide(*rules, rule("e", "deny")).effect is Effect.DENY


def test_law_2_a_denied_call_has_nothing_to_fulfil() -> None:
    """Obligations are what lets a call run."""
    assert decide(rule("a", "allow"), rule("b", "flag"), rule("e", "deny")).obligations == ()


def test_law_2_the_order_of_rules_and_documents_does_not_matter() -> None:
    """Neither for the decision nor for its record."""
    rules = [rule(f"r{i}", effect) for i, effect in enumerate(("allow", "flag", "step_up", "flag", "allow"))]
    others = {**policy(rule("z", "flag")), "policy": "q"}
    expected = Snapshot.from_documents([policy(*rules), others]).decide(request())
    for seed in range(5):
        shuffled = list(rules)
        random.Random(seed).shuffle(shuffled)
        found = Snapshot.from_documents([others, policy(*shuffled)]).decide(request())
        assert found.to_json() | {"snapshot": ""} == expected.to_json() | {"snapshot": ""}


def test_law_2_local_answers_count_only_where_every_step_up_accepts_them() -> None:
    """A reason is wanted when one of them wants it; equal stages are asked once."""
    stage = {"reviewers": ["group:finance"]}
    lenient = rule("a", "step_up", approval={**stage, "local": True})
    strict = rule("b", "step_up", approval={**stage, "reason_required": True})
    approval = decide(lenient, strict).approval
    assert approval is not None
    assert (approval.local, approval.reason_required) == (False, True)
    assert approval.stages == (Stage(("group:finance",), 1),)
    alone = decide(lenient).approval
    assert alone is not None
    assert alone.local


def test_an_explicit_denial_is_named_before_the_default() -> None:
    """The deciding rule of a denial is the one that somebody wrote."""
    decision = decide(rule("zzz", "deny"))
    assert names(decision) == ["p/zzz", "agentguard/default"]
    assert decision.deciding is not None
    assert decision.deciding.name == "p/zzz"


# 3.3 Rules in error


@pytest.mark.parametrize(
    "when",
    [
        "args.missing > 1",
        "args.payee > 1",
        'context.fact == "x"',
        'resource.type == "x"',
        "provenance(args.other).from_user",
        'secret("other").age > duration("1h")',
        "args.amount",
        '"true"',
        "args.amount / 0 == 1",
        "history.n > 1",
        "baseline.x",
        'rates["x"] > 1',
        'engines.opa.effect == "allow"',
        "host(args.payee) == 'x'",
        "workload.attested",
    ],
)
@pytest.mark.parametrize("effect", ["deny", "step_up", "flag", "constrain"])
def test_T29_law_3_a_rule_in_error_fires(when: str, effect: str) -> None:
    """A missing or mistyped argument or fact is the normal attack; the error is in the decision."""
    keys = {"set": {"args.note": '"x"'}} if effect == "constrain" else {}
    decision = decide(rule("a", "allow"), rule("r", effect, when, **keys))
    assert decision.effect == effect
    assert decision.matched[0].name == "p/r"
    assert decision.matched[0].error


@pytest.mark.parametrize("when", ["args.missing > 1", "args.amount", "provenance(args.other).from_user"])
def test_T29_law_3_an_allow_rule_in_error_does_not_permit(when: str) -> None:
    """Neither does one with a flag."""
    assert decide(rule("a", "allow", when)).effect is Effect.DENY
    assert decide(rule("a", "allow", when, flag={"owner": "o"})).effect is Effect.DENY


def test_an_error_says_nothing_about_the_values() -> None:
    """Arguments stay out of the record."""
    decision = decide(rule("r", "deny", "host(args.payee) == 'x'"), args={"payee": "s3cr3t value"})
    assert "s3cr3t" not in str(decision.to_json())


def test_T39_whatever_a_fact_raises_denies() -> None:
    """A host object that raises while it is read is an error of the condition."""

    class Trap(Mapping[str, object]):
        def __getitem__(self, key: str) -> object:
            raise RecursionError

        def get(self, key: str, default: object = None) -> object:
            raise MemoryError

        def __contains__(self, key: object) -> bool:
            raise RecursionError

        def __iter__(self) -> Iterator[str]:
            raise ValueError

        def __len__(self) -> int:
            return 1

    trapped = replace(request(), context=Trap(), supplied={"provenance": Trap(), "secret": Trap()})
    for when in (
        "context.x == 1",
        "provenance(args.payee).from_user",
        'secret("payments:write").age > duration("1h")',
    ):
        decision = snapshot(rule("a", "allow"), rule("r", "deny", when)).decide(trapped)
        assert decision.effect is Effect.DENY
        assert snapshot(rule("a", "allow", when)).decide(trapped).effect is Effect.DENY


@pytest.mark.parametrize(
    "changes",
    [
        {"now": dt.datetime(2026, 11, 20)},
        {"now": None},
        {"args": None},
        {"args": [1]},
        {"agent": None},
        {"supplied": None},
        {"supplied": {"provenance": 5}},
        {"supplied": {"provenance": {"args.payee": "user"}}},
        {"supplied": {"secret": {"payments:write": 5}}},
        {"tool": None},
    ],
)
def test_T39_a_request_of_a_wrong_shape_is_denied_and_never_a_crash(changes: dict[str, object]) -> None:
    """Whoever built it: what cannot be decided does not run."""
    odd = replace(request(args={"payee": "A", "amount": 5, "note": "n" * 200}), **changes)  # type: ignore[arg-type]
    rules = [
        rule("x", "constrain", "size(args.note) > 140", set={"args.note": '"x"'}),
        rule("d", "deny", "!provenance(args.payee).from_user"),
        rule("s", "deny", 'secret("payments:write").age > duration("1h")'),
        rule("o", "flag", "facts.writes", observe=OBSERVE),
        rule("a", "allow", 'agent.id == "billing"'),
    ]
    assert snapshot(*rules).decide(odd).effect is Effect.DENY


def test_T39_a_condition_without_end_is_bounded_and_denies() -> None:
    """The cost of an evaluation is bounded; exhausting it is an error."""
    when = "args.rows.all(a, args.rows.all(b, args.rows.all(c, args.rows.all(d, a + b + c + d >= 0))))"
    rows = list(range(400))
    assert (
        decide(rule("a", "allow"), rule("r", "deny", f"!({when})"), args={"rows": rows}).effect is Effect.DENY
    )
    assert decide(rule("a", "allow", when), args={"rows": rows}).effect is Effect.DENY


# 3.4 Observe mode


def test_law_4_an_observed_rule_is_recorded_with_both_effects() -> None:
    """The decision stays what it was; the would-be effect is a flag with the observer as owner."""
    decision = decide(rule("a", "allow"), rule("d", "deny", reason="later", observe=OBSERVE))
    assert decision.effect is Effect.ALLOW
    assert names(decision) == ["p/a"]
    assert [(m.name, m.effect, m.mode) for m in decision.observed] == [("p/d", Effect.DENY, "observe")]
    (flag,) = decision.obligations
    assert isinstance(flag, Flag)
    assert (flag.rule, flag.owner, flag.observed) == ("p/d", "secops", Effect.DENY)


def test_law_4_an_observed_rule_overrides_nothing_and_changes_nothing() -> None:
    """Its constraint is not applied, its allow permits nothing, another rule's deny stands."""
    decision = decide(
        rule("a", "allow"),
        rule("c", "constrain", set={"args.note": '"x"'}, observe=OBSERVE),
        rule("s", "step_up", observe=OBSERVE),
    )
    assert decision.effect is Effect.ALLOW
    assert kinds(decision) == ["flag", "flag"]
    assert decide(rule("a", "allow", observe=OBSERVE), rule("d", "deny")).effect is Effect.DENY


def test_law_4_observation_ends_on_its_date() -> None:
    """From then on the rule is enforced."""
    rules = [rule("a", "allow"), rule("d", "deny", observe=OBSERVE)]
    assert decide(*rules, now="2026-12-31T23:59:59Z").effect is Effect.ALLOW
    assert decide(*rules, now="2027-01-01T00:00:00Z").effect is Effect.DENY


def test_law_4_a_policy_is_observed_as_a_whole_but_for_rules_that_say_enforce() -> None:
    """The mode of a rule is stronger than that of its policy."""
    document = policy(
        rule("d", "deny"), rule("e", "deny", mode="enforce", when="args.amount > 1000"), observe=OBSERVE
    )
    other = {**policy(rule("a", "allow")), "policy": "q"}
    found = Snapshot.from_documents([document, other])
    assert found.decide(transfer()).effect is Effect.ALLOW
    assert found.decide(transfer(amount=5000)).effect is Effect.DENY


def test_law_4_an_observed_error_is_recorded() -> None:
    """Observation shows what errors would do."""
    decision = decide(rule("a", "allow"), rule("d", "deny", "args.gone", observe=OBSERVE))
    assert decision.effect is Effect.ALLOW
    assert decision.observed[0].error


def test_what_permits_and_what_is_asked_is_in_the_order_of_names() -> None:
    """Whether rules name the tool or all tools, and whatever they are."""
    late = rule("z", "allow", tools=["payments.transfer"], flag={"owner": "o"}, redact_result=["$.z"])
    early = rule("a", "allow", tools=["*"], redact_result=["$.a"])
    middle = rule("m", "flag", tools=["payments.*"], flag={"owner": "o"})
    decision = decide(late, early, middle)
    assert decision.granted_by == ("p/a", "p/z")
    assert [obligation.rule for obligation in decision.obligations if isinstance(obligation, Flag)] == [
        "p/m",
        "p/z",
    ]
    assert [kind.rule for kind in decision.obligations if isinstance(kind, RedactResult)] == ["p/a", "p/z"]
    assert [type(obligation) for obligation in decision.obligations] == [
        Flag,
        Flag,
        RedactResult,
        RedactResult,
    ]


def test_flags_convert_on_their_date() -> None:
    """A flag becomes the effect it names, also that of an allow rule that errs."""
    to_deny = rule("f", "flag", flag={"owner": "o", "converts": {"on": "2026-12-01", "to": "deny"}})
    assert decide(rule("a", "allow"), to_deny, now="2026-11-30T23:59:59Z").effect is Effect.FLAG
    later = decide(rule("a", "allow"), to_deny, now="2026-12-01T00:00:00Z")
    assert later.effect is Effect.DENY
    assert later.deciding is not None
    assert later.deciding.name == "p/f"
    to_step_up = rule(
        "f",
        "flag",
        flag={"owner": "o", "converts": {"on": "2026-12-01", "to": "step_up"}},
        approval={"reviewers": ["ana"]},
    )
    asked = decide(to_step_up, now="2026-12-01T00:00:00Z")
    assert asked.effect is Effect.STEP_UP
    assert asked.obligations == (asked.approval,)
    allowed = rule(
        "f", "allow", "args.gone", flag={"owner": "o", "converts": {"on": "2026-12-01", "to": "deny"}}
    )
    assert decide(rule("a", "allow"), allowed, now="2026-11-30T00:00:00Z").effect is Effect.ALLOW
    assert decide(rule("a", "allow"), allowed, now="2026-12-01T00:00:00Z").effect is Effect.DENY


# 3.5 Constraints


def test_law_5_constraints_are_computed_from_the_original_arguments() -> None:
    """One constraint does not see what another wrote."""
    decision = decide(
        rule("a", "allow"),
        rule("x", "constrain", "args.amount > 100", set={"args.amount": 100}),
        rule("y", "constrain", "args.amount > 100", set={"args.note": "string(args.amount)"}),
    )
    assert {o.path: o.value for o in decision.obligations if isinstance(o, SetArgument)} == {
        "args.amount": 100,
        "args.note": "500",
    }


@pytest.mark.parametrize(
    ("one", "two", "denied"),
    [
        ({"args.note": '"x"'}, {"args.note": '"y"'}, True),
        ({"args.note": '"x"'}, {"args.note": '"x"'}, False),
        ({"args.amount": 1}, {"args.amount": 1.0}, True),
        ({"args.amount": 1}, {"args.amount": True}, True),
        ({"args.amount": 1}, {"args.amount": '"1"'}, True),
        ({"args.note": '{"a": 1}'}, {"args.note.a": 1}, True),
    ],
)
def test_T20_law_5_two_different_values_for_one_path_are_a_denial(
    one: dict[str, object], two: dict[str, object], denied: bool
) -> None:
    """Values that only Python takes for equal differ; so do a value and a part of it."""
    rules = [rule("a", "allow"), rule("x", "constrain", set=one), rule("y", "constrain", set=two)]
    decision = decide(*rules, args={"note": {"a": 0}, "amount": 5})
    if denied:
        assert decision.effect is Effect.DENY
        assert names(decision)[:2] == ["p/x", "p/y"]
        assert all(match.error for match in decision.matched[:2])
        assert decision.obligations == ()
    else:
        assert decision.effect is Effect.CONSTRAIN


@pytest.mark.parametrize(
    "value",
    ["args.gone", "args.amount / 0", "now", 'duration("1h")', "args.note.substring(99, 3)", "1.0 / 0.0"],
)
def test_law_5_an_error_in_a_set_is_a_denial_that_names_the_rule(value: str) -> None:
    """Also a value that no argument can hold."""
    decision = decide(rule("a", "allow"), rule("x", "constrain", set={"args.note": value}))
    assert decision.effect is Effect.DENY
    assert decision.deciding is not None
    assert decision.deciding.name == "p/x"
    assert decision.deciding.error


def test_law_5_a_path_without_a_parent_is_a_denial() -> None:
    """Nothing is invented on the way."""
    assert (
        decide(rule("a", "allow"), rule("x", "constrain", set={"args.payee.name": '"x"'})).effect
        is Effect.DENY
    )
    inner = decide(
        rule("a", "allow"),
        rule("x", "constrain", set={"args.o.name": '"x"'}),
        args={"o": {"name": "y", "z": 1}},
    )
    assert inner.effect is Effect.CONSTRAIN


def test_T30_law_5_the_constrained_request_is_decided_once_more() -> None:
    """What a constraint makes of a call may be denied, asked about or not permitted."""
    shrink = rule("x", "constrain", "args.amount > 100", set={"args.amount": 100})
    deny = rule("d", "deny", "args.amount == 100")
    assert decide(rule("a", "allow"), shrink).effect is Effect.CONSTRAIN
    assert decide(rule("a", "allow"), shrink, deny).effect is Effect.DENY
    assert (
        decide(rule("a", "allow"), shrink, rule("s", "step_up", "args.amount == 100")).effect
        is Effect.STEP_UP
    )
    assert decide(rule("a", "allow", "args.amount > 100"), shrink).effect is Effect.DENY
    assert decide(rule("a", "allow", "args.amount <= 100"), shrink).effect is Effect.DENY


def test_T30_law_5_the_second_pass_may_not_want_further_changes() -> None:
    """A constraint that is never satisfied is a denial that names it."""
    decision = decide(rule("a", "allow"), rule("x", "constrain", set={"args.amount": "args.amount - 1"}))
    assert decision.effect is Effect.DENY
    assert decision.deciding is not None
    assert decision.deciding.name == "p/x"
    chain = [
        rule("a", "allow"),
        rule("x", "constrain", "args.amount == 500", set={"args.amount": 400}),
        rule("y", "constrain", "args.amount == 400", set={"args.amount": 300}),
    ]
    assert decide(*chain).effect is Effect.DENY
    assert (
        decide(rule("a", "allow"), rule("x", "constrain", set={"args.amount": 7})).effect is Effect.CONSTRAIN
    )


def test_law_5_what_a_constraint_wrote_comes_from_the_policy() -> None:
    """It is no longer the user's word, nor a tool's result."""
    write = rule("x", "constrain", 'args.payee != "SAFE"', set={"args.payee": '"SAFE"'})
    asked = rule(
        "s", "step_up", "!has(provenance(args.payee).from_policy) && !provenance(args.payee).from_user"
    )
    assert decide(rule("a", "allow"), write, asked).effect is Effect.CONSTRAIN
    only_user = rule("s", "step_up", "!provenance(args.payee).from_user")
    assert decide(rule("a", "allow"), write, only_user).effect is Effect.STEP_UP


def test_law_5_a_constraint_may_mask_results_or_take_from_a_counter_instead() -> None:
    """Then there is nothing to decide again."""
    decision = decide(rule("a", "allow"), rule("x", "constrain", redact_result=["$.iban"]))
    assert decision.effect is Effect.CONSTRAIN
    assert decision.obligations == (RedactResult(paths=("$.iban",), rule="p/x"),)


def test_a_flag_or_step_up_of_either_pass_applies() -> None:
    """Both passes are one decision."""
    decision = decide(
        rule("a", "allow"),
        rule("x", "constrain", "args.amount > 100", set={"args.amount": 100}),
        rule("before", "flag", "args.amount > 100"),
        rule("after", "flag", "args.amount <= 100"),
    )
    assert [o.rule for o in decision.obligations if isinstance(o, Flag)] == ["p/after", "p/before"]


# 3.7 Counters


def test_law_7_a_limit_is_a_reservation_computed_for_the_call() -> None:
    """Separate counters for separate agents, in whole numbers, rounded up."""
    spend = rule(
        "a",
        "allow",
        reserve={
            "key": "spend",
            "per": ["agent.id"],
            "amount": "args.amount",
            "limit": 20000,
            "window": "1d",
        },
    )
    assert decide(spend).obligations == (
        Reserve(key="spend:billing", amount=500, limit=20000, rule="p/a", window_s=86_400),
    )
    (half,) = decide(spend, args={"amount": 0.5}).obligations
    assert isinstance(half, Reserve)
    assert half.amount == 1
    odd = decide(spend, agent={"id": "a:b%c"}).obligations[0]
    assert isinstance(odd, Reserve)
    assert odd.key == "spend:a%3Ab%25c"


@pytest.mark.parametrize("amount", [-5, "x", True, None, 2**60])
def test_law_7_an_amount_that_cannot_be_taken_does_not_permit(amount: object) -> None:
    """A negative amount would fill the counter; any other rule denies."""
    reserve = {"key": "k", "amount": "args.amount", "limit": 10}
    args = {} if amount is None else {"amount": amount}
    assert decide(rule("a", "allow", reserve=reserve), args=args).effect is Effect.DENY
    decision = decide(rule("a", "allow"), rule("f", "flag", reserve=reserve), args=args)
    assert decision.effect is Effect.DENY
    assert decision.deciding is not None
    assert decision.deciding.name == "p/f"


def test_law_7_who_loses_the_race_is_decided_again_without_the_counter() -> None:
    """An allow rule no longer permits; any other rule denies."""
    reserve = {"key": "k", "limit": 10}
    found = snapshot(rule("a", "allow", reserve=reserve), rule("s", "step_up"))
    assert kinds(found.decide(request())) == ["approve", "reserve"]
    assert found.decide(request(), exhausted={"k"}).effect is Effect.STEP_UP
    assert found.decide(request(), exhausted={"k"}).granted_by == ()
    assert (
        snapshot(rule("a", "allow", reserve=reserve)).decide(request(), exhausted={"k"}).effect is Effect.DENY
    )
    denied = snapshot(rule("a", "allow"), rule("f", "flag", reserve=reserve)).decide(
        request(), exhausted={"k"}
    )
    assert denied.effect is Effect.DENY
    assert names(denied)[0] == "p/f"


# 3.8 Purity


def test_law_8_the_same_input_gives_the_same_decision_in_every_thread() -> None:
    """A snapshot has no state that a decision could see."""
    found = Snapshot.from_documents([PAYMENTS])
    requests = [transfer(amount=amount, note="n" * (amount % 300)) for amount in range(0, 12_000, 97)]
    expected = [found.decide(one).to_json() for one in requests]
    different: list[object] = []

    def run() -> None:
        fresh = [found.decide(one).to_json() for one in requests]
        if fresh != expected:
            different.append(fresh)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert different == []


# Tools


def test_T28_rules_meet_tools_by_exact_name_or_whole_segments() -> None:
    """Of several rules those concern a call whose policy and rule both name its tool."""
    found = Snapshot.from_documents(
        [
            {
                "policy": "p",
                "tools": ["payments.*", "bash"],
                "rules": [
                    rule("all", "flag"),
                    rule("one", "deny", tools=["payments.transfer", "bash"]),
                    rule("wide", "flag", tools=["*"]),
                ],
            }
        ]
    )

    def matched(tool: str) -> list[str]:
        return [name for name in names(found.decide(request(tool=tool))) if name.startswith("p/")]

    assert matched("payments.transfer") == ["p/one", "p/all", "p/wide"]
    assert matched("payments.eu.transfer") == ["p/all", "p/wide"]
    assert matched("bash") == ["p/one", "p/all", "p/wide"]
    assert matched("bash_session") == []
    assert matched("paymentsx.transfer") == []
    assert matched("payments") == []
    assert matched("Payments.transfer") == []


@pytest.mark.parametrize(
    "tool", ["pаyments.transfer", "payments.transfer\u200b", "payments..transfer", "payments.", "ｐayments.x"]
)
def test_T21_a_tool_whose_name_no_policy_can_name_is_denied(tool: str) -> None:
    """An allow on everything does not let a look-alike past the rules for the real tool."""
    decision = snapshot(rule("a", "allow")).decide(request(tool=tool))
    assert decision.effect is Effect.DENY
    assert names(decision) == ["agentguard/tool-name"]


def test_T19_T20_numbers_of_different_types_are_compared_by_value_and_never_coerced_from_text() -> None:
    """`"500"` is not 500, and true is not 1."""
    cap = [rule("a", "allow"), rule("d", "deny", "args.amount > 100")]
    assert decide(*cap, args={"amount": 100.5}).effect is Effect.DENY
    assert decide(*cap, args={"amount": 100}).effect is Effect.ALLOW
    for amount in ("50", True, [50], {"value": 50}, None, 2**70):
        decision = decide(*cap, args={"amount": amount})
        assert decision.effect is Effect.DENY
        assert decision.matched[0].error


def test_T22_two_spellings_of_one_name_are_two_values() -> None:
    """Unicode is not normalised, so a look-alike never equals the name in a rule."""
    allow = rule("a", "allow", 'args.payee == "M\u00fcller"')
    assert decide(allow, args={"payee": "M\u00fcller"}).effect is Effect.ALLOW
    assert decide(allow, args={"payee": "Mu\u0308ller"}).effect is Effect.DENY


def test_T23_a_lone_surrogate_in_a_fact_is_an_error_of_the_rule() -> None:
    """Text that is not Unicode cannot be compared."""
    odd = replace(request(), args={"payee": "\ud800"})
    assert snapshot(rule("a", "allow", 'args.payee != "x"')).decide(odd).effect is Effect.DENY
    assert (
        snapshot(rule("a", "allow"), rule("d", "deny", 'args.payee == "x"')).decide(odd).effect is Effect.DENY
    )


def test_T24_large_and_deep_facts_are_bounded() -> None:
    """A condition over a huge argument ends, and ends in an error or a decision."""
    huge = replace(request(), args={"text": "x" * 20_000_000})
    decision = snapshot(rule("a", "allow"), rule("d", "deny", 'args.text.contains("y")')).decide(huge)
    assert decision.effect is Effect.DENY


@pytest.mark.parametrize(
    ("when", "args"),
    [
        ('path_within(args.v, "/srv")', {"v": "/srv/../etc/passwd"}),
        ('path_within(args.v, "/srv")', {"v": "/srv/%2e%2e/etc"}),
        ('glob(args.v, "/srv/**")', {"v": "/srv/../etc/passwd"}),
        ('host(args.v) == "good.com"', {"v": "https://good.com@evil.com/"}),
        ('host(args.v) == "good.com"', {"v": "https://good.com\\@evil.com/"}),
        ('in_network(args.v, "10.0.0.0/8")', {"v": "167838211"}),
    ],
)
def test_T25_T26_a_misleading_spelling_neither_permits_nor_escapes(when: str, args: dict[str, str]) -> None:
    """The same text fails an allow on what it looks like, and fires a deny on what it is not."""
    assert decide(rule("a", "allow", when), args=args).effect is Effect.DENY
    assert decide(rule("a", "allow"), rule("d", "deny", when), args=args).effect is Effect.DENY
    assert decide(rule("a", "allow"), rule("d", "deny", f"!({when})"), args=args).effect is Effect.DENY


def test_T45_a_regular_expression_takes_linear_time() -> None:
    """Conditions run their patterns on an engine without backtracking."""
    decision = decide(
        rule("a", "allow"), rule("d", "deny", 'args.v.matches("(a+)+$")'), args={"v": "a" * 5000 + "b"}
    )
    assert decision.effect in (Effect.ALLOW, Effect.DENY)
