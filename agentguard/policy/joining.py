"""How a rule, an opinion, an exception or a grant joins what a pass has found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.decision import Effect, Matched, RedactResult, Reserve
from agentguard.errors import ConfigurationError
from agentguard.opinion import Opinion, named
from agentguard.policy.evaluation import reservation
from agentguard.policy.rules import Order, Rule, order_of
from agentguard.policy.steps import FLAG, REDACT, RESERVE, duties_of
from agentguard.policy.tally import Tally, changed
from agentguard.policy.waivers import CompiledException, CompiledGrant

__all__ = ["Waiver", "apply", "fire", "granted", "hear", "observe", "waive"]

Waiver = tuple[CompiledException, tuple[Reserve, ...]]
"""An exception that applies, and what it takes from counters."""

_CONSTRAIN: Final = Effect.CONSTRAIN
_STEP_UP: Final = Effect.STEP_UP
_DENY: Final = Effect.DENY


def fire(
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
                tally.duties.append(((RESERVE, rule.name, False), taken))
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
    elif effect is _CONSTRAIN and rule.sets:
        tally.constraining.append(rule)
    tally.duties += duties_of(rule, effect)


def hear(tally: Tally, engines: Mapping[str, Any]) -> None:
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
            redact = RedactResult(paths=opinion.redact, rule=match.name)
            tally.duties.append(((REDACT, match.name, False), redact))
        if effect is Effect.ALLOW:
            if not opinion.permits:
                continue
            tally.permits.append(match.name)
        elif opinion.approve is not None:
            tally.completes = tally.completes or opinion.permits
            tally.approves.append((match.name, opinion.approve))
        tally.matched.append((order_of(match), match))


def observe(tally: Tally, rule: Rule, match: Matched, order: Order) -> None:
    tally.observed.append((order, changed(match, match.effect, match.error, "observe")))
    flag = rule.observed_flag
    if flag is not None:
        effect = match.effect
        flag = flag if flag.observed is effect else replace(flag, observed=effect)
        tally.duties.append(((FLAG, rule.name, True), flag))


def granted(
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
                    tally.duties.append(((RESERVE, grant.name, False), grant.reserve))
            tally.permits.append(grant.name)
            return True
    return False


def waive(
    candidates: Iterable[CompiledException],
    effect: Effect,
    request: ContextRequest,
    bindings: dict[str, Any],
    exhausted: Collection[str],
) -> Waiver | None:
    for exception in candidates:
        if exception.effect.rank > effect.rank:
            # A control stronger than the rule would make the exception a burden; the rule itself stands.
            return None
        reserves = exception.reserves(request, bindings, exhausted)
        if reserves is not None:
            return exception, reserves
    return None


def apply(
    tally: Tally, rule: Rule, effect: Effect, exception: CompiledException, reserves: tuple[Reserve, ...]
) -> None:
    """An exception stands in for a rule: recorded, flagged, with its control."""
    waived = tally.waived.setdefault(exception.record.id, [])
    waived.append(rule.name)
    tally.duties.append(((FLAG, rule.name, False), exception.flag(rule.name, effect)))
    if len(waived) > 1:
        return
    tally.matched.append((exception.order, exception.matched))
    tally.duties += [((RESERVE, exception.name, False), reserve) for reserve in reserves]
    if exception.approve is not None:
        # INVARIANT: the control's approval asks a person and does not count as a grant of its own.
        tally.approves.append((exception.name, exception.approve))
    if exception.redact is not None:
        tally.duties.append(((REDACT, exception.name, False), exception.redact))
