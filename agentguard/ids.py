"""Identifiers: time-ordered ones for events, unguessable ones for approvals, short ones that people type."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

from agentguard.forks import let_go_in_child

__all__ = ["approval_id", "record_id", "uuid7"]

_COUNTER_BITS: Final = 42
_RANDOM_BITS: Final = 32
_COUNTER_MAX: Final = 1 << _COUNTER_BITS
_NOISE_BYTES: Final = 10
_BLOCK: Final = 256 * _NOISE_BYTES
_TYPED: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VERSION: Final = 0x7 << 76
_VARIANT: Final = 0b10 << 62


class _Uuid7:
    """RFC 9562 section 5.7 with the monotone counter of section 6.2, method 1.

    Behind the 48-bit millisecond stand 42 counter bits (begun at random below half, counted up within one
    millisecond) and 32 random bits, which is all of `rand_a` and `rand_b`. The system's random source is read
    in blocks: asking it for every id costs several times the rest.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._counter = 0
        self._noise = b""
        self._used = 0

    def __call__(self) -> str:
        ms = time.time_ns() // 1_000_000
        with self._lock:
            used = self._used
            if used == len(self._noise):
                self._noise, used = os.urandom(_BLOCK), 0
            self._used = used + _NOISE_BYTES
            noise = int.from_bytes(self._noise[used : self._used], "big")
            if ms > self._ms:
                self._ms = ms
                self._counter = noise >> (8 * _NOISE_BYTES - _COUNTER_BITS + 1)
            else:  # the same millisecond, or a clock that stepped back: count on
                self._counter += 1
                if self._counter == _COUNTER_MAX:
                    self._ms += 1
                    self._counter = 0
            ms, counter = self._ms, self._counter
        low = counter << _RANDOM_BITS | (noise & 0xFFFF_FFFF)
        text = f"{ms << 80 | _VERSION | low >> 62 << 64 | _VARIANT | low & 0x3FFF_FFFF_FFFF_FFFF:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


uuid7: Final = _Uuid7()
"""A new UUIDv7 as text: ordered by time, strictly increasing within this process, from any thread."""

# A child that goes on counting from its parent's state would make the parent's next ids.
let_go_in_child(uuid7.reset)


def approval_id() -> str:
    """A new approval id: `a` and 32 hexadecimal digits, 128 bits from the system's random source (T08)."""
    return "a" + os.urandom(16).hex()


def record_id(prefix: str, source: bytes | None = None) -> str:
    """An id that people type, such as `EX-7K2M9QXA`: 40 bits without letters that look like digits.

    Of `source`, at least five bytes, the beginning is taken; without it the system's random source.
    """
    number = int.from_bytes((source or os.urandom(5))[:5], "big")
    return prefix + "".join(_TYPED[number >> shift & 31] for shift in range(35, -5, -5))
