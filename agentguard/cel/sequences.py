"""The list and set functions of cel-go's extensions; sets are lists whose order does not matter."""

from __future__ import annotations

from functools import cmp_to_key
from itertools import islice
from typing import Final

from .adapt import adapt, elements, is_list, list_size
from .compare import contains, equal, less
from .context import Context
from .errors import CelError
from .functions import Function, member, typed
from .values import Optional


def _items(context: Context, value: list[object]) -> list[object]:
    context.charge(list_size(value))
    return [adapt(item, context) for item in elements(value)]


def _slice(context: Context, value: list[object], start: int, end: int) -> list[object]:
    size = list_size(value)
    if not 0 <= start <= end <= size:
        raise CelError(f"index out of range: {start} to {end} in a list of {size}")
    context.charge(end)
    return list(islice(elements(value), start, end))


def _flatten(context: Context, value: list[object], depth: int = 1) -> list[object]:
    if depth < 0:
        raise CelError("`flatten` needs a depth that is not negative")
    result: list[object] = []
    for item in _items(context, value):
        if is_list(item) and depth > 0:
            if depth > 64:
                raise CelError("`flatten` has a depth of at most 64")
            result.extend(_flatten(context, list(elements(item)), depth - 1))
        else:
            result.append(item)
        context.bound_size(len(result))
    return result


def _distinct(context: Context, value: list[object]) -> list[object]:
    result: list[object] = []
    for item in _items(context, value):
        if not contains(item, result, context):
            result.append(item)
    return result


def sorted_by(context: Context, items: list[object], keys: list[object]) -> list[object]:
    """``items`` in the order of their ``keys``, which must all be of one ordered type."""
    size = len(items)
    context.charge(size * max(size.bit_length(), 1))
    if len({type(key) for key in keys}) > 1:
        raise CelError("no such overload: sorting needs values of one type")
    if size == 1:
        less(keys[0], keys[0], context)

    def order(left: int, right: int) -> int:
        if less(keys[left], keys[right], context):
            return -1
        return 1 if less(keys[right], keys[left], context) else 0

    return [items[at] for at in sorted(range(size), key=cmp_to_key(order))]


def _sort(context: Context, value: list[object]) -> list[object]:
    items = _items(context, value)
    return sorted_by(context, items, items)


def _range(context: Context, size: int) -> list[object]:
    if size < 0:
        raise CelError("`lists.range` needs a size that is not negative")
    context.check_size(size)
    context.charge(size)
    return list(range(size))


def _first(context: Context, value: list[object]) -> Optional:
    for item in elements(value):
        return Optional.of(adapt(item, context))
    return Optional.NONE


def _last(context: Context, value: list[object]) -> Optional:
    last = list.__reversed__(value) if isinstance(value, list) else reversed(value)
    for item in last:
        return Optional.of(adapt(item, context))
    return Optional.NONE


def _set_contains(context: Context, container: list[object], wanted: list[object]) -> bool:
    return all(contains(item, container, context) for item in _items(context, wanted))


def _intersects(context: Context, left: list[object], right: list[object]) -> bool:
    return any(contains(item, right, context) for item in _items(context, left))


def _equivalent(context: Context, left: list[object], right: list[object]) -> bool:
    if equal(left, right, context):
        return True
    return _set_contains(context, left, right) and _set_contains(context, right, left)


GLOBALS: Final[dict[str, Function]] = {
    "lists.range": typed("lists.range", _range, int),
    "sets.contains": typed("sets.contains", _set_contains, list, list),
    "sets.equivalent": typed("sets.equivalent", _equivalent, list, list),
    "sets.intersects": typed("sets.intersects", _intersects, list, list),
}
MEMBERS: Final[dict[str, Function]] = {
    "slice": member("slice", _slice, list, int, int),
    "flatten": member("flatten", _flatten, list, int, optional=1),
    "distinct": member("distinct", _distinct, list),
    "sort": member("sort", _sort, list),
    "first": member("first", _first, list),
    "last": member("last", _last, list),
}
