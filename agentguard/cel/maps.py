"""Maps: keys by CEL's rules on top of Python's dictionaries.

CEL finds ``1``, ``1u`` and ``1.0`` under one key, which Python's dictionaries do by themselves; but to
Python ``True`` is that key too, and to CEL it is not (CEL specification, "Equality" and "Maps").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

from .adapt import adapt
from .context import Context, unreadable
from .errors import CelError
from .values import UInt


class Missing:
    """The answer of ``lookup`` where there is no such key."""


MISSING: Final = Missing()


class MixedMap(Mapping[object, object]):
    """A map with bool keys beside numeric ones, kept apart by their types."""

    __slots__ = ("_entries",)

    def __init__(self, items: Iterable[tuple[object, object]]) -> None:
        self._entries = {(type(key) is bool, key): (key, value) for key, value in items}

    def __getitem__(self, key: object) -> object:
        return self._entries[type(key) is bool, key][1]

    def __iter__(self) -> Iterator[object]:
        return iter([key for key, _ in self._entries.values()])

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{key!r}: {value!r}" for key, value in self._entries.values()) + "}"


class _Probe:
    """Equal to 0 or 1 in a dictionary exactly when the stored key is (``wanted``) or is not a bool."""

    __slots__ = ("key", "wanted")

    def __init__(self, key: int, wanted: bool) -> None:
        self.key = key
        self.wanted = wanted

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return (type(other) is bool) is self.wanted and other == self.key


def lookup(value: Mapping[object, object], key: object, context: Context) -> object:
    """The adapted value under ``key``, or ``MISSING``; ``CelError`` where ``key`` cannot be a key."""
    kind = type(key)
    if kind is float:
        if not key.is_integer():  # type: ignore[attr-defined]  # a float, tested above
            return MISSING
        key = int(key)  # type: ignore[call-overload]  # a float, tested above
    elif kind is not str and kind is not int and kind is not bool and kind is not UInt:
        raise CelError("unsupported key type: keys are strings, integers and booleans")
    probe: object = key
    try:
        if type(value) is not MixedMap and key in (0, 1):
            if not isinstance(value, dict | MappingProxyType):
                return _scan(value, key, context)
            probe = _Probe(1 if key else 0, kind is bool)
        found = dict.get(value, probe, MISSING) if isinstance(value, dict) else value[probe]
    except KeyError:
        return MISSING
    except CelError:
        raise
    except Exception as error:
        raise unreadable(error) from None
    return MISSING if found is MISSING else adapt(found, context)


def _scan(value: Mapping[object, object], key: object, context: Context) -> object:
    for candidate in value:
        context.charge(1)
        if candidate == key and (type(candidate) is bool) is (type(key) is bool):
            return adapt(value[candidate], context)
    return MISSING


def no_such_key(key: object) -> CelError:
    """The error for a key that a map does not have."""
    shown = key if isinstance(key, str) else str(key).lower() if isinstance(key, bool) else str(key)
    return CelError(f"no such key: `{shown[:100]}`")


def map_size(value: Mapping[object, object]) -> int:
    """The number of entries."""
    try:
        size = dict.__len__(value) if isinstance(value, dict) else len(value)
    except Exception as error:
        raise unreadable(error) from None
    return size


def map_keys(value: Mapping[object, object], context: Context) -> Iterator[object]:
    """The adapted keys; charged one by one, since a foreign mapping may never end."""
    try:
        iterator = dict.__iter__(value) if isinstance(value, dict) else iter(value)
        while True:
            batch = list(islice(iterator, 64))
            if not batch:
                return
            context.charge(len(batch))
            for key in batch:
                key = adapt(key, context)
                if type(key) is not str and type(key) not in (int, bool, UInt):
                    raise CelError("unsupported key type: keys are strings, integers and booleans")
                yield key
    except CelError:
        raise
    except Exception as error:
        raise unreadable(error) from None


def map_items(value: Mapping[object, object], context: Context) -> Iterator[tuple[object, object]]:
    """The adapted keys with their adapted values."""
    for key in map_keys(value, context):
        found = lookup(value, key, context)
        if found is MISSING:
            raise no_such_key(key)
        yield key, found


def build(items: list[tuple[object, object]]) -> Mapping[object, object]:
    """A map of adapted entries; ``CelError`` for a repeated key or one of a wrong type."""
    result: dict[object, object] = {}
    has_bool = has_number = False
    for key, value in items:
        kind = type(key)
        if kind is bool:
            has_bool = True
        elif kind is int or kind is UInt:
            has_number = True
        elif kind is not str:
            raise CelError("unsupported key type: keys are strings, integers and booleans")
        result[key] = value
    if has_bool and has_number:
        mixed = MixedMap(items)
        if len(mixed) < len(items):
            raise CelError("repeated key in a map")
        return mixed
    if len(result) < len(items):
        raise CelError("repeated key in a map")
    return result
