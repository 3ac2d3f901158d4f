"""What compiled conditions call while they run: exact on the values they know, ``Unsure`` on all others.

INVARIANT: a function here returns what the interpreter would, or raises. It may charge more than the
interpreter does, never less: compiled code that runs out of budget is not believed, and the interpreter
decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final

from .adapt import INPUT_SIZE, adapt, elements, is_list, is_map, list_size
from .context import Context
from .limits import Limits
from .maps import map_keys
from .network import Cidr, Ip
from .template import is_unicode
from .temporal import Duration, Timestamp
from .values import INT_MAX, INT_MIN, UNDECIDED, CelType, Optional, UInt

WIDE: Final = 4_096
"""Longer texts than this, with other characters than ASCII, are left to the interpreter."""
LISTED: Final = 64
"""Longer lists than this are searched by the interpreter."""
READ: Final = WIDE >> 6
"""What reading one text costs at most."""

_PLAIN: Final = frozenset(
    {bool, float, type(None), dict, MappingProxyType, list, tuple, UInt, Timestamp, Duration}
    | {CelType, Ip, Cidr}
)
_UNLIKE_NUMBERS: Final = frozenset({bool, type(None), dict, MappingProxyType, list, tuple})


class Unsure(Exception):
    """Compiled code has met what it was not made for."""


def begin(bindings: Any, limits: Limits, spent: int) -> Context:
    """A context whose budget is less by what the inlined operations cost at most."""
    context = Context(bindings, 0, limits)
    context.charge(spent)
    return context


def clean(text: str) -> bool:
    """Whether a text, not ASCII or very long, may be read without charging for it."""
    return len(text) <= (INPUT_SIZE if text.isascii() else WIDE) and is_unicode(text)


def not_text(value: object) -> bool:
    """``False``, the equality of any value with a text; the value is none itself."""
    kind = type(value)
    if kind in _PLAIN or (kind is int and INT_MIN <= value <= INT_MAX):  # type: ignore[operator]  # an int
        return False
    raise Unsure


def not_number(value: object) -> bool:
    """``False``, the equality of any value with a number; the value is neither int nor float."""
    if type(value) in _UNLIKE_NUMBERS or (type(value) is str and clean(value)):
        return False
    raise Unsure


def listed(text: str, container: object) -> bool:
    """Whether a text is in a short list of texts."""
    if type(container) is not tuple and type(container) is not list:
        raise Unsure
    if len(container) > LISTED:
        raise Unsure
    for item in container:
        if type(item) is not str or not item.isascii() or len(item) > WIDE:
            raise Unsure
        if item == text:
            return True
    return False


def present(value: Any, field: str) -> bool:
    """``has`` on a plain map: there, and a value of CEL."""
    try:
        held = value[field]
    except KeyError:
        return False
    kind = type(held)
    if kind is str:
        if not held.isascii() and not clean(held):
            raise Unsure
        if len(held) > INPUT_SIZE:
            raise Unsure
    elif kind is int:
        if not INT_MIN <= held <= INT_MAX:
            raise Unsure
    elif kind not in _PLAIN:
        raise Unsure
    return True


def size_of(value: object) -> int:
    """``size`` of a text, a list or a plain map."""
    kind = type(value)
    if kind is str and clean(value):  # type: ignore[arg-type]  # a str
        return len(value)  # type: ignore[arg-type]  # a str
    if kind is tuple or kind is list or kind is dict or kind is MappingProxyType:
        return len(value)  # type: ignore[arg-type]  # a container
    raise Unsure


def rounds(value: object, context: Context, weight: int) -> Iterable[object]:
    """What a macro runs over, charged in advance as if no round were left out."""
    if is_list(value):
        context.charge(weight * list_size(value))
        return elements(value)
    if is_map(value):
        keys = list(map_keys(value, context))
        context.charge(weight * len(keys))
        return keys
    raise Unsure


def content(value: object) -> object:
    """What a present optional holds; ``UNDECIDED`` for an empty one."""
    if type(value) is not Optional:
        raise Unsure
    return value.content if value.present else UNDECIDED


def hosted(call: Any, context: Context, *values: object) -> object:
    """Call a function of the host."""
    context.charge(10)
    return adapt(call(context, *values), context)
