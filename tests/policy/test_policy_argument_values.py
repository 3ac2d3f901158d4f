"""Conditions look at argument values by role and at every text, however deep they are."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard import ContextRequest, Snapshot

NESTED = {
    "message": {"to": ["ana@example.com", {"address": "eve@example.org"}], "subject": "hello"},
    "guests": [{"email": "bob@example.com"}, {"email": "eve@example.org"}],
    "a.b": "dotted@example.org",
    "amount": 5,
}
ROLES = {"message.to": "recipient", "guests.email": "recipient", "a.b": "recipient", "amount": "amount"}


def decided(condition: str, args: Any = NESTED, facts: Any = None) -> tuple[str, str | None]:
    """The effect of a rule that denies where the condition holds, and its error."""
    rules = [{"id": "all", "effect": "allow"}, {"id": "no", "effect": "deny", "when": condition}]
    snapshot = Snapshot.from_documents([{"policy": "p", "tools": ["*"], "rules": rules}])
    given = {"roles": ROLES} if facts is None else facts
    request = ContextRequest.from_mapping(
        {"tool": "t", "agent": {"id": "a"}, "args": args, "facts": given, "now": "2026-11-20T10:00:00Z"}
    )
    decision = snapshot.decide(request)
    errors = [one.error for one in decision.matched if one.error is not None]
    return decision.effect.value, errors[0] if errors else None


@pytest.mark.parametrize(
    ("condition", "effect"),
    [
        ('arguments("recipient").exists(one, one == "eve@example.org")', "deny"),
        ('arguments("recipient").size() == 5', "deny"),
        ('arguments("recipient").exists(one, one == "dotted@example.org")', "deny"),
        ('arguments("amount") == [5]', "deny"),
        ('arguments("path").size() > 0', "allow"),
        ('texts(args).exists(one, one == "hello")', "deny"),
        ('texts(args).exists(one, one == "subject")', "deny"),
        ("texts(args.amount).size() > 0", "allow"),
        ('texts("x") == ["x"]', "deny"),
    ],
)
def test_values_are_found_at_any_depth_T30_T31(condition: str, effect: str) -> None:
    """In objects, in lists, under names with dots; of texts also the names of fields."""
    assert decided(condition) == (effect, None)


@pytest.mark.parametrize("facts", [{}, {"roles": "recipient"}, {"writes": True}])
def test_roles_that_nobody_told_are_an_error_and_the_rule_fires(facts: Any) -> None:
    """Unknown is not none."""
    effect, error = decided('arguments("recipient").size() > 0', facts=facts)
    assert effect == "deny"
    assert error is not None
    assert "facts.roles" in error


def test_a_flood_of_values_is_an_error_and_the_rule_fires_T24() -> None:
    """More than is looked at is not less than nothing."""
    twice = {"roles": {"message": "recipient", "message.to": "recipient"}}
    wide = {"message": {"to": ["x"] * 6_000}}
    effect, error = decided('arguments("recipient").size() < 0', args=wide, facts=twice)
    assert (effect, error) == ("deny", "more than 10000 values")
