"""Between Python's values and CEL's: adopted one at a time when read, exported as a whole at the end.

Values inside containers are adopted when they are reached, so a large structure costs nothing until a
condition looks at it. A value that CEL has no counterpart for raises ``CelError`` when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeGuard

from .context import Context, unreadable
from .errors import CelError
from .network import Cidr, Ip
from .temporal import Duration, Timestamp
from .values import INT_MAX, INT_MIN, CelType, Optional, UInt

# A text beyond this is no argument but an attack on the evaluator; 16 Mi code points or bytes.
INPUT_SIZE: Final = 1 << 24
_DEPTH: Final = 128
_DONE: Final = frozenset(
    {bool, float, type(None), dict, MappingProxyType, list, tuple, UInt, Timestamp, Duration}
    | {CelType, Ip, Cidr}
)


def adapt(value: object, context: Context) -> object:
    """``value`` as a CEL value; containers stay as they are."""
    kind = type(value)
    if kind is str:
        return _checked_text(value, context)  # type: ignore[arg-type]  # exact type tested above
    if kind is int:
        return _checked_int(value)  # type: ignore[arg-type]  # exact type tested above
    if kind in _DONE:
        return value
    if kind is bytes:
        return _checked_bytes(value)  # type: ignore[arg-type]  # exact type tested above
    return _adapt_other(value, context)


def _adapt_other(value: object, context: Context) -> object:
    """Subclasses and foreign types; every conversion bypasses what a subclass may override."""
    try:
        if isinstance(value, str):
            return _checked_text(str.__str__(value), context)
        if isinstance(value, UInt):
            return UInt(int.__int__(value))
        if isinstance(value, int):
            return _checked_int(int.__int__(value))
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, bytes):
            return _checked_bytes(bytes.__getitem__(value, slice(None)))
        if isinstance(value, datetime):
            return Timestamp.from_datetime(value)
        if isinstance(value, timedelta):
            return Duration.from_timedelta(value)
        if isinstance(value, Optional):
            return Optional(True, adapt(value.content, context)) if value.present else Optional.NONE
        if isinstance(value, Mapping | list | tuple | Timestamp | Duration | Ip | Cidr | CelType):
            return value
    except CelError:
        raise
    except Exception as error:
        raise unreadable(error) from None
    raise CelError(f"no CEL value: a Python `{type(value).__name__}` cannot be used in a condition")


def _checked_text(value: str, context: Context) -> str:
    if len(value) > INPUT_SIZE:
        raise CelError(f"text too long: {INPUT_SIZE} characters are possible")
    if not value.isascii():
        if len(value) > 64:
            context.charge(len(value) >> 6)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise CelError("text with a lone surrogate is not Unicode") from None
    return value


def _checked_int(value: int) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise CelError("integer out of range: 64 bits are possible")
    return value


def _checked_bytes(value: bytes) -> bytes:
    if len(value) > INPUT_SIZE:
        raise CelError(f"bytes too long: {INPUT_SIZE} are possible")
    return value


def is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Whether an adapted value is a CEL list."""
    return isinstance(value, list | tuple)


def is_map(value: object) -> TypeGuard[Mapping[object, object]]:
    """Whether an adapted value is a CEL map."""
    return type(value) is dict or isinstance(value, Mapping)


def elements(value: list[object] | tuple[object, ...]) -> Iterator[object]:
    """The raw elements, as stored: a subclass cannot substitute others."""
    return list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)


def list_size(value: list[object] | tuple[object, ...]) -> int:
    """The number of elements, as stored."""
    return list.__len__(value) if isinstance(value, list) else tuple.__len__(value)


def export(value: object, context: Context, depth: int = 0) -> object:
    """``value`` with everything in it adapted; lists and maps as new ``list`` and ``dict``.

    A map whose keys Python would merge (``true`` and ``1``) stays a ``Mapping`` of its own type.
    """
    from .maps import MixedMap, map_items  # maps adapts its keys

    value = adapt(value, context)
    if depth > _DEPTH:
        raise CelError(f"value too deep: {_DEPTH} levels are possible")
    if is_list(value):
        context.charge(list_size(value))
        return [export(item, context, depth + 1) for item in elements(value)]
    if is_map(value):
        items = [(key, export(item, context, depth + 1)) for key, item in map_items(value, context)]
        return MixedMap(items) if isinstance(value, MixedMap) else dict(items)
    if type(value) is Optional and value.present:
        return Optional(True, export(value.content, context, depth + 1))
    return value
