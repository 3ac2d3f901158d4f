"""Quantiles of any number of durations in bounded memory, to within one percent."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

__all__ = ["Spread"]

_STEP: Final = math.log(1.02)
_LEAST: Final = 0.001


class Spread:
    """Counts values in buckets of which each is two percent wide; values are seconds, from a millisecond."""

    __slots__ = ("_buckets", "count", "largest")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Take in a value; a negative one, of a clock that was set back, counts as none at all."""
        value = max(0.0, value)
        self.count += 1
        self.largest = max(self.largest, value)
        self._buckets[round(math.log(max(value, _LEAST) / _LEAST) / _STEP)] += 1

    def quantile(self, share: float) -> float | None:
        """The smallest value that at least this share does not exceed; None of none."""
        left = share * self.count
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 1e-9:
                found = _LEAST * math.exp(bucket * _STEP)
                return round(min(found, self.largest), 3)
        return None
