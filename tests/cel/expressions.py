"""Random expressions for comparing evaluators: well typed for the most part, wrong often enough.

Left out, since evaluators differ there by design: the order of a map's entries (macros that make lists run
over maps of one entry), numbers made from booleans, and the text of NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choose(Protocol):
    """Picks one of a pool: Hypothesis, or a random generator in long runs."""

    def __call__(self, pool: Sequence[T], /) -> T: ...


LEAVES: dict[str, list[str]] = {
    "int": [
        "0", "1", "2", "-1", "7", "i", "i", "size(l)", "m.a", "l[0]", "v", "9223372036854775807", "(1 / 0)",
        "absent",
    ],
    "uint": ["0u", "1u", "2u", "18446744073709551615u", "v"],
    "double": ["0.0", "1.0", "-2.5", "2.0", "d", "1e300", "(0.0 / 0.0)", "(1.0 / 0.0)"],
    "bool": ["true", "false", "b", "b", "has(m.a)", "has(m.zz)", "v", "(1 / 0 == 1)", "absent"],
    "string": ["''", "'a'", "'ab'", "'é🐱'", "s", "s", "m.t", "k['x y']", "v"],
    "list": ["l", "l", "[]", "[1, 'a', 2.0]", "[0, 1, 2]", "[true, false]", "[[1], [2]]"],
    "map": ["m", "k", "{}", "{1: 'a', 2u: 'b'}", "{'a': 1}", "{true: 1}", "{'a': {'a': 2}}"],
    "other": ["null", "type(i)", "b'a'", "b'ab'", "type(l)", "v"],
}  # fmt: skip
KINDS = sorted(LEAVES)
NUMBERS = ["int", "uint", "double"]
CONVERTIBLE = [
    "i",
    "7",
    "1u",
    "1.5",
    "-2.5",
    "2.5e10",
    "s",
    "'12'",
    "'-3'",
    "'1e3'",
    "null",
    "[1]",
    "18446744073709551615u",
]
SINGLE = ["k", "{'a': 1}", "{true: 1}"]

# How to make an expression of a kind from others; `{int}` and so on are replaced by such expressions.
FORMS: dict[str, list[str]] = {
    "int": [
        "({int} + {int})", "({int} - {int})", "({int} * {int})", "({int} / {int})", "({int} % {int})",
        "-({int})",
        "size({list})", "size({map})", "size({string})", "({bool} ? {int} : {int})", "{list}[{int}]",
        "{map}.a",
        "int({convertible})", "dyn({int})",
    ],
    "uint": [
        "({uint} + {uint})", "({uint} * {uint})", "({uint} - {uint})", "({uint} / {uint})",
        "uint({convertible})",
    ],
    "double": [
        "({double} + {double})", "({double} * {double})", "({double} / {double})", "-({double})",
        "double({convertible})",
    ],
    "bool": [
        "({bool} && {bool})", "({bool} || {bool})", "({bool} && {bool} && {bool})", "!({bool})",
        "({any} == {any})",
        "({any} != {any})", "({number} == {number})", "({number} < {number})", "({number} <= {number})",
        "({number} > {number})", "({number} >= {number})", "({string} < {string})", "({list} == {list})",
        "({map} == {map})", "({any} in {list})", "({string} in {map})", "({number} in {map})",
        "{list}.all(v, {bool})",
        "{list}.exists(v, {bool})", "{list}.exists_one(v, {bool})", "{map}.all(v, {bool})",
        "{map}.exists(v, {bool})",
        "has({map}.a)", "({string}).contains({string})", "({string}).startsWith({string})",
        "({string}).endsWith({string})", "({bool} ? {bool} : {bool})", "{list}.all(v, v {order} {number})",
        "{list}.exists(v, {number} / v == {number})",
    ],
    "string": [
        "({string} + {string})", "string({convertible})", "string(b)", "({bool} ? {string} : {string})",
        "{map}.a",
    ],
    "list": [
        "[{any}, {any}]", "[{any}]", "({list} + {list})", "{list}.map(v, {any})", "{list}.filter(v, {bool})",
        "{single}.map(v, {any})", "{list}.map(v, {bool}, {any})", "{list}[{int}]",
        "({bool} ? {list} : {list})",
    ],
    "map": [
        "{{'a': {any}, 'b': {any}}}", "{{'a': {any}}}", "{map}.a", "{map}['a']", "({bool} ? {map} : {map})",
    ],
    "other": ["type({any})", "dyn({any})", "({bool} ? null : {any})"],
}  # fmt: skip


class _Kinds(dict[str, str]):
    """Fills the holes of a form as they are asked for."""

    def __init__(self, fill: Callable[[str], str]) -> None:
        super().__init__()
        self.fill = fill

    def __missing__(self, kind: str) -> str:
        return self.fill(kind)


def expression(choose: Choose, levels: int = 4) -> str:
    """An expression of any kind, ``levels`` deep at most; about one part in fifteen has a wrong type."""

    def fill(kind: str, depth: int) -> str:
        match kind:
            case "order":
                return choose(["<", "<=", ">", ">=", "==", "!="])
            case "single":
                return choose(SINGLE)
            case "convertible":
                return choose(CONVERTIBLE)
            case "any":
                kind = choose(KINDS)
            case "number":
                kind = choose(NUMBERS)
        if kind not in NUMBERS and choose(range(15)) == 14:
            kind = choose(KINDS)
        if depth == 0 or choose(range(4)) == 0:
            return choose(LEAVES[kind])
        form = choose(FORMS[kind])
        return form.format_map(_Kinds(lambda part: fill(part, depth - 1)))

    return fill("any", levels)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Random expressions."""
    return expression(lambda pool: draw(st.sampled_from(pool)))


VARIABLES: dict[str, list[Any]] = {
    "i": [0, 1, -1, 7, 2**63 - 1, -(2**63)],
    "d": [0.0, 1.0, -1.5, float("inf")],
    "b": [False, True],
    "s": ["", "a", "abc", "é"],
    "l": [[], [1], [1, 2, 3], ["a", 1, True], [0.5, None]],
    "m": [{}, {"a": 1}, {"a": "x", "t": "abc"}, {"a": None, "b": [1]}],
    "k": [{}, {"x y": "v"}, {"a": {"a": 1}}],
}
EXPRESSIONS = expressions()
BINDINGS = st.fixed_dictionaries({name: st.sampled_from(pool) for name, pool in VARIABLES.items()})
