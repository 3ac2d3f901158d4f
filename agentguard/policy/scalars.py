"""The small values of a policy document: durations, tool patterns, names, paths and dates.

Each is an annotated type for the models and a function for everybody else; a refusal carries its finding code
as the type of the error.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Final, LiteralString

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = [
    "Amount",
    "ArgumentPath",
    "Assigned",
    "Condition",
    "Instant",
    "Name",
    "ResultPath",
    "Reviewer",
    "Seconds",
    "Text",
    "ToolPattern",
    "duration",
    "instant",
    "pattern_covers",
    "tool_matches",
    "well_formed_tool",
]

_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile(
    r"(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?"
)
_MAX_SECONDS: Final = 10 * 366 * 86_400
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_SEGMENT: Final = r"[A-Za-z0-9_:/@+-]+(?: [A-Za-z0-9_:/@+-]+)*"
_TOOL: Final = re.compile(rf"{_SEGMENT}(?:\.{_SEGMENT})*")
_ARGUMENT: Final = re.compile(r"args(?:\.[A-Za-z_][A-Za-z0-9_]{0,99}){1,8}")
_RESULT: Final = re.compile(r"\$(?:\.[A-Za-z_][A-Za-z0-9_-]{0,99}|\[\*\]|\[[0-9]{1,6}\]){0,16}")


def _refuse(code: LiteralString, message: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{message}", {"message": message})


def duration(value: object) -> int:
    """Seconds of a duration such as `30m` or `1h30m`.

    Raises:
        ValueError: it is not one, is zero, or is longer than ten years.
    """
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        raise _refuse(
            "AG109", f"`{str(value)[:40]}` is not a duration; write `45s`, `30m`, `1h`, `3d` or `1h30m`"
        )
    seconds = sum(int(n) * unit for n, unit in zip(found.groups(), _UNITS.values(), strict=True) if n)
    if not 0 < seconds <= _MAX_SECONDS:
        raise _refuse("AG109", f"the duration `{value}` must be between one second and ten years")
    return seconds


def _pattern(value: str) -> str:
    base = value[:-2] if value.endswith(".*") else value
    if value == "*" or (len(value) <= 200 and _TOOL.fullmatch(base)):
        return value
    raise _refuse(
        "AG108",
        f"`{value[:60]}` is not a tool pattern; write an exact name (`payments.transfer`), whole segments "
        "and `.*` (`payments.*`), or `*` alone",
    )


def well_formed_tool(name: str) -> bool:
    """Whether a tool name is one that a pattern could name: printable ASCII, no empty segment."""
    return len(name) <= 200 and _TOOL.fullmatch(name) is not None


def tool_matches(pattern: str, tool: str) -> bool:
    """Whether a tool pattern names this tool; letters of another case are another name."""
    if pattern.endswith("*"):
        return pattern == "*" or tool.startswith(pattern[:-1])
    return pattern == tool


def pattern_covers(wide: str, narrow: str) -> bool:
    """Whether every tool that `narrow` names is also named by `wide`."""
    if wide == "*" or wide == narrow:
        return True
    return wide.endswith(".*") and narrow.startswith(wide[:-1])


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise _refuse(
            "AG116",
            f"`{value[:60]}` is not a name: use letters, digits, `-`, `_` and `.`, at most 100 characters",
        )
    return value


def _text(value: str) -> str:
    if not value.strip() or len(value) > 2000:
        raise _refuse(
            "AG103", "the text is empty" if not value.strip() else "the text has more than 2000 characters"
        )
    return value


def _reviewer(value: str) -> str:
    bare = value.removeprefix("group:")
    if not bare or len(value) > 256 or not bare.isprintable() or bare != bare.strip() or "*" in bare:
        raise _refuse(
            "AG111", f"`{value[:60]}` is not a reviewer: write `group:NAME`, `principal` or a subject's id"
        )
    return value


def _argument_path(value: str) -> str:
    if not _ARGUMENT.fullmatch(value):
        raise _refuse("AG117", f"`{value[:60]}` is not a path below `args`, such as `args.note`")
    return value


def _result_path(value: str) -> str:
    if not _RESULT.fullmatch(value):
        raise _refuse(
            "AG117", f"`{value[:60]}` is not a path in a result, such as `$.iban` or `$.rows[*].name`"
        )
    return value


def instant(value: Any) -> dt.datetime:
    """A point in time from `2027-03-01` (its beginning, in UTC) or an ISO 8601 time with a zone.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, dt.datetime):
        moment: dt.datetime | None = value
    elif isinstance(value, dt.date):
        moment = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    else:
        moment = None
        if isinstance(value, str) and len(value) <= 40 and value[:4].isdigit() and "-" in value:
            try:
                moment = dt.datetime.fromisoformat(value)
                if len(value) == 10:
                    moment = moment.replace(tzinfo=dt.UTC)
            except ValueError:
                moment = None
    if moment is None or moment.tzinfo is None:
        raise _refuse(
            "AG118",
            f"`{str(value)[:40]}` is not a date such as `2027-03-01`, nor a time with a zone",
        )
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError:
        raise _refuse("AG118", f"`{str(value)[:40]}` is out of range") from None


def _condition(value: Any) -> str | bool:
    if isinstance(value, bool) or (isinstance(value, str) and value.strip()):
        return value
    raise _refuse("AG103", "a condition is an expression in quotes, or `true`; leave the key out for always")


def _assigned(value: Any) -> str | int | float | bool:
    if isinstance(value, (bool, int, float)) or (isinstance(value, str) and value.strip()):
        return value
    raise _refuse("AG103", "write an expression in quotes, a number or a truth value")


def _amount(value: Any) -> str | int:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53:
        return value
    raise _refuse("AG103", "an amount is a whole number that is not negative, or an expression in quotes")


Condition = Annotated[Any, AfterValidator(_condition), WithJsonSchema({"type": ["string", "boolean"]})]
"""An expression, or a truth value."""
Assigned = Annotated[
    Any, AfterValidator(_assigned), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Amount = Annotated[Any, AfterValidator(_amount), WithJsonSchema({"type": ["string", "integer"]})]
Seconds = Annotated[
    int, BeforeValidator(duration), WithJsonSchema({"type": "string", "pattern": "^([0-9]+[wdhms])+$"})
]
"""A duration, held in seconds."""
Instant = Annotated[
    dt.datetime,
    BeforeValidator(instant),
    WithJsonSchema({"type": "string", "description": "date or time with zone"}),
]
"""A point in time, in UTC."""
ToolPattern = Annotated[str, AfterValidator(_pattern)]
Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, AfterValidator(_text)]
Reviewer = Annotated[str, AfterValidator(_reviewer)]
ArgumentPath = Annotated[str, AfterValidator(_argument_path)]
ResultPath = Annotated[str, AfterValidator(_result_path)]
