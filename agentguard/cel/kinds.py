"""The types as values: which names denote them and which type a value has."""

from __future__ import annotations

from typing import Final

from .adapt import is_list, is_map
from .errors import CelError
from .network import Cidr, Ip
from .temporal import Duration, Timestamp
from .values import CelType, Optional, UInt

_PYTHON: Final[dict[type, CelType]] = {
    type(None): CelType("null_type"), bool: CelType("bool"), int: CelType("int"), UInt: CelType("uint"),
    float: CelType("double"), str: CelType("string"), bytes: CelType("bytes"), CelType: CelType("type"),
    Timestamp: CelType("google.protobuf.Timestamp"), Duration: CelType("google.protobuf.Duration"),
    Optional: CelType("optional_type"), Ip: CelType("net.IP"), Cidr: CelType("net.CIDR"),
}  # fmt: skip
_LIST: Final = CelType("list")
_MAP: Final = CelType("map")

TYPES: Final[dict[str, CelType]] = {kind.name: kind for kind in (*_PYTHON.values(), _LIST, _MAP)}


def type_of(value: object) -> CelType:
    """The type of an adapted value."""
    found = _PYTHON.get(type(value))
    if found is not None:
        return found
    if is_list(value):
        return _LIST
    if is_map(value):
        return _MAP
    raise CelError(f"no CEL value: a Python `{type(value).__name__}` cannot be used in a condition")


def overload(name: str, *values: object) -> CelError:
    """The error for a function that has no form for these values."""
    types = ", ".join(type_of(value).name for value in values)
    return CelError(f"no such overload: `{name}` cannot take {types}")
