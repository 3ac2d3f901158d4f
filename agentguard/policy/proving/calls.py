"""Functions on symbolic values: those on texts that the solver knows, and what is known of the others.

A function that the solver does not know still needs arguments of its types, gives a result of its type, and
gives the same result for the same arguments of one request; the result itself is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from agentguard.policy.proving.inputs import Node
from agentguard.policy.proving.patterns import Outside, glob_error, glob_pattern, searched
from agentguard.policy.proving.solver import Term, Truth, both, either, free, negated, text_of, z3
from agentguard.policy.proving.values import Alternative, Kind, Value

__all__ = ["MODELLED", "SIGNATURES", "Signature", "applied", "modelled", "size", "typed"]


@dataclass(frozen=True, slots=True)
class Signature:
    """Kinds of the arguments (the value before the dot first), of the result, and whether it may fail."""

    arguments: tuple[Kind, ...]
    result: Kind
    fails: bool = True


_TEXT: Final[Kind] = "string"
SIGNATURES: Final[dict[str, tuple[Signature, ...]]] = {
    "lowerAscii": (Signature((_TEXT,), _TEXT, False),),
    "upperAscii": (Signature((_TEXT,), _TEXT, False),),
    "trim": (Signature((_TEXT,), _TEXT, False),),
    "charAt": (Signature((_TEXT, "int"), _TEXT),),
    "substring": (Signature((_TEXT, "int"), _TEXT), Signature((_TEXT, "int", "int"), _TEXT)),
    "replace": (Signature((_TEXT, _TEXT, _TEXT), _TEXT), Signature((_TEXT, _TEXT, _TEXT, "int"), _TEXT)),
    "indexOf": (Signature((_TEXT, _TEXT), "int", False), Signature((_TEXT, _TEXT, "int"), "int")),
    "lastIndexOf": (Signature((_TEXT, _TEXT), "int", False), Signature((_TEXT, _TEXT, "int"), "int")),
    "matches": (Signature((_TEXT, _TEXT), "bool"),),
    "host": (Signature((_TEXT,), _TEXT),),
    "glob": (Signature((_TEXT, _TEXT), "bool"),),
    "in_network": (Signature((_TEXT, _TEXT), "bool"),),
    "path_within": (Signature((_TEXT, _TEXT), "bool"),),
    "ascii_only": (Signature((_TEXT,), "bool"),),
    "has_hidden": (Signature((_TEXT,), "bool"),),
    "within": (Signature((_TEXT,), "bool"),),
}
"""Functions whose results are unknown beyond their type."""


def typed(signature: Signature, values: list[Value], name: str) -> Value:
    """A result of the right type, the same for the same name; an error where an argument is of another."""
    fits: list[Truth] = []
    open_: list[Truth] = []
    for value, kind in zip(values, signature.arguments, strict=True):
        fits.append(either(value.guard(kind), value.guard("any")))
        open_.append(value.guard("any"))
    good = both(*fits)
    if either(*open_) is not False or signature.fails:
        good = both(good, negated(free(f"{name}=error")))
    payload: Any = {"bool": z3.Bool, "int": z3.Int, "string": z3.String}[signature.result](f"{name}=value")
    return Value(negated(good), (Alternative(good, signature.result, payload),))


def applied(
    values: list[Value],
    kinds: tuple[Kind, ...],
    compute: Callable[..., tuple[Kind, Term, Truth]],
    unknown: Any,
) -> Value:
    """The result for each combination of alternatives; `compute` says its kind, the result, and failure."""
    errors: list[Truth] = [value.error for value in values]
    found: list[Alternative] = []
    open_: list[Truth] = []
    combinations: list[tuple[Truth, tuple[Alternative, ...]]] = [(True, ())]
    for value in values:
        combinations = [
            (both(guard, one.guard), (*chosen, one))
            for guard, chosen in combinations
            for one in value.alternatives
            if both(guard, one.guard) is not False
        ]
    for guard, chosen in combinations:
        if all(one.kind == kind for one, kind in zip(chosen, kinds, strict=True)):
            kind, result, fails = compute(*[one.payload for one in chosen])
            errors.append(both(guard, fails))
            found.append(Alternative(both(guard, negated(fails)), kind, result))
        elif all(one.kind in (kind, "any") for one, kind in zip(chosen, kinds, strict=True)):
            open_.append(guard)
        else:
            errors.append(guard)
    if either(*open_) is not False:
        found.append(Alternative(either(*open_), "any", unknown()))
    return Value(either(*errors), tuple(one for one in found if one.guard is not False))


def _starts(text: Term, part: Term) -> tuple[Kind, Term, Truth]:
    if isinstance(text, str) and isinstance(part, str):
        return "bool", text.startswith(part), False
    return "bool", z3.PrefixOf(text_of(part), text_of(text)), False


def _ends(text: Term, part: Term) -> tuple[Kind, Term, Truth]:
    if isinstance(text, str) and isinstance(part, str):
        return "bool", text.endswith(part), False
    return "bool", z3.SuffixOf(text_of(part), text_of(text)), False


def _contains(text: Term, part: Term) -> tuple[Kind, Term, Truth]:
    if isinstance(text, str) and isinstance(part, str):
        return "bool", part in text, False
    return "bool", z3.Contains(text_of(text), text_of(part)), False


def _matches(text: Term, pattern: Term) -> tuple[Kind, Term, Truth]:
    if not isinstance(pattern, str):
        raise Outside
    return "bool", z3.InRe(text_of(text), searched(pattern)), False


def _glob(text: Term, pattern: Term) -> tuple[Kind, Term, Truth]:
    if not isinstance(pattern, str):
        raise Outside
    text = text_of(text)
    refused = z3.Or(z3.Length(text) > 8192, z3.InRe(text, glob_error()))
    return "bool", z3.InRe(text, glob_pattern(pattern)), refused


def _ascii_only(text: Term) -> tuple[Kind, Term, Truth]:
    return "bool", z3.InRe(text_of(text), z3.Star(z3.Range(" ", "~"))), False


MODELLED: Final[dict[str, tuple[tuple[Kind, ...], Callable[..., tuple[Kind, Term, Truth]]]]] = {
    "startsWith": ((_TEXT, _TEXT), _starts),
    "endsWith": ((_TEXT, _TEXT), _ends),
    "contains": ((_TEXT, _TEXT), _contains),
    "matches": ((_TEXT, _TEXT), _matches),
    "glob": ((_TEXT, _TEXT), _glob),
    "ascii_only": ((_TEXT,), _ascii_only),
}
"""Functions whose results the solver knows."""


def modelled(function: str, values: list[Value], unknown: Any) -> Value:
    """The result of a function that the solver knows.

    Raises:
        Outside: not for these arguments.
    """
    kinds, compute = MODELLED[function]
    if len(values) != len(kinds):
        raise Outside
    return applied(values, kinds, compute, unknown)


def size(value: Value, unknown: Any) -> Value:
    """`size(x)`: code points, elements, entries."""
    errors = [value.error]
    found: list[Alternative] = []
    for one in value.alternatives:
        match one.kind, one.payload:
            case "string", str():
                found.append(Alternative(one.guard, "int", len(one.payload)))
            case "string", _:
                found.append(Alternative(one.guard, "int", z3.Length(one.payload)))
            case "list", tuple():
                found.append(Alternative(one.guard, "int", len(one.payload)))
            case ("list" | "map", Node()):
                found.append(Alternative(one.guard, "int", one.payload.size))
            case "map" | "any" | "other", _:
                found.append(Alternative(one.guard, "any", unknown()))
            case _:
                errors.append(one.guard)
    return Value(either(*errors), tuple(found))
