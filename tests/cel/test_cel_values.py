"""What values mean: numbers, equality, order, keys, text, time, types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from agentguard import cel


def run(source: str, **bindings: object) -> object:
    return cel.compile(source).evaluate(bindings)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 == 1.0 && 1 == 1u && 1u == 1.0", True),
        ("true == 1", False),
        ("0.0 / 0.0 == 0.0 / 0.0", False),
        ("'1' == 1", False),
        ("null == false", False),
        ("-0.0 == 0", True),
        ("[1, 2u] == [1.0, 2]", True),
        ("[true] == [1]", False),
        ("{1: 'a'} == {1u: 'a'}", True),
        ("[0.0 / 0.0] == [0.0 / 0.0]", False),
    ],
)
def test_T20_equality_compares_numbers_by_value_and_other_types_never(source: str, expected: bool) -> None:
    """Numbers of all types compare by value; a boolean, a text or null is never equal to a number."""
    assert run(source) is expected


@pytest.mark.parametrize("value", [True, 1, 1.0, cel.UInt(1), "1"])
def test_T20_a_binding_keeps_its_type(value: object) -> None:
    """True, 1, 1.0, 1u and "1" are told apart, whichever way they come in."""
    names = {True: "bool", "1": "string"} if isinstance(value, bool | str) else {}
    name = names.get(value) or {int: "int", float: "double", cel.UInt: "uint"}[type(value)]
    assert run("type(x)", x=value) == cel.CelType(name)
    assert run("x == 1", x=value) is (not isinstance(value, bool | str))
    assert run("x == true", x=value) is (value is True)


def test_T20_nan_and_infinity_pass_no_comparison_they_should_not() -> None:
    """NaN is neither below, above nor equal; infinity is above every number."""
    for symbol in ("<", "<=", ">", ">=", "=="):
        assert run(f"x {symbol} 10000", x=math.nan) is False
    assert run("x != x", x=math.nan) is True
    assert run("x <= 10000", x=math.inf) is False


def test_T20_map_keys_true_and_1_are_different_keys() -> None:
    """``true`` and ``1`` live side by side in a map, and neither finds the other's value."""
    assert run("{true: 'b', 1: 'n'}[1] + {true: 'b', 1: 'n'}[true]") == "nb"
    assert run("1 in m", m={True: "b"}) is False
    assert run("true in m", m={1: "n"}) is False
    assert run("m[1.0] + m[1u]", m={1: "n"}) == "nn"
    result = run("{true: 'b', 1: 'n'}")
    assert isinstance(result, Mapping)
    assert len(result) == 2
    with pytest.raises(cel.CelError, match="no such key: `true`"):
        run("m[true]", m=MappingProxyType({1: "n"}))


@pytest.mark.parametrize(
    "source",
    ["9223372036854775807 + 1", "-9223372036854775808 - 1", "-(-9223372036854775808)", "0u - 1u", "x * 2"],
)
def test_overflow_is_an_error(source: str) -> None:
    """Arithmetic beyond 64 bits raises instead of wrapping or growing."""
    with pytest.raises(cel.CelError, match="overflow"):
        run(source, x=2**62)


def test_integers_divide_towards_zero() -> None:
    """Quotients round towards zero and remainders take the sign of the dividend."""
    assert run("[-7 / 2, -7 % 2, 7 / -2, 7 % -2]") == [-3, -1, -3, 1]
    with pytest.raises(cel.CelError, match="divide by zero"):
        run("1 / 0")
    assert run("1.0 / 0.0") == math.inf


def test_logic_absorbs_errors_from_both_sides() -> None:
    """An operand that decides does so whatever the others do; otherwise the error stays."""
    assert run("1 / 0 == 1 || true") is True
    assert run("missing && false") is False
    assert run("1 || true") is True
    for source in ("missing || false", "true && 1", "missing ? true : true", "[0].exists(x, 1 / x == 1)"):
        with pytest.raises(cel.CelError):
            run(source)
    assert run("[0, 1].exists(x, 1 / x == 1)") is True
    assert run("[0, 1].all(x, 1 / x == 2)") is False


def test_missing_things_are_named() -> None:
    """A missing binding and a missing key say which one."""
    with pytest.raises(cel.CelError, match=r"no such attribute/fact: `args`"):
        run("args.amount")
    with pytest.raises(cel.CelError, match=r"no such key: `amount`"):
        run("args.amount", args={})
    with pytest.raises(cel.CelError) as caught:
        run("true && args.x.y == 1", args={"x": {}})
    assert caught.value.position == 8


def test_has_and_optionals_find_absent_fields() -> None:
    """``has``, ``.?`` and ``[?]`` answer for absent fields without an error."""
    assert run("has(args.a) || has(args.b)", args={"b": None}) is True
    assert run("args.?a.?b.orValue(7)", args={}) == 7
    assert run("args[?'a'].hasValue()", args={}) is False
    assert run("[?args.?a, ?args.?b]", args={"b": 2}) == [2]
    assert run("optional.of(1).optMap(x, x + 1)") == cel.Optional.of(2)
    assert run("optional.none().or(optional.of(1)).value()") == 1
    with pytest.raises(cel.CelError, match="optional is empty"):
        run("optional.none().value()")


def test_times_are_exact_to_the_nanosecond() -> None:
    """Datetimes and timedeltas are adopted; their parts, sums and texts are exact."""
    now = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert run("now + span == timestamp('2026-03-29T02:30:00Z')", now=now, span=timedelta(hours=1)) is True
    assert run("now.getHours('Europe/Berlin')", now=now) == 3
    assert run("now.getDayOfWeek()", now=now) == 0
    assert run("string(timestamp('2026-01-01T00:00:00.000000001Z'))") == "2026-01-01T00:00:00.000000001Z"
    assert run("string(timestamp('0001-01-01T00:00:00Z'))") == "0001-01-01T00:00:00Z"
    assert run("duration('1h30m')") == cel.Duration(5400 * 10**9)
    assert run("timestamp(1) - timestamp(0)") == cel.Duration(10**9)
    for source in ("now", "timestamp(253402300800)", "timestamp(0).getHours('No/Where')", "duration('1 h')"):
        with pytest.raises(cel.CelError):
            run(source, now=datetime(2026, 1, 1))


def test_text_counts_code_points() -> None:
    """Sizes and positions count code points, and positions outside the text are errors."""
    assert run("size('🐱é')") == 2
    assert run("'tacocat'.substring(1, 3)") == "ac"
    with pytest.raises(cel.CelError, match="out of range"):
        run("'abc'.substring(2, 9)")
    assert run("'%s costs %.2f'.format(['it', 1.5])") == "it costs 1.50"


def test_results_are_plain_python_values() -> None:
    """Results are new lists and dictionaries of checked values, not the caller's own objects."""
    items = (1, (2, 3))
    assert run("x", x=items) == [1, [2, 3]]
    held: dict[str, object] = {"a": [1]}
    result = run("x", x=held)
    assert result == held
    assert result is not held
    assert type(run("5u")) is cel.UInt
    assert run("type(type(1))") == cel.CelType("type")


def test_networks_know_mapped_addresses() -> None:
    """An IPv4 address written as IPv6 is in the block that the IPv4 address is in."""
    assert run("cidr('10.0.0.0/8').containsIP(ip('::ffff:a01:203'))") is True
    assert run("cidr('10.0.0.0/8').containsIP('11.0.0.1')") is False
    with pytest.raises(cel.CelError, match="invalid address"):
        run("ip(x)", x="010.0.0.1")


def test_lists_and_sets_have_their_functions() -> None:
    """The list and set functions follow CEL's equality."""
    assert run("[3, 1, 2].sort()") == [1, 2, 3]
    assert run("[1, 1.0, 2u, 2].distinct()") == [1, 2]
    assert run("[[1], [2, [3]]].flatten()") == [1, 2, [3]]
    assert run("['bb', 'a'].sortBy(x, size(x))") == ["a", "bb"]
    assert (
        run("sets.contains([1, 2], [2.0]) && sets.intersects([1], [1u]) && sets.equivalent([1, 1], [1])")
        is True
    )
    assert run("{'a': 1}.transformMapEntry(k, v, {v: k})") == {1: "a"}
    assert run("[1, 2, 3].slice(1, 2) + [[4].first().value(), [5].last().value()]") == [2, 4, 5]
