"""Parts of timestamps and durations, in UTC, in a named time zone or at a fixed offset."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .context import Context
from .errors import CelError
from .functions import Function, member
from .kinds import overload
from .temporal import SECOND, Duration, Timestamp

_OFFSET: Final = re.compile(r"([+-]?)([0-9]{1,2}):([0-9]{2})")
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")


def local(context: Context, moment: Timestamp, zone: str | None) -> datetime:
    """The wall clock at ``moment`` in ``zone`` (a name of the IANA database or ``+02:00``)."""
    utc = moment.to_datetime()
    if zone is None or zone == "UTC":
        return utc
    try:
        offset = _OFFSET.fullmatch(zone)
        if offset is not None:
            sign, hours, minutes = offset.groups()
            span = timedelta(hours=int(hours), minutes=int(minutes))
            return utc.astimezone(timezone(-span if sign == "-" else span))
        if len(zone) > 64 or _ZONE.fullmatch(zone) is None:
            raise ZoneInfoNotFoundError
        context.charge(100)  # an unknown name is looked for on the disk
        return utc.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CelError("unknown time zone: write it as `Europe/Berlin` or `+02:00`") from None
    except OverflowError:
        raise CelError("timestamp out of range in this time zone") from None


def _part(name: str, read: Callable[[datetime], int]) -> Function:
    def call(context: Context, moment: Timestamp, zone: str | None = None) -> int:
        return read(local(context, moment, zone))

    return member(name, call, Timestamp, str, optional=1)


def _either(name: str, read: Callable[[datetime], int], span: Callable[[int], int]) -> Function:
    """A part of a timestamp, or a whole count of a duration's units."""

    def call(context: Context, value: Timestamp | Duration, zone: str | None = None) -> int:
        if isinstance(value, Timestamp):
            return read(local(context, value, zone))
        if zone is not None:
            raise overload(name, value, zone)
        return span(value.ns)

    return member(name, call, (Timestamp, Duration), str, optional=1)


def _whole(unit: int) -> Callable[[int], int]:
    return lambda ns: ns // unit if ns >= 0 else -(-ns // unit)


def _millisecond_part(ns: int) -> int:
    part = abs(ns) % SECOND // 1_000_000
    return part if ns >= 0 else -part


MEMBERS: Final[dict[str, Function]] = {
    "getFullYear": _part("getFullYear", lambda at: at.year),
    "getMonth": _part("getMonth", lambda at: at.month - 1),
    "getDate": _part("getDate", lambda at: at.day),
    "getDayOfMonth": _part("getDayOfMonth", lambda at: at.day - 1),
    "getDayOfWeek": _part("getDayOfWeek", lambda at: at.isoweekday() % 7),
    "getDayOfYear": _part("getDayOfYear", lambda at: at.timetuple().tm_yday - 1),
    "getHours": _either("getHours", lambda at: at.hour, _whole(3_600 * SECOND)),
    "getMinutes": _either("getMinutes", lambda at: at.minute, _whole(60 * SECOND)),
    "getSeconds": _either("getSeconds", lambda at: at.second, _whole(SECOND)),
    "getMilliseconds": _either("getMilliseconds", lambda at: at.microsecond // 1_000, _millisecond_part),
}
