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
    Flag,
    Matched,
    Mode,
    Obligation,
    RedactResult,
    Reserve,
    SetArgument,
    Stage,
)
from agentguard.policy.constraints import Write
from agentguard.policy.rules import Entry, Rule, order_of

__all__ = ["Tally", "changed", "decision_of", "joined", "refuse"]

_CONSTRAIN: Final = Effect.CONSTRAIN
_DENY: Final = Effect.DENY
_FIRST: Final = itemgetter(0)
_NEW: Final = object.__new__
_SETTERS: Final = {field.name: getattr(Decision, field.name).__set__ for field in fields(Decision)}
_EFFECT, _MATCHED, _GRANTED_BY = _SETTERS["effect"], _SETTERS["matched"], _SETTERS["granted_by"]
_OBLIGATIONS, _EXCEPTIONS, _OBSERVED = _SETTERS["obligations"], _SETTERS["exceptions"], _SETTERS["observed"]
_SNAPSHOT, _REGISTER = _SETTERS["snapshot"], _SETTERS["register"]


class Tally:
    """What one pass found."""

    __slots__ = (
        "approves", "completes", "constraining", "flags", "matched", "observed", "permits", "redacts",
        "reserves", "sets", "waived",
    )  # fmt: skip

    def __init__(self) -> None:
        self.matched: list[Entry] = []
        self.observed: list[Entry] = []
        self.permits: list[str] = []
        self.completes = False
        self.flags: list[tuple[tuple[str, bool], Flag]] = []
        self.approves: list[tuple[str, Approve]] = []
        self.reserves: list[tuple[str, Reserve]] = []
        self.redacts: list[tuple[str, RedactResult]] = []
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
    second.flags = list({**dict(first.flags), **dict(second.flags)}.items())
    second.approves = list({**dict(first.approves), **dict(second.approves)}.items())
    taken = {name for name, _ in second.reserves}
    second.reserves += [(name, reserve) for name, reserve in first.reserves if name not in taken]
    second.redacts = list({**dict(first.redacts), **dict(second.redacts)}.items())
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
    exceptions: tuple[AppliedException, ...] = ()
    if tally.waived:
        exceptions = tuple(
            AppliedException(name, tuple(sorted(tally.waived[name]))) for name in sorted(tally.waived)
        )
    return _answer(
        effect,
        tuple([match for _, match in matched]),
        tuple(sorted(tally.permits)),
        tuple(_obligations(tally, effect)),
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


def _obligations(tally: Tally, effect: Effect) -> list[Obligation]:
    """What the call needs; of a denied call only what observed rules would have said."""
    flags = sorted(tally.flags, key=_FIRST) if len(tally.flags) > 1 else tally.flags
    if effect is _DENY:
        return [flag for key, flag in flags if key[1]]
    found: list[Obligation] = [SetArgument(path=w.path, value=w.value, rule=w.rule) for w in tally.sets]
    found += [flag for _, flag in flags]
    if tally.approves:
        found.append(_combined([approve for _, approve in sorted(tally.approves, key=_FIRST)]))
    if tally.reserves:
        found += [reserve for _, reserve in sorted(tally.reserves, key=_FIRST)]
    if tally.redacts:
        found += [redact for _, redact in sorted(tally.redacts, key=_FIRST)]
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
    )
