"""Reading: variables, fields, indices and optionals, on adapted values and as steps of a program.

Fast and exact ways are kept side by side: the fast one handles plain dictionaries with ordinary values and
hands everything else, every error included, to the exact one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from .adapt import INPUT_SIZE, adapt, elements, is_list, is_map, list_size
from .context import Context, absent, unreadable
from .errors import CelError
from .kinds import overload, type_of
from .maps import MISSING, lookup, map_keys, no_such_key
from .values import INT_MAX, INT_MIN, Optional

Run: TypeAlias = Callable[[Context], object]
_DIRECT: Final = frozenset({dict, MappingProxyType})


def located(error: CelError, position: int) -> CelError:
    """The error, with its place where it has none yet."""
    if error.position is None:
        error.position = position
    return error


# On values


def select(value: object, field: str, context: Context) -> object:
    """``value.field``; on an optional the field of what it holds, as an optional."""
    if is_map(value):
        found = lookup(value, field, context)
        if found is MISSING:
            raise no_such_key(field)
        return found
    if isinstance(value, Optional):
        return optional_select(value, field, context)
    raise CelError(f"no such field: `{field}` of a value of type {type_of(value).name}")


def optional_select(value: object, field: str, context: Context) -> Optional:
    """``value.?field``."""
    if isinstance(value, Optional):
        return optional_select(value.content, field, context) if value.present else Optional.NONE
    if not is_map(value):
        raise CelError(f"no such field: `{field}` of a value of type {type_of(value).name}")
    found = lookup(value, field, context)
    return Optional.NONE if found is MISSING else Optional(True, found)


def has(value: object, field: str, context: Context) -> bool:
    """``has(value.field)``."""
    return optional_select(value, field, context).present


def _element(value: list[object] | tuple[object, ...], index: object, context: Context) -> object:
    kind = type(index)
    if kind is float and not index.is_integer():  # type: ignore[attr-defined]  # a float, tested above
        raise CelError("list index is not a whole number")
    if kind is bool or not isinstance(index, int | float):
        raise overload("_[_]", value, index)
    at = int(index)
    if not 0 <= at < list_size(value):
        return MISSING
    found = list.__getitem__(value, at) if isinstance(value, list) else tuple.__getitem__(value, at)
    return adapt(found, context)


def index(value: object, key: object, context: Context) -> object:
    """``value[key]``."""
    if is_map(value):
        found = lookup(value, key, context)
        if found is MISSING:
            raise no_such_key(key)
        return found
    if is_list(value):
        found = _element(value, key, context)
        if found is MISSING:
            raise CelError(f"index out of range: {key} in a list of {list_size(value)}")
        return found
    if isinstance(value, Optional):
        return optional_index(value, key, context)
    raise overload("_[_]", value, key)


def optional_index(value: object, key: object, context: Context) -> Optional:
    """``value[?key]``."""
    if isinstance(value, Optional):
        return optional_index(value.content, key, context) if value.present else Optional.NONE
    if is_map(value):
        found = lookup(value, key, context)
    elif is_list(value):
        found = _element(value, key, context)
    else:
        raise overload("_[?_]", value, key)
    return Optional.NONE if found is MISSING else Optional(True, found)


def items_of(value: object, context: Context) -> Iterator[object]:
    """The elements of a list or the keys of a map, for a macro to run over."""
    if is_list(value):
        return elements(value)
    if is_map(value):
        return map_keys(value, context)
    raise CelError(f"no such overload: a macro needs a list or a map, not {type_of(value).name}")


# As steps of a program


def path(name: str, fields: tuple[str, ...], qualified: tuple[str, ...], position: int) -> Run:
    """Read the binding ``name`` and descend by ``fields``.

    ``qualified`` are the dotted names that may be bound as such, longest first: ``a.b.c`` finds the binding
    ``a.b.c`` before ``a.b`` before ``a`` (CEL specification, "Name resolution").
    """

    def exact(context: Context) -> object:
        bindings: Mapping[str, object] = context.bindings
        try:
            found, rest = name, fields
            for candidate in qualified:
                if candidate in bindings:
                    found, rest = candidate, fields[candidate.count(".") :]
                    break
            value = bindings[found]
        except KeyError:
            raise located(absent(name), position) from None
        except CelError as error:
            raise located(error, position) from None
        except Exception as error:
            raise located(unreadable(error), position) from None
        try:
            value = adapt(value, context)
            for field in rest:
                value = select(value, field, context)
        except CelError as error:
            raise located(error, position) from None
        return value

    def fast(context: Context) -> object:
        bindings = context.bindings
        for candidate in qualified:
            if candidate in bindings:
                return exact(context)
        try:
            value = bindings[name]
            for field in fields:
                if type(value) not in _DIRECT:
                    return exact(context)
                value = value[field]  # type: ignore[index]  # a mapping, tested above
        except Exception:
            return exact(context)
        kind = type(value)
        if kind is str:
            if value.isascii() and len(value) <= INPUT_SIZE:  # type: ignore[attr-defined,arg-type]  # a str
                return value
        elif kind is int:
            if INT_MIN <= value <= INT_MAX:  # type: ignore[operator]  # an int
                return value
        elif kind is bool or kind is dict or kind is float or kind is list:
            return value
        return exact(context)

    def fast_field(context: Context) -> object:
        try:
            value = context.bindings[name]
            if type(value) is not dict:
                return fast(context)
            value = value[field]
        except Exception:
            return exact(context)
        kind = type(value)
        if kind is str:
            if value.isascii() and len(value) <= INPUT_SIZE:
                return value
        elif kind is int:
            if INT_MIN <= value <= INT_MAX:
                return value
        elif kind is bool or kind is dict or kind is float or kind is list:
            return value
        return exact(context)

    if len(fields) == 1 and not qualified:
        (field,) = fields
        return fast_field
    return fast


def local(slot: int) -> Run:
    """Read a macro's variable."""

    def run(context: Context) -> object:
        return context.slots[slot]

    return run


def lazy(slot: int, compute: Run) -> Run:
    """Read a value that is computed when it is first read, its error included."""

    def run(context: Context) -> object:
        held = context.slots[slot]
        if held is None:
            try:
                held = (compute(context), None)
            except CelError as error:
                held = (None, error)
            context.slots[slot] = held
        assert isinstance(held, tuple)
        value, failure = held
        if failure is None:
            return value
        raise type(failure)(failure.message, failure.position)

    return run


def unary(operand: Run, apply: Callable[[object, str, Context], object], field: str, position: int) -> Run:
    """``select``, ``optional_select`` or ``has`` on the value of ``operand``."""

    def run(context: Context) -> object:
        value = operand(context)
        try:
            return apply(value, field, context)
        except CelError as error:
            raise located(error, position) from None

    return run


def binary(left: Run, right: Run, apply: Callable[[object, object, Context], object], position: int) -> Run:
    """An index or an operator on the values of both operands."""

    def run(context: Context) -> object:
        one = left(context)
        two = right(context)
        try:
            return apply(one, two, context)
        except CelError as error:
            raise located(error, position) from None

    return run


def alternative(name: str, target: Run, other: Run, position: int) -> Run:
    """``target.or(other)`` and ``target.orValue(other)``; ``other`` is evaluated only when needed."""

    def run(context: Context) -> object:
        value = target(context)
        if not isinstance(value, Optional):
            raise located(overload(name, value), position)
        if value.present:
            return value if name == "or" else value.content
        result = other(context)
        if name == "or" and not isinstance(result, Optional):
            raise located(overload(name, value, result), position)
        return result

    return run
