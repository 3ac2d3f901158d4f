"""Who was asked what, how long they took and what they said: per rule, and per person."""

from __future__ import annotations

import datetime as dt
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentguard.governance.report.model import Questions, Reviewer
from agentguard.governance.report.spread import Spread

__all__ = ["People"]

_PEOPLE: Final = 10_000
_OPEN: Final = 100_000
_MINUTE: Final = 60.0


class _Busiest:
    """The largest count within one clock hour, of events in the order of time."""

    __slots__ = ("_count", "_hour", "hour", "most", "total")

    def __init__(self) -> None:
        self.total = self.most = self._count = 0
        self._hour, self.hour = "", ""

    def add(self, at: str) -> None:
        hour = at[:13]
        self._count = self._count + 1 if hour == self._hour else 1
        self._hour = hour
        self.total += 1
        if self._count > self.most:
            self.most, self.hour = self._count, hour


@dataclass(slots=True)
class _Person:
    asked: _Busiest = field(default_factory=_Busiest)
    answers: _Busiest = field(default_factory=_Busiest)
    said: Counter[str] = field(default_factory=Counter)
    late: int = 0
    recent: deque[float] = field(default_factory=deque)
    fastest: int = 0

    def approves(self, at: float) -> None:
        """Count approvals within the 60 seconds up to this one."""
        self.recent.append(at)
        while at - self.recent[0] >= _MINUTE:
            self.recent.popleft()
        self.fastest = max(self.fastest, len(self.recent))


@dataclass(slots=True)
class _Asked:
    ends: Counter[str] = field(default_factory=Counter)
    took: Spread = field(default_factory=Spread)
    asked: int = 0


class People:
    """Takes in questions, votes and ends. `members` gives the people of a group, who are each asked."""

    def __init__(self, members: Callable[[str], Iterable[str]]) -> None:
        self._members = members
        self._open: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._rules: dict[str, _Asked] = {}
        self._people: dict[str, _Person] = {}
        self._groups: dict[str, tuple[str, ...]] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        """An event about an approval."""
        kind, at = str(event.get("type")), str(event.get("at", ""))
        if kind == "approval.opened":
            self._opened(event, at)
        elif kind == "vote":
            self._vote(event, at)
        else:
            self._ended(event, kind.partition(".")[2], at)

    def questions(self) -> list[Questions]:
        """Per rule, the most asked first."""
        found = [_questions(rule, one) for rule, one in self._rules.items()]
        return sorted(found, key=lambda one: (-one.asked, one.rule))

    def reviewers(self) -> list[Reviewer]:
        """Per person, the most asked first."""
        found = [_reviewer(name, one) for name, one in self._people.items()]
        return sorted(found, key=lambda one: (-one.asked, -one.answers, one.name))

    def approvals(self, rule: str) -> int:
        """How often people were asked because of a rule."""
        found = self._rules.get(rule)
        return 0 if found is None else found.asked

    def _opened(self, event: Mapping[str, Any], at: str) -> None:
        wanted = event.get("requirement") or {}
        rules = tuple(str(rule) for rule in wanted.get("rules", ()))
        if len(self._open) < _OPEN:
            self._open[str(event.get("approval"))] = _seconds(at), rules
        for rule in rules:
            self._rules.setdefault(rule, _Asked()).asked += 1
        for name in dict.fromkeys(self._addressed(wanted)):
            self._person(name).asked.add(at)

    def _addressed(self, wanted: Mapping[str, Any]) -> Iterator[str]:
        for stage in wanted.get("stages", ()):
            for name in stage.get("reviewers", ()):
                if name.startswith("group:"):
                    yield from self._of(name)
                elif name != "principal":
                    yield name

    def _of(self, group: str) -> tuple[str, ...]:
        found = self._groups.get(group)
        if found is None:
            known = tuple(self._members(group.removeprefix("group:")))
            found = self._groups[group] = known or (group,)
        return found

    def _vote(self, event: Mapping[str, Any], at: str) -> None:
        person = self._person(str(event.get("subject", "")))
        person.answers.add(at)
        if event.get("counted") is not True:
            person.late += 1
            return
        verdict = str(event.get("verdict"))
        person.said[verdict] += 1
        if verdict == "approve":
            person.approves(_seconds(at))

    def _ended(self, event: Mapping[str, Any], end: str, at: str) -> None:
        opened = self._open.pop(str(event.get("approval")), None)
        if opened is None:
            return  # asked before the period, or ended before: an approved one can be revoked
        since, rules = opened
        for rule in rules:
            asked = self._rules.setdefault(rule, _Asked())
            asked.ends[end] += 1
            if end in ("approved", "denied"):
                asked.took.add(_seconds(at) - since)

    def _person(self, name: str) -> _Person:
        found = self._people.get(name)
        if found is None:
            name = name if len(self._people) < _PEOPLE else "(others)"
            found = self._people.setdefault(name, _Person())
        return found


def _questions(rule: str, one: _Asked) -> Questions:
    ends = one.ends
    approved, denied = ends["approved"], ends["denied"]
    answered = approved + denied
    return Questions(
        rule=rule,
        asked=one.asked,
        approved=approved,
        denied=denied,
        expired=ends["expired"],
        withdrawn=ends["withdrawn"],
        other=ends["superseded"] + ends["revoked"],
        waiting=max(0, one.asked - ends.total()),
        median_s=one.took.quantile(0.5),
        p95_s=one.took.quantile(0.95),
        share=None if not answered else round(approved / answered, 4),
    )


def _reviewer(name: str, one: _Person) -> Reviewer:
    return Reviewer(
        name=name,
        asked=one.asked.total,
        busiest_hour=one.asked.hour or one.answers.hour or None,
        busiest_asked=one.asked.most,
        answers=one.answers.total,
        busiest_answers=one.answers.most,
        approved=one.said["approve"],
        denied=one.said["deny"],
        late=one.late,
        approved_in_60s=one.fastest,
    )


def _seconds(at: str) -> float:
    try:
        return dt.datetime.fromisoformat(at).timestamp()
    except ValueError:
        return 0.0
