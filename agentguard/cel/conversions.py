"""Conversions between types, ``size``, ``type`` and ``dyn`` (CEL specification, "Standard definitions")."""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite, trunc
from typing import Final

from .adapt import is_list, is_map, list_size
from .context import Context
from .errors import CelError
from .functions import Function, member, typed
from .kinds import overload, type_of
from .maps import map_size
from .network import Cidr, Ip
from .temporal import SECOND, Duration, Timestamp
from .values import INT_MAX, INT_MIN, UINT_MAX, UInt

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,64}")
_UNSIGNED: Final = re.compile(r"\+?[0-9]{1,64}")
_DOUBLE: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)|nan", re.IGNORECASE
)
_BOOLS: Final = {
    **dict.fromkeys(("1", "t", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "false", "FALSE", "False"), False),
}


def to_int(context: Context, value: object) -> int:
    """``int(x)``: doubles towards zero, timestamps to seconds since 1970."""
    match value:
        case bool():
            pass
        case UInt() if value > INT_MAX:
            raise CelError("integer out of range")
        case int():
            return int(value)
        case float():
            if not INT_MIN < value < INT_MAX:
                raise CelError("integer out of range")
            return trunc(value)
        case str():
            if _INTEGER.fullmatch(value) is None or not INT_MIN <= int(value) <= INT_MAX:
                raise CelError("text is not an integer of 64 bits")
            return int(value)
        case Timestamp():
            return value.ns // SECOND
        case _:
            pass
    raise overload("int", value)


def to_uint(context: Context, value: object) -> UInt:
    """``uint(x)``."""
    match value:
        case bool():
            pass
        case int():
            return UInt(value)
        case float():
            if not 0 <= value < UINT_MAX:
                raise CelError("unsigned integer out of range")
            return UInt(trunc(value))
        case str():
            if _UNSIGNED.fullmatch(value) is None or int(value) > UINT_MAX:
                raise CelError("text is not an unsigned integer of 64 bits")
            return UInt(int(value))
        case _:
            pass
    raise overload("uint", value)


def to_double(context: Context, value: object) -> float:
    """``double(x)``."""
    match value:
        case bool():
            pass
        case int() | float():
            return float(value)
        case str():
            if len(value) > 1024 or _DOUBLE.fullmatch(value) is None:
                raise CelError("text is not a number")
            return float(value)
        case _:
            pass
    raise overload("double", value)


def double_text(value: float) -> str:
    """The shortest text that reads back as the same double, in the form of C's ``%g``."""
    if value != value:
        return "NaN"
    if not isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0" if str(value)[0] == "-" else "0"
    negative, parts, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, parts)).rstrip("0")
    power = len(parts) + exponent - 1
    if power < -4 or power >= 6:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{tail}e{power:+03d}"
    elif power < 0:
        text = f"0.{'0' * (-power - 1)}{digits}"
    else:
        whole = digits[: power + 1].ljust(power + 1, "0")
        text = f"{whole}.{digits[power + 1 :]}".rstrip(".")
    return f"-{text}" if negative else text


def to_string(context: Context, value: object) -> str:
    """``string(x)``."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | Timestamp() | Duration() | Ip() | Cidr():
            return str(value)
        case float():
            return double_text(value)
        case bytes():
            context.check_size(len(value))
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise CelError("bytes are not UTF-8") from None
        case _:
            raise overload("string", value)


def to_bytes(context: Context, value: object) -> bytes:
    """``bytes(x)``."""
    if isinstance(value, str):
        context.check_size(len(value))
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise overload("bytes", value)


def to_bool(context: Context, value: object) -> bool:
    """``bool(x)``; of texts those that Go's ``strconv.ParseBool`` knows."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value not in _BOOLS:
            raise CelError("text is not a boolean: `true` and `false` are possible")
        return _BOOLS[value]
    raise overload("bool", value)


def to_timestamp(context: Context, value: object) -> Timestamp:
    """``timestamp(x)``: RFC 3339 text or seconds since 1970."""
    if isinstance(value, Timestamp):
        return value
    if isinstance(value, str):
        return Timestamp.parse(value)
    if type(value) is int:
        return Timestamp(value * SECOND)
    raise overload("timestamp", value)


def to_duration(context: Context, value: object) -> Duration:
    """``duration(x)``: text such as ``1h30m``."""
    if isinstance(value, Duration):
        return value
    if isinstance(value, str):
        if len(value) > 256:
            raise CelError("invalid duration: the text is too long")
        return Duration.parse(value)
    raise overload("duration", value)


def size(context: Context, value: object) -> int:
    """``size(x)``: code points, bytes, elements or entries."""
    if isinstance(value, str | bytes):
        return len(value)
    if is_list(value):
        return list_size(value)
    if is_map(value):
        return map_size(value)
    raise overload("size", value)


GLOBALS: Final[dict[str, Function]] = {
    "int": typed("int", to_int, None),
    "uint": typed("uint", to_uint, None),
    "double": typed("double", to_double, None),
    "string": typed("string", to_string, None),
    "bytes": typed("bytes", to_bytes, None),
    "bool": typed("bool", to_bool, None),
    "timestamp": typed("timestamp", to_timestamp, None),
    "duration": typed("duration", to_duration, None),
    "dyn": typed("dyn", lambda _, value: value, None),
    "type": typed("type", lambda _, value: type_of(value), None),
    "size": typed("size", size, None),
}
MEMBERS: Final[dict[str, Function]] = {"size": member("size", size, None)}
