"""Explanations: the verdict first, every rule considered, values under conditions, what would change it."""

from __future__ import annotations

import json

import pytest

from agentguard.policy import Register, Snapshot, explain
from tests.policy.support import (
    PAYMENTS,
    exception,
    grant,
    policy,
    read_policy,
    request,
    rule,
    snapshot,
    transfer,
)

payments = Snapshot.from_documents([PAYMENTS])


def text(found: Snapshot, width: int = 100, **changes: object) -> str:
    return explain(found, request(**changes)).to_text(width)


def test_the_verdict_and_the_deciding_rule_with_its_place_come_first() -> None:
    """One look tells what happened and by whom."""
    found = read_policy(
        'policy: prod\ntools: ["*"]\nrules:\n  - id: no-etc\n    effect: deny\n'
        '    when: args.path.startsWith("/etc/")\n'
        "    reason: path is protected\n"
    )
    lines = text(found, tool="delete_file", args={"path": "/etc/passwd"}, facts=None).splitlines()
    assert lines[0] == 'DENY  delete_file(path="/etc/passwd")'
    assert lines[2] == '  by  prod/no-etc  policy.yaml:4  "path is protected"'


def test_true_false_and_error_are_kept_apart_for_every_rule_of_the_tool() -> None:
    """In the order of the decision; the default is named."""
    found = snapshot(
        rule("t", "flag", "args.amount > 100"),
        rule("f", "deny", "args.amount > 1000"),
        rule("e", "step_up", "args.gone == 1"),
        rule("other", "deny", tools=["crm.*"]),
    )
    explanation = explain(found, request())
    assert [(r.name, r.outcome, r.became) for r in explanation.rules] == [
        ("p/f", "false", ""),
        ("p/e", "error", "step_up"),
        ("p/t", "true", "flag"),
    ]
    assert explanation.rules[1].error
    assert explanation.default == "not reached"
    denied = explain(snapshot(rule("f", "allow", "args.amount > 1000")), request())
    assert denied.default == "deny: nothing permits this call"
    assert "(default)" in denied.to_text()
    assert "None" not in denied.to_text()


def test_values_stand_under_the_conditions() -> None:
    """What was compared, and what came of each part of a conjunction."""
    shown = text(payments, args={"payee": "ACME", "amount": 20000, "note": "x"}, facts=None)
    assert "args.amount <= 10000" in shown
    assert "20000" in shown
    assert '"billing"' in shown
    part = explain(payments, transfer(amount=20000)).rules
    small = next(r for r in part if r.name == "payments/small-transfers")
    assert small.part is not None
    assert [(p.text, p.outcome) for p in small.part.parts] == [
        ('agent.role == "billing"', "true"),
        ("args.amount <= 10000", "false"),
    ]


@pytest.mark.parametrize(
    ("rules", "change"),
    [
        (
            [rule("a", "allow", 'agent.role == "boss" && args.amount < 1000')],
            'allowed by `p/a` if `agent.role == "boss"`',
        ),
        (
            [rule("s", "step_up", "args.amount > 1000")],
            "a person would be asked by `p/s` if `args.amount > 1000`",
        ),
        (
            [rule("d", "deny", "args.amount > 100"), rule("a", "allow")],
            "not denied by `p/d` if `args.amount > 100` were false, or an exception",
        ),
        (
            [rule("d", "deny", "args.amount > 100", non_waivable=True), rule("a", "allow")],
            "it cannot be waived",
        ),
        ([rule("d", "deny"), rule("a", "allow")], "`p/d` denies every such call"),
        ([rule("d", "deny", "args.gone")], "cannot be evaluated"),
        ([rule("s", "step_up")], "runs when approved by 1 of group:finance"),
        ([], "no allow rule or step-up concerns this tool"),
    ],
)
def test_it_says_what_would_have_to_change(rules: list[dict[str, object]], change: str) -> None:
    """A denial teaches."""
    explanation = explain(snapshot(*rules) if rules else Snapshot.from_documents([]), request())
    assert any(change in one for one in explanation.changes), explanation.changes


def test_T59_values_of_sensitive_arguments_are_masked_everywhere() -> None:
    """Directly, through functions, indexing, macros and copies in other facts, in text and in JSON."""
    secret = "canary-4711"
    found = snapshot(
        rule("a", "allow", 'args.payee == "x"'),
        rule("b", "deny", 'args["payee"].size() > 100'),
        rule("c", "deny", 'args.payee.substring(0, 9) == "y"'),
        rule("d", "deny", 'args.exists(k, args[k] == "z")'),
        rule("e", "deny", 'args.rows.exists(r, r.name == "z")'),
        rule("f", "deny", 'context.copy == "z"'),
        rule("g", "constrain", "args.amount > 1", set={"args.payee": 'args.payee + "!"'}),
    )
    explanation = explain(
        found,
        request(
            args={"payee": secret, "amount": 1, "rows": [{"name": secret}]},
            facts={"sensitive": ["payee", "rows"]},
            context={"copy": f"for {secret}"},
        ),
    )
    for shown in (explanation.to_text(), json.dumps(explanation.to_json())):
        assert "canary" not in shown
        assert "***" in shown
        assert "amount=1" in shown


def test_T59_sensitive_values_are_masked_where_they_are_found_by_role_or_cut_where_they_are_shown() -> None:
    """`arguments("recipient")` names no argument, and a long value is shown by its beginning."""
    secret = "canary-4711-" + "x" * 500
    found = snapshot(
        rule("a", "allow", 'arguments("recipient").exists(one, one.substring(1, 9) == "y")'),
        rule("b", "deny", 'texts(args).exists(one, one == "z")'),
        rule("c", "deny", 'context.copy == "z"'),
    )
    explanation = explain(
        found,
        request(
            args={"payee": secret, "amount": 1},
            facts={"sensitive": ["payee"], "roles": {"payee": "recipient"}},
            context={"copy": secret},
        ),
    )
    for shown in (explanation.to_text(), json.dumps(explanation.to_json())):
        assert "canary" not in shown
        assert "anary-47" not in shown
        assert "amount=1" in shown


def test_exceptions_grants_observation_and_conversion_are_told() -> None:
    """Why a rule that is true does not show its effect."""
    register = Register.from_mapping({"version": 1, "exceptions": [exception()], "grants": [grant()]})
    found = snapshot(
        rule("a", "allow"),
        rule("no", "deny"),
        rule("ask", "step_up"),
        rule("o", "deny", observe={"owner": "x", "until": "2027-01-01"}),
        rule(
            "c",
            "flag",
            flag={"owner": "x", "converts": {"on": "2026-01-01", "to": "step_up"}},
            approval={"reviewers": ["b"]},
        ),
        register=register,
    )
    became = {r.name: r.became for r in explain(found, request()).rules}
    assert became == {
        "p/a": "allow",
        "p/no": "waived by exception EX-1",
        "p/ask": "satisfied by a grant",
        "p/o": "deny, observed only",
        "p/c": "step_up (converted)",
    }


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_text_fits_its_width(width: int) -> None:
    """Long names, places, arguments and conditions are cut or wrapped."""
    long = (
        "args.note.contains('" + "x" * 300 + "') && " + " && ".join(f"args.amount > {i}" for i in range(30))
    )
    found = Snapshot.from_documents([{**policy(rule("r" * 80, "deny", long)), "policy": "q" * 80}])
    shown = explain(found, transfer(note="y" * 5000)).to_text(width)
    assert max(len(line) for line in shown.splitlines()) <= width


def test_T57_an_explanation_shows_no_control_characters() -> None:
    """Arguments come from a model."""
    shown = text(payments, args={"payee": "\x1b[2J\u202e", "amount": 1, "note": "\r\n"}, facts=None)
    assert not set(shown) & {"\x1b", "\u202e", "\r"}


def test_the_decision_id_and_the_decision_are_in_the_explanation() -> None:
    """The same object as text and as data."""
    explanation = explain(payments, transfer())
    assert "decision d-7f3a" in explanation.to_text(decision_id="d-7f3a")
    assert explanation.to_json()["decision"]["matched"][0]["rule_id"] == "small-transfers"
    assert explanation.decision == payments.decide(transfer())


def test_a_constrained_call_says_that_it_was_decided_twice() -> None:
    """The table shows the arguments as they came."""
    explanation = explain(payments, transfer(note="n" * 200))
    assert explanation.constrained
    assert "decided once more" in explanation.to_text()
