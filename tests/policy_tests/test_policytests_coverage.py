"""Coverage: counts that were worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentguard.policy.testing import Coverage, cover
from tests.cli.support import run
from tests.policy_tests.support import HEAD, PAY, suites, write

CASES = """\
  - {name: small, request: base, want: allow}
  - {name: large, request: {extends: base, args: {amount: 500, note: long}}, want: step_up}
  - {name: other, request: {extends: base, agent: {role: x}}, want: deny}
  - name: none
    request: {extends: base, without: [args.amount]}
    want: {effect: step_up, errors: [pay/large]}
"""


def covered(cases: str = CASES, *policies: str) -> Coverage:
    found = suites(f"{HEAD}cases:\n{cases}", *policies)
    assert found.findings == ()
    return cover(found.cases)


def counts(rule: str, found: Coverage) -> tuple[int, int, int]:
    (one,) = [each for each in found.rules if each.name == rule]
    return one.tally.true, one.tally.false, one.tally.error


def test_rules_are_counted_as_matched_not_matched_and_in_error() -> None:
    """Four calls: an amount of 5, of 500, of 5 by another agent, and none."""
    found = covered()
    assert counts("pay/small", found) == (1, 2, 1)
    assert counts("pay/large", found) == (1, 2, 1)
    assert counts("pay/cap", found) == (1, 3, 0)
    assert counts("pay/night", found) == (0, 4, 0)


def test_sub_conditions_are_counted_where_they_were_evaluated() -> None:
    """`&&` stops at a false: the second part of `cap` is evaluated for the one call that has a note."""
    found = covered()
    parts = {part.text: part.tally for rule in found.rules for part in rule.parts}
    assert {text: (t.true, t.false, t.error) for text, t in parts.items()} == {
        'agent.role == "billing"': (3, 1, 0),
        "args.amount <= 100": (1, 1, 1),
        "has(args.note)": (1, 3, 0),
        "size(args.note) > 3": (1, 0, 0),
    }
    assert [(part.line, part.col) for part in found.rules[0].parts] == [(7, 11), (7, 38)]


def test_the_percentage_is_of_outcomes_that_there_are() -> None:
    """Matched and not matched of 4 rules, true and false of 4 sub-conditions: 16. Never seen: 2."""
    found = covered()
    assert (found.seen, found.outcomes, found.percent) == (14, 16, 87.5)
    assert [(rule.name, rule.missing) for rule in found.rules if rule.missing] == [
        ("pay/night", ("matched",))
    ]
    missing = [(part.text, part.missing) for rule in found.rules for part in rule.parts if part.missing]
    assert missing == [("size(args.note) > 3", ("false",))]


def test_a_rule_without_a_condition_can_only_match() -> None:
    """One outcome; and a rule whose tool nobody calls has none that was seen."""
    policy = PAY + "  - {id: always, effect: deny, tools: [pay]}\n"
    other = "policy: q\ntools: [q]\nrules: [{id: never, effect: deny}]\n"
    found = covered("  - {name: x, request: base, want: deny}\n", policy, other)
    by_name = {rule.name: rule for rule in found.rules}
    assert (by_name["pay/always"].seen, by_name["pay/always"].outcomes) == (1, 1)
    assert (by_name["q/never"].seen, by_name["q/never"].outcomes) == (0, 1)
    assert by_name["q/never"].missing == ("matched",)


@pytest.mark.parametrize(
    ("when", "parts"),
    [
        ("args.a == 1", []),
        ("!(args.a == 1)", []),
        ("!(args.a == 1 || args.b)", ["args.a == 1", "args.b"]),
        ("args.a ? args.b : !args.c", ["args.a", "args.b", "args.c"]),
        ("args.l.all(x, x > 1 && x < 9) && args.b", ["args.l.all(x, x > 1 && x < 9)", "args.b"]),
        ("true && args.b", []),
    ],
)
def test_sub_conditions_are_what_logic_combines(when: str, parts: list[str]) -> None:
    """A condition of one part is its rule; what a macro does inside is one part."""
    policy = f"policy: p\ntools: [pay]\nrules:\n  - id: r\n    effect: deny\n    when: '{when}'\n"
    found = covered("  - {name: x, request: base, want: {effect: deny, errors: [p/r]}}\n", policy)
    assert [part.text for part in found.rules[0].parts] == parts


def test_narrowed_files_count_for_the_policies_they_see(work: Path) -> None:
    """Both files count together, each on its own policies."""
    second = PAY.replace("policy: pay", "policy: two")
    case = "cases:\n  - {name: x, request: base, want: allow}\n"
    write(work, p__a=PAY, p__a_test=f"{HEAD}policies: [a.yaml]\n{case}", p__b=second)
    write(work, p__b_test=f"{HEAD}policies: [b.yaml]\n{case}{case[7:].replace('x', 'y', 1)}")
    out = run("test", "p", "--coverage").stdout
    rows = [line.split() for line in out.splitlines() if line.startswith(("pay/small", "two/small"))]
    assert [row[0:4] for row in rows] == [
        ["pay/small", "p/a.yaml:5", "1", "0"],
        ["two/small", "p/b.yaml:5", "2", "0"],
    ]


def test_what_was_never_seen_is_listed_with_its_place(work: Path) -> None:
    """And a percentage that is missed is exit 1."""
    write(work, p__p=PAY, p__p_test=f"{HEAD}cases:\n{CASES}")
    out = run("test", "p", "--coverage").stdout
    assert "Coverage: 87.5 %, 14 of 16 outcomes of 4 rules and 4 sub-conditions" in out
    assert "  p/p.yaml:15:29  size(args.note) > 3: never false\n" in out
    assert "  p/p.yaml:17  pay/night: never matched\n" in out
    run("test", "p", "--fail-under", "87.5")
    found = run("test", "p", "--fail-under", "88", code=1)
    assert "coverage 87.5 % is below 88 %" in found.stderr
