"""What constraints write, and when they cannot be followed, as `policy.constraints` has it.

Constants and values of known plain types are told exactly; whether a list, a map, a time or a value outside
the model can be written is an unknown that names its `set`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from agentguard.cel import ast
from agentguard.cel.values import INT_MAX
from agentguard.policy.constraints import writes_of
from agentguard.policy.proving.inputs import Inputs
from agentguard.policy.proving.solver import Truth, both, either, free, negated, same
from agentguard.policy.proving.translating import Translator
from agentguard.policy.proving.values import Alternative, Value, constant, merged
from agentguard.policy.rules import Assignment, Rule

__all__ = ["Writer", "Written", "changing", "constructs_of", "refusing", "written_by"]

_PLAIN: Final = ("null", "bool", "int", "double", "string")
"""Kinds that arguments hold, and that are compared exactly."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one assignment wants in one world: its value as an argument holds it, and whether it fails."""

    assignment: Assignment
    value: Value
    refused: Truth


@dataclass(frozen=True, slots=True)
class Writer:
    """A rule with what it writes, in case it writes."""

    writes: Truth
    written: tuple[Written, ...]


def constructs_of(assignment: Assignment) -> tuple[str, str, str]:
    """What may be outside the model of one assignment, as an answer names it."""
    named = f"`set` of `{assignment.path}`"
    return (
        f"whether the value of {named} can be written",
        f"whether another value of {named} is the same",
        f"whether {named} would change it once more",
    )


def written_by(rule: Rule, writes: Truth, translator: Translator) -> Writer:
    """What a rule writes in a world."""
    return Writer(writes, tuple(_Assigning(rule, one, translator).written for one in rule.sets))


def refusing(writers: Sequence[Writer], translator: Translator) -> Truth:
    """Whether the first pass refuses: a value that cannot be, no mapping above it, two wishes in conflict."""
    found: list[Truth] = []
    listed = [(index, writer, one) for index, writer in enumerate(writers) for one in writer.written]
    for place, (index, writer, one) in enumerate(listed):
        found.append(both(writer.writes, either(one.refused, _orphan(one.assignment, translator))))
        for other_index, other, two in listed[place + 1 :]:
            conflict = _conflict(one, two, translator.inputs)
            if conflict is not False:
                there = True if other_index == index else other.writes
                found.append(both(writer.writes, there, conflict))
    return either(*found)


def changing(writers: Sequence[Writer], translator: Translator) -> Truth:
    """Whether the second pass refuses: anything that it wants is not what is there already."""
    found: list[Truth] = []
    for writer in writers:
        for one in writer.written:
            there = translator.value(_path(one.assignment.steps))
            path = one.assignment.path
            name = ("once more", path, _text(one.assignment), translator.world.name)
            construct = constructs_of(one.assignment)[2]
            other = _differs(there, one.value, translator.inputs, name, construct)
            found.append(both(writer.writes, either(one.refused, there.error, other)))
    listed = [(writer, one) for writer in writers for one in writer.written]
    for place, (writer, one) in enumerate(listed):
        # Two rules that want the same of one path are told by what is there.
        nested = [
            other.writes for other, two in listed[place + 1 :] if _nested(one.assignment, two.assignment)
        ]
        found.append(both(writer.writes, either(*nested)))
    return either(*found)


@dataclass(eq=False)
class _Assigning:
    rule: Rule
    assignment: Assignment
    translator: Translator

    @cached_property
    def written(self) -> Written:
        program = self.assignment.program
        if program is None:
            return Written(self.assignment, self._constant(), not self._possible())
        value = self.translator.value(program.ast)
        return Written(self.assignment, _held(value), either(value.error, self._unwritable(value)))

    def _constant(self) -> Value:
        value = self.assignment.constant
        found = constant(value)
        if found is not None:
            return found
        name = ("constant", repr(value))
        self._number(name, f"what `set` writes to `{self.assignment.path}`, no plain value")
        return Value(False, (Alternative(True, "any", name),))

    def _possible(self) -> bool:
        """Whether arguments can hold the constant, asked of what writes it."""
        alone = replace(self.assignment, path="args.value", steps=("value",))
        return not writes_of([replace(self.rule, sets=(alone,))], {}, {}).refused

    def _unwritable(self, value: Value) -> Truth:
        """That a value that is no plain one cannot be written; which cannot is not in the model."""
        others = either(
            *[one.guard for one in value.alternatives if one.kind not in _PLAIN and one.kind != "uint"]
        )
        if others is False:
            return False
        program = self.assignment.program
        assert program is not None
        name = ("refused", self.assignment.path, self.translator.name(program.ast, {}))
        construct = constructs_of(self.assignment)[0]
        return both(others, _open(self.translator.inputs, name, construct))

    def _number(self, name: tuple[str, str], construct: str) -> None:
        self.translator.inputs.possible.number(name, construct)
        self.translator.met.setdefault(construct)


def _held(value: Value) -> Value:
    """A value as an argument holds it: an unsigned integer is an integer."""
    errors: list[Truth] = [value.error]
    found: list[Alternative] = []
    for one in value.alternatives:
        if one.kind == "uint":
            errors.append(both(one.guard, one.payload > INT_MAX))
            found.append(Alternative(both(one.guard, one.payload <= INT_MAX), "int", one.payload))
        elif one.kind == "list" and isinstance(one.payload, tuple):
            found.append(Alternative(one.guard, "list", tuple(_held(element) for element in one.payload)))
        else:
            found.append(one)
    return merged([(True, Value(either(*errors), tuple(found)))])


def _orphan(assignment: Assignment, translator: Translator) -> Truth:
    """That there is no mapping to write into."""
    above = assignment.steps[:-1]
    if not above:
        return False
    there = translator.value(_path(above))
    # A mapping beside what is written in the same pass is another rule's: a conflict, which refuses as well.
    return negated(there.guard("map"))


def _conflict(one: Written, two: Written, inputs: Inputs) -> Truth:
    if one.assignment.path != two.assignment.path:
        return _nested(one.assignment, two.assignment)
    name = ("unequal", one.assignment.path, _text(one.assignment), _text(two.assignment))
    return _differs(one.value, two.value, inputs, name, constructs_of(one.assignment)[1])


def _nested(one: Assignment, two: Assignment) -> bool:
    return one.path.startswith(f"{two.path}.") or two.path.startswith(f"{one.path}.")


def _text(assignment: Assignment) -> str:
    return assignment.program.source if assignment.program else repr(assignment.constant)


def _differs(left: Value, right: Value, inputs: Inputs, name: Hashable, construct: str) -> Truth:
    """Whether two values are written differently: types count, and so does the sign of zero.

    INVARIANT: `name` is that of one function of the request, which no other unknown has.
    """

    def unknown() -> Truth:
        return _open(inputs, name, construct)

    pairs = [(one, two) for one in left.alternatives for two in right.alternatives]
    return either(*[both(one.guard, two.guard, _other(one, two, unknown)) for one, two in pairs])


def _other(one: Alternative, two: Alternative, unknown: Callable[[], Truth]) -> Truth:
    if one.kind == two.kind == "null" or (one.kind == two.kind == "any" and one.payload == two.payload):
        return False
    plain = one.kind in _PLAIN, two.kind in _PLAIN
    if any(plain) and one.kind != two.kind and "any" not in (one.kind, two.kind):
        return True
    if not all(plain):
        return unknown()
    other = negated(same(one.payload, two.payload))
    return either(other, both(same(one.payload, 0), unknown())) if one.kind == "double" else other


def _open(inputs: Inputs, name: Hashable, construct: str) -> Truth:
    return free(f"?{inputs.possible.number(name, construct)}=true")


def _path(steps: Iterable[str]) -> ast.Node:
    """The argument at a path, as a condition would read it."""
    node: ast.Node = ast.Ident("args", 0, 0)
    for step in steps:
        node = ast.Select(node, step, 0, 0)
    return node
