"""What the passes of one decision found, and the decision that follows from it.

The strongest match decides; everything is put into one order, in whatever order rules were looked at.
"""

from __future__ import annotations

from dataclasses import fields
from operator import itemgetter
from typing import Final

from agentguard.decision import (
    AppliedException,
    Approve,
    Decision,
    Effect,
    Matched,
    Mode,
    Obligation,
    SetArgument,
    Stage,
)
from agentguard.policy.constraints import Write
from agentguard.policy.rules import Entry, Rule, order_of
from agentguard.policy.steps import QUESTION, Duty

__all__ = ["Tally", "changed", "decision_of", "joined", "refuse"]

_CONSTRAIN: Final = Effect.CONSTRAIN
_DENY: Final = Effect.DENY
_FIRST: Final = itemgetter(0)
_SECOND: Final = itemgetter(1)
_NEW: Final = object.__new__
_SETTERS: Final = {field.name: getattr(Decision, field.name).__set__ for field in fields(Decision)}
_EFFECT, _MATCHED, _GRANTED_BY = _SETTERS["effect"], _SETTERS["matched"], _SETTERS["granted_by"]
_OBLIGATIONS, _EXCEPTIONS, _OBSERVED = _SETTERS["obligations"], _SETTERS["exceptions"], _SETTERS["observed"]
_SNAPSHOT, _REGISTER = _SETTERS["snapshot"], _SETTERS["register"]


class Tally:
    """What one pass found."""

    __slots__ = (
        "approves", "completes", "constraining", "duties", "matched", "observed", "permits", "sets", "waived",
    )  # fmt: skip

    def __init__(self) -> None:
        self.matched: list[Entry] = []
        self.permits: list[str] = []
        self.duties: list[Duty] = []
        self.approves: list[tuple[str, Approve]] = []
        self.completes = False
        self.observed: list[Entry] = []
        self.constraining: list[Rule] = []
        self.waived: dict[str, list[str]] = {}
        self.sets: tuple[Write, ...] = ()

    def denied(self) -> bool:
        return any(match.effect is _DENY for _, match in self.matched)


def changed(match: Matched, effect: Effect, error: str | None, mode: Mode = "enforce") -> Matched:
    """A match as it is in this decision."""
    return Matched(
        rule_id=match.rule_id,
        policy=match.policy,
        effect=effect,
        mode=mode,
        reason=match.reason,
        error=error,
        at=match.at,
        deviation=match.deviation,
        suspend=match.suspend,
    )


def refuse(tally: Tally, refused: dict[str, str]) -> None:
    """Constraints that cannot be followed are denials that name their rule."""
    for at, (_, match) in enumerate(tally.matched):
        problem = refused.get(match.name) if refused else None
        if problem is not None:
            match = changed(match, _DENY, problem)
            tally.matched[at] = (order_of(match), match)


def joined(first: Tally, second: Tally) -> Tally:
    """Both passes: the stronger of two matches of a rule, all obligations, permission from the second.

    INVARIANT: a pass without permission has matched the default, so that both passes must permit.
    """
    second.sets = first.sets
    matched = {match.name: (order, match) for order, match in second.matched}
    for entry in first.matched:
        other = matched.get(entry[1].name)
        if other is None or entry[0] <= other[0]:
            matched[entry[1].name] = entry
    second.matched = list(matched.values())
    observed = {match.name: (order, match) for order, match in [*first.observed, *second.observed]}
    second.observed = list(observed.values())
    second.approves = list({**dict(first.approves), **dict(second.approves)}.items())
    taken = {key for key, _ in second.duties}
    second.duties += [(key, duty) for key, duty in first.duties if key not in taken]
    for exception, rules in first.waived.items():
        known = second.waived.setdefault(exception, [])
        known.extend(rule for rule in rules if rule not in known)
    return second


def decision_of(tally: Tally, snapshot: str, register: int) -> Decision:
    """The decision of a whole request, by a snapshot's digest and a register's version."""
    matched = tally.matched
    if len(matched) > 1:
        matched.sort(key=_FIRST)
    # INVARIANT: what does not permit has matched the default, so something has matched.
    effect = matched[0][1].effect
    if tally.sets and effect.rank < _CONSTRAIN.rank:
        effect = _CONSTRAIN
    permits = tally.permits
    if len(permits) > 1:
        permits.sort()
    exceptions: tuple[AppliedException, ...] = ()
    if tally.waived:
        exceptions = tuple(
            AppliedException(name, tuple(sorted(tally.waived[name]))) for name in sorted(tally.waived)
        )
    return _answer(
        effect,
        tuple(map(_SECOND, matched)),
        tuple(permits),
        _obligations(tally, effect) if tally.duties or tally.approves or tally.sets else (),
        exceptions,
        tuple([match for _, match in sorted(tally.observed, key=_FIRST)]) if tally.observed else (),
        snapshot,
        register,
    )


def _answer(
    effect: Effect,
    matched: tuple[Matched, ...],
    granted_by: tuple[str, ...],
    obligations: tuple[Obligation, ...],
    exceptions: tuple[AppliedException, ...],
    observed: tuple[Matched, ...],
    snapshot: str,
    register: int,
) -> Decision:
    """The same as `Decision(...)`, in a third of the time: that of a frozen class looks up each field."""
    decision = _NEW(Decision)
    _EFFECT(decision, effect)
    _MATCHED(decision, matched)
    _GRANTED_BY(decision, granted_by)
    _OBLIGATIONS(decision, obligations)
    _EXCEPTIONS(decision, exceptions)
    _OBSERVED(decision, observed)
    _SNAPSHOT(decision, snapshot)
    _REGISTER(decision, register)
    return decision


def _obligations(tally: Tally, effect: Effect) -> tuple[Obligation, ...]:
    """What the call needs; of a denied call only what observed rules would have said."""
    duties = tally.duties
    if effect is _DENY:
        duties = [(key, duty) for key, duty in duties if key[2]]
    elif tally.approves:
        question = _combined([approve for _, approve in sorted(tally.approves, key=_FIRST)])
        duties.append(((QUESTION, "", False), question))
    if len(duties) > 1:
        duties.sort(key=_FIRST)
    found = tuple(map(_SECOND, duties))
    if tally.sets and effect is not _DENY:
        return *[SetArgument(path=w.path, value=w.value, rule=w.rule) for w in tally.sets], *found
    return found


def _combined(approves: list[Approve]) -> Approve:
    """Several step-ups as one question: every stage, the earliest expiry, the strictest terms."""
    if len(approves) == 1:
        return approves[0]
    stages: dict[Stage, None] = {}
    reasons: dict[str, None] = {}
    for approve in approves:
        stages.update(dict.fromkeys(approve.stages))
        if approve.reason:
            reasons[approve.reason] = None
    return Approve(
        stages=tuple(stages),
        expires_in_s=min(approve.expires_in_s for approve in approves),
        rules=tuple(rule for approve in approves for rule in approve.rules),
        reason="; ".join(reasons),
        local=all(approve.local for approve in approves),
        reason_required=any(approve.reason_required for approve in approves),
        plan=all(approve.plan for approve in approves),
    )
