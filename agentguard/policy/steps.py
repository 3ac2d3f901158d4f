"""What one pass reads of a rule, laid out in advance: a decision is a walk over steps.

Most rules are plain: a true condition adds the same things to every decision, and these are made once.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentguard import cel
from agentguard.decision import Approve, Effect, Obligation
from agentguard.policy.rules import Entry, Rule

__all__ = ["FLAG", "QUESTION", "REDACT", "RESERVE", "Duty", "Step", "duties_of", "step_of"]


FLAG, QUESTION, RESERVE, REDACT = range(4)
"""The order of obligations in a decision, after what constraints write."""

Duty = tuple[tuple[int, str, bool], Obligation]
"""An obligation and where it stands: by kind, then by the name of who wants it, what is observed last."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One rule. What it adds to a decision when its condition is true holds where `plain`.

    A rule that is not plain depends on the time, reserves, or constrains. `permits` is its name where it
    grants, `approve` the question of a step-up by its name, `asks` says that it is one.
    """

    condition: cel.Program | None
    entry: Entry
    permits: str | None
    asks: bool
    approve: tuple[str, Approve] | None
    duties: tuple[Duty, ...]
    plain: bool
    rule: Rule


def step_of(rule: Rule) -> Step:
    """The step of a rule."""
    asks = rule.effect is Effect.STEP_UP
    timed = rule.converts_on is not None or rule.observe_until is not None
    constrains = rule.effect is Effect.CONSTRAIN and bool(rule.sets)
    return Step(
        condition=rule.condition,
        entry=(rule.order, rule.matched),
        permits=rule.name if rule.grants else None,
        asks=asks,
        approve=(rule.name, rule.approve) if asks and rule.approve is not None else None,
        duties=duties_of(rule, rule.effect),
        plain=not timed and not constrains and rule.reserve is None,
        rule=rule,
    )


def duties_of(rule: Rule, effect: Effect) -> tuple[Duty, ...]:
    """What a rule that fires with this effect obliges to, besides writing, reserving and asking."""
    found: list[Duty] = []
    if rule.flag is not None and effect is Effect.FLAG:
        found.append(((FLAG, rule.name, False), rule.flag))
    if rule.redact is not None:
        found.append(((REDACT, rule.name, False), rule.redact))
    return tuple(found)
