"""`in`, `exists` and `all`: over the elements of a list in their order, those beyond the first few as one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from agentguard.policy.proving.inputs import ELEMENTS, Node
from agentguard.policy.proving.operators import equal
from agentguard.policy.proving.solver import Truth, both, either, negated
from agentguard.policy.proving.values import Alternative, Value, Verdict, merged, truth

__all__ = ["Asked", "Body", "membership", "quantified"]

Body = Callable[[Value, Hashable], Verdict]
"""What is asked of an element, given its value and a name for it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Names of the whole node and of the question to each element, and a value that answers it, if plain."""

    node: Hashable
    question: Hashable
    example: object | None


def quantified(
    over: Value,
    decisive: bool,
    body: Body,
    asked: Asked,
    unknown: Callable[[], Hashable],
) -> Value:
    """`exists` (`decisive` is true) or `all`: decided by one element, whatever the others are.

    An element that cannot be read ends it with an error, unless one before it decides.
    """
    cases: list[tuple[Truth, Value]] = []
    errors: list[Truth] = [over.error]
    for one in over.alternatives:
        match one.kind, one.payload:
            case "list", tuple():
                outcomes = [body(value, ("element", i, asked.node)) for i, value in enumerate(one.payload)]
                cases.append((one.guard, _decided(outcomes, decisive, False, False)))
            case "list", Node():
                cases.append((one.guard, _over(one.payload, decisive, body, asked)))
            case ("map" | "any", _):
                cases.append((one.guard, Value(False, (Alternative(True, "any", unknown()),))))
            case _:
                errors.append(one.guard)
    return merged(cases, either(*errors))


def _over(node: Node, decisive: bool, body: Body, asked: Asked) -> Value:
    alive: Truth = True
    outcomes: list[Verdict] = []
    broken: list[Truth] = []
    for i, element in enumerate(node.elements):
        here = both(alive, node.size > i)
        unreadable = both(here, element.value.error)
        broken.append(unreadable)
        read = both(here, negated(element.value.error))
        found = body(element.value, element.path)
        # An element that is not there, or not read, is neutral.
        out = negated(read)
        true, false = both(read, found.true), both(read, found.false)
        outcomes.append(Verdict(true, either(false, out)) if decisive else Verdict(either(true, out), false))
        alive = both(alive, negated(unreadable))
    more = both(alive, node.size > ELEMENTS)
    rest = node.rest(asked.question, asked.example)
    return _decided(outcomes, decisive, both(more, rest.decisive), either(*broken, both(more, rest.error)))


def _decided(outcomes: list[Verdict], decisive: bool, also: Truth, fails: Truth) -> Value:
    if decisive:
        found = either(also, *[one.true for one in outcomes])
        neutral = both(negated(found), negated(fails), *[one.false for one in outcomes])
        true, false = found, neutral
    else:
        found = either(also, *[one.false for one in outcomes])
        neutral = both(negated(found), negated(fails), *[one.true for one in outcomes])
        true, false = neutral, found
    known = either(true, false)
    return Value(negated(known), (Alternative(known, "bool", true),))


def membership(
    item: Value,
    container: Value,
    translator: Any,
    asked: Asked,
    unknown: Callable[[], Hashable],
) -> Value:
    """`item in container`: an element of a list, a key of a map."""
    possible = translator.inputs.possible
    cases: list[tuple[Truth, Value]] = []
    errors: list[Truth] = [item.error, container.error]
    good = negated(item.error)

    def body(element: Value, name: Hashable) -> Verdict:
        # A name of its own for each element: two comparisons are two unknowns.
        found = truth(equal(item, element, lambda: (unknown(), name)), possible)
        # INVARIANT: comparing is no error of its own; the item's error is counted once, outside.
        return Verdict(found.true, either(found.false, both(found.error, item.error)))

    for one in container.alternatives:
        guard = both(one.guard, good)
        match one.kind, one.payload:
            case "list", _:
                part = Value(False, (Alternative(True, "list", one.payload),))
                cases.append((guard, quantified(part, True, body, asked, unknown)))
            case "map", _:
                cases.append((guard, _key(item, one.payload, translator, unknown)))
            case "any", _:
                cases.append((guard, Value(False, (Alternative(True, "any", unknown()),))))
            case _:
                errors.append(guard)
    return merged(cases, either(*errors))


def _key(item: Value, container: object, translator: Any, unknown: Callable[[], Hashable]) -> Value:
    """Whether a map has a key; those of a request are texts."""
    cases: list[tuple[Truth, Value]] = []
    errors: list[Truth] = []
    for one in item.alternatives:
        found = translator.fields_of(container, one.payload) if isinstance(one.payload, str) else None
        match one.kind:
            case "string" if found is not None:
                missing, value = found
                there = Alternative(negated(value.error), "bool", negated(missing))
                cases.append((one.guard, Value(value.error, (there,))))
            case "string" | "any":
                cases.append((one.guard, Value(False, (Alternative(True, "any", unknown()),))))
            case "bool" | "int" | "uint" | "double":
                cases.append((one.guard, Value(False, (Alternative(True, "bool", False),))))
            case _:
                errors.append(one.guard)
    return merged(cases, either(*errors))
