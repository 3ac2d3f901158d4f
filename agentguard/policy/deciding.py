"""Deciding one request: one pass over the rules of its tool, a second one over what constraints made of it.

DESIGN 3, "Deciding", in its order: only an allow rule or a completed step-up permits; the strongest effect
wins; a rule in error fires unless it is an allow rule; observed rules are recorded and nothing else;
constraints are computed once, from the original arguments; exceptions waive, grants satisfy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentguard.call import ContextRequest
from agentguard.decision import Decision, Effect, Matched
from agentguard.policy.constraints import Writes, constrained, further, writes_of
from agentguard.policy.default import DEFAULT_NAME, Default
from agentguard.policy.evaluation import exact_truth
from agentguard.policy.functions import bindings_for
from agentguard.policy.index import Index, Selection
from agentguard.policy.joining import Waiver, apply, fire, granted, hear, observe, waive
from agentguard.policy.rules import Order, Rule, order_of
from agentguard.policy.steps import FLAG
from agentguard.policy.tally import Tally, changed, decision_of, joined, refuse
from agentguard.policy.waivers import CompiledRegister

__all__ = ["Policies", "decide"]

_Pending = tuple[Rule, Matched, Order, Waiver]
"""A step-up that an exception waives."""

_STEP_UP: Final = Effect.STEP_UP
_UNNAMEABLE: Final = Matched(
    rule_id="tool-name",
    policy="agentguard",
    effect=Effect.DENY,
    reason="the tool's name is none that a policy could name",
)

_SUSPENDED: Final = replace(_UNNAMEABLE, rule_id="agent", reason="the agent is suspended")
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
        found = policies.index.find(request.tool)
        if found is None:
            return _refusal(policies, _UNNAMEABLE)
        register = policies.register
        if register.suspended:
            gone = _suspended(register.suspended, request)
            if gone is not None:
                return _refusal(policies, gone)
        read = request.supplied and (found.needs or register.exceptions or register.grants)
        bindings = bindings_for(request) if read else request.bindings()
        tally = _pass(policies, found, request, bindings, exhausted)
        if tally.constraining:
            tally = _constrain(policies, found, request, bindings, exhausted, tally)
        return decision_of(tally, policies.digest, register.register.version)
    except Exception as error:
        # A request of a wrong shape (a time without a zone, arguments that are none) is not let through.
        failed = replace(_FAILED, error=f"deciding failed: {type(error).__name__}")
        return _refusal(policies, failed)


def _suspended(suspended: Mapping[str, str], request: ContextRequest) -> Matched | None:
    """Why no rule is looked at: the acting agent, or one that delegated to it, may not act.

    INVARIANT: ids are compared exactly; what a rule or an exception says does not matter.
    """
    own = suspended.get(request.agent["id"])
    if own is not None:
        return _SUSPENDED if own == "suspended" else replace(_SUSPENDED, reason=f"the agent is {own}")
    for link in request.chain:
        found = suspended.get(link["id"])
        if found is not None:
            return replace(_SUSPENDED, reason=f"an agent that delegated to this one is {found}")
    return None


def _by_order(rule: Rule) -> Order:
    return rule.order


def _constrain(
    policies: Policies,
    found: Selection,
    request: ContextRequest,
    bindings: dict[str, Any],
    exhausted: Collection[str],
    tally: Tally,
) -> Tally:
    """What constraints write, and what the rules say to that; a constraint that cannot be followed denies."""
    tally.constraining.sort(key=_by_order)
    writes = writes_of(tally.constraining, request.args, bindings)
    refuse(tally, writes.refused)
    if not writes.by_path or tally.denied():
        return tally
    tally.sets = tuple(writes.by_path[path] for path in sorted(writes.by_path))
    return _again(policies, found, request, exhausted, tally)


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
    matched, duties = tally.matched, tally.duties
    pending: list[_Pending] = []
    register = policies.register
    recorded = bool(register.exceptions or register.grants)
    buckets = found.always
    for table in found.tables:
        buckets = (*buckets, table.select(bindings))
    for bucket in buckets:
        for step in bucket:
            condition = step.condition
            outcome: object = True
            if condition is not None:
                # `truth`, without the cost of calling it for each rule.
                compiled = condition.compiled
                try:
                    outcome = compiled(bindings, condition.constants) if compiled is not None else None
                except Exception:
                    outcome = None
                if outcome is False:
                    continue
                if outcome is not True:
                    outcome = exact_truth(condition, bindings)
                    if outcome is False:
                        continue
            permits = step.permits
            if outcome is not True or not step.plain or (recorded and permits is None):
                waived = _consider(policies, tally, step.rule, outcome, request, bindings, exhausted)
                if waived is not None:
                    pending.append(waived)
                continue
            # `fire`, for a rule that adds the same things to every decision.
            matched.append(step.entry)
            if permits is not None:
                tally.permits.append(permits)
            elif step.asks:
                tally.completes = True
                if step.approve is not None:
                    tally.approves.append(step.approve)
            if step.duties:
                duties += step.duties
    supplied = request.supplied
    if supplied and "engines" in supplied:
        hear(tally, supplied["engines"])
    permitted = bool(tally.permits) or tally.completes
    for rule, match, order, waiver in pending:
        if permitted:
            apply(tally, rule, match.effect, *waiver)
        else:
            # A waived step-up no longer permits: where nothing else does, asking beats denying.
            fire(tally, rule, match, order, False, bindings, exhausted)
    if not tally.permits and not tally.completes:
        default, flag = policies.default.at(request.now)
        matched.append(((-default.effect.rank, True, DEFAULT_NAME), default))
        if flag is not None:
            duties.append(((FLAG, flag.rule, False), flag))
    return tally


def _consider(
    policies: Policies,
    tally: Tally,
    rule: Rule,
    outcome: object,
    request: ContextRequest,
    bindings: dict[str, Any],
    exhausted: Collection[str],
) -> _Pending | None:
    """A rule whose condition is true, or an error's text: it joins the decision unless something stops it.

    A waived step-up is handed back: what becomes of it depends on the other rules.
    """
    now, register = request.now, policies.register
    error = None if outcome is True else str(outcome)
    match, order, permits = rule.matched, rule.order, rule.grants
    if rule.converts_on is not None and now >= rule.converts_on:
        match, permits = rule.converted or match, False
        order = rule.converted_order or order
    if error is not None:
        if permits:
            return None
        match = changed(match, match.effect, error)
    if rule.observe_until is not None and now < rule.observe_until:
        observe(tally, rule, match, order)
        return None
    if not permits and error is None:
        exceptions = register.exceptions.get(rule.name, ())
        waiver = waive(exceptions, match.effect, request, bindings, exhausted)
        if waiver is not None:
            if match.effect is _STEP_UP:
                return rule, match, order, waiver
            apply(tally, rule, match.effect, *waiver)
            return None
        grants = register.grants.get(rule.name, ())
        if match.effect is _STEP_UP and granted(tally, grants, request, bindings, exhausted):
            return None
    fire(tally, rule, match, order, permits, bindings, exhausted)
    return None


def _refusal(policies: Policies, match: Matched) -> Decision:
    """A denial before any rule was looked at."""
    tally = Tally()
    tally.matched.append((order_of(match), match))
    return decision_of(tally, policies.digest, policies.register.register.version)
