"""Mutation: a weak test lets changes through, a strong one notices every one that makes a difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentguard.policy.testing import Mutation, mutants_of
from agentguard.policy.testing.flips import flips
from tests.cli.support import run
from tests.policy_tests.support import HEAD, PAY, mutated, source, write

ONE = """\
policy: p
tools: [pay]
rules:
  - id: small
    effect: allow
    when: args.amount <= 100 && agent.role == "billing"
"""
STRONG = """\
  - {name: below, request: {extends: base, args: {amount: 99}}, want: allow}
  - {name: at, request: {extends: base, args: {amount: 100}}, want: allow}
  - {name: above, request: {extends: base, args: {amount: 101}}, want: deny}
  - {name: role, request: {extends: base, agent: {role: x}}, want: deny}
"""
WEAK = "  - {name: below, request: base, want: allow}\n"


def shown(found: Mutation) -> list[tuple[str, str, str]]:
    return [(one.mutant.before, one.mutant.after, one.fate) for one in found.survivors]


def test_a_strong_test_notices_every_change() -> None:
    """Both sides of the boundary, and each part of the condition on its own."""
    found = mutated(STRONG, ONE)
    assert shown(found) == []
    assert (found.score, found.killed, found.invalid) == (100.0, found.made, 0)
    assert found.made == 10


def test_a_weak_test_lets_changes_through_with_their_place_and_text() -> None:
    """Only that the rule is there and permits was tested."""
    found = mutated(WEAK, ONE)
    both = 'args.amount <= 100 && agent.role == "billing"'
    assert shown(found) == [
        (both, 'args.amount <= 100 || agent.role == "billing"', "survived"),
        (both, 'agent.role == "billing"', "survived"),
        (both, "args.amount <= 100", "survived"),
        ("args.amount <= 100", "args.amount < 100", "survived"),
        ("args.amount <= 100", "args.amount <= 101", "survived"),
        ("args.amount <= 100", "args.amount <= 99", "survived"),
        (both, "true", "survived"),
    ]
    assert found.score == 30.0
    mutant = found.survivors[3].mutant
    assert (mutant.at, mutant.rule) == ("p.yaml:6:11", "p/small")


def test_a_rule_whose_tools_no_case_calls_is_said_so() -> None:
    """Nothing about it was tested."""
    other = ONE.replace("policy: p", "policy: q").replace("[pay]", "[other]")
    found = mutated(STRONG, ONE, other)
    assert {fate for _, _, fate in shown(found)} == {"uncalled"}
    assert {one.mutant.rule for one in found.survivors} == {"q/small"}


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("a.x == 1", ["a.x != 1", "a.x == 2", "a.x == 0"]),
        ("a.x < b.x", ["a.x <= b.x"]),
        ("a.x >= b.x", ["a.x > b.x"]),
        ("a && b && c", ["a || b || c", "b && c", "a && c", "a && b"]),
        ("!(a || b)", ["a || b", "!(a && b)", "!b", "!a"]),
        ("a in b", ["!(a in b)"]),
        ("a ? true : b", ["a ? b : true", "a ? false : b"]),
        ("a.all(x, x)", ["a.exists(x, x)"]),
        ("a + 2u", ["a - 2u", "a + 3u", "a + 1u"]),
        ("a * 0.5", ["a / 0.5", "a * 1.5", "a * -0.5"]),
        ("0u", ["1u"]),
        ("-9223372036854775808", ["-9223372036854775807"]),
        ('has(a.b) && a.b.startsWith("x")', [
            'has(a.b) || a.b.startsWith("x")', 'a.b.startsWith("x")', "has(a.b)",
        ]),
        ("(a || b) && c", [
            "(a || b) || c", "c", "a || b", "(a && b) && c", "b && c", "a && c",
        ]),
        ('"text"', []),
    ],
)  # fmt: skip
def test_what_an_expression_is_changed_to(text: str, changed: list[str]) -> None:
    """Operators, operands, constants and macros, one at a time, made on the syntax tree."""
    assert sorted(flip.text for flip in flips(text)) == sorted(changed)


def kinds(policy: str) -> list[tuple[str, str, str]]:
    found = mutants_of(source(policy, "p.yaml"))
    return [(one.kind, one.before, one.after) for one in found if one.kind != "expression"]


def test_what_a_rule_is_changed_to() -> None:
    """Effects are loosened, an allow denies; rules, stages, masks and limits are taken out or moved."""
    policy = """\
policy: p
tools: [pay, mail]
observe: {owner: o, until: 2027-01-01}
rules:
  - {id: a, effect: allow, tools: [pay], flag: {owner: o}, redact_result: [$.x, $.y]}
  - {id: b, effect: flag, when: false, flag: {owner: o, converts: {on: 2027-01-01, to: deny}}}
  - {id: c, effect: constrain, set: {args.x: 1, args.y: true}}
  - id: d
    effect: step_up
    mode: enforce
    approval:
      stages: [{reviewers: [ana]}, {reviewers: ["group:g"], quorum: 3}]
      local: true
  - {id: e, effect: deny, when: args.x > 1, mode: enforce, non_waivable: true}
  - {id: f, effect: allow, reserve: {key: k, limit: 5}}
"""
    found = kinds(policy)
    assert found[0] == ("enforce", "observed", "enforced")
    effects = [(before, after) for kind, before, after in found if kind == "effect"]
    assert effects == [
        ("allow", "deny"), ("flag", "allow"), ("constrain", "allow"), ("step_up", "allow"), ("deny", "allow"),
        ("allow", "deny"),
    ]  # fmt: skip
    assert [before for kind, before, _ in found if kind == "drop rule"] == [f"rule {x}" for x in "abcdef"]
    assert set(found) >= {
        ("drop key", "tools", "(the policy's)"),
        ("drop key", "flag", "(no flag)"),
        ("drop path", "$.x", "(not masked)"),
        ("always", "false", "true"),
        ("drop key", "converts to deny", "flag"),
        ("drop key", "set args.x", "(not set)"),
        ("set", "args.x: 1", "2"),
        ("set", "args.y: true", "false"),
        ("drop key", "enforced", "observed"),
        ("quorum", "quorum 1", "quorum 2"),
        ("quorum", "quorum 3", "quorum 2"),
        ("drop stage", "stage 2", "(no stage)"),
        ("switch", "local: true", "local: false"),
        ("always", "args.x > 1", "true"),
        ("drop key", "non_waivable", "waivable"),
        ("drop key", "reserve", "(no limit)"),
        ("limit", "limit 5", "limit 6"),
        ("amount", "amount 1", "amount 2"),
    }


def test_a_change_that_makes_no_policy_is_not_counted() -> None:
    """One reviewer can never be two: that is an error at load, and no survivor."""
    policy = PAY.replace('reviewers: ["group:finance"], quorum: 2', "reviewers: [ana]")
    found = mutated("  - {name: x, request: {extends: base, args: {amount: 500}}, want: step_up}\n", policy)
    assert found.invalid == 1
    assert found.killed + len(found.survivors) + found.invalid == found.made


def test_an_exception_notices_a_rule_that_became_waivable() -> None:
    """`non_waivable` is tested by an exception that must not work."""
    policy = """\
policy: p
tools: [pay]
rules:
  - {id: stop, effect: deny, non_waivable: true}
  - {id: some, effect: allow}
"""
    record = """\
exceptions:
  - {id: E, agent: a, rules: [p/stop], tools: [pay], owner: o, approver: c, reason: r,
     approved_at: 2026-11-01, expires: 2026-12-01, control: {reserve: {key: k, limit: 9}}}
"""
    case = "  - {name: x, request: base, want: {effect: deny, rules: {contains: [p/stop]}}}\n"
    assert ("non_waivable", "waivable", "survived") in shown(mutated(case, policy))
    found = mutated(case, policy, head=HEAD + record)
    assert ("non_waivable", "waivable", "survived") not in shown(found)


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    """Of more mutants than are wanted; another seed takes others."""
    first, again, other = (mutated(WEAK, PAY, most=12, seed=seed) for seed in (1, 1, 2))
    assert (first.chosen, first.killed + len(first.survivors) + first.invalid) == (12, 12)
    assert first.made > 12
    assert shown(first) == shown(again)
    assert shown(first) != shown(other)


def test_time_is_bounded_and_what_was_left_is_said() -> None:
    """A clock that runs fast: three mutants fit."""
    ticks = iter(range(1000))
    found = mutated(WEAK, PAY, seconds=4.0, clock=lambda: float(next(ticks)))
    assert found.killed + len(found.survivors) == 3
    assert found.left == found.chosen - 3
    assert found.left > 0


def test_no_mutant_and_no_time_is_no_score() -> None:
    """Nothing was run, so nothing is claimed."""
    ticks = iter(range(1000))
    assert mutated(WEAK, PAY, seconds=0.5, clock=lambda: float(next(ticks))).score is None


def test_the_command_reports_survivors_and_a_score(work: Path) -> None:
    """Exit 1 where a score is wanted and missed; survivors alone are exit 0: some make no difference."""
    write(work, p__p=ONE, p__p_test=f"{HEAD}cases:\n{WEAK}")
    out = run("test", "p", "--mutate").stdout
    assert "Mutants: score 30.0 %, 3 noticed, 7 survived" in out
    assert "  p/p.yaml:6:11  p/small\n      - args.amount <= 100\n      + args.amount < 100\n" in out
    assert "an equivalent mutant" in " ".join(out.split())
    found = run("test", "p", "--mutate", "--min-score", "31", code=1)
    assert "the mutation score 30.0 % is below 31 %" in found.stderr
    run("test", "p", "--mutate", "--min-score", "30")
    data = json.loads(run("test", "p", "--mutate", "--json", "--max-mutants", "4", "--seed", "7").stdout)
    assert (data["mutation"]["made"], data["mutation"]["chosen"], data["mutation"]["seed"]) == (10, 4, 7)
    write(work, p__p_test=f"{HEAD}cases:\n{STRONG}")
    assert "Mutants: score 100.0 %, 10 noticed, 0 survived" in run("test", "p", "--mutate").stdout


def test_mutants_are_not_run_while_a_case_fails(work: Path) -> None:
    """Every change would be noticed by a case that fails anyway."""
    write(work, p__p=ONE, p__p_test=f"{HEAD}cases:\n{WEAK.replace('allow', 'deny')}")
    found = run("test", "p", "--mutate", code=1)
    assert "Mutants:" not in found.stdout
    assert "every case has to pass first" in found.stderr


def test_only_the_cases_that_were_chosen_count(work: Path) -> None:
    """With `-k` one sees what a few cases notice."""
    write(work, p__p=ONE, p__p_test=f"{HEAD}cases:\n{STRONG}")
    assert "score 100.0 %" not in run("test", "p", "--mutate", "-k", "below").stdout
