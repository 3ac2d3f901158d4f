"""What canonical bytes give back without any class is what a condition saw when they were made."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentguard.canonical import freeze
from agentguard.errors import ArgumentsError
from agentguard.views import UnknownValue, view_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ZONES = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-3, minutes=-30))])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.binary(max_size=8)
    | st.dates()
    | st.times()
    | st.datetimes(timezones=ZONES)
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
    | st.sampled_from([pathlib.PurePosixPath("/a/../b"), pathlib.PureWindowsPath("c:/x")])
)
KEYS = TEXT | st.sampled_from(["$", "$$", "$ref", "$tuple", "$datetime"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.frozensets(st.integers() | TEXT, max_size=3)
        | st.sets(TEXT, max_size=3)
    ),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """The same with every type said, so that 1, 1.0 and True differ."""
    if hasattr(value, "items"):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [typed(item) for item in value]
    if isinstance(value, float):
        return ("float", value, math.copysign(1, value))
    return (type(value).__name__, value)


@given(arguments=st.dictionaries(KEYS, VALUES, max_size=4), trusted=st.booleans())
def test_a_view_comes_back_as_it_was(arguments: dict[str, Any], trusted: bool) -> None:
    """Every type, whatever the keys."""
    frozen = freeze(arguments)
    assert typed(view_of(frozen.canonical, trusted=trusted)) == typed(frozen.view)


class Model(BaseModel):
    name: str
    amount: decimal.Decimal


@dataclasses.dataclass
class Point:
    x: int
    when: dt.date


class Mode(enum.Flag):
    A = 1
    B = 2


class Named(enum.Enum):
    A = "a"


def test_models_and_flags_need_no_class() -> None:
    """Fields by name; a combination of flags by its number."""
    frozen = freeze(
        {
            "model": Model(name="$x", amount=decimal.Decimal("1.50")),
            "point": Point(1, dt.date(2026, 1, 1)),
            "mode": Mode.A | Mode.B,
            "id": uuid.UUID(int=3),
        }
    )
    assert typed(view_of(frozen.canonical)) == typed(frozen.view)


def test_a_named_member_is_unknown_without_its_class() -> None:
    """Its name is not its value."""
    with pytest.raises(UnknownValue):
        view_of(freeze({"named": [Named.A]}).canonical)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_view_is_read_only(trusted: bool) -> None:
    """As the one that was decided on."""
    view = view_of(b'{"a":{"b":[{}]}}', trusted=trusted)
    for inner in (view, view["a"], view["a"]["b"], view["a"]["b"][0]):
        with pytest.raises(TypeError):
            inner["x"] = 1  # type: ignore[index]


def test_nothing_but_a_mapping_is_a_view() -> None:
    """A list of arguments is none."""
    with pytest.raises(ArgumentsError):
        view_of(b"[]")
