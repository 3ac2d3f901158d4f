"""Google's evaluator (`cel-expr-python`) beside ours: both answers in one form, and whether they agree."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from agentguard import cel
from agentguard.cel import ast

try:
    from cel_expr_python import cel as google
except ImportError:
    google = None

NAMES = ("i", "d", "b", "s", "l", "m", "k", "v", "absent")
ENVIRONMENT: Any = google and google.NewEnv(variables=dict.fromkeys(NAMES, google.Type.DYN))
ERROR = "error"


def googles(source: str, bindings: Mapping[str, object]) -> object:
    """Google's answer in a comparable form; its binding returns errors as values of type ERROR."""
    try:
        value = ENVIRONMENT.compile(source, disable_check=True).eval(data=dict(bindings))
    except Exception:
        return ERROR
    return from_google(value)


def from_google(value: Any) -> object:
    """A typed copy of one of its values."""
    kind = value.type().name()
    if kind == "ERROR":
        return ERROR
    if kind.startswith("LIST"):
        return ("list", tuple(from_google(item) for item in value.value()))
    if kind.startswith("MAP"):
        return ("map", frozenset((str(key), from_google(item)) for key, item in value.value().items()))
    if kind.startswith("NULL"):
        # Its `plain_value()` of null (0.1.3) gives away a reference to None that it does not own.
        return ("null", None)
    plain = value.plain_value()
    if kind == "TYPE":
        return ("type", re.split("[<_]", plain.name().lower())[0])
    if kind == "DOUBLE":
        return ("double", "nan" if math.isnan(plain) else repr(plain))
    return (kind.lower().partition("_")[0], bytes(plain) if kind == "BYTES" else plain)


def ours(source: str, bindings: Mapping[str, object]) -> object:
    """Our answer in the same form."""
    try:
        value = cel.compile(source).evaluate(bindings)
    except cel.CelException:
        return ERROR
    return from_ours(value)


def from_ours(value: object) -> object:
    """A typed copy of one of our values."""
    match value:
        case list():
            return ("list", tuple(from_ours(item) for item in value))
        case Mapping():
            return ("map", frozenset((str(key), from_ours(item)) for key, item in value.items()))
        case cel.CelType():
            return ("type", value.name.partition("_")[0])
        case None:
            return ("null", None)
        case bool():
            return ("bool", value)
        case cel.UInt():
            return ("uint", int(value))
        case int():
            return ("int", value)
        case float():
            return ("double", "nan" if math.isnan(value) else repr(value))
        case str():
            return ("string", value)
        case bytes():
            return ("bytes", value)
        case _:
            raise AssertionError(f"unexpected result {value!r}")


def order_is_open(source: str, bindings: Mapping[str, object]) -> bool:
    """Whether a list is made from a map of several entries, whose order the specification leaves open."""
    return any(
        isinstance(part.node, ast.Comprehension)
        and part.node.macro in ("map", "filter")
        and any(
            child.node is part.node.range and isinstance(child.value, Mapping) and len(child.value) > 1
            for child in part.children
        )
        for part in cel.compile(source).trace(bindings).walk()
    )


def agree(source: str, bindings: Mapping[str, object]) -> bool:
    """The same value of the same type or an error on both sides, where the order of a map plays no part."""
    return ours(source, bindings) == googles(source, bindings) or order_is_open(source, bindings)
