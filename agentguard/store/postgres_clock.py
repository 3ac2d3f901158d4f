"""The server's time, carried on between its answers by a clock of ours that nobody sets."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Final

from agentguard.store.clock import from_micros

__all__ = ["ServerClock", "elapsed_us"]

_KIND: Final = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def elapsed_us() -> int:
    """Microseconds since some moment, those included in which the machine slept."""
    return (time.monotonic_ns() if _KIND is None else time.clock_gettime_ns(_KIND)) // 1000


class ServerClock:
    """What time it is at the server.

    What this machine believes the time to be does not matter. A server's clock that moves forward is followed
    at once. One that falls more than two seconds behind what it said before is not, as by
    `agentguard.store.clock.SystemClock`: it would bring expired approvals back to life.
    """

    TOLERANCE_US: Final = 2_000_000
    _SLOW_US: Final = 1_000_000

    def __init__(self, elapsed: Callable[[], int] = elapsed_us) -> None:
        self.elapsed: Final = elapsed
        self._offset: int | None = None

    def __call__(self) -> dt.datetime:
        """The time as far as we know it; INVARIANT: somebody heard the server before."""
        assert self._offset is not None
        return from_micros(self.elapsed() + self._offset)

    def hear(self, said: int, asked: int) -> dt.datetime:
        """The time, from what the server said (microseconds since 1970) when it was asked at `asked`.

        It was true somewhere between asking and hearing; an answer that took long changes what we know only
        where we knew nothing.
        """
        known, heard = self._offset, self.elapsed()
        if known is not None and said < asked + known - self.TOLERANCE_US:
            return from_micros(heard + known)
        if known is None or heard - asked < self._SLOW_US:
            self._offset = said - (asked + heard) // 2
        return from_micros(said)
