"""The solver's terms: Python's own truth values wherever a term is known, z3's everywhere else.

The only module that imports z3. Texts go in and come out by code points, never by z3's escapes, which a text
of a policy could imitate.
"""

from __future__ import annotations

import ctypes
from fractions import Fraction
from typing import Any, Final, TypeAlias

from agentguard.errors import ConfigurationError

try:
    import z3 as _z3
except ImportError:
    _z3 = None

__all__ = [
    "HIGHEST",
    "MEMORY_MB",
    "Term",
    "Truth",
    "both",
    "choose",
    "either",
    "free",
    "negated",
    "new_solver",
    "real_of",
    "required",
    "same",
    "text_of",
    "text_term",
    "value_in",
    "z3",
]

z3: Any = _z3
Term: TypeAlias = Any
"""A number or text: Python's where it is constant, else z3's."""
Truth: TypeAlias = Any
"""A `bool` where it is known, else z3's `BoolRef`."""

HIGHEST: Final = 0x2FFFF
"""The highest code point that the solver's texts hold."""
MEMORY_MB: Final = 2048


def required() -> None:
    """See that z3 is there.

    Raises:
        ConfigurationError: it is not installed.
    """
    if z3 is None:
        raise ConfigurationError("proofs need the solver z3: pip install 'agentguard[prove]'")


def new_solver() -> Any:
    """A solver with bounded memory; its time is bounded by each check."""
    required()
    solver = z3.SimpleSolver()
    solver.set("max_memory", MEMORY_MB)
    solver.set("random_seed", 0)
    return solver


def both(*parts: Truth) -> Truth:
    """All of them."""
    return _joined(parts, neutral=True)


def either(*parts: Truth) -> Truth:
    """Any of them."""
    return _joined(parts, neutral=False)


def _joined(parts: tuple[Truth, ...], *, neutral: bool) -> Truth:
    open_: list[Any] = []
    for part in parts:
        if part is neutral:
            continue
        if part is (not neutral):
            return not neutral
        open_.append(part)
    if not open_:
        return neutral
    if len(open_) == 1:
        return open_[0]
    return z3.And(open_) if neutral else z3.Or(open_)


def negated(part: Truth) -> Truth:
    """Not this one."""
    return (not part) if isinstance(part, bool) else z3.Not(part)


def choose(condition: Truth, yes: Truth, no: Truth) -> Truth:
    """One truth or the other."""
    if isinstance(condition, bool):
        return yes if condition else no
    return either(both(condition, yes), both(negated(condition), no))


def free(name: str) -> Truth:
    """A truth about which nothing is known; the same name is the same truth."""
    return z3.Bool(name)


def text_term(text: str) -> Term:
    """A constant text as z3 takes it: everything that its escapes could be made of is escaped."""
    return z3.StringVal("".join(c if c.isascii() and c.isalnum() else f"\\u{{{ord(c):x}}}" for c in text))


def text_of(value: Term) -> Term:
    """A text as a term."""
    return text_term(value) if isinstance(value, str) else value


def real_of(value: Term) -> Term:
    """A double or integer as a real term, exactly."""
    if isinstance(value, (int, Fraction)):
        found = Fraction(value)
        return z3.Q(found.numerator, found.denominator)
    return z3.ToReal(value) if value.sort() == z3.IntSort() else value


def same(left: Term, right: Term) -> Truth:
    """Whether two terms of one sort are equal."""
    if isinstance(left, (int, str, Fraction)) and isinstance(right, (int, str, Fraction)):
        return left == right
    if isinstance(left, bool):
        return right if left else negated(right)
    if isinstance(right, bool):
        return left if right else negated(left)
    if isinstance(left, str) or isinstance(right, str):
        return text_of(left) == text_of(right)
    if isinstance(left, Fraction) or isinstance(right, Fraction):
        return real_of(left) == real_of(right)
    return left == right


def value_in(model: Any, term: Term) -> Any:
    """What a model says of a term: a bool, int, Fraction or str."""
    if isinstance(term, (bool, int, str, Fraction)):
        return term
    found = model.eval(term, model_completion=True)
    if z3.is_bool(found):
        return z3.is_true(found)
    if z3.is_int_value(found):
        return found.as_long()
    if z3.is_rational_value(found):
        return Fraction(found.numerator_as_long(), found.denominator_as_long())
    if z3.is_string_value(found):
        return _text(found)
    return Fraction(0)


def _text(value: Any) -> str:
    size = z3.Z3_get_string_length(value.ctx.ref(), value.as_ast())
    held = (ctypes.c_uint * size)()
    z3.Z3_get_string_contents(value.ctx.ref(), value.as_ast(), size, held)
    return "".join(map(chr, held))
