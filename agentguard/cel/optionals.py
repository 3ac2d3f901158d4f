"""The functions on optionals (cel-go's optional types); the lazy ``or`` and ``orValue`` are in ``access``."""

from __future__ import annotations

from typing import Final

from .adapt import adapt, elements, is_list, is_map, list_size
from .context import Context
from .functions import Function, member, typed
from .maps import map_size
from .temporal import Duration, Timestamp
from .values import Optional


def is_zero(value: object) -> bool:
    """Whether a value is the default of its type: ``false``, 0, empty, null, no span, the epoch."""
    if isinstance(value, Timestamp | Duration):
        return value.ns == 0
    if is_list(value):
        return list_size(value) == 0
    if is_map(value):
        return map_size(value) == 0
    if isinstance(value, Optional):
        return not value.present
    return value is None or value in (False, "", b"")


def _of_non_zero(context: Context, value: object) -> Optional:
    return Optional.NONE if is_zero(value) else Optional(True, value)


def _unwrap(context: Context, values: list[object]) -> list[object]:
    context.charge(list_size(values))
    items = [adapt(item, context) for item in elements(values)]
    return [item.content for item in items if isinstance(item, Optional) and item.present]


GLOBALS: Final[dict[str, Function]] = {
    "optional.of": typed("optional.of", lambda _, value: Optional(True, value), None),
    "optional.none": typed("optional.none", lambda _: Optional.NONE),
    "optional.ofNonZeroValue": typed("optional.ofNonZeroValue", _of_non_zero, None),
    "optional.unwrap": typed("optional.unwrap", _unwrap, list),
}
MEMBERS: Final[dict[str, Function]] = {
    "hasValue": member("hasValue", lambda _, value: value.present, Optional),
    "value": member("value", lambda _, value: value.value(), Optional),
    "unwrapOpt": member("unwrapOpt", _unwrap, list),
}
