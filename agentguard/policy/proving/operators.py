"""Operators on symbolic values: equality, order and arithmetic, with an error wherever CEL has one.

`unknown` gives the name of the result where the operands are outside the model.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from fractions import Fraction
from typing import Any, Final

from agentguard.cel.values import INT_MAX, INT_MIN
from agentguard.policy.proving.solver import (
    Term,
    Truth,
    both,
    either,
    negated,
    real_of,
    same,
    text_of,
    z3,
)
from agentguard.policy.proving.values import Alternative, Value, constant

__all__ = ["ORDER", "Unknown", "arithmetic", "equal", "minus", "ordered"]

Unknown = Callable[[], Hashable]

_WHOLE: Final = ("int", "uint")
_NUMBERS: Final = (*_WHOLE, "double")
_EXACT: Final = 2**53
_CONSTANT: Final = (int, Fraction, str)
_FIRST_NS: Final = -62_135_596_800 * 10**9
_LAST_NS: Final = 253_402_300_800 * 10**9 - 1


class _Outcome:
    """Collects what each pair of alternatives yields."""

    def __init__(self, left: Value, right: Value, unknown: Unknown) -> None:
        self.unknown = unknown
        self.errors: list[Truth] = [left.error, right.error]
        self.open: list[Truth] = []
        self.found: list[Alternative] = []

    def value(self) -> Value:
        open_ = either(*self.open)
        if open_ is not False:
            self.found.append(Alternative(open_, "any", self.unknown()))
        return Value(either(*self.errors), tuple(one for one in self.found if one.guard is not False))


def equal(left: Value, right: Value, unknown: Unknown) -> Value:
    """`left == right`: unequal where types differ, but for numbers."""
    outcome = _Outcome(left, right, unknown)
    decided: list[Truth] = []
    holds: list[Truth] = []
    for one in left.alternatives:
        for two in right.alternatives:
            guard = both(one.guard, two.guard)
            if guard is False:
                continue
            found, known = _equality(one, two)
            outcome.open.append(both(guard, negated(known)))
            decided.append(both(guard, known))
            holds.append(both(guard, known, found))
    outcome.found.append(Alternative(either(*decided), "bool", either(*holds)))
    return outcome.value()


def _equality(one: Alternative, two: Alternative) -> tuple[Truth, Truth]:
    """Whether two alternatives are equal, and whether that is known."""
    kinds = {one.kind, two.kind}
    if "any" in kinds:
        return False, False
    if one.kind == two.kind:
        match one.kind:
            case "null":
                return True, True
            case "list" | "map" | "optional" | "other":
                return False, False
            case _:
                return same(one.payload, two.payload), True
    if kinds <= set(_NUMBERS):
        return _aligned(one, two, lambda left, right: same(left, right))
    return False, True


def _aligned(one: Alternative, two: Alternative, compare: Callable[[Any, Any], Truth]) -> tuple[Truth, Truth]:
    """Numbers of two types; beside a double an integer is rounded to one, which is exact up to 2^53."""
    if "double" not in (one.kind, two.kind):
        return compare(one.payload, two.payload), True
    whole, double = (one, two) if two.kind == "double" else (two, one)
    if whole.kind == "double":
        return compare(one.payload, two.payload), True
    number, real = whole.payload, double.payload
    if isinstance(number, int):
        terms = {whole.kind: Fraction(float(number)), "double": real}
        return compare(terms[one.kind], terms[two.kind]), True
    # Rounding keeps the order: beyond 2^53 on one side only, both readings give the same answer.
    near = either(both(number >= -_EXACT, number <= _EXACT), both(real > -_EXACT, real < _EXACT))
    terms = {whole.kind: real_of(number), "double": real}
    return compare(terms[one.kind], terms[two.kind]), near


def _less(left: Term, right: Term) -> Truth:
    one, two = _terms(left, right)
    return one < two


def _less_equal(left: Term, right: Term) -> Truth:
    one, two = _terms(left, right)
    return one <= two


def _terms(left: Term, right: Term) -> tuple[Term, Term]:
    """Both as terms, unless both are Python's."""
    if isinstance(left, _CONSTANT) and isinstance(right, _CONSTANT):
        return left, right
    if isinstance(left, str) or isinstance(right, str):
        return text_of(left), text_of(right)
    if isinstance(left, Fraction) or isinstance(right, Fraction):
        return real_of(left), real_of(right)
    return left, right


ORDER: Final[dict[str, Callable[[Any, Any], Truth]]] = {
    "_<_": _less,
    "_<=_": _less_equal,
    "_>_": lambda left, right: _less(right, left),
    "_>=_": lambda left, right: _less_equal(right, left),
}


def ordered(left: Value, right: Value, symbol: str, unknown: Unknown) -> Value:
    """`left < right` and its kin; values of two types have no order, but for numbers."""
    compare = ORDER[symbol]
    outcome = _Outcome(left, right, unknown)
    decided: list[Truth] = []
    holds: list[Truth] = []
    for one in left.alternatives:
        for two in right.alternatives:
            guard = both(one.guard, two.guard)
            if guard is False:
                continue
            found, known, error = _order(one, two, compare, symbol)
            outcome.errors.append(both(guard, error))
            outcome.open.append(both(guard, negated(known), negated(error)))
            decided.append(both(guard, known))
            holds.append(both(guard, known, found))
    outcome.found.append(Alternative(either(*decided), "bool", either(*holds)))
    return outcome.value()


def _order(
    one: Alternative, two: Alternative, compare: Callable[[Any, Any], Truth], symbol: str
) -> tuple[Truth, Truth, bool]:
    """The outcome, whether it is known, and whether there is none."""
    kinds = {one.kind, two.kind}
    if "any" in kinds:
        return False, False, False
    if one.kind == two.kind:
        match one.kind:
            case "bool":
                left, right = one.payload, two.payload
                if symbol in ("_>_", "_>=_"):
                    left, right = right, left
                less = both(negated(left), right)
                return (less if symbol in ("_<_", "_>_") else either(less, same(left, right))), True, False
            case "int" | "uint" | "double" | "string" | "timestamp" | "duration":
                return compare(one.payload, two.payload), True, False
            case "other":
                return False, False, False
            case _:
                return False, False, True
    if kinds <= set(_NUMBERS):
        return (*_aligned(one, two, compare), False)
    return False, False, True


def arithmetic(left: Value, right: Value, symbol: str, unknown: Unknown) -> Value:
    """`+ - * / %`; overflow and types that do not go together are errors."""
    outcome = _Outcome(left, right, unknown)
    for one in left.alternatives:
        for two in right.alternatives:
            guard = both(one.guard, two.guard)
            if guard is not False:
                _compute(outcome, guard, one, two, symbol)
    return outcome.value()


def _compute(outcome: _Outcome, guard: Truth, one: Alternative, two: Alternative, symbol: str) -> None:
    kinds = (one.kind, two.kind)
    left, right = one.payload, two.payload
    match kinds:
        case ("int", "int"):
            result, fails = _integer(left, right, symbol)
            outcome.errors.append(both(guard, fails))
            outcome.found.append(Alternative(both(guard, negated(fails)), "int", result))
        case ("string", "string") if symbol == "_+_":
            joined = left + right if isinstance(left, str) and isinstance(right, str) else None
            joined = z3.Concat(text_of(left), text_of(right)) if joined is None else joined
            outcome.found.append(Alternative(guard, "string", joined))
        case ("timestamp" | "duration", "timestamp" | "duration") if symbol in ("_+_", "_-_"):
            _times(outcome, guard, one, two, symbol)
        case ("uint", "uint") | ("double", "double"):
            outcome.open.append(guard)
        case ("list", "list") if symbol == "_+_":
            outcome.open.append(guard)
        case _ if "any" in kinds or kinds == ("other", "other"):
            outcome.open.append(guard)
        case _:
            outcome.errors.append(guard)


def _integer(left: Term, right: Term, symbol: str) -> tuple[Term, Truth]:
    """The result, and whether there is none."""
    match symbol:
        case "_+_":
            result = left + right
        case "_-_":
            result = left - right
        case "_*_":
            result = left * right
        case _:
            return _division(left, right, symbol)
    return result, _outside(result, INT_MIN, INT_MAX)


def _division(left: Term, right: Term, symbol: str) -> tuple[Term, Truth]:
    """Towards zero, with the sign of the left for the rest; the smallest integer by -1 overflows."""
    one, two = (z3.IntVal(term) if isinstance(term, int) else term for term in (left, right))
    size = z3.If(one < 0, -one, one) / z3.If(two < 0, -two, two)
    quotient = z3.If((one < 0) == (two < 0), size, -size)
    fails = z3.Or(two == 0, _outside(quotient, INT_MIN, INT_MAX))
    return (quotient if symbol == "_/_" else one - two * quotient), fails


def _outside(number: Term, lowest: int, highest: int) -> Truth:
    return either(number < lowest, number > highest)


def _times(outcome: _Outcome, guard: Truth, one: Alternative, two: Alternative, symbol: str) -> None:
    left, right = one.payload, two.payload
    match one.kind, two.kind, symbol:
        case ("timestamp", "duration", "_+_") | ("duration", "timestamp", "_+_"):
            kind, result = "timestamp", left + right
        case ("timestamp", "duration", "_-_"):
            kind, result = "timestamp", left - right
        case ("duration", "duration", "_+_"):
            kind, result = "duration", left + right
        case ("duration", "duration", "_-_") | ("timestamp", "timestamp", "_-_"):
            kind, result = "duration", left - right
        case _:
            outcome.errors.append(guard)
            return
    bounds = (_FIRST_NS, _LAST_NS) if kind == "timestamp" else (INT_MIN, INT_MAX)
    fails = _outside(result, *bounds)
    outcome.errors.append(both(guard, fails))
    good = both(guard, negated(fails))
    outcome.found.append(Alternative(good, "timestamp" if kind == "timestamp" else "duration", result))


def minus(value: Value, unknown: Unknown) -> Value:
    """`-value`."""
    zero = constant(0)
    assert zero is not None
    whole = Value(value.error, value.of("int"))
    found = arithmetic(zero, whole, "_-_", unknown)
    doubles = tuple(Alternative(one.guard, one.kind, -one.payload) for one in value.of("double"))
    open_ = value.guard("any")
    more = (Alternative(open_, "any", unknown()),) if open_ is not False else ()
    bad = either(*[one.guard for one in value.alternatives if one.kind not in ("int", "double", "any")])
    return Value(either(found.error, bad), (*found.alternatives, *doubles, *more))
