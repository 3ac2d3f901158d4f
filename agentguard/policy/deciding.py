"""Deciding one request: one pass over the rules of its tool, a second one over what constraints made of it.

DESIGN 3, "Deciding", in its order: only an allow rule or a completed step-up permits; the strongest effect
wins; a rule in error fires unless it is an allow rule; observed rules are recorded and nothing else;
constraints are computed once, from the original arguments; exceptions waive, grants satisfy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.decision import Decision, Effect, Matched, RedactResult, Reserve
from agentguard.errors import ConfigurationError
from agentguard.opinion import Opinion, named
from agentguard.policy.constraints import Writes, constrained, further, writes_of
from agentguard.policy.default import DEFAULT_NAME, Default
from agentguard.policy.evaluation import exact_truth, reservation
from agentguard.policy.functions import bindings_for
from agentguard.policy.index import Index, Selection
from agentguard.policy.rules import Order, Rule, order_of
from agentguard.policy.tally import Tally, changed, decision_of, joined, refuse
from agentguard.policy.waivers import CompiledException, CompiledGrant, CompiledRegister

__all__ = ["Policies", "decide"]

_Waiver = tuple[CompiledException, tuple[Reserve, ...]]

_FLAG: Final = Effect.FLAG
_CONSTRAIN: Final = Effect.CONSTRAIN
_STEP_UP: Final = Effect.STEP_UP
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


def decide(policies: Policies, request: ContextRequest, exhausted: Collection[str]) -> Decision:
    """The answer to one request. `exhausted` are keys of counters that could not be taken from."""
    try:
        return _decide(policies, request, exhausted)
    except Exception as error:
        # A request of a wrong shape (a time without a zone, arguments that are none) is not let through.
        failed = replace(_FAILED, error=f"deciding failed: {type(error).__name__}")
        return _refusal(policies, failed)


def _decide(policies: Policies, request: ContextRequest, exhausted: Collection[str]) -> Decision:
    found = policies.index.find(request.tool)
    if found is None:
        return _refusal(policies, _UNNAMEABLE)
    register = policies.register
    bindings = bindings_for(request, facts=bool(found.needs or register.exceptions or register.grants))
    tally = _pass(policies, found, request, bindings, exhausted)
    if tally.constraining:
        tally.constraining.sort(key=_by_order)
        writes = writes_of(tally.constraining, request.args, bindings)
        refuse(tally, writes.refused)
        if writes.by_path and not tally.denied():
            tally.sets = tuple(writes.by_path[path] for path in sorted(writes.by_path))
            tally = _again(policies, found, request, exhausted, tally)
    return _decision(policies, tally)


def _by_order(rule: Rule) -> Order:
    return rule.order


def _again(
    policies: Policies,
    found: Selection,
    request: ContextRequest,
    exhausted: Collection[str],
    first: Tally,
) -> Tally:
    """The second pass, over the request that the constraints made, joined with the first."""
    rewritten = constrained(request, first.sets)
    bindings = bindings_for(rewritten)
    second = _pass(policies, found, rewritten, bindings, exhausted)
    if second.constraining:
        wanted: Writes = writes_of(second.constraining, rewritten.args, bindings)
        refuse(second, wanted.refused)
        refuse(second, further(wanted, rewritten.args))
    return joined(first, second)


def _pass(
    policies: Policies,
    found: Selection,
    request: ContextRequest,
    bindings: dict[str, Any],
    exhausted: Collection[str],
) -> Tally:
    tally = Tally()
    pending: list[tuple[Rule, Matched, Order, _Waiver]] = []
    now = request.now
    register = policies.register
    recorded = bool(register.exceptions or register.grants)
    buckets: Iterable[tuple[Rule, ...]] = found.always
    if found.tables:
        buckets = (*buckets, *[table.select(bindings) for table in found.tables])
    for bucket in buckets:
        for rule in bucket:
            error: str | None = None
            condition = rule.condition
            if condition is not None:
                # `truth`, without the cost of calling it for each rule.
                outcome: object = None
                compiled = condition.compiled
                if compiled is not None:
                    try:
                        outcome = compiled(bindings)
                    except Exception:
                        outcome = None
                if outcome is not True and outcome is not False:
                    outcome = exact_truth(condition, bindings)
                if outcome is False:
                    continue
                if outcome is not True:
                    error = str(outcome)
            match, order, permits = rule.matched, rule.order, rule.grants
            if rule.converts_on is not None and now >= rule.converts_on:
                match, permits = rule.converted or match, False
                order = rule.converted_order or order
            if error is not None:
                if permits:
                    continue
                match = changed(match, match.effect, error)
            if rule.observe_until is not None and now < rule.observe_until:
                _observe(tally, rule, match, order)
                continue
            if recorded and not permits and error is None:
                waiver = _waive(
                    register.exceptions.get(rule.name, ()), match.effect, request, bindings, exhausted
                )
                if waiver is not None:
                    if match.effect is _STEP_UP:
                        pending.append((rule, match, order, waiver))
                    else:
                        _apply(tally, rule, match.effect, *waiver)
                    continue
                if match.effect is _STEP_UP and _granted(
                    tally, register.grants.get(rule.name, ()), request, bindings, exhausted
                ):
                    continue
            _fire(tally, rule, match, order, permits, bindings, exhausted)
    supplied = request.supplied
    if supplied and "engines" in supplied:
        _hear(tally, supplied["engines"])
    permitted = bool(tally.permits) or tally.completes
    for rule, match, order, waiver in pending:
        if permitted:
            _apply(tally, rule, match.effect, *waiver)
        else:
            # A waived step-up no longer permits: where nothing else does, asking beats denying.
            _fire(tally, rule, match, order, False, bindings, exhausted)
    if not tally.permits and not tally.completes:
        default, flag = policies.default.at(now)
        tally.matched.append(((-default.effect.rank, True, DEFAULT_NAME), default))
        if flag is not None:
            tally.flags.append(((flag.rule, False), flag))
    return tally


def _fire(
    tally: Tally,
    rule: Rule,
    match: Matched,
    order: Order,
    permits: bool,
    bindings: dict[str, Any],
    exhausted: Collection[str],
) -> None:
    """A rule joins the decision."""
    effect = match.effect
    if rule.reserve is not None and effect is not _DENY:
        problem = None
        try:
            taken = reservation(rule.reserve, rule.name, bindings)
        except cel.CelError as error:
            problem = f"`reserve`: {error.message}"
        else:
            if taken.key in exhausted:
                problem = f"the limit of `{rule.reserve.key}` is reached"
            else:
                tally.reserves.append((rule.name, taken))
        if problem is not None:
            if not permits:
                match = changed(match, _DENY, problem)
                tally.matched.append((order_of(match), match))
            return
    tally.matched.append((order, match))
    if permits:
        tally.permits.append(rule.name)
    if effect is _STEP_UP:
        tally.completes = True
        if rule.approve is not None:
            tally.approves.append((rule.name, rule.approve))
    elif effect is _CONSTRAIN:
        if rule.sets:
            tally.constraining.append(rule)
    elif rule.flag is not None and effect is _FLAG:
        tally.flags.append(((rule.name, False), rule.flag))
    if rule.redact is not None:
        tally.redacts.append((rule.name, rule.redact))


def _hear(tally: Tally, engines: Mapping[str, Any]) -> None:
    """What other decision points said joins the decision; their allow permits only where that is configured.

    INVARIANT: what cannot be read as an opinion is a deny.
    """
    for name, fact in engines.items():
        try:
            opinion = named(Opinion.from_fact(fact), f"engine/{name}")
        except ConfigurationError:
            opinion = Opinion.failed("its opinion cannot be read")
        effect = opinion.effect
        if effect is None:
            continue
        match = Matched(
            rule_id=name, policy="engine", effect=effect, reason=opinion.reason, error=opinion.error
        )
        if opinion.redact:
            tally.redacts.append((match.name, RedactResult(paths=opinion.redact, rule=match.name)))
        if effect is Effect.ALLOW:
            if not opinion.permits:
                continue
            tally.permits.append(match.name)
        elif opinion.approve is not None:
            tally.completes = tally.completes or opinion.permits
            tally.approves.append((match.name, opinion.approve))
        tally.matched.append((order_of(match), match))


def _observe(tally: Tally, rule: Rule, match: Matched, order: Order) -> None:
    tally.observed.append((order, changed(match, match.effect, match.error, "observe")))
    flag = rule.observed_flag
    if flag is not None:
        effect = match.effect
        flag = flag if flag.observed is effect else replace(flag, observed=effect)
        tally.flags.append(((rule.name, True), flag))


def _granted(
    tally: Tally,
    candidates: Iterable[CompiledGrant],
    request: ContextRequest,
    bindings: dict[str, Any],
    exhausted: Collection[str],
) -> bool:
    """Whether a grant satisfies a step-up; then it permits in its place."""
    for grant in candidates:
        if grant.applies(request, bindings, exhausted):
            if grant.name not in tally.permits:
                tally.matched.append((grant.order, grant.matched))
                if grant.reserve is not None:
                    tally.reserves.append((grant.name, grant.reserve))
            tally.permits.append(grant.name)
            return True
    return False


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
    tally: Tally, rule: Rule, effect: Effect, exception: CompiledException, reserves: tuple[Reserve, ...]
) -> None:
    """An exception stands in for a rule: recorded, flagged, with its control."""
    waived = tally.waived.setdefault(exception.record.id, [])
    waived.append(rule.name)
    tally.flags.append(((rule.name, False), exception.flag(rule.name, effect)))
    if len(waived) > 1:
        return
    tally.matched.append((exception.order, exception.matched))
    tally.reserves += [(exception.name, reserve) for reserve in reserves]
    if exception.approve is not None:
        # INVARIANT: the control's approval asks a person and does not count as a grant of its own.
        tally.approves.append((exception.name, exception.approve))
    if exception.redact is not None:
        tally.redacts.append((exception.name, exception.redact))


def _refusal(policies: Policies, match: Matched) -> Decision:
    """A denial before any rule was looked at."""
    tally = Tally()
    tally.matched.append((order_of(match), match))
    return _decision(policies, tally)


def _decision(policies: Policies, tally: Tally) -> Decision:
    return decision_of(tally, policies.digest, policies.register.register.version)
