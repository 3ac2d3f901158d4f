"""Proofs about policies: can it ever happen, can this rule matter, does a candidate let more through."""

from agentguard.policy.proving.answers import (
    ASSUMPTIONS,
    Answer,
    Comparison,
    Counterexample,
    Direction,
    Unknown,
)
from agentguard.policy.proving.consulted import Consulted
from agentguard.policy.proving.questions import OUTCOMES, Bounds, Outcome, compare, never, reachable

__all__ = [
    "ASSUMPTIONS",
    "OUTCOMES",
    "Answer",
    "Bounds",
    "Comparison",
    "Consulted",
    "Counterexample",
    "Direction",
    "Outcome",
    "Unknown",
    "compare",
    "never",
    "reachable",
]
