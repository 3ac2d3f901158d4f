"""What a proof says: proved, refuted by a call that was decided for real, or unknown and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentguard.call import ContextRequest
from agentguard.decision import Decision
from agentguard.policy.proving.joining import Met

__all__ = [
    "ASSUMPTIONS",
    "SILENT",
    "VACUOUS",
    "Answer",
    "Comparison",
    "Counterexample",
    "Direction",
    "Found",
    "Relation",
    "Unknown",
]

Found = Literal["proved", "refuted", "unknown"]
Relation = Literal["equal", "narrower", "wider", "incomparable", "unknown"]

SILENT: Final = "no other decision point gives an opinion"
ASSUMPTIONS: tuple[str, ...] = (
    "the register holds no exceptions and no grants",
    SILENT,
    "no counter of `reserve` is exhausted",
    "no condition runs out of its budget of steps",
    "what constraints write is no larger than arguments may be",
    "texts hold Unicode characters up to U+2FFFF",
)
"""What every answer takes for granted, beside what the question says."""

VACUOUS: Final = "vacuous: no call fulfils the condition"
"""Why a claim about no call at all is not called proved."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A call, with what was really decided about it: by the set, or by today's and the candidate."""

    request: ContextRequest
    decisions: Mapping[str, Decision]

    def to_json(self) -> dict[str, Any]:
        return {
            "request": self.request.to_mapping(),
            "decisions": {name: decision.to_json() for name, decision in self.decisions.items()},
        }


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why there is no answer about some tools, and which constructs are outside the model."""

    tools: str
    reason: str
    met: tuple[Met, ...] = ()

    def to_json(self) -> dict[str, Any]:
        met = [{"rule": one.rule, "at": one.at, "constructs": list(one.constructs)} for one in self.met]
        return {"tools": self.tools, "reason": self.reason, "outside": met}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a question about one set.

    `proved` means that no request does what the question asks for; `refuted` comes with one that does.
    `opposite` is the question the other way round, where that is what one hopes for.
    `outside` are constructs that were met on the way: a proof holds whatever they yield. `warnings` are what
    makes an answer say less than it seems to: a tool that no rule concerns, another set that runs.
    """

    question: str
    opposite: str = ""
    found: Found
    tools: tuple[str, ...]
    counterexample: Counterexample | None = None
    unknown: tuple[Unknown, ...] = ()
    outside: tuple[Met, ...] = ()
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ASSUMPTIONS
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "question": self.question,
            "answer": self.found,
            "tools": list(self.tools),
            "counterexample": self.counterexample.to_json() if self.counterexample else None,
            "unknown": [one.to_json() for one in self.unknown],
            "outside": [
                {"rule": one.rule, "at": one.at, "constructs": list(one.constructs)} for one in self.outside
            ],
            "warnings": list(self.warnings),
            "assumptions": list(self.assumptions),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Direction:
    """Whether the candidate differs one way: a call that shows it, or a proof, or not known."""

    found: Found
    witness: Counterexample | None = None

    @property
    def differs(self) -> bool:
        return self.found == "refuted"

    def to_json(self) -> dict[str, Any]:
        return {"answer": self.found, "witness": self.witness.to_json() if self.witness else None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a candidate stands to today's set, for some tools: does it let more through, or less, or both."""

    tools: tuple[str, ...]
    wider: Direction
    narrower: Direction
    parts: tuple[Comparison, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ASSUMPTIONS
    seconds: float = 0.0

    @property
    def relation(self) -> Relation:
        """The relation in a word; unknown unless both directions are settled."""
        if "unknown" in (self.wider.found, self.narrower.found):
            return "unknown"
        match self.wider.differs, self.narrower.differs:
            case False, False:
                return "equal"
            case False, True:
                return "narrower"
            case True, False:
                return "wider"
            case _:
                return "incomparable"

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "answer": self.relation,
            "tools": list(self.tools),
            "lets_more_through": self.wider.to_json(),
            "lets_less_through": self.narrower.to_json(),
            "unknown": [one.to_json() for one in self.unknown],
        }
        if self.parts:
            found["parts"] = [part.to_json() for part in self.parts]
            found["notes"] = list(self.notes)
            found["warnings"] = list(self.warnings)
            found["assumptions"] = list(self.assumptions)
            found["seconds"] = round(self.seconds, 3)
        return found
