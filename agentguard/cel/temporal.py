"""Points in time and spans of time, exact to the nanosecond.

Ranges: timestamps from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z (CEL specification,
"Timestamps"); durations fit 64-bit nanoseconds, about 292 years, as in cel-go, which is what the
conformance suite requires of differences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from .errors import CelError
from .values import INT_MAX, INT_MIN

SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MIN: Final = -62_135_596_800 * SECOND
_MAX: Final = 253_402_300_800 * SECOND - 1
_RFC3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_UNITS: Final = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND,
}  # fmt: skip


def nanoseconds(span: timedelta) -> int:
    """The length of a timedelta in nanoseconds, exactly."""
    return ((span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds) * 1_000


def _fraction(nanos: int) -> str:
    return f".{nanos:09d}".rstrip("0") if nanos else ""


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A point in time: ``ns`` nanoseconds since 1970-01-01T00:00:00Z."""

    ns: int

    def __post_init__(self) -> None:
        """Refuse what lies outside the years 1 to 9999."""
        if not _MIN <= self.ns <= _MAX:
            raise CelError("timestamp out of range: years 1 to 9999 are possible")

    @classmethod
    def parse(cls, text: str) -> Timestamp:
        """Read RFC 3339, with a zone."""
        found = _RFC3339.fullmatch(text)
        if found is None:
            raise CelError("invalid timestamp: write it as `2026-01-31T08:00:00Z`")
        year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = found.groups()
        try:
            whole = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        except ValueError:
            raise CelError("invalid timestamp: no such date or time of day") from None
        ns = nanoseconds(whole - _EPOCH) + int((fraction or "").ljust(9, "0"))
        if sign:
            if int(zone_hour) > 23 or int(zone_minute) > 59:
                raise CelError("invalid timestamp: no such zone offset")
            offset = (int(zone_hour) * 60 + int(zone_minute)) * 60 * SECOND
            ns = ns - offset if sign == "+" else ns + offset
        return cls(ns)

    @classmethod
    def from_datetime(cls, value: datetime) -> Timestamp:
        """Adopt an aware datetime; a naive one has no point in time and raises ``CelError``."""
        if value.utcoffset() is None:
            raise CelError("datetime without time zone: make it aware, for example with `tzinfo=UTC`")
        return cls(nanoseconds(value - _EPOCH))

    def to_datetime(self) -> datetime:
        """The same point as an aware datetime in UTC, rounded down to microseconds."""
        return _EPOCH + timedelta(microseconds=self.ns // 1_000)

    def __str__(self) -> str:
        return (
            self.to_datetime().strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
            + _fraction(self.ns % SECOND)
            + "Z"
        )


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time in nanoseconds, positive or negative."""

    ns: int

    def __post_init__(self) -> None:
        """Refuse what does not fit 64 bits."""
        if not INT_MIN <= self.ns <= INT_MAX:
            raise CelError("duration out of range: about 292 years are possible")

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read Go's form: ``1h30m``, ``1.5s``, ``-250ms``."""
        body = text[1:] if text[:1] in ("-", "+") else text
        if body == "0":
            return cls(0)
        total = 0
        at = 0
        while at < len(body):
            found = _PART.match(body, at)
            if found is None or len(found.group(0)) > 64:
                break
            whole, fraction, unit = found.groups()
            if not whole and not fraction:
                break
            scale = _UNITS[unit]
            total += int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction or "")
            at = found.end()
        if not body or at < len(body):
            raise CelError("invalid duration: write it as `1h30m`, `90s` or `250ms`")
        return cls(-total if text[0] == "-" else total)

    @classmethod
    def from_timedelta(cls, value: timedelta) -> Duration:
        """Adopt a timedelta."""
        return cls(nanoseconds(value))

    def to_timedelta(self) -> timedelta:
        """The same span as a timedelta, rounded down to microseconds."""
        return timedelta(microseconds=self.ns // 1_000)

    def __str__(self) -> str:
        whole, nanos = divmod(abs(self.ns), SECOND)
        return f"{'-' if self.ns < 0 else ''}{whole}{_fraction(nanos)}s"
