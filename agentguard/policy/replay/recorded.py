"""One recorded decision, as far as its record can still be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from agentguard.call import ContextRequest
from agentguard.decision import Decision

__all__ = ["PROBLEMS", "Opened", "Problem", "Recorded"]

Problem = Literal["context", "erased", "fact", "limits", "value", "damaged"]

PROBLEMS: Final[dict[Problem, str]] = {
    "context": "recorded without what a replay needs (`replayable: true` keeps it)",
    "erased": "the arguments or the context were erased",
    "fact": "a rule reads a fact that nobody asked for at the time",
    "limits": "a limit was used up, which depends on the calls before it",
    "value": "an argument's value is known to a class of the tool only",
    "damaged": "damaged: the record does not read back as it was written",
}
"""Why a record is not replayable, and what that means; `damaged` is counted apart."""


@dataclass(slots=True, kw_only=True)
class Recorded:
    """One decision of the past.

    `at` is the time as it was written. `decision` is what was decided; None in a file that holds requests
    only. `request` is what it was decided on, and None where a `problem` stands in its place, or where the
    guard itself refused the call whatever the policies say (`own`). `asked` names the facts that fact
    providers were asked for: one of them that is absent was absent in truth.
    """

    id: str
    at: str
    tool: str = ""
    agent: str = ""
    phase: Literal["decide", "claim"] = "decide"
    decision: Decision | None = None
    request: ContextRequest | None = None
    asked: frozenset[str] = frozenset()
    problem: Problem | None = None
    detail: str = ""
    own: bool = False
    approval: str | None = None


@dataclass(slots=True)
class Opened:
    """An approval as its events tell it: for which decision it was opened, and what became of it."""

    id: str
    decision_id: str
    tool: str
    state: str = "requested"
    votes: int = 0
