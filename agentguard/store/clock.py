"""The store's time, and how times are kept."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["BEHIND_US", "Clock", "SystemClock", "from_micros", "to_micros"]

Clock = Callable[[], dt.datetime]
"""The time now, with a zone."""

BEHIND_US: Final = 5_000_000
"""Microseconds by which the clock may lie before a recorded time; more is a clock that was set back."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def to_micros(at: dt.datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> dt.datetime:
    """The time in UTC."""
    return _EPOCH + dt.timedelta(microseconds=value)


class SystemClock:
    """The system's time in UTC, which does not follow a wall clock that is set back while we run.

    A wall clock that moves forward is followed: approvals expire sooner. One that falls more than two seconds
    behind what has really passed is not, since it would bring expired approvals back to life. After a restart
    the wall clock is believed again; an approval decided later than now is then not claimed.
    """

    TOLERANCE_NS: Final = 2_000_000_000

    def __init__(
        self,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._offset = wall() - monotonic()

    def __call__(self) -> dt.datetime:
        wall, passed = self._wall(), self._monotonic()
        behind = passed + self._offset - wall
        if behind > self.TOLERANCE_NS:
            wall += behind
        elif behind < 0:
            with self._lock:
                self._offset = max(self._offset, wall - passed)
        return dt.datetime.fromtimestamp(wall / 1e9, dt.UTC)
