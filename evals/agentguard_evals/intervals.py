"""95 % intervals: Wilson's for a share, the normal one for a mean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

__all__ = ["mean_interval", "wilson"]

Z: Final = 1.959963984540054
"""The normal quantile of 97.5 %."""


def wilson(k: int, n: int) -> tuple[float, float] | None:
    """Wilson's score interval of `k` out of `n`; None where there is nothing to count."""
    if n == 0:
        return None
    share, square = k / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # At the ends the formula gives 0 and 1 exactly; in floating point it does not.
    low = 0.0 if k == 0 else max(0.0, middle - half)
    high = 1.0 if k == n else min(1.0, middle + half)
    return low, high


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The normal interval of a mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean, half = statistics.fmean(values), Z * statistics.stdev(values) / math.sqrt(len(values))
    return max(0.0, mean - half), mean + half
