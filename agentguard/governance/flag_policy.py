"""The escalation policy of a flag, as the rule said it when the flag was raised.

::

    opened ──review_in──▶ due ──after──▶ level 1 ──…──▶ last level ──review_in──▶ breach

Each `after` counts from the due date. Whoever has it last has `review_in` once more; where nobody is named to
escalate to, the due date itself is the breach.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agentguard.decision import Effect, FlagLevel
from agentguard.ledger.events import some

__all__ = ["REVIEW_S", "FlagPolicy"]

REVIEW_S: Final = 7 * 86_400
"""Seconds until a flag is due whose rule does not say by when."""
_EFFECTS: Final = {effect.value: effect for effect in Effect}
_NOBODY: Final = "nobody"
_EMPTY: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagPolicy:
    """Who has it, until when, and who has it next.

    `assumed` where the rule does not say `review_in`. `observed` is the effect that the rule would have had,
    `converts_on` an ISO date, `exception` the one that stood in for the rule. `deviation` is one from the
    agent's baseline: then `owner` owns the agent.
    """

    owner: str
    review_s: int = REVIEW_S
    assumed: bool = False
    levels: tuple[FlagLevel, ...] = ()
    converts_on: str | None = None
    converts_to: Effect | None = None
    observed: Effect | None = None
    exception: str | None = None
    deviation: bool = False

    def owned_by(self, owner: str) -> FlagPolicy:
        """The same for another owner; whom the rule names has it next, where it names no levels."""
        named = self.owner not in (owner, _NOBODY)
        levels = self.levels or ((FlagLevel(self.owner),) if named else ())
        return replace(self, owner=owner, levels=levels)

    @classmethod
    def from_json(cls, data: object) -> FlagPolicy:
        """From the `flag` of an event, or from an item. What is damaged in it is left out: a flag that nobody
        can read is still one, and falls due like any other."""
        get = (data if isinstance(data, Mapping) else _EMPTY).get
        review = get("review_in_s")
        said = type(review) is int and review > 0
        return cls(
            owner=_text(get("owner")) or _NOBODY,
            review_s=review if said and review is not None else REVIEW_S,
            assumed=not said or get("assumed") is True,
            levels=_levels(get("escalate_to")),
            converts_on=_text(get("converts_on")),
            converts_to=_EFFECTS.get(get("converts_to") or ""),
            observed=_EFFECTS.get(get("observed") or ""),
            exception=_text(get("exception")),
            deviation=get("deviation") is True,
        )

    def to_json(self) -> dict[str, Any]:
        """As an item keeps it."""
        return some(
            owner=self.owner,
            review_in_s=self.review_s,
            assumed=self.assumed or None,
            escalate_to=[level.to_json() for level in self.levels],
            converts_on=self.converts_on,
            converts_to=self.converts_to and self.converts_to.value,
            observed=self.observed and self.observed.value,
            exception=self.exception,
            deviation=self.deviation or None,
        )

    @property
    def stake(self) -> Effect:
        """What was at stake: the effect that the call would have met, had the rule been enforced."""
        return self.observed or self.converts_to or Effect.FLAG

    @property
    def review(self) -> dt.timedelta:
        """How long whoever has it may take."""
        return dt.timedelta(seconds=self.review_s)

    def first_due(self, at: dt.datetime) -> dt.datetime:
        """When a flag raised at `at` is due. The use of an exception that nobody has to review is due when
        the exception ends."""
        if self.assumed and self.exception is not None:
            ends = self.conversion
            if ends is not None and ends > at:
                return ends
        return at + self.review

    @property
    def conversion(self) -> dt.datetime | None:
        """When the rule becomes enforcement."""
        try:
            found = dt.datetime.fromisoformat(self.converts_on or "")
        except ValueError:
            return None
        return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)

    def holder(self, level: int) -> str:
        """Who has it at a level; 0 is the owner."""
        return self.levels[min(level, len(self.levels)) - 1].to if level and self.levels else self.owner

    def step(self, level: int, due: dt.datetime) -> dt.datetime:
        """When whoever has it at `level` has had it long enough: it goes to the next, or is a breach."""
        if level < len(self.levels):
            return due + dt.timedelta(seconds=self.levels[level].after_s)
        if not self.levels:
            return due
        return due + dt.timedelta(seconds=self.levels[-1].after_s) + self.review


def _levels(value: object) -> tuple[FlagLevel, ...]:
    if isinstance(value, str):
        return (FlagLevel(value),)
    if not isinstance(value, list):
        return ()
    found: list[FlagLevel] = []
    for one in value:
        to, after = (one.get("to"), one.get("after_s", 0)) if isinstance(one, Mapping) else (None, 0)
        if isinstance(to, str) and type(after) is int and after >= 0:
            found.append(FlagLevel(to, after))
    return tuple(found)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
