"""The operator's terms for exceptions, grants and agents, as the root configuration sets them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from agentguard.errors import ConfigurationError

__all__ = ["MAX_DAYS", "STRICT", "Terms"]

MAX_DAYS: Final = 366
"""Days for which an exception or a grant may last where nobody sets less; the core allows no more."""

MAX_MINUTES: Final = 24 * 60
"""Minutes for which an emergency exception may last at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long, how often and by whom.

    `max_days` is the longest time from an approval to the expiry of an exception or a grant, and
    `max_renewals` how often an exception may be renewed. `approvers` (subjects and `group:NAME`) may approve
    and revalidate exceptions and restore agents; left empty, everybody who is active in the directory. With
    `local` an unverified answer from this machine counts as one of them, the person `local`.

    `break_glass_minutes` is how long an emergency exception may last, which one approver may put in force
    alone; 0 is none at all. With `break_glass_dual` a second one has to approve it, as any exception.
    """

    max_days: int = MAX_DAYS
    max_renewals: int = 3
    approvers: tuple[str, ...] = ()
    local: bool = False
    break_glass_minutes: int = 0
    break_glass_dual: bool = False

    def __post_init__(self) -> None:
        if type(self.max_days) is not int or not 1 <= self.max_days <= MAX_DAYS:
            raise ConfigurationError(f"`max_days` is a whole number from 1 to {MAX_DAYS}")
        if type(self.max_renewals) is not int or not 0 <= self.max_renewals <= 100:
            raise ConfigurationError("`max_renewals` is a whole number from 0 to 100")
        if type(self.break_glass_minutes) is not int or not 0 <= self.break_glass_minutes <= MAX_MINUTES:
            raise ConfigurationError(f"`break_glass_minutes` is a whole number from 0 to {MAX_MINUTES}")

    @property
    def longest(self) -> dt.timedelta:
        """`max_days` as a span of time."""
        return dt.timedelta(days=self.max_days)


STRICT: Final = Terms()
"""What holds where nothing is configured."""
