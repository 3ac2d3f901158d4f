"""What a replay counts: changes by rule, questions by reviewers, exceptions, approvals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from agentguard.decision import Approve
from agentguard.policy.replay.changes import Change, Direction
from agentguard.policy.replay.recorded import Opened, Recorded

__all__ = ["Affected", "Example", "Exceptions", "Group", "Questions"]


@dataclass(frozen=True, slots=True)
class Example:
    """One call of a group: its decision's id in the ledger, when, who, which tool."""

    id: str
    at: str
    tool: str
    agent: str
    phase: str

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "at": self.at, "tool": self.tool, "agent": self.agent, "phase": self.phase}


@dataclass(slots=True)
class Group:
    """All calls that change in the same way by the same rules. The first is the example."""

    change: Change
    example: Example
    n: int = 0
    accepted: int = 0
    tools: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)
    ids: list[Example] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        change = self.change
        sides = {
            name: {"effect": side.effect.value, "rule": side.rule, "at": side.at}
            for name, side in (("before", change.before), ("after", change.after))
        }
        return {
            "direction": change.direction.value,
            **sides,
            "less": list(change.less),
            "more": list(change.more),
            "n": self.n,
            "accepted": self.accepted,
            "tools": dict(self.tools.most_common()),
            "agents": dict(self.agents.most_common()),
            "example": self.example.to_json(),
            "all": [example.to_json() for example in self.ids],
        }


@dataclass(slots=True)
class Questions:
    """How often one group of reviewers is asked: then, under the candidate, and votes needed each time."""

    before: int = 0
    after: int = 0
    votes_before: int = 0
    votes_after: int = 0

    @property
    def more(self) -> int:
        """Questions that are asked in addition; fewer where it is negative."""
        return self.after - self.before

    @property
    def more_votes(self) -> int:
        """Votes that are needed in addition."""
        return self.votes_after - self.votes_before

    def to_json(self) -> dict[str, int]:
        return {
            "before": self.before,
            "after": self.after,
            "votes_before": self.votes_before,
            "votes_after": self.votes_after,
        }


def asked_of(approve: Approve | None) -> list[tuple[str, int]]:
    """Whom a step-up asks, stage by stage: reviewers as the rule names them, and how many of them."""
    if approve is None:
        return []
    return [(", ".join(stage.reviewers), stage.quorum) for stage in approve.stages]


@dataclass(slots=True)
class Exceptions:
    """How often one exception stood in for a rule."""

    before: int = 0
    after: int = 0

    def to_json(self) -> dict[str, int]:
        return {"before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Affected:
    """An approval that would have gone another way, what would have happened, and what became of it."""

    opened: Opened
    how: str

    def to_json(self) -> dict[str, Any]:
        one = self.opened
        return {"id": one.id, "tool": one.tool, "state": one.state, "votes": one.votes, "how": self.how}


def example_of(recorded: Recorded) -> Example:
    return Example(recorded.id, recorded.at, recorded.tool, recorded.agent, recorded.phase)


Tally = dict[str, Counter[Direction | str]]
"""Counts by name (a tool, an agent, a day) and by direction or `unchanged`."""
