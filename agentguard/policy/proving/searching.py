"""Searching for a request: the solver proposes, the evaluator disposes.

First among calls that look like calls, then among those with short lists, then among all. A request is an
answer only when it was decided for real; that there is none, only when the whole model holds none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from agentguard.call import ContextRequest
from agentguard.policy.proving.inputs import Inputs
from agentguard.policy.proving.shrinking import smaller
from agentguard.policy.proving.solver import Truth, new_solver, z3
from agentguard.policy.proving.witness import candidates, mistaken, shapes, unknowns

__all__ = ["Deadline", "Nothing", "Search", "Undecided"]

_TRIES: Final = 12
_LEAST_MS: Final = 20


class Deadline:
    """The time that a question may take, in seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left_ms(self) -> int:
        return int((self._end - time.monotonic()) * 1000)

    @property
    def passed(self) -> bool:
        return self.left_ms <= 0

    @property
    def reason(self) -> str:
        return f"no answer within {self.seconds:g} s; give it more with --timeout-s"


@dataclass(frozen=True, slots=True)
class Nothing:
    """It is proved that no request is as asked for."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Neither proved nor shown; `blamed` are constructs outside the model that stood in the way."""

    reason: str
    blamed: frozenset[str] = frozenset()


class Search:
    """Looks for a request about one class of tools for which `confirmed` holds.

    `errors` counts the rules in error, so that a smaller request is none in which more is missing.
    """

    def __init__(
        self,
        inputs: Inputs,
        deadline: Deadline,
        confirmed: Callable[[ContextRequest], bool],
        errors: Callable[[ContextRequest], int],
    ) -> None:
        self.inputs = inputs
        self.deadline = deadline
        self.confirmed = confirmed
        self.errors = errors

    def run(self, wanted: Truth) -> ContextRequest | Nothing | Undecided:
        """A request in the model where `wanted` holds, decided for real; or none; or not known."""
        if wanted is False:
            return Nothing()
        if self.deadline.passed:
            return Undecided(self.deadline.reason)
        solver = new_solver()
        solver.add(*self.inputs.stated, wanted)
        # What is found first is what is looked for first; only the last look is at the whole model.
        usual, short = self.inputs.usual, self.inputs.short
        quiet = self.inputs.quiet
        likely = [*usual, *short, *quiet]
        narrower = [[*self.inputs.present, *likely], likely, [*short, *quiet], *([quiet] if quiet else [])]
        for constraints in narrower:
            solver.push()
            solver.add(*constraints)
            found = self._tried(solver)
            solver.pop()
            if isinstance(found, ContextRequest):
                return found
        return self._tried(solver)

    def empty(self, premise: Truth) -> bool:
        """Whether it is proved that `premise` holds for no request."""
        if isinstance(premise, bool) or self.deadline.passed:
            return premise is False
        solver = new_solver()
        solver.add(*self.inputs.stated, premise)
        solver.set("timeout", max(self.deadline.left_ms, _LEAST_MS))
        return bool(self._check(solver) == z3.unsat)

    def _tried(self, solver: Any) -> ContextRequest | Nothing | Undecided:
        blamed: set[str] = set()
        for attempt in range(_TRIES):
            solver.set("timeout", max(self.deadline.left_ms, _LEAST_MS))
            answer = self._check(solver)
            if answer is None or answer == z3.unknown:
                return Undecided(self._why(solver, answer), frozenset(blamed))
            if answer == z3.unsat:
                # Only the first answer is about the whole model: later ones have tries taken out.
                return Nothing() if attempt == 0 else Undecided(_UNCONFIRMED, frozenset(blamed))
            model = solver.model()
            for request in candidates(model, self.inputs):
                if self.confirmed(request):
                    return self._smaller(request)
                blamed |= mistaken(model, self.inputs, request)
            others = unknowns(model) or shapes(model, self.inputs)
            if not others or self.deadline.passed:
                break
            solver.add(z3.Or(others))
        return Undecided(_UNCONFIRMED, frozenset(blamed))

    def _smaller(self, request: ContextRequest) -> ContextRequest:
        most = self.errors(request)
        return smaller(request, lambda other: self.confirmed(other) and self.errors(other) <= most)

    def _check(self, solver: Any) -> Any:
        try:
            return solver.check()
        except z3.Z3Exception:
            # Out of memory, as the solver is bounded.
            return None

    def _why(self, solver: Any, answer: Any) -> str:
        if self.deadline.passed:
            return self.deadline.reason
        cause = "out of memory" if answer is None else str(solver.reason_unknown())
        if cause in ("timeout", "canceled"):
            return self.deadline.reason
        return f"the solver gave up: {cause}"


_UNCONFIRMED: Final = "the model allows it, and no call that was tried is decided so"
