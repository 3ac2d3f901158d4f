"""Equality and order across types (CEL specification, "Equality" and "Ordering").

Values of different types are unequal, except numbers. Integers and unsigned integers compare exactly; beside
a double an integer is first rounded to a double, as the conformance suite and Google's evaluators have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from .adapt import adapt, elements, is_list, is_map, list_size
from .context import Context
from .errors import CelError
from .maps import MISSING, lookup, map_items, map_size
from .network import Ip
from .temporal import Duration, Timestamp
from .values import Optional, UInt

NUMBERS: Final = frozenset({int, UInt, float})
_PLAIN: Final = frozenset({int, bool, float, UInt, type(None), Timestamp, Duration})
_ORDERED: Final = frozenset({bool, int, UInt, float, str, bytes, Timestamp, Duration})
_DEPTH: Final = 128
Items: TypeAlias = list[object] | tuple[object, ...]


def _aligned(left: object, right: object) -> tuple[float, float]:
    """Two numbers of different types, both as doubles where one is."""
    if type(left) is float or type(right) is float:
        return float(left), float(right)  # type: ignore[arg-type]  # numbers, tested by the caller
    return left, right  # type: ignore[return-value]  # numbers, tested by the caller


def equal(left: object, right: object, context: Context, depth: int = 0) -> bool:
    """Whether two adapted values are equal; never an error but for hostile containers."""
    kind = type(left)
    other = type(right)
    if kind is other:
        if kind in _PLAIN:
            return left == right
        if kind is str or kind is bytes:
            size = len(left)  # type: ignore[arg-type]  # a text, tested above
            if size > 1024:
                context.charge(size >> 6)
            return left == right
    elif kind in NUMBERS and other in NUMBERS:
        one, two = _aligned(left, right)
        return one == two
    if depth > _DEPTH:
        raise CelError(f"value too deep: {_DEPTH} levels are possible")
    if is_list(left):
        return is_list(right) and _equal_lists(left, right, context, depth)
    if is_map(left):
        if not is_map(right) or map_size(left) != map_size(right):
            return False
        for key, value in map_items(left, context):
            found = lookup(right, key, context)
            if found is MISSING or not equal(value, found, context, depth + 1):
                return False
        return True
    if kind is Optional and other is Optional:
        assert isinstance(left, Optional)
        assert isinstance(right, Optional)
        if left.present and right.present:
            return equal(left.content, right.content, context, depth + 1)
        return left.present is right.present
    if kind is other:
        return left.same(right) if isinstance(left, Ip) and isinstance(right, Ip) else left == right
    return False


def _equal_lists(left: Items, right: Items, context: Context, depth: int) -> bool:
    size = list_size(left)
    if size != list_size(right):
        return False
    for one, two in zip(elements(left), elements(right), strict=True):
        context.charge(1)
        if not equal(adapt(one, context), adapt(two, context), context, depth + 1):
            return False
    return True


def contains(value: object, container: object, context: Context) -> bool:
    """``value in container``: an element of a list, a key of a map."""
    if is_list(container):
        for item in elements(container):
            context.charge(1)
            if equal(value, adapt(item, context), context):
                return True
        return False
    if is_map(container):
        return lookup(container, value, context) is not MISSING
    raise CelError("no such overload: `in` needs a list or a map on its right")


def _ordered(left: object, right: object, context: Context, symbol: str) -> tuple[float, float]:
    """The two values as Python orders them; ``CelError`` where they have no order.

    The return type stands for all ordered types, which are the same on both sides.
    """
    kind = type(left)
    if kind is type(right):
        if kind in _ORDERED:
            if (kind is str or kind is bytes) and len(left) > 1024:  # type: ignore[arg-type]  # a text
                context.charge(len(left) >> 6)  # type: ignore[arg-type]  # a text
            return left, right  # type: ignore[return-value]  # one ordered type on both sides
    elif kind in NUMBERS and type(right) in NUMBERS:
        return _aligned(left, right)
    raise CelError(f"no such overload: `{symbol}` cannot compare {type_name(left)} with {type_name(right)}")


def less(left: object, right: object, context: Context) -> bool:
    """``left < right``."""
    one, two = _ordered(left, right, context, "<")
    return one < two


def less_equal(left: object, right: object, context: Context) -> bool:
    """``left <= right``."""
    one, two = _ordered(left, right, context, "<=")
    return one <= two


def greater(left: object, right: object, context: Context) -> bool:
    """``left > right``."""
    one, two = _ordered(left, right, context, ">")
    return one > two


def greater_equal(left: object, right: object, context: Context) -> bool:
    """``left >= right``."""
    one, two = _ordered(left, right, context, ">=")
    return one >= two


def unequal(left: object, right: object, context: Context) -> bool:
    """``left != right``."""
    return not equal(left, right, context)


COMPARISONS: Final[dict[str, Callable[[object, object, Context], bool]]] = {
    "_==_": equal, "_!=_": unequal, "_<_": less, "_<=_": less_equal, "_>_": greater, "_>=_": greater_equal,
    "@in": contains,
}  # fmt: skip


def type_name(value: object) -> str:
    """The CEL name of an adapted value's type."""
    from .kinds import type_of  # kinds knows every value type

    return type_of(value).name
