"""The store's time (T14)."""

from __future__ import annotations

import datetime as dt

from agentguard.store import open_store
from agentguard.store.clock import SystemClock, from_micros, to_micros

SECOND = 1_000_000_000


class Times:
    """What the two clocks of a machine say, in nanoseconds."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * SECOND
        self.passed = 500 * SECOND

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.passed)

    def go(self, seconds: float, wall: float | None = None) -> None:
        self.passed += int(seconds * SECOND)
        self.wall += int((seconds if wall is None else wall) * SECOND)


def seconds(clock: SystemClock) -> float:
    return clock().timestamp() - 1_700_000_000


def test_a_wall_clock_that_is_set_back_is_not_followed_T14() -> None:
    """Time goes on as it really passes; a correction of a second is followed."""
    times = Times()
    clock = times.clock()
    times.go(10)
    assert round(seconds(clock)) == 10
    times.go(1, wall=0)
    assert round(seconds(clock)) == 10
    times.go(10, wall=-3600)
    assert round(seconds(clock)) == 21
    times.go(5)
    assert round(seconds(clock)) == 26


def test_a_wall_clock_that_jumps_forward_is_followed_and_stays_T14() -> None:
    """Approvals expire sooner; a jump back again does not revive them."""
    times = Times()
    clock = times.clock()
    times.go(1, wall=7200)
    assert round(seconds(clock)) == 7200
    times.go(1, wall=-7198)
    assert round(seconds(clock)) == 7201


def test_a_new_process_believes_the_wall_clock_again() -> None:
    """There is nothing else to believe."""
    times = Times()
    times.clock()
    times.go(1, wall=-3600)
    assert round(seconds(times.clock())) == -3600


def test_microseconds_are_kept_exactly() -> None:
    """In both directions, whatever the zone."""
    at = dt.datetime(2026, 3, 29, 3, 30, 0, 123457, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert from_micros(to_micros(at)) == at
    assert from_micros(to_micros(at)).tzinfo is dt.UTC


def test_the_store_speaks_utc() -> None:
    """Whatever zone its clock has."""
    east = dt.timezone(dt.timedelta(hours=2))
    store = open_store("memory:", clock=lambda: dt.datetime(2026, 1, 1, 2, tzinfo=east))
    assert store.now().isoformat() == "2026-01-01T00:00:00+00:00"
    store.close()
