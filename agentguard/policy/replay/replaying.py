"""Taking recorded decisions one by one and deciding each again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from agentguard.decision import Decision, Effect
from agentguard.policy.replay.accepting import Accepted, accept
from agentguard.policy.replay.changes import Change, Direction, compare
from agentguard.policy.replay.counts import (
    Affected,
    Exceptions,
    Group,
    Questions,
    Tally,
    asked_of,
    example_of,
)
from agentguard.policy.replay.recorded import Opened, Problem, Recorded
from agentguard.policy.replay.report import Report
from agentguard.policy.snapshot import Snapshot

__all__ = ["Replay"]

_NAMES: Final = 10_000
"""Tools, agents and groups that are told apart; what comes later is counted under one name."""
_REST: Final = "(others)"
_DAMAGED: Final = 20

_Key = tuple[object, ...]
_Cell = tuple[str, str, str, str, Direction | None]


class Replay:
    """Counts what a candidate set decides otherwise. Nothing is kept of a call that does not change.

    `against` decides the past anew instead of what was recorded. `keep` is how many calls of each group are
    listed besides its example.
    """

    def __init__(self, candidate: Snapshot, *, against: Snapshot | None = None, keep: int = 0) -> None:
        self._candidate = candidate
        self._against = against
        self._keep = keep
        self._needs: dict[str, frozenset[str]] = {}
        self._groups: dict[_Key, Group] = {}
        self._cells: dict[_Cell, int] = {}
        self._tallies: tuple[Tally, Tally, Tally, Tally] = ({}, {}, {}, {})
        self._questions: dict[str, Questions] = {}
        self._exceptions: dict[str, Exceptions] = {}
        self._problems: Counter[Problem] = Counter()
        self._damaged: list[tuple[str, str]] = []
        self._asking: Counter[str] = Counter()
        self._affected: dict[str, str] = {}
        self._claims: dict[str, str] = {}
        self._lacking: Counter[str] = Counter()
        self._unchanged = 0
        self._own = 0
        self._first = ""
        self._last = ""

    def take(self, recorded: Recorded) -> Change | None:
        """Decide one call again; answers the difference, and None where there is none or none can be told."""
        if recorded.own:
            self._own += 1
            return None
        request = recorded.request
        if request is None or (problem := self._unknown(recorded)) is not None:
            problem = recorded.problem or "context" if request is None else "fact"
            self._problems[problem] += 1
            if problem == "damaged" and len(self._damaged) < _DAMAGED:
                self._damaged.append((recorded.id, recorded.detail))
            return None
        before = recorded.decision if self._against is None else self._against.decide(request)
        if before is None:
            self._problems["context"] += 1
            return None
        after = self._candidate.decide(request)
        change = compare(before, after, values=self._against is not None)
        self._count(recorded, change)
        if before.obligations or after.obligations:
            self._people(recorded, before, after, change)
        if before.exceptions or after.exceptions:
            self._waived(before, after)
        return change

    def _unknown(self, recorded: Recorded) -> str | None:
        """A fact that the candidate reads and of which nothing is known; absent is known, if it was asked."""
        tool = recorded.tool
        needs = self._needs.get(tool)
        if needs is None:
            needs = self._candidate.needs(tool)
            if self._against is not None:
                needs |= self._against.needs(tool)
            if len(self._needs) >= _NAMES:
                self._needs = {}
            self._needs[tool] = needs
        if not needs or needs <= recorded.asked:
            return None
        request = recorded.request
        assert request is not None
        known = {*recorded.asked, *request.supplied}
        known.update(name for name in ("resource", "workload", "context") if getattr(request, name))
        for name in sorted(needs - known):
            self._lacking[name] += 1
            return name
        return None

    def _count(self, recorded: Recorded, change: Change | None) -> None:
        at, cells = recorded.at, self._cells
        if at > self._last:
            self._last = at
        if at < self._first or not self._first:
            self._first = at
        under = recorded.decision.snapshot if recorded.decision is not None else ""
        cell = (recorded.tool, recorded.agent, at[:10], under, None if change is None else change.direction)
        known = cells.get(cell)
        if known is None and len(cells) >= _NAMES:
            self._settle()
        cells[cell] = (known or 0) + 1
        if change is None:
            self._unchanged += 1
            return
        key: _Key = (
            change.direction, change.before.effect, change.before.rule, change.after.effect,
            change.after.rule, change.less, change.more,
        )  # fmt: skip
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= _NAMES:
                change = _many(change)
                key = (change.direction, change.before.effect, change.after.effect)
            group = self._groups.setdefault(key, Group(change, example_of(recorded)))
        group.n += 1
        group.tools[recorded.tool if len(group.tools) < _NAMES else _REST] += 1
        group.agents[recorded.agent if len(group.agents) < _NAMES else _REST] += 1
        if len(group.ids) < self._keep:
            group.ids.append(example_of(recorded))

    def _settle(self) -> None:
        """Add up the cells by tool, agent, day and snapshot, and forget them."""
        for (*names, direction), n in self._cells.items():
            what = "unchanged" if direction is None else direction
            for tally, name in zip(self._tallies, names, strict=True):
                _tally(tally, str(name))[what] += n
        self._cells.clear()

    def _people(self, recorded: Recorded, before: Decision, after: Decision, change: Change | None) -> None:
        """Who is asked then and now; a question of the past is one that its decision asked first."""
        was, now = before.approval, after.approval
        if recorded.phase == "claim":
            if change is not None and recorded.approval is not None and after.effect is Effect.DENY:
                self._claims[recorded.approval] = "superseded"
            return
        if was is None and now is None:
            return
        for reviewers, quorum in asked_of(was):
            found = self._questions.setdefault(reviewers, Questions())
            found.before += 1
            found.votes_before += quorum
        for reviewers, quorum in asked_of(now):
            found = self._questions.setdefault(reviewers, Questions())
            found.after += 1
            found.votes_after += quorum
        if was is None:
            self._asking["newly"] += 1
        elif now is None:
            how = "denied" if after.effect is Effect.DENY else "no_more"
            self._asking[how] += 1
            self._affected[recorded.id] = how
        elif was.stages != now.stages or was.local != now.local or was.expires_in_s != now.expires_in_s:
            self._asking["otherwise"] += 1
            self._affected[recorded.id] = "otherwise"
        else:
            self._asking["unchanged"] += 1

    def _waived(self, before: Decision, after: Decision) -> None:
        for one in before.exceptions:
            self._exceptions.setdefault(one.id, Exceptions()).before += 1
        for one in after.exceptions:
            self._exceptions.setdefault(one.id, Exceptions()).after += 1

    def report(self, approvals: Iterable[Opened] = (), accepted: Accepted | None = None) -> Report:
        """What was found so far; `approvals` are those of the same stretch of the ledger."""
        self._settle()
        tools, agents, days, snapshots = self._tallies
        groups = sorted(self._groups.values(), key=_by_importance)
        unused = accept(accepted, groups) if accepted is not None else ()
        affected = []
        for opened in approvals:
            how = self._affected.get(opened.decision_id) or self._claims.get(opened.id)
            if how is not None:
                affected.append(Affected(opened, how))
        return Report(
            candidate=self._candidate.digest,
            against=None if self._against is None else self._against.digest,
            rules=len(self._candidate.rules),
            groups=tuple(groups),
            unchanged=self._unchanged,
            own=self._own,
            problems=dict(self._problems),
            damaged=tuple(self._damaged),
            lacking=dict(self._lacking),
            tools=tools,
            agents=agents,
            days=days,
            asking=dict(self._asking),
            questions=self._questions,
            approvals=tuple(affected),
            exceptions=self._exceptions,
            snapshots={name: counts.total() for name, counts in snapshots.items() if name},
            span=(self._first, self._last),
            unused=unused,
        )


def _tally(found: Tally, name: str) -> Counter[Direction | str]:
    known = found.get(name)
    if known is None:
        known = found.setdefault(name if len(found) < _NAMES else _REST, Counter())
    return known


def _many(change: Change) -> Change:
    """What stands for all the groups that are no longer told apart."""
    before, after = (replace(side, rule=_REST, at=None) for side in (change.before, change.after))
    return replace(change, before=before, after=after, less=(_REST,), more=())


def _by_importance(group: Group) -> tuple[int, int, str, str]:
    change = group.change
    return list(Direction).index(change.direction), -group.n, change.before.rule, change.after.rule
