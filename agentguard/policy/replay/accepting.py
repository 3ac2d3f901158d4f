"""Loosenings that somebody has looked at and wants: the accept file.

An entry names one group of changes exactly: both rules, both effects, what is asked less, the tools, and how
many calls at most. A candidate that goes further than what was accepted is loosened again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.decision import Effect
from agentguard.errors import ConfigurationError
from agentguard.policy.replay.changes import Direction
from agentguard.policy.replay.counts import Group

__all__ = ["Accepted", "accept", "read_accepted", "written"]

_Text = Annotated[str, Field(min_length=1, max_length=400)]


class Entry(BaseModel):
    """One accepted group."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    was: Effect
    by: _Text
    now: Effect
    now_by: _Text
    less: tuple[_Text, ...]
    tools: Annotated[tuple[_Text, ...], Field(min_length=1)]
    at_most: Annotated[int, Field(ge=1, strict=True)]
    reason: str = ""

    def fits(self, group: Group) -> bool:
        """Whether it speaks of this group, however many calls that has."""
        change = group.change
        return (
            change.direction is Direction.LOOSENED
            and (change.before.effect, change.before.rule) == (self.was, self.by)
            and (change.after.effect, change.after.rule) == (self.now, self.now_by)
            and set(change.less) <= set(self.less)
        )


class AcceptDocument(BaseModel):
    """An accept file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    loosened: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is accepted."""

    entries: tuple[Entry, ...] = ()


def read_accepted(data: object) -> Accepted:
    """What an accept file says.

    Raises:
        ConfigurationError: a key is unknown or missing, or a value is none that can be.
    """
    try:
        return Accepted(AcceptDocument.model_validate(data).loosened)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"]) or "the file"
        raise ConfigurationError(f"`{place}`: {first['msg'].lower()}") from None


def accept(accepted: Accepted, groups: Sequence[Group]) -> tuple[str, ...]:
    """Mark what is accepted; answers the entries that speak of nothing any more."""
    unused: list[str] = []
    for entry in accepted.entries:
        found = [group for group in groups if entry.fits(group)]
        for group in found:
            # INVARIANT: all of a group or nothing; one more call, or one more tool, is looked at again.
            if group.n <= entry.at_most and set(group.tools) <= set(entry.tools):
                group.accepted = group.n
        if not found:
            unused.append(f"{entry.was} by {entry.by} -> {entry.now} by {entry.now_by}")
    return tuple(unused)


def written(groups: Iterable[Group]) -> Mapping[str, Any]:
    """An accept file for every loosening of a replay, as plain data."""
    return {
        "version": 1,
        "loosened": [
            {
                "was": group.change.before.effect.value,
                "by": group.change.before.rule,
                "now": group.change.after.effect.value,
                "now_by": group.change.after.rule,
                "less": list(group.change.less),
                "tools": sorted(group.tools),
                "at_most": group.n,
                "reason": "",
            }
            for group in groups
            if group.change.direction is Direction.LOOSENED
        ],
    }
