"""How the opinions of other decision points join a decision, from the request alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentguard import ConfigurationError, ContextRequest, Decision, Effect, PolicyError, Snapshot
from agentguard.decision import Approve, Stage
from agentguard.opinion import Opinion

APPROVE = Approve(stages=(Stage(("group:finance",)),), expires_in_s=600, rules=())
ALLOW: dict[str, Any] = {"id": "ok", "effect": "allow"}
DENY: dict[str, Any] = {"id": "no", "effect": "deny"}
ASK: dict[str, Any] = {
    "id": "ask",
    "effect": "step_up",
    "approval": {"reviewers": ["group:finance"], "expires_in": "10m"},
}


def snapshot(*rules: dict[str, Any]) -> Snapshot:
    return Snapshot.from_documents([{"policy": "p", "owner": "o", "tools": ["*"], "rules": list(rules)}])


SETS = {"allow": snapshot(ALLOW), "deny": snapshot(DENY), "ask": snapshot(ASK), "flag": snapshot(
    {"id": "f", "effect": "flag", "flag": {"owner": "o"}}
)}  # fmt: skip


def decide(rules: str | Snapshot, **opinions: Opinion | Any) -> Decision:
    engines = {
        name: opinion.to_fact() if isinstance(opinion, Opinion) else opinion
        for name, opinion in opinions.items()
    }
    request = ContextRequest.from_mapping(
        {"tool": "t", "agent": "a", "args": {"x": 1}, "supplied": {"engines": engines} if engines else {}}
    )
    return (SETS[rules] if isinstance(rules, str) else rules).decide(request)


def says(effect: Effect | None, *, permits: bool = False, **more: Any) -> Opinion:
    if effect is Effect.STEP_UP:
        more["approve"] = APPROVE
    return Opinion(effect=effect, permits=permits, **more)


OPINIONS = st.builds(
    says, st.sampled_from([None, Effect.ALLOW, Effect.STEP_UP, Effect.DENY]), permits=st.booleans()
)


@pytest.mark.parametrize("permits", [False, True])
def test_a_deny_denies_whatever_the_policies_say(permits: bool) -> None:
    """And the decision names it."""
    found = decide("allow", cedar=says(Effect.DENY, permits=permits, reason="no", rules=("r1",)))
    assert found.effect is Effect.DENY
    assert found.deciding is not None
    assert (found.deciding.name, found.deciding.reason) == ("engine/cedar", "no")


def test_an_allow_permits_only_where_that_is_configured() -> None:
    """Otherwise the default stays what it is."""
    assert decide("flag", opa=says(Effect.ALLOW)).effect is Effect.DENY
    found = decide("flag", opa=says(Effect.ALLOW, permits=True))
    assert found.effect is Effect.FLAG
    assert found.granted_by == ("engine/opa",)
    assert decide("deny", opa=says(Effect.ALLOW, permits=True)).effect is Effect.DENY


def test_no_opinion_is_none() -> None:
    """The decision is the one without it."""
    for rules in SETS:
        assert decide(rules, opa=says(None, permits=True)) == decide(rules)


def test_a_step_up_asks_its_people() -> None:
    """Beside those that rules ask; where it may not permit, its approval alone lets nothing run."""
    found = decide("allow", opa=says(Effect.STEP_UP, reason="large"))
    assert found.effect is Effect.STEP_UP
    assert found.approval is not None
    assert found.approval.stages == APPROVE.stages
    assert found.approval.rules == ("engine/opa",)
    both = decide("ask", opa=says(Effect.STEP_UP))
    assert both.approval is not None
    assert set(both.approval.rules) == {"engine/opa", "p/ask"}
    assert decide("flag", opa=says(Effect.STEP_UP)).effect is Effect.DENY
    assert decide("flag", opa=says(Effect.STEP_UP, permits=True)).effect is Effect.STEP_UP


def test_what_it_redacts_is_redacted() -> None:
    """Also where its allow permits nothing."""
    found = decide("allow", opa=says(Effect.ALLOW, redact=("$.iban",)))
    assert [getattr(item, "paths", None) for item in found.obligations] == [("$.iban",)]


@pytest.mark.parametrize(
    "fact",
    [
        "allow",
        None,
        5,
        {},
        {"effect": "ALLOW"},
        {"effect": "flag"},
        {"effect": "constrain"},
        {"effect": "allow", "permits": "yes"},
        {"effect": "allow", "permits": True, "extra": 1},
        {"effect": "allow", "permits": True, "reason": 5},
        {"effect": "allow", "permits": True, "rules": "r"},
        {"effect": "step_up", "permits": True},
        {"effect": "step_up", "approve": {"stages": [], "expires_in_s": 0}},
        {"effect": "step_up", "approve": {"stages": [{"reviewers": ["a"], "quorum": 0}], "expires_in_s": 5}},
        {"effect": "step_up", "approve": {"stages": [{"reviewers": []}], "expires_in_s": 5}},
        {"effect": "step_up", "approve": {"stages": [{"reviewers": ["a"]}], "expires_in_s": True}},
        {"effect": "allow", "approve": {"stages": [{"reviewers": ["a"]}], "expires_in_s": 5}},
    ],
)
def test_what_cannot_be_read_as_an_opinion_is_a_deny_T39(fact: Any) -> None:
    """A record that was damaged, an engine of another version."""
    found = decide("allow", opa=fact)
    assert found.effect is Effect.DENY
    assert found.deciding is not None
    assert found.deciding.name == "engine/opa"
    assert found.deciding.error


def test_rules_can_read_what_an_engine_said() -> None:
    """For a flag, or to ask only where two disagree."""
    flags = snapshot(
        ALLOW,
        {
            "id": "f",
            "effect": "flag",
            "when": 'engines.opa.effect == "not_applicable"',
            "flag": {"owner": "o"},
        },
    )
    assert decide(flags, opa=says(None)).effect is Effect.FLAG
    assert decide(flags, opa=says(Effect.ALLOW)).effect is Effect.ALLOW


def test_no_policy_can_speak_in_an_engines_name() -> None:
    """`engine` is reserved."""
    with pytest.raises(PolicyError, match="AG107"):
        Snapshot.from_documents([{"policy": "engine", "owner": "o", "tools": ["*"], "rules": [ALLOW]}])


@given(st.sampled_from(sorted(SETS)), st.lists(OPINIONS, max_size=3), OPINIONS)
def test_another_opinion_that_may_not_permit_never_loosens(
    rules: str, heard: list[Opinion], other: Opinion
) -> None:
    """Law: whatever it says, the effect is at least what it was."""
    names = {f"e{number}": opinion for number, opinion in enumerate(heard)}
    before = decide(rules, **names)
    after = decide(rules, **names, z=replace(other, permits=False))
    assert after.effect.rank >= before.effect.rank
    if other.effect is not None and other.effect is not Effect.ALLOW:
        assert after.effect.rank >= other.effect.rank


@given(OPINIONS)
def test_an_opinion_is_read_back_as_it_was_written(opinion: Opinion) -> None:
    """What is recorded decides the same again."""
    assert Opinion.from_fact(opinion.to_fact()) == opinion


@pytest.mark.parametrize("effect", [Effect.FLAG, Effect.CONSTRAIN])
def test_an_opinion_has_no_effect_that_needs_a_rule(effect: Effect) -> None:
    """A flag needs an owner, a constraint its values."""
    with pytest.raises(ConfigurationError):
        Opinion(effect=effect)
