"""Our interpreter against Google's, on random expressions."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from agentguard import cel
from tests.cel.expressions import BINDINGS, EXPRESSIONS

google = pytest.importorskip(
    "cel_expr_python.cel", reason="cel-expr-python, the evaluator to compare with, is absent"
)

# A longer run: CEL_EXAMPLES=100000 pytest tests/cel/test_cel_differential.py
EXAMPLES = int(os.environ.get("CEL_EXAMPLES", "1500"))
NAMES = ("i", "d", "b", "s", "l", "m", "k", "v", "absent")
ENVIRONMENT: Any = google.NewEnv(variables=dict.fromkeys(NAMES, google.Type.DYN))
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


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EXPRESSIONS, BINDINGS)
@example("9007199254740993 == 9007199254740992.0", {})
@example("[1, 'a'].exists(v, v > 0 || 1 / 0 == 1)", {})
@example("{1: 'a', 2u: 'b'}[2.0] + 'c'", {})
def test_we_agree_with_google(source: str, bindings: dict[str, object]) -> None:
    """The same value of the same type, or an error on both sides."""
    assert ours(source, bindings) == googles(source, bindings)


def test_the_comparison_sees_errors_as_errors() -> None:
    """An error of the other evaluator is recognised by its type, not taken for a value."""
    assert googles("1 / 0", {}) == ERROR == ours("1 / 0", {})
    assert googles("absent", {}) == ERROR
    assert googles("'a'", {}) == ("string", "a") == ours("'a'", {})
    assert googles("2u", {}) != googles("2", {})
