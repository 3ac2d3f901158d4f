"""The request of a proof: every path that conditions read, of any type or absent.

A path becomes a node when something reads it. A list has a few explicit elements; what the rest of a longer
one holds is said by one unknown for each question about it, which is more than any list can be.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from agentguard.cel.values import INT_MAX, INT_MIN
from agentguard.policy.proving.solver import Term, Truth, both, either, free, negated, z3
from agentguard.policy.proving.values import Alternative, Possible, Value

__all__ = ["ELEMENTS", "FACTS", "Inputs", "Node", "Rest", "Secret", "instant_us", "moment"]

ELEMENTS: Final = 3
"""Elements of a list that are told apart; what longer ones hold is known less exactly."""
_LONGEST: Final = 10_000
_LAST_US: Final = 253_370_764_800_000_000
"""The end of the year 9998: a time zone later is still a date."""
_FIRST_US: Final = -62_135_596_800_000_000
_END_US: Final = 253_402_300_800_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Shape = Literal[
    "absent", "null", "bool", "int", "big", "double", "string", "list", "map", "timestamp",
    "duration", "other",
]  # fmt: skip
"""What a request holds at a path.

`big` is what is an error to read, as an integer of more than 64 bits is; `other` is bytes.
"""
_ANY: Final[tuple[Shape, ...]] = (
    "absent", "null", "bool", "int", "big", "double", "string", "list", "map", "timestamp",
    "duration", "other",
)  # fmt: skip
_PRESENT: Final = _ANY[1:]
_NOT_NULL: Final[tuple[Shape, ...]] = ("absent", *_ANY[2:])
_MAP: Final[tuple[Shape, ...]] = ("map",)
_OPTIONAL_MAP: Final[tuple[Shape, ...]] = ("absent", "map")
_TEXT: Final[tuple[Shape, ...]] = ("string",)

_ROOTS: Final[dict[str, tuple[Shape, ...]]] = {
    "args": _MAP, "agent": _MAP, "session": _MAP, "facts": _MAP, "context": _MAP,
    "principal": _OPTIONAL_MAP, "resource": _OPTIONAL_MAP, "workload": _OPTIONAL_MAP,
    "environment": ("absent", "string"), "secrets": ("list",), "chain": ("list",),
    "history": _NOT_NULL, "baseline": _NOT_NULL, "rates": _NOT_NULL,
    "@provenance": _MAP, "@secret": _MAP,
}  # fmt: skip
_KNOWN: Final[dict[tuple[str, ...], tuple[Shape, ...]]] = {
    ("agent", "id"): _TEXT, ("secrets", "[]"): _TEXT, ("chain", "[]"): _MAP,
}  # fmt: skip
FACTS: Final[dict[str, str]] = {"@provenance": "provenance", "@secret": "secret"}
"""Where facts that functions read lie in a request's `supplied`."""


def instant_us(moment: dt.datetime) -> int:
    """Microseconds since 1970."""
    span = moment - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def moment(us: int) -> dt.datetime:
    """The time of so many microseconds since 1970."""
    return _EPOCH + dt.timedelta(microseconds=us)


@dataclass(slots=True, eq=False)
class Rest:
    """Elements of a list beyond the explicit ones, as one question sees them: which outcomes occur there."""

    decisive: Truth
    error: Truth
    example: object | None


class Node:
    """One path of the request."""

    def __init__(self, inputs: Inputs, path: tuple[str, ...], shapes: tuple[Shape, ...]) -> None:
        self.inputs = inputs
        self.path = path
        self.shapes = shapes
        self.name = f"r{len(inputs.nodes)}"
        self.children: dict[str, Node] = {}
        self.rests: dict[Hashable, Rest] = {}
        inputs.nodes[path] = self
        if len(shapes) > 1:
            flags = [self.flag(shape) for shape in shapes]
            inputs.constraints += [either(*flags), z3.AtMost(*flags, 1)]

    def flag(self, shape: Shape) -> Truth:
        """Whether it holds this."""
        if shape not in self.shapes:
            return False
        return True if len(self.shapes) == 1 else free(f"{self.name}:{shape}")

    def child(self, field_: str) -> Node:
        """A field of it, in case it is a map."""
        found = self.children.get(field_)
        if found is None:
            path = (*self.path, field_)
            found = self.children[field_] = Node(self.inputs, path, _KNOWN.get(path, _ANY))
        return found

    @cached_property
    def missing(self) -> Truth:
        return self.flag("absent")

    @cached_property
    def integer(self) -> Term:
        found = z3.Int(f"{self.name}.int")
        self.inputs.constraints += [found >= INT_MIN, found <= INT_MAX]
        return found

    @cached_property
    def real(self) -> Term:
        return z3.Real(f"{self.name}.double")

    @cached_property
    def text(self) -> Term:
        return z3.String(f"{self.name}.string")

    @cached_property
    def instant(self) -> Term:
        """Microseconds since 1970, in case it is a time; earlier or later ones are errors to read."""
        found = z3.Int(f"{self.name}.instant")
        self.inputs.constraints += [found >= _FIRST_US, found < _END_US]
        return found

    @cached_property
    def span(self) -> Term:
        """Microseconds, in case it is a duration."""
        found = z3.Int(f"{self.name}.span")
        self.inputs.constraints += [found * 1000 >= INT_MIN, found * 1000 <= INT_MAX]
        return found

    @cached_property
    def size(self) -> Term:
        """The number of elements or entries, in case it is a list or map."""
        found = z3.Int(f"{self.name}.size")
        self.inputs.constraints += [found >= 0, found <= _LONGEST]
        if "list" in self.shapes:
            self.inputs.short.append(either(negated(self.flag("list")), found <= ELEMENTS))
        return found

    @property
    def entries(self) -> Truth:
        """That a map has at least the entries that are read and there."""
        there = [z3.If(child.missing, 0, 1) for child in self.children.values()]
        return either(negated(self.flag("map")), z3.Sum(there) <= self.size)

    @cached_property
    def elements(self) -> tuple[Node, ...]:
        """The explicit elements, in case it is a list."""
        shapes = _KNOWN.get((*self.path, "[]"), _PRESENT)
        return tuple(Node(self.inputs, (*self.path, f"[{i}]"), shapes) for i in range(ELEMENTS))

    @cached_property
    def value(self) -> Value:
        """What is read where it is not absent: an error for an integer out of range."""
        found = [self._alternative(shape) for shape in self.shapes if shape not in ("absent", "big")]
        return Value(self.flag("big"), tuple(found))

    @cached_property
    def required(self) -> Value:
        """The same, with an error where it is absent."""
        return Value(either(self.missing, self.value.error), self.value.alternatives)

    def _alternative(self, shape: Shape) -> Alternative:
        guard = self.flag(shape)
        match shape:
            case "bool":
                return Alternative(guard, "bool", free(f"{self.name}.bool"))
            case "int":
                return Alternative(guard, "int", self.integer)
            case "double":
                return Alternative(guard, "double", self.real)
            case "string":
                return Alternative(guard, "string", self.text)
            case "list" | "map":
                return Alternative(guard, shape, self)
            case "timestamp":
                return Alternative(guard, "timestamp", self.instant * 1000)
            case "duration":
                return Alternative(guard, "duration", self.span * 1000)
            case "other":
                return Alternative(guard, "other", self.path)
            case _:
                return Alternative(guard, "null")

    def rest(self, question: Hashable, example: object | None) -> Rest:
        """What a question finds among the elements beyond the explicit ones."""
        found = self.rests.get(question)
        if found is None:
            name = f"{self.name}.rest{len(self.rests)}"
            found = self.rests[question] = Rest(free(f"{name}=found"), free(f"{name}=error"), example)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Secret:
    """What `secret(...)` yields: the supplied facts, with `age` made of `age_s`."""

    node: Node

    def child(self, field_: str) -> tuple[Truth, Value]:
        """Whether a field is missing, and what it is otherwise."""
        if field_ != "age":
            found = self.node.child(field_)
            return found.missing, found.value
        seconds, raw = self.node.child("age_s"), self.node.child("age")
        given = self.given()
        ages = tuple(
            Alternative(one.guard, "duration", self._nanoseconds(one))
            for one in seconds.value.of("int", "double")
        )
        missing = both(negated(given), raw.missing)
        others = tuple(
            Alternative(both(negated(given), one.guard), one.kind, one.payload)
            for one in raw.value.alternatives
        )
        return missing, Value(both(negated(given), raw.value.error), (*ages, *others))

    def given(self) -> Truth:
        """Whether there is an age in seconds."""
        seconds = self.node.child("age_s")
        return negated(either(seconds.missing, seconds.flag("null")))

    def readable(self) -> Truth:
        """Whether the age, if there is one, is a number of seconds."""
        seconds = self.node.child("age_s")
        good = [
            both(seconds.flag("int"), seconds.integer >= 0, seconds.integer < 10**9),
            both(seconds.flag("double"), seconds.real >= 0, seconds.real < 10**9),
        ]
        return either(negated(self.given()), *good)

    def _nanoseconds(self, age: Alternative) -> Term:
        if age.kind == "int":
            return age.payload * 10**9
        # A product of doubles is rounded: all that it may be.
        found = z3.Int(f"{self.node.name}.age")
        exact, slack = age.payload * 10**9, age.payload / 2**20 + 1
        self.node.inputs.constraints += [found >= exact - slack, found <= exact + slack]
        return found


@dataclass(eq=False)
class Inputs:
    """The symbolic request about one tool, or about one of the tools that nobody names."""

    tool: Term
    begin: dt.datetime
    at: dt.datetime | None = None
    nodes: dict[tuple[str, ...], Node] = field(default_factory=dict)
    constraints: list[Any] = field(default_factory=list)
    short: list[Any] = field(default_factory=list)
    quiet: list[Any] = field(default_factory=list)
    possible: Possible = field(default_factory=Possible)

    @cached_property
    def now(self) -> Term:
        """The time of the decision, in microseconds."""
        if self.at is not None:
            return instant_us(self.at)
        found = z3.Int("now")
        self.constraints += [found >= instant_us(self.begin), found <= _LAST_US]
        return found

    def root(self, name: str) -> Value | None:
        """What a variable holds; None for one that is outside the model."""
        if name == "now":
            return Value(False, (Alternative(True, "timestamp", self.now * 1000),))
        if name == "tool":
            return Value(False, (Alternative(True, "string", self.tool),))
        return self.node(name).required if name in _ROOTS else None

    def node(self, name: str) -> Node:
        """The node of a variable."""
        found = self.nodes.get((name,))
        return found if found is not None else Node(self, (name,), _ROOTS[name])

    def before(self, moment: dt.datetime) -> Truth:
        """Whether the decision is made before a time."""
        now = self.now
        return now < instant_us(moment)

    @property
    def present(self) -> list[Any]:
        """That what conditions read is there: a preference, for calls that look like calls."""
        missing = [node.missing for node in self.nodes.values() if "absent" in node.shapes]
        return [negated(one) for one in missing if one is not False]

    @property
    def usual(self) -> list[Any]:
        """That values are of usual types: a preference as well."""
        strange: list[Truth] = []
        for node in self.nodes.values():
            listed = "elements" in node.__dict__
            unread: set[Shape] = {"other", "big", "null", "timestamp", "duration"}
            unread |= {"double"} if "int" in node.shapes else set()
            unread |= set() if node.children and not listed else {"map"}
            unread |= set() if listed else {"list"}
            if len(node.shapes) > 2:
                strange += [node.flag(shape) for shape in node.shapes if shape in unread]
        return [negated(one) for one in strange if one is not False]

    @property
    def stated(self) -> list[Any]:
        """Everything that holds of a request."""
        sizes = [node.entries for node in self.nodes.values() if node.children and "size" in node.__dict__]
        return [*self.constraints, *self.possible.constraints, *sizes]
