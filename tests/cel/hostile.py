"""Random conditions as policies have them, over bindings as an attacker would choose them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from agentguard import cel
from tests.cel.expressions import VARIABLES, Choose, expression


class Text(str):
    """A text that claims to equal everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("a")


class Whole(int):
    """A number that claims to be larger than everything."""

    def __gt__(self, other: object) -> bool:
        return True


class Liar(dict[str, Any]):
    """A map that answers otherwise than it holds."""

    def __getitem__(self, key: str) -> Any:
        return "lied"

    def __contains__(self, key: object) -> bool:
        return True


class Raising(Mapping[str, Any]):
    """A map that cannot be read."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        return 1


class Items(list[Any]):
    """A list that shows other elements than it holds."""

    def __iter__(self) -> Iterator[Any]:
        return iter(["other"])


def nested(levels: int) -> Any:
    """A list in a list, and so on."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 5, 10, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**70,
    0.0, -0.0, 1.0, 5.0, 5.5, float(2**53), 1e300, float("nan"), float("inf"), float("-inf"),
    "", "a", "ab", "abc", "b", "é", "ß" * 70, "1", "true", "\ud800", "a\ud800", "x" * 1_100, "é" * 5_000,
    b"", b"a", cel.UInt(1), cel.UInt(5), cel.UInt(2**64 - 1), Text("zz"), Whole(3), object(), 1j,
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1), dt.timedelta(hours=1),
    cel.Optional.of("a"), cel.Optional.NONE, cel.Duration(5),
]  # fmt: skip
CONTAINERS: list[Any] = [
    [], (), {}, ["a"], ("a", "b"), ["b", "a", 1], [1, True, 1.0], ["\ud800", "a"], ["a", "\ud800"],
    [object()],
    ["x"] * 70, ["é", "a"], Items(["a"]), [None, [1]], nested(200), {"a": 1}, {"a": "a", "b": {"a": "b"}},
    {1: "one", "a": True}, {True: "yes", "a": 5}, {1.0: 1}, {"a": object()}, {"a": "\ud800"}, {"a": 2**70},
    Liar(a=1), Raising(), MappingProxyType({"a": "a", "b": 5}), MappingProxyType(Liar(a=2)),
    MappingProxyType({"a": MappingProxyType({"a": 1, "b": "b"})}), {"a": ["a", "b"]},
    {"a": {"a": {"a": "a"}}},
]  # fmt: skip
VALUES = [*SCALARS, *CONTAINERS]
FIELDS = ["a", "b", "x y"]
ROOTS = ["i", "s", "l", "m", "k", "v", "b", "d", "m.a"]


def bindings(choose: Choose) -> dict[str, Any]:
    """Ordinary values, hostile ones, and maps that hold hostile ones; some names are absent."""
    found: dict[str, Any] = {}
    for name in ROOTS:
        match choose(range(5)):
            case 0:
                found[name] = choose(VALUES)
            case 1 | 2:
                fields = {field: choose(VALUES) for field in FIELDS if choose(range(4))}
                found[name] = choose([fields, MappingProxyType(fields)])
            case 3 if name in VARIABLES:
                found[name] = choose(VARIABLES[name])
            case _:
                pass
    return found


PATHS = ["m.a", "m.b", "k.a", "k.a.b", "s", "i", "l", "m['a']", "m['x y']", "m.?a", "l[0]", "m.a.a", "v", "k"]
TEXTS = ["'a'", "'b'", "''", "'é'", "'zz'", "'lied'", "'" + "x" * 1_100 + "'"]
NUMBERS = ["1", "5", "0", "-1", "10", "9007199254740993", "9223372036854775807", "5u", "5.0", "0.0", "1e300"]
ATOMS = [
    "{path} == {text}", "{text} == {path}", "{path} != {text}", "{path} == {number}", "{number} != {path}",
    "{path} < {number}", "{path} <= {number}", "{number} < {path}", "{path} >= {number}", "{number} > {path}",
    "{path} < {text}", "{path} == {path}", "{path} < {path}", "{path} == true", "false != {path}",
    "{path} == null", "{path} in ['a', 'b']", "{path} in ['a', 1]", "{path} in []", "{text} in {path}",
    "{number} in {path}", "{path} in {path}", "has(m.a)", "has(m.a.b)", "has(k.b)", "{path}",
    "{path}.startsWith({text})", "{path}.endsWith({text})", "{path}.contains({text})", "{path}.matches('^a')",
    "size({path}) > {number}", "{path}.size() == {number}", "{path} + {number} > {number}",
    "{path} + {text} == {text}", "{path} - 1 < {number}", "{path} * {path} > 0", "-({path}) < 0",
    "{path}[{number}] == {text}", "{path}[{text}] == {number}", "{path}.?b.orValue({text}) == {text}",
    "{path}.?b.or(optional.of({text})).value() == {text}", "{path}.?b.hasValue()",
    "{path}.all(e, e == {text})", "{path}.exists(e, e in ['a', 'b'])", "{path}.exists_one(e, e == {number})",
    "{path}.all(e, e.a > {number})", "{path}.exists(e, {path} == e)",
    "{path}.filter(e, e == {text}).size() > 0",
    "{path}.map(e, e) == [{text}]", "{path}.map(e, e == {text}, 1) == [1]",
    "{path}.exists(e, {path}.all(f, f == e))", "cel.bind(x, {path}, x == {text} || x == {number})",
    "cel.block([{path}, {path}], cel.index(0) == cel.index(1))", "[{path}, {text}] == ['a', 'a']",
    "{{'a': {path}}}.a == {text}", "{{{path}: 1}} == {{'a': 1}}", "type({path}) == type({path})",
    "string({path}) == {text}", "int({path}) > 3", "again({path}) == {path}", "named(m.a).startsWith('m')",
    "({path} == {text} ? {path} : {path}) == {text}", "{path}.optMap(e, e).hasValue()",
    "{path}.all(k, v, k == v)", "missing({path})", "{path} > duration('1s')", "{path}", "{text}", "{number}",
]  # fmt: skip
JOINS = ["({a}) && ({b})", "({a}) || ({b})", "!({a})", "({a}) ? ({b}) : ({c})", "({a}) && ({b}) && ({c})",
         "({a}) || ({b}) || ({c})", "({a}) == ({b})"]  # fmt: skip


def condition(choose: Choose, levels: int = 2) -> str:
    """Atoms, joined up to ``levels`` times."""
    if levels and choose(range(3)):
        form = choose(JOINS)
        return form.format(**{name: condition(choose, levels - 1) for name in "abc" if f"{{{name}}}" in form})
    form = choose(ATOMS)
    for hole, pool in (("{path}", PATHS), ("{text}", TEXTS), ("{number}", NUMBERS)):
        while hole in form:
            form = form.replace(hole, choose(pool), 1)
    return form.replace("{{", "{").replace("}}", "}")


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, cel.Environment, dict[str, Any]]:
    """A condition, what it is compiled under, and what it is evaluated on."""
    return case(lambda pool: draw(st.sampled_from(pool)))


def case(choose: Choose) -> tuple[str, cel.Environment, dict[str, Any]]:
    """The same with any way to choose."""
    source = condition(choose) if choose(range(3)) else expression(choose)
    ordinary = choose(range(3)) == 0
    bound = {name: choose(pool) for name, pool in VARIABLES.items()} if ordinary else bindings(choose)
    return source, choose(ENVIRONMENTS), bound


_FUNCTIONS = {"again": cel.Function(lambda context, value: value, 1)}
_PATHS = {"named": cel.PathFunction(lambda context, path: path)}
_NAMES = ["i", "d", "b", "s", "l", "m", "k", "v", "absent"]
ENVIRONMENTS = [
    cel.Environment(unknown_functions="error", functions=_FUNCTIONS, path_functions=_PATHS),
    cel.Environment(_NAMES, unknown_functions="error", functions=_FUNCTIONS, path_functions=_PATHS),
    cel.Environment([*_NAMES, "m.a"], unknown_functions="error", functions=_FUNCTIONS, path_functions=_PATHS),
    cel.Environment(
        _NAMES,
        unknown_functions="error",
        functions=_FUNCTIONS,
        path_functions=_PATHS,
        limits=cel.Limits(steps=150, size=40),
    ),
    cel.Environment(
        _NAMES,
        unknown_functions="error",
        functions=_FUNCTIONS,
        path_functions=_PATHS,
        limits=cel.Limits(steps=2_000, size=2_000),
    ),
]
"""Undeclared and declared names, a dotted one, and bounds that are soon hit."""
