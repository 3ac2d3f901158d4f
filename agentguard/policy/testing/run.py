"""Running cases: what was decided, what is not as wanted, and why."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from agentguard.decision import Decision
from agentguard.policy.explain import Considered, explain
from agentguard.policy.testing.files import Case
from agentguard.policy.testing.suite import Suite
from agentguard.policy.testing.wanted import Difference, differences

__all__ = ["Result", "run"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result:
    """What became of one case; `considered` are the rules that its differences are about."""

    suite: Suite
    case: Case
    decision: Decision
    differences: tuple[Difference, ...]
    considered: tuple[Considered, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether everything is as wanted."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        case = self.case
        return {
            "id": case.id,
            "name": case.name,
            "row": case.row,
            "at": case.at,
            "tool": case.request.tool,
            "outcome": "passed" if self.passed else "failed",
            "wanted": case.want.effect,
            "effect": self.decision.effect.value,
            "matched": [match.name for match in self.decision.matched],
            "differences": [one.to_json() for one in self.differences],
            "rules": [one.to_json() for one in self.considered],
            "snapshot": self.decision.snapshot,
            "seconds": round(self.seconds, 6),
        }


def run(cases: Iterable[tuple[Suite, Case]]) -> Iterator[Result]:
    """Decide every case, in order."""
    for suite, case in cases:
        begin = time.perf_counter()
        decision = suite.snapshot.decide(case.request, exhausted=case.exhausted)
        found = tuple(differences(case.want, decision))
        took = time.perf_counter() - begin
        considered = _considered(suite, case, decision, found) if found else ()
        yield Result(
            suite=suite,
            case=case,
            decision=decision,
            differences=found,
            considered=considered,
            seconds=took,
        )


def _considered(
    suite: Suite, case: Case, decision: Decision, found: Iterable[Difference]
) -> tuple[Considered, ...]:
    """The rules that a failure is about; for another effect also those that would have had the wanted one."""
    about = {one.rule for one in found}
    wanted = case.want.effect
    changed = decision.effect.value != wanted
    return tuple(
        rule
        for rule in explain(suite.snapshot, case.request).rules
        if rule.name in about or (changed and rule.effect.value == wanted)
    )
