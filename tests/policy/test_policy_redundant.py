"""Rules that can never matter: found where it is certain, and then it is so, whatever is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentguard import cel
from agentguard.decision import Effect
from agentguard.policy import Finding, Snapshot, Source, check_documents
from agentguard.policy.atoms import form_of
from agentguard.policy.contradictions import follows, impossible
from agentguard.policy.functions import ENVIRONMENT
from agentguard.policy.redundant import redundant
from tests.policy.support import policy, request, rule

FLAG = {"owner": "o", "review_in": "7d", "escalate_to": "p", "converts": {"on": "2030-01-01", "to": "deny"}}
SETS = {"args.limit": 20}


def checked(*rules: dict[str, Any]) -> list[Finding]:
    found = check_documents([Source.from_mapping(policy(*rules, rule("other", "allow", "args.other")))])
    wanted = ("AG221", "AG222", "AG225", "AG226")
    return [one for one in found if one.code in wanted and one.rule != "p/other"]


def codes(*rules: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.rule.removeprefix("p/"), one.code) for one in checked(*rules)]


def program(text: str) -> cel.Program:
    return cel.compile(text, environment=ENVIRONMENT)


# Never true

NEVER = [
    'args.x == "a" && args.x == "b"',
    'args.x == "a" && args.x != "a"',
    'args.x == "a" && args.y > 1 && !(args.x == "a")',
    'args.x in ["a", "b"] && args.x == "c"',
    'args.x in ["a", "b"] && !(args.x in ["b", "a"])',
    "args.x in []",
    "args.n > 5 && args.n < 3",
    "args.n > 5 && args.n <= 5",
    "5 < args.n && 3 > args.n",
    "args.n >= 5 && args.n < 5.0",
    "args.n == 7 && args.n < 3.5",
    'args.n > 5 && args.n > "a"',
    'args.n == "a" && args.n > 1',
    'args.x == "a" && args.x.startsWith("b")',
    'tool == "a.b" && tool.startsWith("c.")',
    'args.x == "abc" && size(args.x) > 3',
    "!has(args.x) && args.x == 1",
    "!has(args.x) && size(args.x) > 3",
    "!has(args.x) && has(args.x)",
    "!has(args.x) && has(args.x.y)",
    '!("x" in args) && args.x == 1',
    "has(args.x) ? false : false",
    "has(args.x) ? !has(args.x) : has(args.x)",
    "(args.x == 1 || args.x == 2) && args.x == 3",
    "args.f && !args.f",
    "args.f && args.f == 1",
    "agent.id == principal.id && agent.id != principal.id",
    "args.l.exists(v, v == 1) && !args.l.exists(v, v == 1)",
    "!(args.x == 1 || args.x != 1)",
    "1 > 2",
    '"a" == "b"',
    "false",
    "args.x == 1 && false",
]
PERHAPS = [
    'args.x == "a" || args.x == "b"',
    'args.x != "a" && args.x != "b"',
    'args.x == "a" && args.y == "b"',
    "args.n > 3 && args.n < 5",
    "args.n >= 5 && args.n <= 5",
    "args.n == 7 && args.n < 7.5",
    "args.n == 1 && args.n == 1.0",
    "args.n == 1 && type(args.n) == double",
    "args.n == 0 && args.n == -0.0",
    "!(args.n > 5) && !(args.n < 3)",
    "!(args.n > 5) && !(args.n <= 5)",
    "!has(args.x) || args.x == 1",
    "!has(args.x) && !has(args.x)",
    '!has(args.x) && args.y == "x"',
    '!has(args.x) && args.?x.orValue("") == ""',
    "!has(args.x.y) && has(args.x)",
    'args.x in ["a", "b"] && args.x != "a"',
    'args.x == "abc" && args.x.startsWith("a")',
    "has(args.x) ? args.x == 1 : true",
    "args.l.exists(v, v == 1) && !args.l.exists(v, v == 2)",
    'args.l.exists(x, x == "a") && args.l.exists(x, x == "b")',
    "args.f && args.g",
    "args.f || !args.f",
    "true",
    "2 > 1",
]


@pytest.mark.parametrize("when", NEVER)
def test_a_condition_that_excludes_itself_is_found(when: str) -> None:
    """Whatever the effect of its rule is."""
    assert codes(rule("r", "allow", when)) == [("r", "AG225")]
    assert codes(rule("r", "deny", when)) == [("r", "AG225")]


@pytest.mark.parametrize("when", PERHAPS)
def test_a_condition_that_may_be_true_is_not(when: str) -> None:
    """No finding where anything is left."""
    assert codes(rule("r", "allow", when)) == []


def test_the_message_names_the_two_parts_that_exclude_each_other() -> None:
    """And says that a deny still fires where the argument is absent."""
    (found,) = checked(rule("r", "deny", 'args.y == 1 && args.x == "a" && args.x != "a"'))
    assert found.message == (
        'the condition of rule `r` can never be true: `args.x == "a"` and `args.x != "a"` exclude each other'
    )
    assert found.hint == "it fires only where it cannot be evaluated"
    (found,) = checked(rule("r", "allow", '"a" > 1'))
    assert "is an error, so that it never permits" in found.message
    (found,) = checked(rule("r", "deny", '"a" > 1'))
    assert "fires on every call" in found.message


def test_an_allow_that_is_never_true_permits_nothing() -> None:
    """It does not count as the allow rule of a set."""
    found = check_documents([Source.from_mapping(policy(rule("r", "allow", "1 > 2")))])
    assert sorted(one.code for one in found) == ["AG220", "AG225"]
    observed = rule("r", "allow", observe={"owner": "o", "until": "2030-01-01"})
    assert [one.code for one in check_documents([Source.from_mapping(policy(observed))])] == ["AG220"]
    nothing = Source.from_mapping(policy(rule("r", "deny")))
    assert check_documents([nothing], default=Effect.FLAG) == []


# Answered by another

SHADOWED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (rule("d", "deny"), rule("r", "allow", "args.x")),
    (rule("d", "deny"), rule("r", "flag", "args.x", flag=FLAG)),
    (rule("d", "deny", "args.n > 5"), rule("r", "deny", "args.n > 10")),
    (rule("d", "deny", "args.n > 5"), rule("r", "deny", "args.n >= 5.5 && args.y == 1")),
    (rule("d", "deny", "args.n > 5"), rule("r", "allow", "args.n == 7")),
    (rule("d", "deny", 'args.x in ["a", "b"]'), rule("r", "deny", 'args.x == "a"')),
    (rule("d", "deny", 'args.x != "a"'), rule("r", "allow", 'args.x == "b" && args.f')),
    (rule("d", "deny", "args.f"), rule("r", "step_up", "args.y == 1 && args.f")),
    (rule("d", "deny", "args.f || args.g"), rule("r", "deny", "args.f")),
    (rule("d", "deny", "args.f || args.g"), rule("r", "allow", "args.f && args.n > 3")),
    (rule("d", "deny", "!has(args.x)"), rule("r", "allow", "!has(args.x) && args.f")),
    (rule("d", "deny", "args.f", tools=["pay.*"]), rule("r", "deny", "args.f", tools=["pay.x.y"])),
    (rule("d", "deny", "args.f", tools=["q", "pay"]), rule("r", "allow", "args.f", tools=["pay"])),
    (rule("d", "allow", "args.n > 5"), rule("r", "allow", "args.n > 10")),
    (rule("d", "allow", 'args.x == "a"'), rule("r", "allow", 'args.x == "a" && args.f')),
    (rule("d", "allow"), rule("r", "allow", "args.x")),
]
NOT_SHADOWED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (rule("d", "deny", "args.n > 10"), rule("r", "deny", "args.n > 5")),
    (rule("d", "deny", "args.n > 5"), rule("r", "deny", "args.n < 3")),
    # Where `y` is absent or no number, the one fires and the other does not.
    (rule("d", "deny", "args.n > 5"), rule("r", "deny", "args.y == 1 || args.n > 10")),
    (rule("d", "deny", "args.f && args.g"), rule("r", "deny", "args.f")),
    (rule("d", "deny", "args.f", tools=["pay.x"]), rule("r", "deny", "args.f", tools=["pay.*"])),
    (rule("d", "deny", "args.f"), rule("r", "deny", "args.f && args.g", non_waivable=True)),
    (rule("d", "deny", "args.x == 1"), rule("r", "allow", "args.y == 1")),
    (rule("d", "deny", "args.n > 5"), rule("r", "allow", "args.n > 3")),
    (rule("d", "deny", "!(args.n <= 5)"), rule("r", "allow", "args.n > 4")),
    (rule("d", "deny", "args.f", tools=["pay"]), rule("r", "deny", "args.f && args.g", tools=["pay", "q"])),
    # Where `x` is absent, the one fires and the other does not.
    (rule("d", "deny", "has(args.x)"), rule("r", "deny", "args.x == 1")),
    # A number that is none (NaN) is not above 5, and not at most 5 either.
    (rule("d", "allow", "args.n > 4"), rule("r", "allow", "!(args.n <= 5)")),
    (rule("d", "allow", "args.n > 5"), rule("r", "allow", "args.n > 10", flag=FLAG)),
    (rule("d", "allow", "args.f", reserve={"key": "k", "limit": 1}), rule("r", "allow", "args.f && args.g")),
    (
        rule("d", "deny", "args.f", observe={"owner": "o", "until": "2030-01-01"}),
        rule("r", "allow", "args.f"),
    ),
    (rule("d", "flag", "args.f", flag=FLAG), rule("r", "flag", "args.f && args.g", flag=FLAG)),
]


@pytest.mark.parametrize(("other", "one"), SHADOWED)
def test_a_rule_that_another_always_answers_for_is_found(other: dict[str, Any], one: dict[str, Any]) -> None:
    """In whichever order they stand, with the name of the other."""
    assert codes(other, one) == [("r", "AG221")]
    assert codes(one, other) == [("r", "AG221")]
    assert "`p/d`" in checked(other, one)[0].message


@pytest.mark.parametrize(("other", "one"), NOT_SHADOWED)
def test_a_rule_that_may_matter_is_not(other: dict[str, Any], one: dict[str, Any]) -> None:
    """Also where the difference is what happens on errors."""
    assert "r" not in dict(codes(other, one))


def test_of_two_that_answer_for_each_other_one_is_left() -> None:
    """Taking out everything that is reported changes nothing."""
    assert codes(rule("a", "deny", "args.f && args.g"), rule("b", "deny", "args.g && args.f")) == [
        ("a", "AG221")
    ]


# Contradicting

CONFLICTS = [
    (None, "args.limit > 20", True),
    ("args.limit > 10", "args.limit > 20", True),
    ('environment == "prod"', "args.limit > 20", True),
    ('args.x.startsWith("a")', 'args.x.endsWith("b")', True),
    ("args.limit > 20", "args.limit < 10", False),
    ('args.x == "a"', 'args.x == "b"', False),
    ("has(args.x)", "!has(args.x)", False),
]


@pytest.mark.parametrize(("one", "other", "found"), CONFLICTS)
def test_constants_that_contradict_are_found_where_a_call_is_about_both(
    one: str | None, other: str | None, found: bool
) -> None:
    """And only there; equal constants are no contradiction."""
    first = rule("a", "constrain", one, set={"args.limit": 20})
    second = rule("b", "constrain", other, set={"args.limit": 10})
    assert codes(first, second) == ([("b", "AG226")] if found else [])
    assert codes(first, {**second, "set": {"args.limit": 20}}) == []
    assert codes(first, {**second, "set": {"args.other": 10}}) == []
    assert codes({**first, "tools": ["x"]}, {**second, "tools": ["y"]}) == []
    assert codes({**first, "set": {"args.limit": '"a"'}}, {**second, "set": {"args.limit": '"b"'}}) == (
        [("b", "AG226")] if found else []
    )


# Whatever is asked: what is said of a rule is so

VALUES = st.sampled_from(
    [0, 1, 2, 5, 6, 2.5, 5.0, -0.0, True, False, None, "a", "b", "ab", "", [1], {"y": 1}]
)
ATOMS = st.sampled_from(
    [
        "args.x == 1", "args.x == 5.0", 'args.x == "a"', 'args.x != "b"', "args.x > 1", "args.x >= 5",
        "args.x < 2.5", "args.x <= 5", "2 < args.x", 'args.x > "a"', 'args.x in [1, "a"]', "args.x in [5, 6]",
        "args.x in []", "args.x == null", "has(args.x)", '"x" in args', "has(args.x.y)", "args.x.y == 1",
        "args.x", "args.z", "size(args.x) > 1", 'args.x.startsWith("a")', "args.x == args.z", "has(args.z)",
        "args.z == true", "args.x + 1 > 3", "true", "false", 'args.?x.orValue("a") == "a"',
        "args.x.exists(v, v == 1)", "args.z > 2", 'args["x"] == 2',
    ]
)  # fmt: skip
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} && {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} || {two[1]})"),
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner, inner).map(lambda three: "({} ? {} : {})".format(*three)),
    ),
    max_leaves=5,
)
ARGS = st.fixed_dictionaries({}, optional={"x": VALUES, "z": VALUES})


def outcome(text: str, args: dict[str, Any]) -> object:
    try:
        return program(text).interpret({"args": args})
    except cel.CelException:
        return None


@settings(max_examples=600, suppress_health_check=list(HealthCheck))
@given(CONDITIONS, CONDITIONS, st.lists(ARGS, min_size=12, max_size=12), st.booleans(), st.booleans())
def test_what_is_proved_of_conditions_holds_for_every_call(
    one: str, other: str, calls: list[dict[str, Any]], wanted: bool, then: bool
) -> None:
    """Impossible: no call makes it so. Follows: no call makes the one so and not the other."""
    given_, following = form_of(program(one), wanted), form_of(program(other), then)
    never, always = impossible(given_), follows(given_, following)
    for args in calls:
        if outcome(one, args) is wanted:
            assert not never, (one, wanted, args)
            assert not always or outcome(other, args) is then, (one, wanted, other, then, args)


EFFECTS = st.sampled_from(["allow", "deny", "deny", "flag", "constrain", "step_up"])


@st.composite
def rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for number in range(draw(st.integers(2, 5))):
        effect = draw(EFFECTS)
        tools = draw(st.sampled_from([["*"], ["payments.*"], ["payments.transfer"]]))
        one = rule(f"r{number}", effect, draw(st.none() | CONDITIONS), tools=tools)
        if effect == "constrain":
            one["set"] = {"args.w": draw(st.sampled_from([1, 2]))}
        found.append(one)
    return found


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(rules(), st.lists(ARGS, min_size=10, max_size=10))
def test_a_rule_that_is_said_never_to_decide_never_does(
    listed: list[dict[str, Any]], calls: list[dict[str, Any]]
) -> None:
    """All that is reported taken out at once, no call is decided otherwise; never true is never true; and of
    two that contradict, a call that matches both is denied."""
    snapshot = Snapshot.from_documents([policy(*listed)])
    found = list(redundant(snapshot.rules))
    gone = {one.rule for one in found if one.code in ("AG221", "AG222")}
    never = {one.rule for one in found if one.code == "AG225"}
    kept = [one for one in listed if f"p/{one['id']}" not in gone]
    without = Snapshot.from_documents([policy(*kept)])
    for args in calls:
        asked = request(args=args)
        decision = snapshot.decide(asked)
        assert decision.effect is without.decide(asked).effect, (sorted(gone), args)
        assert not any(match.name in never and match.error is None for match in decision.matched)


def test_many_rules_are_compared_with_few() -> None:
    """Thousands told apart by an attribute: each finds the one other that answers for it."""
    rules = [rule(f"d{n}", "deny", f'agent.id == "a{n}"') for n in range(2000)]
    rules += [rule(f"r{n}", "deny", f'agent.id == "a{n}" && args.n > 5') for n in range(0, 2000, 100)]
    found = redundant(Snapshot.from_documents([policy(*rules)]).rules)
    assert sorted(one.rule for one in found) == sorted(f"p/r{n}" for n in range(0, 2000, 100))
