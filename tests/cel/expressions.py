"""Random expressions for comparing evaluators: well typed for the most part, wrong often enough.

Left out, since evaluators differ there by design: the order of a map's entries (macros that make lists run
over maps of one entry), numbers made from booleans, and the text of NaN.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

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


@st.composite
def expressions(draw: st.DrawFn, levels: int = 4) -> str:
    """An expression of any kind, ``levels`` deep at most; about one part in fifteen has a wrong type."""

    def fill(kind: str, depth: int) -> str:
        match kind:
            case "order":
                return draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
            case "single":
                return draw(st.sampled_from(SINGLE))
            case "convertible":
                return draw(st.sampled_from(CONVERTIBLE))
            case "any":
                kind = draw(st.sampled_from(KINDS))
            case "number":
                kind = draw(st.sampled_from(NUMBERS))
        if kind not in NUMBERS and draw(st.integers(0, 14)) == 14:
            kind = draw(st.sampled_from(KINDS))
        if depth == 0 or draw(st.integers(0, 3)) == 0:
            return draw(st.sampled_from(LEAVES[kind]))
        form = draw(st.sampled_from(FORMS[kind]))
        return form.format_map(_Kinds(lambda part: fill(part, depth - 1)))

    return fill("any", levels)


EXPRESSIONS = expressions()
BINDINGS = st.fixed_dictionaries(
    {
        "i": st.sampled_from([0, 1, -1, 7, 2**63 - 1, -(2**63)]),
        "d": st.sampled_from([0.0, 1.0, -1.5, float("inf")]),
        "b": st.booleans(),
        "s": st.sampled_from(["", "a", "abc", "é"]),
        "l": st.sampled_from([[], [1], [1, 2, 3], ["a", 1, True], [0.5, None]]),
        "m": st.sampled_from([{}, {"a": 1}, {"a": "x", "t": "abc"}, {"a": None, "b": [1]}]),
        "k": st.sampled_from([{}, {"x y": "v"}, {"a": {"a": 1}}]),
    }
)
