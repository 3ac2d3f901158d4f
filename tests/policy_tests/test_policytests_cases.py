"""Policy tests: a case passes when the decision is what it wants, and says what is not when it fails."""

from __future__ import annotations

import pytest

from agentguard.policy.testing import run
from tests.policy_tests.support import HEAD, PAY, results, suites, told


def test_a_case_that_is_decided_as_wanted_passes() -> None:
    """Effect, rules, what permits and obligations, all as they are."""
    (result,) = results("""\
  - name: large
    request: {extends: base, args: {amount: 500}}
    want:
      effect: step_up
      rules: [pay/large]
      observed: []
      granted_by: []
      exceptions: []
      errors: []
      obligations:
        - {kind: approve, stages: [{reviewers: ["group:finance"], quorum: 2}], expires_in_s: 600}
""")
    assert result.passed
    assert result.considered == ()
    assert result.case.id == "p_test.yaml::large"
    assert result.case.at == "p_test.yaml:5"


def test_another_effect_fails_and_names_the_rule_that_decided() -> None:
    """And the rules that would have had the wanted one, with the values that they saw."""
    (result,) = results("  - {name: x, request: base, want: step_up}\n")
    (one,) = result.differences
    assert (one.about, one.wanted, one.found, one.rule) == ("effect", "step_up", "allow", "pay/small")
    considered = {rule.name: rule for rule in result.considered}
    assert set(considered) == {"pay/small", "pay/large"}
    assert (considered["pay/large"].outcome, considered["pay/large"].at) == ("false", "p.yaml:8")
    part = considered["pay/large"].part
    assert part is not None
    assert [(inner.text, inner.value) for inner in part.parts] == [("args.amount", "5")]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("[pay/small]", []),
        ("[]", [("rules", "unexpected", "", "pay/small")]),
        ("[pay/small, pay/night]", [("rules", "missing", "pay/night", "")]),
        ("{contains: [pay/small]}", []),
        ("{contains: [pay/large]}", [("rules", "missing", "pay/large", "")]),
        ("{none_of: [pay/large]}", []),
        ("{none_of: [pay/small]}", [("rules", "unexpected", "", "pay/small")]),
        ("{contains: [pay/small], none_of: [pay/small]}", [("rules", "unexpected", "", "pay/small")]),
    ],
)
def test_rules_are_wanted_exactly_at_least_or_not(
    rules: str, expected: list[tuple[str, str, str, str]]
) -> None:
    """A list means exactly these; `contains` and `none_of` say less."""
    assert told(f"  - {{name: x, request: base, want: {{effect: allow, rules: {rules}}}}}\n") == expected


def test_an_error_that_the_case_does_not_want_fails_it() -> None:
    """The effect is as wanted for the wrong reason: the rule fired since it could not be evaluated."""
    request = "request: {extends: base, without: [args.amount]}"
    error = "no such key: `amount`"
    assert told(f"  - {{name: x, {request}, want: step_up}}\n") == [("errors", "unexpected", "", error)]
    for wanted in ("[pay/large]", "{pay/large: no such key}"):
        assert told(f"  - {{name: x, {request}, want: {{effect: step_up, errors: {wanted}}}}}\n") == []
    other = f"  - {{name: x, {request}, want: {{effect: step_up, errors: {{pay/large: overload}}}}}}\n"
    assert told(other) == [("errors", "different", "overload", error)]


def test_an_error_that_is_wanted_and_does_not_happen_fails() -> None:
    """A case about an error is no case without one."""
    case = "  - {name: x, request: base, want: {effect: allow, errors: [pay/small]}}\n"
    assert told(case) == [("errors", "missing", "an error", "")]


@pytest.mark.parametrize(
    ("obligations", "signs"),
    [
        ("[{kind: set, path: args.note, value: lon}, {kind: flag, owner: ops}]", []),
        ("{contains: [{kind: flag, review_in_s: 259200}]}", []),
        ("[{kind: flag}]", ["unexpected"]),
        ("[{kind: set}, {kind: flag}, {kind: reserve}]", ["missing"]),
        ("{contains: [{kind: set, value: other}]}", ["missing"]),
        ("{none_of: [{kind: flag, owner: ops}]}", ["unexpected"]),
        ("{none_of: [{kind: flag, owner: others}, {kind: approve}]}", []),
    ],
)
def test_obligations_are_compared_by_the_fields_that_are_named(obligations: str, signs: list[str]) -> None:
    """What the case does not say about an obligation may be anything."""
    head = HEAD.replace("T10:", "T22:")
    case = f"""\
  - name: x
    request: {{extends: base, args: {{note: long}}}}
    want: {{effect: constrain, obligations: {obligations}}}
"""
    assert [sign for _, sign, _, _ in told(case, head=head)] == signs


def test_a_missing_obligation_is_shown_beside_the_nearest_one() -> None:
    """A reader sees the field that differs."""
    case = """\
  - name: x
    request: {extends: base, args: {amount: 500}}
    want: {effect: step_up, obligations: {contains: [{kind: approve, expires_in_s: 60, local: false}]}}
"""
    expected = ("approve {expires_in_s: 60, local: false}", "approve {expires_in_s: 600, local: false}")
    assert told(case) == [("obligations", "missing", *expected)]


def test_a_number_is_no_truth_value() -> None:
    """`1` and `true` are two values, as they are for the guard."""
    policy = "policy: p\ntools: [t]\nrules:\n  - {id: a, effect: allow}\n"
    policy += "  - {id: c, effect: constrain, set: {args.x: 1}}\n"
    head = "now: 2026-11-20\nrequests:\n  base: {tool: t, agent: a, args: {}}\n"
    for value, count in (("1", 0), ("true", 1), ("1.0", 1), ('"1"', 1)):
        want = f"{{effect: constrain, obligations: {{contains: [{{kind: set, value: {value}}}]}}}}"
        assert len(told(f"  - {{name: x, request: base, want: {want}}}\n", policy, head=head)) == count


def test_one_case_asks_several_requests() -> None:
    """Each row is a case of its own, with an id."""
    found = results("""\
  - name: asks
    requests:
      a little: {extends: base, args: {amount: 101}}
      too little: {extends: base, args: {amount: 100}}
    want: step_up
""")
    assert [(one.case.id, one.passed) for one in found] == [
        ("p_test.yaml::asks[a little]", True),
        ("p_test.yaml::asks[too little]", False),
    ]


def test_requests_are_merged_and_taken_from() -> None:
    """Mappings are merged, lists and values replaced; `without` comes before."""
    head = """\
now: 2026-11-20T10:00:00Z
defaults: {principal: ben, agent: helper, environment: prod}
requests:
  one:
    tool: pay
    agent: {role: billing, tags: [a, b]}
    args: {amount: 1, deep: {x: 1, y: 2}}
    supplied: {provenance: {args.payee: {from_user: true}, args.note: {from_user: false}}}
  two:
    extends: one
    without: [args.deep.x, environment, supplied.provenance.args.payee]
    args: {amount: 2, deep: {z: null}}
    agent: {tags: [c]}
  bare: {extends: two, without: [args], args: {k: 1}, agent: other, now: 2027-01-01}
cases:
  - {name: two, request: two, want: deny}
  - {name: bare, request: bare, want: deny}
"""
    first, second = (case.request.to_mapping() for _, case in suites(head).cases)
    assert first["args"] == {"amount": 2, "deep": {"y": 2, "z": None}}
    assert first["agent"] == {"id": "helper", "role": "billing", "tags": ["c"]}
    assert first["supplied"] == {"provenance": {"args.note": {"from_user": False}}}
    assert first["principal"] == {"id": "ben", "groups": []}
    assert "environment" not in first
    assert first["now"] == "2026-11-20T10:00:00+00:00"
    assert (second["args"], second["agent"]) == ({"k": 1}, {"id": "other"})
    assert second["now"] == "2027-01-01T00:00:00+00:00"


def test_the_clock_stands_still() -> None:
    """Windows and conversion dates are decided at the time that the file names, whatever the day is."""
    case = "  - {name: x, request: base, want: {effect: flag, rules: {contains: [pay/night]}}}\n"
    assert told(case, head=HEAD.replace("T10:", "T23:")) == []
    assert told(case) != []


def test_counters_can_be_exhausted() -> None:
    """`exhausted` names counters that have nothing left."""
    policy = """\
policy: p
tools: [t]
rules:
  - id: some
    effect: allow
    reserve: {key: calls, per: [agent.id], limit: 3}
"""
    head = "now: 2026-11-20\nrequests:\n  base: {tool: t, agent: a}\n"
    found = results(
        """\
  - name: left
    request: base
    want: {effect: allow, obligations: [{kind: reserve, key: "calls:a", limit: 3}]}
  - name: none
    request: base
    exhausted: ["calls:a"]
    want: {effect: deny, rules: [agentguard/default]}
""",
        policy,
        head=head,
    )
    assert [one.passed for one in found] == [True, True]


def test_a_default_other_than_deny_is_said_in_the_file() -> None:
    """Policies are tested with deny, whatever the configuration of the day is."""
    case = "  - {name: x, request: {tool: other, agent: a}, want: EFFECT}\n"
    assert told(case.replace("EFFECT", "deny")) == []
    head = HEAD + "default: {effect: flag, owner: ana, until: 2027-01-31}\n"
    assert told(case.replace("EFFECT", "flag"), head=head) == []


REGISTER = """\
exceptions:
  - id: EX-1
    agent: a
    rules: [pay/large]
    tools: [pay]
    owner: ben
    approver: ciso
    approved_at: 2026-11-01
    expires: 2026-12-01
    reason: year end
    control: {reserve: {key: year-end, limit: 5}}
grants:
  - id: G-1
    agent: g
    rules: [pay/large]
    tools: [pay]
    stages: [{reviewers: ["group:finance"], quorum: 2}]
    approved_at: 2026-11-20
    expires: 2026-11-21
    reason: migration
"""


def test_exceptions_and_grants_of_the_file_are_in_force() -> None:
    """As the register of a store would hold them."""
    policy = PAY + "  - {id: also, effect: allow, when: args.amount < 1000}\n"
    found = results(
        """\
  - name: waived
    request: {extends: base, args: {amount: 500}}
    want:
      effect: flag
      exceptions: [EX-1]
      rules: [exception/EX-1, pay/also]
      obligations: {contains: [{kind: flag, rule: pay/large}, {kind: reserve, key: year-end}]}
  - name: granted
    request: {extends: base, agent: {id: g}, args: {amount: 5000}}
    want: {effect: allow, granted_by: [grant/G-1]}
  - name: later
    request: {extends: base, args: {amount: 500}, now: 2026-12-01}
    want: {effect: step_up, exceptions: [], rules: {none_of: [exception/EX-1]}}
""",
        policy,
        head=HEAD + REGISTER,
    )
    assert [(one.case.name, one.differences) for one in found] == [
        ("waived", ()),
        ("granted", ()),
        ("later", ()),
    ]


OTHER = """\
policy: stop
tools: ["*"]
rules:
  - {id: all, effect: deny, reason: nothing runs today}
"""


def test_a_case_sees_every_policy_unless_its_file_narrows() -> None:
    """The whole set decides, as it will; `policies` names those that the file is about."""
    case = "  - {name: x, request: base, want: EFFECT}\n"
    assert told(case.replace("EFFECT", "deny"), PAY, OTHER) == []
    narrow = HEAD + "policies: [p.yaml]\n"
    assert told(case.replace("EFFECT", "allow"), PAY, OTHER, head=narrow) == []


def test_the_same_cases_give_the_same_results() -> None:
    """A run depends on nothing but the files."""
    text = HEAD + "cases:\n  - {name: x, request: base, want: deny}\n"
    first, second = ([r.to_json() for r in run(suites(text).cases)] for _ in range(2))
    for one in (*first, *second):
        del one["seconds"]
    assert first == second
