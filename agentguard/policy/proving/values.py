"""A symbolic value: an error, or one of several alternatives, each under its guard.

INVARIANT: the guards of a value's alternatives and its error exclude each other, and one of them holds. So
every outcome of an expression is counted once, and none is forgotten.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite
from typing import Any, Literal

from agentguard.cel import UInt, ast
from agentguard.cel.temporal import Duration, Timestamp
from agentguard.cel.values import CelType
from agentguard.policy.proving.solver import HIGHEST, Truth, both, either, free, negated

__all__ = ["Alternative", "Kind", "Possible", "Value", "Verdict", "constant", "failing", "merged", "truth"]

Kind = Literal[
    "null", "bool", "int", "uint", "double", "string", "list", "map", "timestamp", "duration", "type",
    "optional", "other", "any",
]  # fmt: skip
"""`other` is bytes; `any` is a value about which nothing is known."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A value of one kind, in case `guard` holds.

    `payload` is a truth, a number (nanoseconds for times), a text, the elements of a list or the node of the
    request that it is; a pair of presence and content for an optional; for `any` a name, by which the same
    unknown value is the same wherever it is met.
    """

    guard: Truth
    kind: Kind
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Value:
    """What an expression yields."""

    error: Truth
    alternatives: tuple[Alternative, ...] = ()

    def of(self, *kinds: Kind) -> tuple[Alternative, ...]:
        """The alternatives of these kinds."""
        return tuple(one for one in self.alternatives if one.kind in kinds)

    def guard(self, *kinds: Kind) -> Truth:
        """Whether it is of one of these kinds."""
        return either(*[one.guard for one in self.of(*kinds)])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition yields: true, false, or (where neither holds) an error."""

    true: Truth
    false: Truth

    @property
    def error(self) -> Truth:
        return both(negated(self.true), negated(self.false))


@dataclass(slots=True)
class Possible:
    """The unknown values that were met: constraints on them, and the construct that each stands for.

    `origins` holds the calls whose results are unknown values of a known type.
    """

    constraints: list[Any] = field(default_factory=list)
    constructs: dict[Hashable, str] = field(default_factory=dict)
    numbers: dict[Hashable, int] = field(default_factory=dict)
    origins: dict[int, ast.Node] = field(default_factory=dict)

    def number(self, name: Hashable, construct: str = "") -> int:
        """A short name for an unknown; `construct` says where it comes from."""
        found = self.numbers.setdefault(name, len(self.numbers))
        if construct:
            self.constructs.setdefault(name, construct)
        return found

    def verdict(self, name: Hashable) -> Verdict:
        """An unknown value as a truth: true, false or an error."""
        fresh = name not in self.numbers
        number = self.number(name)
        true, false = free(f"?{number}=true"), free(f"?{number}=false")
        if fresh or number not in self._stated:
            self._stated.add(number)
            self.constraints.append(negated(both(true, false)))
        return Verdict(true, false)

    _stated: set[int] = field(default_factory=set)


def failing() -> Value:
    """An error, always."""
    return Value(True)


def constant(value: object) -> Value | None:
    """The value of a constant; None for one that the solver has no counterpart for."""
    match value:
        case None:
            return _only("null")
        case bool():
            return _only("bool", value)
        case UInt():
            return _only("uint", int(value))
        case int():
            return _only("int", value)
        case float():
            return _only("double", Fraction(value)) if isfinite(value) else None
        case str():
            return _only("string", value) if _fits(value) else None
        case Timestamp():
            return _only("timestamp", value.ns)
        case Duration():
            return _only("duration", value.ns)
        case CelType():
            return _only("type", value.name)
        case _:
            return None


def _only(kind: Kind, payload: Any = None) -> Value:
    return Value(False, (Alternative(True, kind, payload),))


def _fits(text: str) -> bool:
    return all(ord(char) <= HIGHEST and not 0xD800 <= ord(char) <= 0xDFFF for char in text)


def merged(cases: Iterable[tuple[Truth, Value]], otherwise: Truth = False) -> Value:
    """The value of whichever case holds, an error where `otherwise` does; they exclude each other."""
    errors: list[Truth] = [otherwise]
    found: list[Alternative] = []
    for condition, value in cases:
        if condition is False:
            continue
        errors.append(both(condition, value.error))
        found += [
            Alternative(both(condition, one.guard), one.kind, one.payload) for one in value.alternatives
        ]
    return Value(either(*errors), tuple(one for one in found if one.guard is not False))


def truth(value: Value, possible: Possible) -> Verdict:
    """A value as a condition: whatever is neither true nor false is an error."""
    true: list[Truth] = []
    false: list[Truth] = []
    for one in value.alternatives:
        if one.kind == "bool":
            true.append(both(one.guard, one.payload))
            false.append(both(one.guard, negated(one.payload)))
        elif one.kind == "any":
            unknown = possible.verdict(one.payload)
            true.append(both(one.guard, unknown.true))
            false.append(both(one.guard, unknown.false))
    return Verdict(either(*true), either(*false))
