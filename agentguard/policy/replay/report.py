"""What a replay found, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentguard.policy.replay.changes import Direction
from agentguard.policy.replay.counts import Affected, Exceptions, Group, Questions, Tally
from agentguard.policy.replay.recorded import Problem

__all__ = ["Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The difference between what happened and what a candidate set would have done.

    `groups` stand in the order in which they matter: loosened first. `problems` counts records that cannot
    be replayed, by reason. `own` counts calls that the guard itself refused, whatever the policies say (an
    unknown tool, arguments that do not fit). `lacking` counts absent facts. `span` is the first and last
    time.
    """

    candidate: str
    against: str | None
    rules: int
    groups: tuple[Group, ...]
    unchanged: int
    own: int
    problems: Mapping[Problem, int]
    damaged: tuple[tuple[str, str], ...]
    lacking: Mapping[str, int]
    tools: Tally
    agents: Tally
    days: Tally
    asking: Mapping[str, int]
    questions: Mapping[str, Questions]
    approvals: tuple[Affected, ...]
    exceptions: Mapping[str, Exceptions]
    snapshots: Mapping[str, int]
    span: tuple[str, str]
    unused: tuple[str, ...] = ()

    def count(self, direction: Direction) -> int:
        """Decisions that changed in this direction."""
        return sum(group.n for group in self.groups if group.change.direction is direction)

    @property
    def accepted(self) -> int:
        """Loosened decisions that the accept file names."""
        return sum(group.accepted for group in self.groups)

    @property
    def damages(self) -> int:
        """Records that do not read back as they were written."""
        return self.problems.get("damaged", 0)

    @property
    def unreplayable(self) -> int:
        """Records that cannot be decided again, without the damaged ones."""
        return sum(self.problems.values()) - self.damages

    @property
    def replayed(self) -> int:
        """Decisions that were made again."""
        return self.unchanged + sum(group.n for group in self.groups)

    @property
    def ok(self) -> bool:
        """Whether nothing is loosened but what was accepted, and no record is damaged."""
        return self.count(Direction.LOOSENED) == self.accepted and not self.damages

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "version": 1,
            "ok": self.ok,
            "candidate": {"snapshot": self.candidate, "rules": self.rules},
            "against": self.against or "recorded",
            "from": self.span[0] or None,
            "to": self.span[1] or None,
            "counts": {
                **{direction.value: self.count(direction) for direction in Direction},
                "accepted": self.accepted,
                "unchanged": self.unchanged,
                "replayed": self.replayed,
                "not_replayable": dict(self.problems),
                "refused_by_the_guard": self.own,
            },
            "groups": [group.to_json() for group in self.groups],
            "by_tool": _plain(self.tools),
            "by_agent": _plain(self.agents),
            "by_day": _plain(self.days),
            "questions": {
                "asked": dict(self.asking),
                "reviewers": {name: one.to_json() for name, one in sorted(self.questions.items())},
            },
            "approvals": [one.to_json() for one in self.approvals],
            "exceptions": {name: one.to_json() for name, one in sorted(self.exceptions.items())},
            "lacking_facts": dict(self.lacking),
            "damaged": [{"id": id_, "what": what} for id_, what in self.damaged],
            "recorded_under": dict(self.snapshots),
            "accepts_nothing": list(self.unused),
        }


def _plain(tally: Tally) -> dict[str, dict[str, int]]:
    return {name: {str(what): n for what, n in counts.items()} for name, counts in sorted(tally.items())}
