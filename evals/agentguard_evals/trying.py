"""What the guard decides of a call that is not made: the real path of the call, up to its first write.

The flow of a guarded call does no I/O of its own, so it can be asked for its decision: it runs as it always
does, on a twin of the session, until it wants to record. What it would have recorded is the answer. Nothing
is written, nobody is asked, no tool runs, and the session does not know of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agentguard.calls import Call
from agentguard.decision import Decision, Effect
from agentguard.drivers import perform
from agentguard.flow import call_flow
from agentguard.ids import uuid7
from agentguard.ledger.decided import decided
from agentguard.ledger.events import leaf
from agentguard.operations import Count, Open, Operation, Record, Refresh
from agentguard.refusing import denial
from agentguard_evals.results import CallResult, Outcome

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.session import Session

__all__ = ["NO_DECISION", "Tries", "Would", "rule_of", "would_decide"]

NO_DECISION: Final = frozenset({"agentguard/error", "agentguard/store", "agentguard/closed"})
"""Denials that say nothing about a policy: an error is not a pass."""


@dataclass(frozen=True, slots=True)
class Would:
    """A decision that was not recorded; `asks` says that a question would have been put to somebody."""

    decision: Decision
    asks: bool


def would_decide(guard: Guard, session: Session, tool: str, arguments: Mapping[str, Any]) -> Would | None:
    """The decision about a call in this session, or None where only making it tells: where it takes from a
    counter, is recorded in batches, or asks fact providers or other decision points."""
    known = guard.tools[tool]
    twin = session.twin()
    call = Call(tool=known, arguments=arguments, session=twin, call_id=uuid7(), digest=known.current)
    flow = call_flow(guard, call)
    try:
        wanted: Operation = next(flow)
        while isinstance(wanted, (Count, Refresh)):
            wanted = flow.send(perform(guard, wanted))
    finally:
        flow.close()
    if not isinstance(wanted, (Record, Open)):
        return None
    event = json.loads(leaf(wanted.events[0]))
    return Would(decided(event["decision"]), isinstance(wanted, Open))


def rule_of(decision: Decision) -> str:
    """The rule that decided, or that granted."""
    match = decision.deciding
    return match.name if match is not None else next(iter(decision.granted_by), "agentguard/default")


@dataclass(slots=True)
class Tries:
    """Calls of the attack that were tried apart from each other, and which rules matched."""

    results: list[CallResult] = field(default_factory=list)
    fired: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def any_ran(self) -> bool:
        return any(result.ran for result in self.results)

    def made(self, result: CallResult, fired: Mapping[str, int], errors: Mapping[str, int]) -> CallResult:
        """Count a try that was made."""
        self.results.append(result)
        self.fired.update(fired)
        self.errors.update(errors)
        return result

    def decided(
        self, guard: Guard, tool: str, would: Would, *, runs: bool, consequential: bool, ms: float
    ) -> CallResult:
        """Count a try that was decided, and not made."""
        decision, denied = would.decision, would.decision.effect is Effect.DENY
        rule = rule_of(decision)
        if denied and rule in NO_DECISION:
            raise RuntimeError(f"the guard failed on a call of `{tool}`: `{rule}`")
        outcome: Outcome = "ran" if runs else "denied" if denied else "refused"
        match = decision.deciding
        note = denial(guard, tool, decision, None).reason if denied else match.reason if match else ""
        result = CallResult.model_construct(
            tool=tool,
            origin="attacker",
            effect=decision.effect.value,
            outcome=outcome,
            rule=rule,
            note="" if runs else note,
            asked=would.asks,
            modified=decision.effect is Effect.CONSTRAIN,
            consequential=consequential,
            rule_errors=tuple([one.name for one in decision.matched if one.error is not None]),
            overhead_ms=ms,
        )
        matched = [*decision.matched, *decision.observed]
        errors = Counter(one.name for one in matched if one.error is not None)
        return self.made(result, Counter(one.name for one in matched), errors)
