"""Thousands of rules that differ only in constants: checked once, and each with its own meaning."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard import PolicyError
from agentguard.policy import Snapshot, explain
from agentguard.policy.findings import Finding
from tests.policy.support import policy, request, rule

ALIKE = [rule(f"r{n}", "deny", f'agent.id == "a{n}" && args.amount > {n}00') for n in range(40)]


def findings(*conditions: str) -> tuple[Finding, ...]:
    """What is wrong with the last of several conditions, as it stands in a file."""
    rules = [rule(f"r{number}", "deny", condition) for number, condition in enumerate(conditions)]
    with pytest.raises(PolicyError) as caught:
        Snapshot.from_documents([policy(*rules)])
    return tuple(found for found in caught.value.findings if isinstance(found, Finding))


@pytest.mark.parametrize(
    ("fine", "wrong", "code"),
    [
        ("args.n > {}", "args.n > 99999999999999999999", "AG201"),
        ("args.n > {}", "args.n > 1 1", "AG201"),
        ('args.x == "{}"', r'args.x == "\q"', "AG201"),
        ("args.n > {}", "agrs.n > 4", "AG202"),
        ('args.x.startsWith("{}")', 'args.x.startswith("4")', "AG204"),
        ('glob(args.x, "/srv/**") && args.n > {}', 'glob(args.x, "/s**rv") && args.n > 4', "AG205"),
        (
            'within("Mon 10:00-11:00 UTC") && args.n > {}',
            'within("Mon 10:00-99:00 UTC") && args.n > 4',
            "AG205",
        ),
        ('args.x.matches("a") && args.n > {}', 'args.x.matches("(") && args.n > 4', "AG201"),
    ],
)
def test_a_wrong_condition_is_refused_after_any_number_like_it(fine: str, wrong: str, code: str) -> None:
    """At load, with the code, the text and the place that it has where it stands alone."""
    after = findings(*[fine.replace("{}", str(number)) for number in range(6)], wrong)
    alone = findings(wrong)
    assert [found.code for found in after] == [code]
    assert after[0].message == alone[0].message.replace("`r0`", "`r6`")
    assert after[0].hint == alone[0].hint


@pytest.mark.parametrize("number", [0, 1, 2, 3, 39])
def test_each_of_many_alike_decides_by_its_own_constants(number: int) -> None:
    """Also behind the index, where all are told apart by it."""
    snapshot = Snapshot.from_documents([policy(rule("all", "allow"), *ALIKE)])
    agent: dict[str, Any] = {"id": f"a{number}"}
    above, at = (
        snapshot.decide(request(agent=agent, args={"amount": number * 100 + more})) for more in (1, 0)
    )
    assert [match.rule_id for match in above.matched] == [f"r{number}", "all"]
    assert [match.rule_id for match in at.matched] == ["all"]


def test_an_explanation_shows_the_constants_and_errors_of_its_own_rule() -> None:
    """What is parsed only when it is asked for is the text of this rule."""
    snapshot = Snapshot.from_documents([policy(*ALIKE)])
    asked = request(agent={"id": "a7"}, args={"amount": "much"})
    (error,) = [match.error for match in snapshot.decide(asked).matched if match.rule_id == "r7"]
    assert error is not None
    assert "no such overload" in error
    assert 'agent.id == "a7"' in str(explain(snapshot, asked))


def test_two_texts_for_one_attribute_are_compared_in_each_condition() -> None:
    """The same text twice is one that may hold; two texts are none."""
    taught = [rule(f"t{n}", "deny", f'agent.id == "a{n}" && agent.id == "b{n}"') for n in range(8)]
    twice = rule("twice", "deny", 'agent.id == "x" && agent.id == "x"')
    snapshot = Snapshot.from_documents([policy(rule("all", "allow"), *taught, twice)])
    assert snapshot.decide(request(agent={"id": "x"})).effect == "deny"
    assert snapshot.decide(request(agent={"id": "a1"})).effect == "allow"
