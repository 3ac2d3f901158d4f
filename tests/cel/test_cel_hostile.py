"""Hostile sources and bindings: nothing but CEL's own exceptions, within bounded time."""

from __future__ import annotations

import enum
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentguard import cel
from agentguard.cel import Limits, regex

BOUNDED = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


class Liar(dict[str, object]):
    """A dictionary whose methods do not tell what it holds."""

    def items(self) -> object:  # type: ignore[override]
        return [("amount", 0)]

    def __getitem__(self, key: str) -> object:
        raise SystemError("lie")

    def get(self, key: str, default: object = None) -> object:
        return 0

    def __iter__(self) -> Iterator[str]:
        return iter(["amount"] * 3)

    def __len__(self) -> int:
        return -1


class Raising(Mapping[str, object]):
    """A mapping that raises whatever it is asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getitem__(self, key: str) -> object:
        raise self.error

    def __iter__(self) -> Iterator[str]:
        raise self.error

    def __len__(self) -> int:
        raise self.error


class Endless(Mapping[str, object]):
    """A mapping without end."""

    def __getitem__(self, key: str) -> object:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield str(number)
            number += 1

    def __len__(self) -> int:
        return 2**40


class BadZone(tzinfo):
    """A time zone that raises."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        raise KeyError("zone")

    def dst(self, moment: datetime | None) -> timedelta | None:
        raise KeyError("zone")

    def tzname(self, moment: datetime | None) -> str | None:
        raise KeyError("zone")


class BadKey:
    """A key that raises when it is hashed into place and compared."""

    def __hash__(self) -> int:
        return hash("x")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")


class Colour(enum.Enum):
    RED = 1


def cyclic() -> list[object]:
    """A list that contains itself."""
    value: list[object] = [1]
    value.append(value)
    return value


def deep(levels: int) -> object:
    """Lists within lists."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: list[object] = [
    "\ud800", {"\ud800": 1}, 2**63, -(2**63) - 1, 10**5000, float("nan"), float("inf"), -0.0, Decimal(1),
    object(),
    {1, 2}, iter([1]), Colour.RED, lambda: 1, Liar(amount=5), Raising(RecursionError()),
    Raising(MemoryError()),
    Raising(KeyError("x")), Raising(ValueError()), Endless(), cyclic(), deep(10_000), {None: 1}, {1.5: 1,
    (1,): 2},
    {True: 1}, {1: 1, "1": 2}, {BadKey(): 1}, datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=BadZone()),
    datetime.max.replace(tzinfo=UTC), timedelta.max, timedelta.min, b"\xff", "x" * 100_000, "é" * 100_000,
    list(range(1000)), defaultdict(int), OrderedDict(x=1), MappingProxyType({"x": 1}), cel.UInt(5), range(5),
    cel.Optional.of(2**70), cel.Optional.NONE, cel.CelType("int"), bytearray(b"x"), memoryview(b"x"), 1j,
    type, None,
]  # fmt: skip

SOURCES = [
    "x", "x == y", "x < y", "x + y", "x - y", "x * y", "x / y", "x % y", "-x", "!x", "x && y", "x || y",
    "x ? y : x",
    "x in y", "x[y]", "x[?y]", "x.amount", "x.?amount", "has(x.amount)", "x.amount == 5 || y == x",
    "size(x)", "[x, y]",
    "{x: y}", "x.all(a, a == y)", "x.exists(a, b, a == y || b == x)", "x.map(a, a)", "x.filter(a, a != y)",
    "string(x)",
    "int(x)", "uint(x)", "double(x)", "bytes(x)", "bool(x)", "timestamp(x)", "duration(x)",
    "type(x) == type(y)",
    "x.matches(y)", "x.contains(y)", "x.replace(y, x)", "x.split(y)", "x.join(y)", "'%s %s'.format([x, y])",
    "x.sort()",
    "x.substring(y)", "x.format(y)", "x.getHours(y)", "x.getFullYear()", "x.flatten()", "x.distinct()",
    "x.reverse()",
    "sets.contains(x, y)", "math.greatest(x, y)", "optional.ofNonZeroValue(x)", "x.optMap(a, a == y)",
    "ip(x)", "cidr(x)",
    "x.transformMap(k, v, v == y)", "x.sortBy(a, a)", "base64.decode(x)", "strings.quote(x)", "x.y.z",
    "x['\\u0000']",
    "x == x", "x.first()", "x.last()", "lists.range(x)", "math.bitShiftLeft(x, y)",
    "x.exists_one(a, a == y)", "x.value()",
]  # fmt: skip
# A small budget: what matters here is how an evaluation ends, not how long it may take.
FRUGAL = cel.Environment(["x", "y"], limits=Limits(steps=20_000))
PROGRAMS = [cel.compile(source, environment=FRUGAL) for source in SOURCES]


def ending(program: cel.Program, bindings: Mapping[str, object]) -> str:
    """How an evaluation ends: with a value or a CEL exception; anything else fails the test."""
    try:
        program.evaluate(bindings)
    except (cel.CelError, cel.Unsupported):
        return "error"
    return "value"


def test_T24_no_pairing_of_hostile_values_raises_anything_else() -> None:
    """Every operation on every hostile value beside an ordinary one ends in a value or a CEL error."""
    ends = {
        ending(program, {"x": value, "y": other})
        for program in PROGRAMS
        for value in HOSTILE
        for other in (1, "a", [1], {"a": 1}, value)
    }
    assert ends == {"value", "error"}


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.integers(0, 2**64 - 1).map(cel.UInt), st.datetimes(timezones=st.just(UTC)), st.timedeltas(),
    st.integers(0, len(HOSTILE) - 1).map(lambda at: HOSTILE[at]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(), st.booleans()), inner, max_size=4),
        st.dictionaries(st.sampled_from(["amount", "y"]), inner).map(MappingProxyType),
    ),
    max_leaves=6,
)


@BOUNDED
@given(st.sampled_from(PROGRAMS), VALUES, VALUES)
def test_T23_T24_evaluate_raises_only_cel_errors(program: cel.Program, x: object, y: object) -> None:
    """Whatever the bindings hold, ``evaluate`` and ``trace`` raise nothing but CEL errors."""
    assert ending(program, {"x": x, "y": y}) in ("value", "error")
    assert program.trace({"x": x, "y": y}).state in ("value", "error")


@BOUNDED
@given(st.one_of(st.text(max_size=40), st.text("abx019 .[](){}?:,'\"\\+-*/%!&|=<>u`\n", max_size=40)))
def test_T24_compile_raises_only_syntax_errors(source: str) -> None:
    """Whatever the source, ``compile`` raises nothing but its own exceptions."""
    try:
        program = cel.compile(source)
    except (cel.CelSyntaxError, cel.Unsupported):
        return
    bindings = {"a": 1, "b": "x", "x": [1]}
    assert ending(program, bindings) == program.trace(bindings).state


@pytest.mark.parametrize("bindings", [Raising(ValueError()), Raising(RecursionError()), None, 5, Liar()])
def test_T24_lying_bindings_are_errors(bindings: Mapping[str, object]) -> None:
    """Bindings that are no mapping, or raise, end in a CEL error."""
    with pytest.raises(cel.CelError):
        cel.compile("x.y == 1").evaluate(bindings)


def test_T24_a_dictionary_subclass_cannot_substitute_what_it_holds() -> None:
    """What is stored counts, not what overridden methods say; and nothing is inserted by reading."""
    assert cel.compile("args.amount").evaluate({"args": Liar(amount=5)}) == 5
    assert cel.compile("size(args)").evaluate({"args": Liar(amount=5)}) == 1
    counts: defaultdict[str, int] = defaultdict(int)
    assert cel.compile("has(args.amount)").evaluate({"args": counts}) is False
    assert not counts


@pytest.mark.parametrize(
    "source", ["x", "x == 'a'", "x + 'a'", "size(x) > 0", "y.a == 1 && y.b == x", "x.matches('.')"]
)
def test_T23_lone_surrogates_are_errors(source: str) -> None:
    """A text that is not Unicode cannot be used."""
    with pytest.raises(cel.CelError, match="lone surrogate"):
        cel.compile(source).evaluate({"x": "\ud800", "y": {"a": 1, "b": ""}})


def test_T23_nul_and_invalid_utf8_are_data() -> None:
    """A NUL is a character like others; bytes that are not UTF-8 do not become text."""
    assert cel.compile("x.contains('\\u0000') && size(x) == 3").evaluate({"x": "a\0b"}) is True
    with pytest.raises(cel.CelError, match="not UTF-8"):
        cel.compile("string(x)").evaluate({"x": b"\xff"})


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**5000], ids=["max", "min", "digits"])
def test_T20_huge_integers_are_errors(value: int) -> None:
    """An integer beyond 64 bits cannot be used, in whatever way."""
    for source in ("x > 0", "x == x", "string(x) == ''", "[1].exists(i, x > i)", "x"):
        with pytest.raises(cel.CelError, match="out of range"):
            cel.compile(source).evaluate({"x": value})


@pytest.mark.parametrize(
    "value", [cyclic(), deep(10_000), {"a": cyclic()}], ids=["cyclic", "deep", "in a map"]
)
def test_T24_deep_and_cyclic_values_are_errors(value: object) -> None:
    """Comparing, exporting and formatting endless structures ends in an error."""
    for source in ("x == x", "x", "'%s'.format([x])"):
        with pytest.raises(cel.CelError):
            cel.compile(source).evaluate({"x": value})


def test_T24_endless_mappings_end() -> None:
    """A mapping that never stops yielding keys uses up the budget."""
    for source in ("x.all(k, true)", "x == x", "x.map(k, k)"):
        with pytest.raises(cel.CelError):
            cel.compile(source).evaluate({"x": Endless()})


def test_T24_large_structures_cost_nothing_until_they_are_read() -> None:
    """A million keys and a long text beside the fields that matter do not slow a condition down."""
    big = {str(number): number for number in range(1_000_000)}
    bindings = {"args": {"big": big, "text": "x" * 10_000_000, "amount": 5}}
    program = cel.compile("args.amount == 5 && args.big['7'] == 7 && args.text != 'x'")
    program.evaluate(bindings)
    for _ in range(100):
        assert program.evaluate(bindings) is True


@pytest.mark.parametrize(
    "source",
    [
        "x.all(a, x.all(b, x.all(c, a + b + c >= 0)))",
        "x.map(a, x.map(b, x)) == []",
        "x.map(a, x).flatten().map(b, x).flatten().map(c, x).flatten() == []",
        "x.exists(a, t.contains('b'))",
        "x.map(a, t + t).size() < 0 || x.all(a, x.all(b, t.reverse() != t))",
        "x.all(a, x.all(b, t.matches('(x+x+)+y') == false))",
        "x.all(a, x.all(b, t.replace('x', 'yy') != t))",
        "t.matches('(x{1,100}){1,9}y')",
        "x.all(a, x.all(b, t.startsWith(t)))",
        "x.all(a, x.all(b, u == t + 'x'))",
        "lists.range(100000).map(a, lists.range(100000))",
        "x.all(a, x.all(b, x.sort() == x))",
    ],
)
def test_T24_costly_conditions_are_stopped(source: str) -> None:
    """Nested macros and long texts use up the budget in bounded time, and no operator absorbs that."""
    program = cel.compile(f"({source}) || true")
    with pytest.raises(cel.LimitExceeded):
        program.evaluate({"x": list(range(2_000)), "t": "x" * 400_000, "u": "x" * 400_001})


@pytest.mark.parametrize(
    "source",
    [
        "cel.bind(a, t + t, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, size(d + d)))))",
        "t.replace('x', t)",
        "[t, t, t, t, t, t, t, t, t, t].join(t)",
        "'%s%s%s%s%s%s'.format([t, t, t, t, t, t])",
        "[t].map(a, [t, t, t, t, t, t].join())",
        "'%x'.format([t + t])",
        "strings.quote(t + t)",
    ],
)
def test_T24_results_are_bounded(source: str) -> None:
    """No operation makes a text or list beyond the limit."""
    with pytest.raises(cel.LimitExceeded, match="too large"):
        cel.compile(source).evaluate({"t": "x" * 260_000})


@pytest.mark.parametrize("source", ["(a+)+$", "(a|a)*$", "(.*)*b", "(a{1,50}){1,10}$"])
def test_T45_patterns_run_in_linear_time(source: str) -> None:
    """Patterns that blow up in backtracking engines finish at once."""
    program = cel.compile("x.matches(p)")
    for text in ("a" * 50 + "!", "a" * 100_000 + "!"):
        program.evaluate({"x": text, "p": source})
    assert cel.compile("x.matches('(a+)+$')").evaluate({"x": "a" * 50_000 + "!"}) is False


@pytest.mark.parametrize(
    "source", ["(" * 50, "a" * 1_001, "(?=a)", r"(a)\1", "((a{100}){100}){100}", "[z-a]"]
)
def test_T45_bad_patterns_are_errors(source: str) -> None:
    """Patterns that are no RE2, too long or too large are refused, when compiling if they are constant."""
    with pytest.raises(cel.CelError):
        cel.compile("'a'.matches(p)").evaluate({"p": source})
    with pytest.raises(cel.CelSyntaxError):
        cel.compile(f"'a'.matches(r'{source}')")


def test_T45_many_patterns_do_not_pile_up() -> None:
    """Patterns from outside share a bounded cache."""
    program = cel.compile("'a'.matches(p)")
    for number in range(600):
        assert program.evaluate({"p": f"a{number}"}) is False
    kept = regex._cached.cache_info()
    assert kept.maxsize is not None
    assert 0 < kept.currsize <= kept.maxsize < 600


@pytest.mark.parametrize(
    "source",
    [
        "(" * 65 + "1" + ")" * 65, "[" * 65 + "]" * 65, "!" * 65 + "true", "-" * 66 + "x", "a" + "[0]" * 200,
        "a" + ".b" * 200, "1" + " + 1" * 200, "true ? 1 : " * 70 + "1", "a.map(x, " * 70 + "x" + ")" * 70,
        "[" + "1," * 5000 + "]", "'" + "x" * 20_000 + "'", "f(" * 5000, "{1:" * 5000, "a?1:" * 4000,
        "((((((" * 2000,
    ],
)  # fmt: skip
def test_T24_oversized_sources_are_refused(source: str) -> None:
    """Sources too long, too deep or of too many parts are refused when compiling."""
    with pytest.raises(cel.CelSyntaxError, match=r"too long|too deep|too large"):
        cel.compile(source)


def test_limits_are_settings() -> None:
    """A host may set every bound."""
    tight = cel.Environment(["x"], limits=Limits(source=20, depth=3, nodes=6, steps=10, size=4, pattern=3))
    for source in ("x == x && x == x || x", "((((x))))", "[1, 2, 3, 4, 5, 6]", "x.matches('aaaa')"):
        with pytest.raises(cel.CelSyntaxError):
            cel.compile(source, environment=tight)
    with pytest.raises(cel.LimitExceeded):
        cel.compile("x.all(i, i > 0)", environment=tight).evaluate({"x": [1] * 20})
    with pytest.raises(cel.LimitExceeded):
        cel.compile("x + x", environment=tight).evaluate({"x": "abc"})


def test_long_logic_is_no_nesting() -> None:
    """Hundreds of alternatives in one ``||`` are fine."""
    source = " || ".join(f"x == {number}" for number in range(500))
    assert cel.compile(source).evaluate({"x": 499}) is True
