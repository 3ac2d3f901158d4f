"""The canonical form: one byte string for one meaning, back to equal values, and nothing in between."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import sys
import uuid
import zoneinfo
from collections import OrderedDict, UserDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from agentguard.canonical import MAX_BYTES, MAX_DEPTH, MAX_NODES, Frozen, freeze, loads
from agentguard.errors import ArgumentsError


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: int
    y: float = 0.5
    inner: Point | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    name: str
    size: int = field(init=False, default=7)


class Order(BaseModel):
    item: str
    price: decimal.Decimal = decimal.Decimal("1.50")
    tags: set[str] = set()
    note: str = Field(default="", alias="remark")


class Doubling(BaseModel):
    amount: int

    @field_validator("amount")
    @classmethod
    def twice(cls, value: int) -> int:
        return 2 * value


@dataclass
class Growing:
    amount: int

    def __post_init__(self) -> None:
        self.amount += 1


CLASSES = {
    f"{kind.__module__}:{kind.__qualname__}": kind
    for kind in (Color, Level, Right, Point, Sealed, Order, Doubling, Growing)
}

VALUES: list[Any] = [
    None, True, 0, -0.0, 1.0, 10**300, "", "é", "e\u0301", "\x00", "$tuple",
    {"$tuple": [1]}, {"$": 1, "$$": 2},
    (1, 2), [], (), {1, 2}, frozenset({"a"}), {(1, "a"), (2, "b")}, b"\x00\xff", bytearray(b"x"),
    dt.datetime(2026, 1, 1, 12, 30, 1, 5), dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 25, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=1),
    dt.date(2026, 1, 1), dt.time(1, 2, 3), dt.timedelta(days=-1, microseconds=3),
    decimal.Decimal("1.10"), decimal.Decimal("1E+2"), uuid.UUID(int=5), pathlib.Path("/tmp/x"),
    pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("C:\\a"), Color.RED, Level.LOW,
    Right.READ | Right.WRITE, Right(0), Point(1, 2.0, Point(3)), Sealed("a"),
    Order(item="x", remark="r"), [Order(item="x", tags={"a", "b"})],
]  # fmt: skip


@pytest.mark.parametrize(
    "value", VALUES, ids=[f"{at}-{type(value).__name__}" for at, value in enumerate(VALUES)]
)
def test_a_value_comes_back_equal_and_of_its_type(value: Any) -> None:
    """Directly, and read back from a store."""
    frozen = freeze({"value": value})
    for found in (frozen.thaw(), Frozen.from_canonical(frozen.canonical, CLASSES).thaw()):
        assert found["value"] == value
        assert type(found["value"]) is type(value)
        assert freeze(found).canonical == frozen.canonical


def test_what_a_model_was_given_is_still_known() -> None:
    """`exclude_unset` gives the same afterwards."""
    order = Order(item="x")
    copy = freeze({"order": order}).thaw()["order"]
    assert copy.model_dump(exclude_unset=True) == {"item": "x"}
    assert copy.note == ""


def test_a_zone_is_kept_by_its_name() -> None:
    """Arithmetic over a change of the clocks gives the same."""
    at = dt.datetime(2026, 10, 24, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    assert freeze({"at": at}).thaw()["at"].tzinfo.key == "Europe/Berlin"


@pytest.mark.parametrize("value", [Doubling(amount=1), [Growing(1)]], ids=["model", "dataclass"])
def test_a_class_never_changes_a_value_behind_the_decision_T04(value: Any) -> None:
    """A model's validators do not run again; a dataclass whose constructor changes its fields is refused."""
    frozen = freeze({"value": value})
    if isinstance(value, Doubling):
        assert frozen.thaw()["value"].amount == value.amount
    else:
        with pytest.raises(ArgumentsError, match="changes its own fields"):
            frozen.thaw()


def test_what_is_frozen_is_not_touched_by_later_changes_T03() -> None:
    """Neither view nor copies share anything with what was passed."""
    inner = [1, {"a": b"x"}]
    arguments = {"rows": inner}
    frozen = freeze(arguments)
    inner.append(2)
    inner[1]["a"] = b"y"  # type: ignore[index]
    arguments["more"] = [0]
    first, second = frozen.thaw(), frozen.thaw()
    first["rows"].append(3)
    assert second == {"rows": [1, {"a": b"x"}]}
    assert frozen.view["rows"] == (1, {"a": b"x"})
    with pytest.raises(TypeError):
        frozen.view["rows"][1]["a"] = 1


# One meaning, one spelling


DISTINCT: list[Any] = [
    1, 1.0, True, "1", None, "None", 0, False, 0.0, -0.0, "", [], {}, (), [1], (1,), {1}, frozenset({1}),
    b"1", bytearray(b"1"), decimal.Decimal(1), decimal.Decimal("1.0"), 10**20, 1e20, {"1": 1},
    {"$tuple": [1]},
    {"$$tuple": [1]}, {"$bytes": "MQ=="}, "é", "e\u0301", "p\u0430ypal", "paypal", "a\u200b", "a",
    Level.LOW, Color.RED, Point(1), Sealed("1"), pathlib.Path("1"), uuid.UUID(int=1), dt.timedelta(1),
    dt.date(2026, 1, 1), dt.datetime(2026, 1, 1), "2026-01-01", [[1]], [1, 1], {"a": {"b": 1}}, {"a.b": 1},
]  # fmt: skip


def test_no_two_values_have_one_spelling_T20_T21_T22() -> None:
    """Numbers, booleans, text, tuples, look-alikes and both forms of an accent all differ."""
    spelled = [freeze({"value": value}).canonical for value in DISTINCT]
    assert len(set(spelled)) == len(spelled)


def test_the_order_of_keys_and_sets_means_nothing() -> None:
    """The same mapping is the same call."""
    assert freeze({"a": 1, "b": {"x", "y"}}).digest == freeze({"b": {"y", "x"}, "a": 1}).digest


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(max_size=20)
    | st.sampled_from(["$tuple", "$set", "$model", "$", "$$"])
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.datetimes()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
            | st.sampled_from(["$tuple", "$bytes", "$model", "$$tuple", "type", "fields"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from True and 0.0 from -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return str(one) == str(other)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(["a", "$a", "$tuple", "$$b"]), plain, max_size=3))
def test_whatever_is_frozen_thaws_to_the_same(arguments: dict[str, Any]) -> None:
    """Types, signs and keys that look like tags included, directly and through a store."""
    frozen = freeze(arguments)
    assert same(frozen.thaw(), arguments)
    assert same(Frozen.from_canonical(frozen.canonical, {}).thaw(), arguments)


@settings(max_examples=150)
@given(plain, plain)
def test_different_values_have_different_bytes_T20(one: Any, other: Any) -> None:
    """Two values share a spelling only when they are the same."""
    assert (freeze({"v": one}).canonical == freeze({"v": other}).canonical) == same(one, other)


# What cannot be frozen


class Lying(dict[str, Any]):
    """Says one thing when it is listed and another when it is asked."""

    def items(self) -> Any:
        return [("amount", 1)]

    def keys(self) -> Any:
        return ["amount"]

    def __iter__(self) -> Iterator[str]:
        return iter(["amount"])

    def __getitem__(self, key: str) -> Any:
        return 1


class LyingList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter([1])

    def __len__(self) -> int:
        return 1


class LyingText(str):
    def __str__(self) -> str:
        return "harmless"

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class LyingNumber(int):
    def __le__(self, other: object) -> bool:
        return True

    def __int__(self) -> int:
        return 1


class Endless(UserDict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"k{number}"

    def __getitem__(self, key: str) -> Any:
        return 1


class Shifting(dt.tzinfo):
    """A zone that changes its mind."""

    hours = 0

    def utcoffset(self, at: dt.datetime | None) -> dt.timedelta:
        Shifting.hours += 1
        return dt.timedelta(hours=Shifting.hours)

    def dst(self, at: dt.datetime | None) -> None:
        return None


class Exploding(BaseModel):
    name: str = ""

    def __getattribute__(self, name: str) -> Any:
        if name == "name":
            raise RuntimeError("CANARY")
        return super().__getattribute__(name)


def test_subclasses_are_read_through_their_base_T24() -> None:
    """What a subclass says of itself does not matter; what it holds is decided on and runs."""
    lying = Lying(amount=10**6)
    found = freeze({"d": lying, "l": LyingList([1, 2, 3]), "s": LyingText("evil"), "n": LyingNumber(10**6)})
    assert found.thaw() == {"d": {"amount": 10**6}, "l": [1, 2, 3], "s": "evil", "n": 10**6}
    assert {type(value) for value in found.thaw().values()} == {dict, list, str, int}
    assert found.view["n"] == 10**6


def test_mappings_of_other_kinds_become_dicts() -> None:
    """Ordered, read-only and user-made ones."""
    found = freeze({"o": OrderedDict(a=1), "m": MappingProxyType({"b": 2}), "u": UserDict(c=3)})
    assert found.thaw() == {"o": {"a": 1}, "m": {"b": 2}, "u": {"c": 3}}


def test_a_zone_that_changes_its_mind_is_asked_once_T04() -> None:
    """The decision sees the instant that runs."""
    frozen = freeze({"at": dt.datetime(2026, 1, 1, 12, tzinfo=Shifting())})
    assert frozen.view["at"] == frozen.view["at"] == frozen.thaw()["at"]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def cycle() -> Any:
    value: list[Any] = []
    value.append({"again": value})
    return value


REFUSED: dict[str, Any] = {
    "nan T20": math.nan,
    "infinity T20": -math.inf,
    "decimal nan T20": decimal.Decimal("sNaN"),
    "decimal too large T20": decimal.Decimal("1E+9999"),
    "huge integer T20": 1 << 5000,
    "lone surrogate T23": "\ud800",
    "lone surrogate key T23": {"\udfff": 1},
    "100,000 levels T24": deep(100_000),
    "one level too many T24": deep(MAX_DEPTH),
    "cycle T24": cycle(),
    "a million keys T24": dict.fromkeys(map(str, range(1_000_000)), 1),
    "endless mapping T24": Endless(),
    "100 MB of text T24": "x" * 100_000_000,
    "bytes too large T24": b"x" * MAX_BYTES,
    "number keys": {1: "a"},
    "mixed keys": {"1": "a", 1: "b"},
    "an object": object(),
    "a function": len,
    "a class": Point,
    "a generator": (i for i in ()),
    "a complex number": 1j,
    "a property that raises T24": Exploding(),
    "an iterator that raises T24": type("Bad", (UserDict,), {"__iter__": lambda self: 1 / 0})(),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_canonical_is_refused_with_a_reason_T20_T23_T24(value: Any) -> None:
    """Never a crash, never a value in the message."""
    with pytest.raises(ArgumentsError) as caught:
        freeze({"value": value})
    assert "CANARY" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_bounds_are_exact() -> None:
    """Just inside passes."""
    assert freeze({"v": deep(MAX_DEPTH - 1)}).thaw() == {"v": deep(MAX_DEPTH - 1)}
    assert freeze({"v": [0] * (MAX_NODES - 2)})
    assert freeze({"v": "x" * (MAX_BYTES - 10)})


def test_only_a_mapping_is_a_set_of_arguments() -> None:
    """A list of arguments has no names to decide on."""
    with pytest.raises(ArgumentsError, match="mapping"):
        freeze([1])  # type: ignore[arg-type]


# Stored arguments


TAMPERED = [
    b"", b"[]", b"nothing", b'{"a":1', b'{"a":1}x', b'{"a":1}{"b":2}', b'{"a": 1}', b'{"b":1,"a":2}',
    b'{"a":1,"a":2}', b'{"a":1.00}', b'{"a":NaN}', b'{"a":1e400}', b'{"$tuple":[1]}', b'{"a":{"$tuple":5}}',
    b'{"a":{"$bytes":"***"}}', b'{"a":{"$decimal":"x"}}', b'{"a":{"$datetime":"yesterday"}}',
    b'{"a":{"$datetime":"2026-01-01T00:00:00[0No/Where]"}}', b'{"a":{"$set":[1,1]}}', b'{"a":{"$set":[[1]]}}',
    b'{"a":{"$model":{"type":"os:system","fields":[]}}}', b'{"a":{"$model":{}}}', b'{"a":{"$model":5}}',
    b'{"a":{"$enum":{"type":"os:system","name":"x"}}}', b'{"a":{"$unheard":1}}', b'{"a":"\\u0061"}',
    b'\xff\xfe', b'{"a":"\\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("stored", TAMPERED, ids=repr)
def test_stored_arguments_that_were_touched_are_refused(stored: bytes) -> None:
    """Only the bytes that freezing wrote are read back."""
    with pytest.raises(ArgumentsError):
        Frozen.from_canonical(stored, {})


def test_a_store_cannot_name_a_class_that_the_tool_does_not() -> None:
    """Nor use one it names as another kind of thing."""
    stored = freeze({"p": Point(1)}).canonical
    with pytest.raises(ArgumentsError, match="not declared"):
        Frozen.from_canonical(stored, {})
    for kind in (b"$model", b"$enum"):
        with pytest.raises(ArgumentsError):
            Frozen.from_canonical(stored.replace(b"$dataclass", kind), CLASSES)


# JSON from a model


BAD_JSON = {
    "duplicate key T19": '{"a": 1, "a": 2}',
    "nested duplicate T19": '{"x": [{"a": 1, "a": 1}]}',
    "escaped duplicate T19": '{"a": 1, "\\u0061": 2}',
    "NaN T20": '{"a": NaN}',
    "Infinity T20": '{"a": -Infinity}',
    "too large T20": '{"a": 1e400}',
    "too many digits T20": '{"a": ' + "9" * 5000 + "}",
    "deep T24": "[" * 100_000,
    "long T24": '"' + "x" * (5 * MAX_BYTES) + '"',
    "cut": '{"a": ',
    "trailing": '{"a": 1} {"b": 2}',
    "single quotes": "{'a': 1}",
    "bytes T23": b'{"a": "\xff"}',
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_only_strict_json_is_read_T19_T20_T23_T24(text: str | bytes) -> None:
    """What two readers could take differently is refused."""
    with pytest.raises(ArgumentsError):
        loads(text)


def test_strict_json_is_read_as_it_stands() -> None:
    """The same data as the standard library gives."""
    text = '{"a": [1, 1.0, true, null, "\\u00e9", {"b": -0.0}], "big": 123456789012345678901234567890}'
    assert same(loads(text), json.loads(text))
    assert same(loads(text.encode()), json.loads(text))
    assert sys.getrecursionlimit() < 100_000
