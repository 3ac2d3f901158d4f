"""The read-only tree that conditions see, made from canonical bytes without the classes they name.

`agentguard.canonical.Frozen` gives a tool its own types back; what is decided again from a record needs only
what a condition saw, and nobody may have the tool's classes any more.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import pydantic_core

from agentguard.canonical import MAX_BYTES, MAX_DEPTH, encode
from agentguard.errors import ArgumentsError

__all__ = ["UnknownValue", "view_of", "view_of_tree"]

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


class UnknownValue(ArgumentsError):
    """An enumeration by its name: what it stands for is known to its class only."""


def view_of(canonical: bytes, *, trusted: bool = False) -> Mapping[str, Any]:
    """The view of canonical bytes, equal to `Frozen.view` of the value they were made from.

    `trusted` says that a keyed digest of these very bytes was compared, so that they are what was written;
    otherwise they are written again and compared.

    Raises:
        UnknownValue: they name a member of an enumeration, whose value only its class knows.
        ArgumentsError: they are not canonical, too large or too deep.
    """
    if len(canonical) > MAX_BYTES:
        raise ArgumentsError(f"{len(canonical)} bytes, more than {MAX_BYTES}")
    try:
        tree = pydantic_core.from_json(canonical, allow_inf_nan=False)
        if not trusted and encode(tree) != canonical:
            raise ArgumentsError("it is not canonical: a key is there twice, or another form was written")
    except (ValueError, RecursionError) as error:
        if isinstance(error, ArgumentsError):
            raise
        raise ArgumentsError("it is no JSON") from None
    return view_of_tree(tree, tagged=b'"$' in canonical)


def view_of_tree(tree: object, *, tagged: bool) -> Mapping[str, Any]:
    """The view of a decoded tree; `tagged` says that it may hold tags (a key that begins with `$`).

    Raises:
        ArgumentsError: as `view_of`.
    """
    if type(tree) is not dict:
        raise ArgumentsError("it is not a mapping")
    try:
        return _tagged_mapping(tree, 1) if tagged else _mapping(tree, 1)
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise ArgumentsError(f"a tag does not hold what it says ({type(error).__name__})") from None


def _mapping(tree: dict[str, Any], depth: int) -> Mapping[str, Any]:
    if depth > MAX_DEPTH:
        raise ArgumentsError(f"nested deeper than {MAX_DEPTH} levels")
    for key, value in tree.items():
        kind = type(value)
        if kind is dict:
            tree[key] = _mapping(value, depth + 1)
        elif kind is list:
            tree[key] = _sequence(value, depth + 1)
    return MappingProxyType(tree)


def _sequence(items: list[Any], depth: int) -> tuple[Any, ...]:
    if depth > MAX_DEPTH:
        raise ArgumentsError(f"nested deeper than {MAX_DEPTH} levels")
    return tuple(
        [
            item
            if type(item) in _SCALARS
            else _mapping(item, depth + 1)
            if type(item) is dict
            else _sequence(item, depth + 1)
            for item in items
        ]
    )


def _tagged_mapping(tree: dict[str, Any], depth: int) -> Mapping[str, Any]:
    return MappingProxyType(
        {key[1:] if key.startswith("$") else key: _tagged(value, depth + 1) for key, value in tree.items()}
    )


def _tagged(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH * 3:  # a tag is up to two levels of its own
        raise ArgumentsError(f"nested deeper than {MAX_DEPTH} levels")
    if type(value) is list:
        return tuple([_tagged(item, depth + 1) for item in value])
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key.startswith("$") and not key.startswith("$$"):
            return _tag(key, inner, depth)
    return _tagged_mapping(value, depth)


def _tag(tag: str, inner: Any, depth: int) -> Any:
    if tag in _SEQUENCES:
        return tuple([_tagged(item, depth + 1) for item in inner])
    if tag in ("$model", "$dataclass"):
        return MappingProxyType({name: _tagged(item, depth + 1) for name, item in inner["fields"]})
    if tag == "$enum":
        if type(inner.get("value")) is int:
            return inner["value"]
        raise UnknownValue("an enumeration's value is known to its class only")
    read = _TEXTS.get(tag)
    if read is None or type(inner) is not str:
        raise ArgumentsError(f"unknown tag {tag[:40]!r}")
    return read(inner)


def _instant(text: str) -> dt.datetime | str:
    value = dt.datetime.fromisoformat(text.partition("[")[0])
    return value if value.tzinfo is not None else text


def _number(text: str) -> int | float:
    value = decimal.Decimal(text)
    if value.adjusted() < 18 and value == value.to_integral_value():
        return int(value)
    return float(value)


_SEQUENCES: Final = frozenset({"$tuple", "$set", "$frozenset"})
_TEXTS: Final[dict[str, Callable[[str], Any]]] = {
    "$bytes": base64.b64decode,
    "$bytearray": base64.b64decode,
    "$datetime": _instant,
    "$date": str,
    "$time": str,
    "$timedelta": lambda text: dt.timedelta(microseconds=int(text.removesuffix("us"))),
    "$decimal": _number,
    "$uuid": str,
    "$path": str,
    "$posixpath": str,
    "$windowspath": str,
}
