"""Deciding one request: one pass over the rules of its tool, a second one over what constraints made of it.

DESIGN 3, "Deciding", in its order: only an allow rule or a completed step-up permits; the strongest effect
wins; a rule in error fires unless it is an allow rule; observed rules are recorded and nothing else;
constraints are computed once, from the original arguments; exceptions waive, grants satisfy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.decision import (
    AppliedException,
    Approve,
    Decision,
    Effect,
    Flag,
    Matched,
    Obligation,
    RedactResult,
    Reserve,
    SetArgument,
    Stage,
)
from agentguard.policy.constraints import Write, Writes, constrained, further, writes_of
from agentguard.policy.default import Default
from agentguard.policy.evaluation import reservation, truth
from agentguard.policy.functions import bindings_for
from agentguard.policy.index import Buckets, Index
from agentguard.policy.rules import Order, Rule, order_of
from agentguard.policy.waivers import CompiledException, CompiledRegister

__all__ = ["Policies", "decide"]

_Waiver = tuple[CompiledException, tuple[Reserve, ...]]

_ALLOW: Final = Effect.ALLOW
_DENY: Final = Effect.DENY
_UNNAMEABLE: Final = Matched(
    rule_id="tool-name",
    policy="agentguard",
    effect=Effect.DENY,
    reason="the tool's name is none that a policy could name",
)

_FAILED: Final = replace(_UNNAMEABLE, rule_id="error", reason="the request cannot be decided")


@dataclass(frozen=True, slots=True, eq=False)
class Policies:
    """Everything that a decision depends on besides the request."""

    index: Index
    register: CompiledRegister
    default: Default
    digest: str


@dataclass(slots=True, eq=False)
class _Tally:
    """What one pass found."""

    matched: dict[str, tuple[Order, Matched]] = field(default_factory=dict)
    observed: dict[str, tuple[Order, Matched]] = field(default_factory=dict)
    permits: list[str] = field(default_factory=list)
    completes: bool = False
    flags: dict[tuple[str, bool], Flag] = field(default_factory=dict)
    approves: dict[str, Approve] = field(default_factory=dict)
    reserves: dict[str, list[Reserve]] = field(default_factory=dict)
    redacts: dict[str, RedactResult] = field(default_factory=dict)
    constraining: list[Rule] = field(default_factory=list)
    waived: dict[str, list[str]] = field(default_factory=dict)
    sets: tuple[Write, ...] = ()

    def denied(self) -> bool:
        return any(match.effect is _DENY for _, match in self.matched.values())


def decide(policies: Policies, request: ContextRequest, exhausted: Collection[str]) -> Decision:
    """The answer to one request. `exhausted` are keys of counters that could not be taken from."""
    try:
        return _decide(policies, request, exhausted)
    except Exception as error:
        # A request of a wrong shape (a time without a zone, arguments that are none) is not let through.
        failed = replace(_FAILED, error=f"deciding failed: {type(error).__name__}")
        return _decision(policies, _Tally(matched={failed.name: (order_of(failed), failed)}))


def _decide(policies: Policies, request: ContextRequest, exhausted: Collection[str]) -> Decision:
    buckets = policies.index.find(request.tool)
    if buckets is None:
        tally = _Tally(matched={_UNNAMEABLE.name: (order_of(_UNNAMEABLE), _UNNAMEABLE)})
        return _decision(policies, tally)
    bindings = bindings_for(request)
    tally = _pass(policies, buckets, request, bindings, exhausted)
    if tally.constraining:
        writes = writes_of(tally.constraining, request.args, bindings)
        _refuse(tally, writes.refused)
        if writes.by_path and not tally.denied():
            tally.sets = tuple(writes.by_path[path] for path in sorted(writes.by_path))
            tally = _again(policies, buckets, request, exhausted, tally)
    return _decision(policies, tally)


def _again(
    policies: Policies,
    buckets: Buckets,
    request: ContextRequest,
    exhausted: Collection[str],
    first: _Tally,
) -> _Tally:
    """The second pass, over the request that the constraints made, joined with the first."""
    changed = constrained(request, first.sets)
    bindings = bindings_for(changed)
    second = _pass(policies, buckets, changed, bindings, exhausted)
    if second.constraining:
        wanted: Writes = writes_of(second.constraining, changed.args, bindings)
        _refuse(second, wanted.refused)
        _refuse(second, further(wanted, changed.args))
    return _joined(first, second)


def _pass(
    policies: Policies,
    buckets: Buckets,
    request: ContextRequest,
    bindings: dict[str, Any],
    exhausted: Collection[str],
) -> _Tally:
    tally = _Tally()
    pending: list[tuple[Rule, Matched, Order, _Waiver]] = []
    now = request.now
    register = policies.register
    exceptions, grants = register.exceptions, register.grants
    for bucket in buckets:
        for rule in bucket:
            error: str | None = None
            if rule.condition is not None:
                outcome = truth(rule.condition, bindings)
                if outcome is False:
                    continue
                if outcome is not True:
                    error = outcome
            match, order, permits = rule.matched, rule.order, rule.grants
            if rule.converts_on is not None and now >= rule.converts_on and rule.converted is not None:
                match, permits = rule.converted, False
                order = rule.converted_order or order
            if error is not None:
                if permits:
                    continue
                match = replace(match, error=error)
            if rule.observe_until is not None and now < rule.observe_until:
                _observe(tally, rule, match, order)
                continue
            effect = match.effect
            if not permits and error is None:
                if exceptions and rule.name in exceptions:
                    waiver = _waive(exceptions[rule.name], effect, request, bindings, exhausted)
                    if waiver is not None:
                        if effect is Effect.STEP_UP:
                            pending.append((rule, match, order, waiver))
                        else:
                            _apply(tally, rule, effect, *waiver)
                        continue
                if grants and effect is Effect.STEP_UP and rule.name in grants:
                    for grant in grants[rule.name]:
                        if grant.applies(request, bindings, exhausted):
                            tally.matched[grant.name] = (grant.order, grant.matched)
                            tally.permits.append(grant.name)
                            if grant.reserve is not None:
                                tally.reserves[grant.name] = [grant.reserve]
                            break
                    else:
                        _fire(tally, rule, match, order, permits, bindings, exhausted)
                    continue
            _fire(tally, rule, match, order, permits, bindings, exhausted)
    permitted = bool(tally.permits) or tally.completes
    for rule, match, order, waiver in pending:
        if permitted:
            _apply(tally, rule, match.effect, *waiver)
        else:
            # A waived step-up no longer permits: where nothing else does, asking beats denying.
            _fire(tally, rule, match, order, False, bindings, exhausted)
    if not tally.permits and not tally.completes:
        default, flag = policies.default.at(now)
        tally.matched[default.name] = (order_of(default), default)
        if flag is not None:
            tally.flags[(flag.rule, False)] = flag
    return tally


def _fire(
    tally: _Tally,
    rule: Rule,
    match: Matched,
    order: Order,
    permits: bool,
    bindings: dict[str, Any],
    exhausted: Collection[str],
) -> None:
    """A rule joins the decision."""
    if rule.reserve is not None and match.effect is not _DENY:
        problem = None
        try:
            taken = reservation(rule.reserve, rule.name, bindings)
        except cel.CelError as error:
            problem = f"`reserve`: {error.message}"
        else:
            if taken.key in exhausted:
                problem = f"the limit of `{rule.reserve.key}` is reached"
            else:
                tally.reserves[rule.name] = [taken]
        if problem is not None:
            if permits:
                return
            match = replace(match, effect=_DENY, error=problem)
            tally.matched[rule.name] = (order_of(match), match)
            return
    tally.matched[rule.name] = (order, match)
    effect = match.effect
    if permits:
        tally.permits.append(rule.name)
    if effect is Effect.STEP_UP:
        tally.completes = True
        if rule.approve is not None:
            tally.approves[rule.name] = rule.approve
    elif effect is Effect.CONSTRAIN:
        if rule.sets:
            tally.constraining.append(rule)
    elif rule.flag is not None and effect is Effect.FLAG:
        tally.flags[(rule.name, False)] = rule.flag
    if rule.redact is not None:
        tally.redacts[rule.name] = rule.redact


def _observe(tally: _Tally, rule: Rule, match: Matched, order: Order) -> None:
    match = replace(match, mode="observe")
    tally.observed[rule.name] = (order, match)
    flag = rule.observed_flag
    if flag is not None:
        effect = match.effect
        tally.flags[(rule.name, True)] = flag if flag.observed is effect else replace(flag, observed=effect)


def _waive(
    candidates: Iterable[CompiledException],
    effect: Effect,
    request: ContextRequest,
    bindings: dict[str, Any],
    exhausted: Collection[str],
) -> _Waiver | None:
    for exception in candidates:
        if exception.effect.rank > effect.rank:
            # A control stronger than the rule would make the exception a burden; the rule itself stands.
            return None
        reserves = exception.reserves(request, bindings, exhausted)
        if reserves is not None:
            return exception, reserves
    return None


def _apply(
    tally: _Tally, rule: Rule, effect: Effect, exception: CompiledException, reserves: tuple[Reserve, ...]
) -> None:
    """An exception stands in for a rule: recorded, flagged, with its control."""
    tally.waived.setdefault(exception.record.id, []).append(rule.name)
    tally.matched[exception.name] = (exception.order, exception.matched)
    tally.flags[(rule.name, False)] = exception.flag(rule.name, effect)
    if reserves:
        tally.reserves[exception.name] = list(reserves)
    if exception.approve is not None:
        # INVARIANT: the control's approval asks a person and does not count as a grant of its own.
        tally.approves[exception.name] = exception.approve
    if exception.redact is not None:
        tally.redacts[exception.name] = exception.redact


def _refuse(tally: _Tally, refused: dict[str, str]) -> None:
    """Constraints that cannot be followed are denials that name their rule."""
    for name, problem in refused.items():
        _, match = tally.matched[name]
        match = replace(match, effect=_DENY, error=problem)
        tally.matched[name] = (order_of(match), match)


def _joined(first: _Tally, second: _Tally) -> _Tally:
    """Both passes: the stronger of two matches of a rule, all obligations, permission from the second.

    INVARIANT: a pass without permission has matched the default, so that both passes must permit.
    """
    second.sets = first.sets
    for name, entry in first.matched.items():
        other = second.matched.get(name)
        if other is None or entry[0] <= other[0]:
            second.matched[name] = entry
    second.observed = {**first.observed, **second.observed}
    second.flags = {**first.flags, **second.flags}
    second.approves = {**first.approves, **second.approves}
    second.reserves = {**first.reserves, **second.reserves}
    second.redacts = {**first.redacts, **second.redacts}
    for exception, rules in first.waived.items():
        known = second.waived.setdefault(exception, [])
        known.extend(rule for rule in rules if rule not in known)
    return second


def _decision(policies: Policies, tally: _Tally) -> Decision:
    matched = [match for _, match in _ordered(tally.matched)]
    effect = matched[0].effect if matched else _ALLOW
    if tally.sets and effect.rank < Effect.CONSTRAIN.rank:
        effect = Effect.CONSTRAIN
    exceptions: tuple[AppliedException, ...] = ()
    if tally.waived:
        exceptions = tuple(
            AppliedException(name, tuple(sorted(tally.waived[name]))) for name in sorted(tally.waived)
        )
    return Decision(
        effect=effect,
        matched=tuple(matched),
        granted_by=tuple(sorted(tally.permits)),
        obligations=tuple(_obligations(tally, effect)),
        exceptions=exceptions,
        observed=tuple([match for _, match in _ordered(tally.observed)]) if tally.observed else (),
        snapshot=policies.digest,
        register=policies.register.register.version,
    )


def _ordered(entries: dict[str, tuple[Order, Matched]]) -> list[tuple[Order, Matched]]:
    if len(entries) < 2:
        return list(entries.values())
    return sorted(entries.values(), key=_order)


def _order(entry: tuple[Order, Matched]) -> Order:
    return entry[0]


def _obligations(tally: _Tally, effect: Effect) -> list[Obligation]:
    """What the call needs; of a denied call only what observed rules would have said."""
    if effect is _DENY:
        return [flag for key, flag in sorted(tally.flags.items(), key=_by_key) if key[1]]
    found: list[Obligation] = [SetArgument(path=w.path, value=w.value, rule=w.rule) for w in tally.sets]
    if tally.flags:
        found += [flag for _, flag in sorted(tally.flags.items(), key=_by_key)]
    if tally.approves:
        found.append(_combined([tally.approves[name] for name in sorted(tally.approves)]))
    if tally.reserves:
        found += [one for name in sorted(tally.reserves) for one in tally.reserves[name]]
    if tally.redacts:
        found += [tally.redacts[name] for name in sorted(tally.redacts)]
    return found


def _by_key(entry: tuple[tuple[str, bool], Flag]) -> tuple[str, bool]:
    return entry[0]


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
