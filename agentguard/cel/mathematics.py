"""The ``math`` functions of cel-go's math extension."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, copysign, floor, isfinite, isinf, sqrt, trunc
from typing import Final

from .adapt import adapt, elements, is_list
from .compare import greater, less
from .context import Context
from .errors import CelError
from .functions import VARIADIC, Function, typed
from .kinds import overload
from .values import INT_MIN, UINT_MAX, UInt

_NUMBER: Final = (int, UInt, float)
_WHOLE: Final = (int, UInt)


def _extreme(name: str, better: Callable[[object, object, Context], bool]) -> Function:
    def call(context: Context, *values: object) -> object:
        if len(values) == 1 and is_list(values[0]):
            values = tuple(adapt(item, context) for item in elements(values[0]))
            context.charge(len(values))
        if not values:
            raise CelError(f"`{name}` needs at least one number")
        best = values[0]
        for value in values:
            if type(value) not in _NUMBER:
                raise overload(name, value)
            if better(value, best, context):
                best = value
        return best

    return Function(call, 1, VARIADIC)


def _rounded(name: str, round_finite: Callable[[float], float]) -> Function:
    def call(context: Context, value: float) -> float:
        # Beyond 2**52 every double is whole.
        if not isfinite(value) or abs(value) >= 2.0**52:
            return value
        return copysign(round_finite(value), value)

    return typed(name, call, float)


def _half_away(value: float) -> float:
    whole = floor(abs(value))
    return float(whole + 1 if abs(value) - whole >= 0.5 else whole)


def _abs(context: Context, value: float) -> object:
    if isinstance(value, UInt):
        return value
    if type(value) is int and value == INT_MIN:
        raise CelError("integer overflow")
    return abs(value)


def _sign(context: Context, value: float) -> object:
    if isinstance(value, float):
        return value if value != value or value == 0 else copysign(1.0, value)
    sign = (value > 0) - (value < 0)
    return UInt(sign) if isinstance(value, UInt) else sign


def _sqrt(context: Context, value: float) -> float:
    return sqrt(value) if value >= 0 else float("nan")


def _like(sample: int, value: int) -> int:
    """``value`` cut to 64 bits, in the type of ``sample``."""
    value &= UINT_MAX
    if isinstance(sample, UInt):
        return UInt(value)
    return value - 2**64 if value >= 2**63 else value


def _bits(name: str, combine: Callable[[int, int], int]) -> Function:
    def call(context: Context, left: int, right: int) -> int:
        if type(left) is not type(right):
            raise overload(name, left, right)
        return _like(left, combine(int(left), int(right)))

    return typed(name, call, _WHOLE, _WHOLE)


def _shift(name: str, combine: Callable[[int, int], int]) -> Function:
    def call(context: Context, value: int, by: int) -> int:
        if by < 0:
            raise CelError(f"`{name}` needs an offset that is not negative")
        return _like(value, combine(int(value) & UINT_MAX, by) if by < 64 else 0)

    return typed(name, call, _WHOLE, int)


GLOBALS: Final[dict[str, Function]] = {
    "math.greatest": _extreme("math.greatest", greater),
    "math.least": _extreme("math.least", less),
    "math.ceil": _rounded("math.ceil", lambda value: float(ceil(value))),
    "math.floor": _rounded("math.floor", lambda value: float(floor(value))),
    "math.round": _rounded("math.round", _half_away),
    "math.trunc": _rounded("math.trunc", lambda value: float(trunc(value))),
    "math.abs": typed("math.abs", _abs, _NUMBER),
    "math.sign": typed("math.sign", _sign, _NUMBER),
    "math.sqrt": typed("math.sqrt", _sqrt, _NUMBER),
    "math.isNaN": typed("math.isNaN", lambda _, value: value != value, float),
    "math.isInf": typed("math.isInf", lambda _, value: isinf(value), float),
    "math.isFinite": typed("math.isFinite", lambda _, value: isfinite(value), float),
    "math.bitAnd": _bits("math.bitAnd", lambda left, right: left & right),
    "math.bitOr": _bits("math.bitOr", lambda left, right: left | right),
    "math.bitXor": _bits("math.bitXor", lambda left, right: left ^ right),
    "math.bitNot": typed("math.bitNot", lambda _, value: _like(value, ~int(value)), _WHOLE),
    "math.bitShiftLeft": _shift("math.bitShiftLeft", lambda value, by: value << by),
    "math.bitShiftRight": _shift("math.bitShiftRight", lambda value, by: value >> by),
}
