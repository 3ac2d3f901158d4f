"""``+ - * / %`` and unary minus: no mixing of types, overflow is an error.

Source: CEL specification, "Numeric Values" and "Overflow".
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign, inf, nan
from typing import Final

from .adapt import is_list, list_size
from .context import Context
from .errors import CelError
from .kinds import overload
from .temporal import Duration, Timestamp
from .values import INT_MAX, INT_MIN, UINT_MAX, UInt


def _int(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise CelError("integer overflow")


def _uint(value: int) -> UInt:
    if 0 <= value <= UINT_MAX:
        return UInt(value)
    raise CelError("unsigned integer overflow")


def _quotient(left: int, right: int) -> int:
    """Division towards zero."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _divide_float(left: float, right: float) -> float:
    if right:
        return left / right
    if left != left or left == 0 or right != right:
        return nan
    return copysign(inf, left) * copysign(1.0, right)


def add(left: object, right: object, context: Context) -> object:
    """``left + right``: numbers, strings, bytes, lists, durations, a timestamp and a duration."""
    match left, right:
        case UInt(), UInt():
            return _uint(int(left) + int(right))
        case bool(), _:
            pass
        case int(), int() if type(left) is int and type(right) is int:
            return _int(left + right)
        case float(), float():
            return left + right
        case str(), str():
            context.check_size(len(left) + len(right))
            return left + right
        case bytes(), bytes():
            context.check_size(len(left) + len(right))
            return left + right
        case Timestamp(), Duration():
            return Timestamp(left.ns + right.ns)
        case Duration(), Timestamp():
            return Timestamp(left.ns + right.ns)
        case Duration(), Duration():
            return Duration(left.ns + right.ns)
        case _ if is_list(left) and is_list(right):
            context.check_size(list_size(left) + list_size(right))
            return [*left, *right]
        case _:
            pass
    raise overload("_+_", left, right)


def subtract(left: object, right: object, context: Context) -> object:
    """``left - right``."""
    match left, right:
        case UInt(), UInt():
            return _uint(int(left) - int(right))
        case bool(), _:
            pass
        case int(), int() if type(left) is int and type(right) is int:
            return _int(left - right)
        case float(), float():
            return left - right
        case Timestamp(), Duration():
            return Timestamp(left.ns - right.ns)
        case Timestamp(), Timestamp():
            return Duration(left.ns - right.ns)
        case Duration(), Duration():
            return Duration(left.ns - right.ns)
        case _:
            pass
    raise overload("_-_", left, right)


def multiply(left: object, right: object, context: Context) -> object:
    """``left * right``."""
    if type(left) is int and type(right) is int:
        return _int(left * right)
    if type(left) is float and type(right) is float:
        return left * right
    if isinstance(left, UInt) and isinstance(right, UInt):
        return _uint(int(left) * int(right))
    raise overload("_*_", left, right)


def divide(left: object, right: object, context: Context) -> object:
    """``left / right``; integers towards zero, doubles by IEEE 754."""
    if type(left) is float and type(right) is float:
        return _divide_float(left, right)
    is_int = type(left) is int and type(right) is int
    if not is_int and not (isinstance(left, UInt) and isinstance(right, UInt)):
        raise overload("_/_", left, right)
    assert isinstance(left, int)
    assert isinstance(right, int)
    if not right:
        raise CelError("divide by zero")
    return _int(_quotient(left, right)) if is_int else UInt(int(left) // int(right))


def modulo(left: object, right: object, context: Context) -> object:
    """``left % right``; the sign is that of ``left``."""
    is_int = type(left) is int and type(right) is int
    if not is_int and not (isinstance(left, UInt) and isinstance(right, UInt)):
        raise overload("_%_", left, right)
    assert isinstance(left, int)
    assert isinstance(right, int)
    if not right:
        raise CelError("modulus by zero")
    if not is_int:
        return UInt(int(left) % int(right))
    return left - right * _int(_quotient(left, right))


def negate(value: object, context: Context) -> object:
    """``-value``."""
    if type(value) is int:
        return _int(-value)
    if type(value) is float:
        return -value
    raise overload("-_", value)


ARITHMETIC: Final[dict[str, Callable[[object, object, Context], object]]] = {
    "_+_": add, "_-_": subtract, "_*_": multiply, "_/_": divide, "_%_": modulo,
}  # fmt: skip
