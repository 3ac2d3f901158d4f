"""Time windows: `Mon-Fri 07:00-20:00 Europe/Berlin`.

Days (optional, a range or a list), hours on the 24-hour clock, and an IANA zone. A window that ends before it
begins runs over midnight and belongs to the day on which it begins. Its end is not part of it. Several are
separated by `;`.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["Window", "parse_windows"]

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM: Final = re.compile(
    r"(?:([A-Za-z,-]{3,40}) +)?([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2}) +([A-Za-z0-9_+/-]{1,64})"
)
_EXAMPLE: Final = "write it as `Mon-Fri 07:00-20:00 Europe/Berlin`"
_DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week (0 is Monday), minutes of the day, and a zone."""

    days: frozenset[int]
    start: int
    end: int
    zone: zoneinfo.ZoneInfo

    def holds(self, moment: dt.datetime) -> bool:
        """Whether a point in time lies in the window."""
        local = moment.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        today = local.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        if minute >= self.start:
            return today in self.days
        return minute < self.end and (today - 1) % 7 in self.days


@lru_cache(maxsize=512)
def parse_windows(text: str) -> tuple[Window, ...]:
    """The windows that a text names.

    Raises:
        ValueError: it is not written as above, or names a day, hour or zone that does not exist.
    """
    if len(text) > 1000:
        raise ValueError("the window text is too long")
    return tuple(_parse(part.strip()) for part in text.split(";"))


def _parse(text: str) -> Window:
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"`{text[:60]}` is not a time window: {_EXAMPLE}")
    days, *clock, zone_name = found.groups()
    start_hour, start_minute, end_hour, end_minute = (int(part) for part in clock)
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start_minute > 59 or end_minute > 59 or start >= _DAY or end > _DAY:
        raise ValueError(f"`{text[:60]}` names a time of day that does not exist")
    if start == end:
        raise ValueError(f"`{text[:60]}` begins and ends at the same time; a whole day is `00:00-24:00`")
    try:
        zone = zoneinfo.ZoneInfo(zone_name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"`{zone_name}` is not a time zone such as `Europe/Berlin` or `UTC`") from None
    return Window(_days(days) if days else frozenset(range(7)), start, end, zone)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"`{text[:40]}` are not days such as `Mon-Fri` or `Sat,Sun`")
        begin = _DAYS.index(first)
        span = (_DAYS.index(last) - begin) % 7 if dash else 0
        found.update((begin + step) % 7 for step in range(span + 1))
    return frozenset(found)
