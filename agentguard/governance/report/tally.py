"""The events of a period, taken in one by one: what is kept does not grow with their number."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentguard.governance.deviations import deviating
from agentguard.governance.report.people import People

__all__ = ["TYPES", "DeviationCount", "Limits", "RuleCount", "Tally"]

TYPES: Final = (
    "decision", "approval.opened", "approval.approved", "approval.denied", "approval.expired",
    "approval.withdrawn", "approval.superseded", "approval.revoked", "vote", "flag.raised",
    "policy.loaded", "policy.refused", "agent.suspended", "agent.restored", "agent.offboarded",
    "exception.approved", "exception.renewed", "exception.revoked", "baseline.approved", "baseline.revoked",
    "store.renewed",
)  # fmt: skip
"""The types that a report reads."""
CHANGES: Final = frozenset(TYPES[10:])

_EVENTS: Final = 5
_DEVIATIONS: Final = 1000
_RULES: Final = 20_000
_CHANGES: Final = 200
OTHERS: Final = "(others)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on something is a finding.

    A rule asks too much where of at least `questions` answered ones `share` were approved. A person is
    overloaded by more than `per_hour` questions in an hour, and approves too fast with `per_minute` approvals
    within 60 s. `expiring_days` is how far ahead an expiry is announced, `recurring` how often the same
    exception is one too many, `quiet_days` how long an agent may go unseen.
    """

    questions: int = 10
    share: float = 0.9
    per_hour: int = 30
    per_minute: int = 10
    expiring_days: int = 14
    recurring: int = 3
    quiet_days: int = 30


@dataclass(slots=True)
class RuleCount:
    """One rule in the period."""

    effect: str
    fired: int = 0
    observed: int = 0
    errors: int = 0
    last: str = ""


@dataclass(slots=True)
class DeviationCount:
    """One rule about a baseline, on one agent and tool."""

    effect: str
    first: str
    calls: int = 0
    last: str = ""
    events: deque[str] = field(default_factory=lambda: deque(maxlen=_EVENTS))


@dataclass(slots=True)
class ControlCount:
    """The decisions on which a rule of one control fired."""

    decisions: int = 0
    flags: int = 0
    events: deque[str] = field(default_factory=lambda: deque(maxlen=_EVENTS))


class Tally:
    """Counts over a period, of all agents or of one. `controls` are those of each rule by name."""

    def __init__(
        self, people: People, *, agent: str | None = None, controls: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        self._agent = agent
        self._controls = {rule: tuple(names) for rule, names in (controls or {}).items()}
        self.people = people
        self.events = self.deviating = 0
        self.effects: Counter[str] = Counter()
        self.days: dict[str, Counter[str]] = {}
        self.day_deviations: Counter[str] = Counter()
        self.rules: dict[str, RuleCount] = {}
        self.deviations: dict[tuple[str, str, str], DeviationCount] = {}
        self.controls: dict[str, ControlCount] = {}
        self.changes: deque[Mapping[str, Any]] = deque(maxlen=_CHANGES)
        self.unknown: Counter[str] = Counter()

    def take(self, event: Mapping[str, Any]) -> None:
        """One event; one that cannot be read counts as an event and nothing else."""
        self.events += 1
        kind = event.get("type")
        if kind in CHANGES:
            if self._agent is None or event.get("agent", self._agent) == self._agent:
                self.changes.append(event)
            return
        if self._agent is not None and event.get("agent") != self._agent:
            return
        match kind:
            case "decision":
                if event.get("phase", "decide") == "decide" and isinstance(event.get("decision"), Mapping):
                    self._decision(event, event["decision"])
            case "flag.raised":
                self._flag(event)
            case _:
                self.people.take(event)

    def _decision(self, event: Mapping[str, Any], decision: Mapping[str, Any]) -> None:
        effect, at, id = str(decision.get("effect")), str(event.get("at", "")), str(event.get("id", ""))
        self.effects[effect] += 1
        day = self.days.get(at[:10])
        if day is None:
            day = self.days[at[:10]] = Counter()
        day[effect] += 1
        controls: dict[str, None] = {}
        for one in decision.get("matched", ()):
            name = self._rule(one, at)
            controls.update(dict.fromkeys(self._controls.get(name, ())))
        for one in decision.get("observed", ()):
            self._rule(one, at, observed=True)
        for control in controls:
            count = self._control(control)
            count.decisions += 1
            count.events.append(id)
        found = deviating(event)
        if found:
            self.deviating += 1
            self.day_deviations[at[:10]] += 1
            for one in found:
                self._deviation(event, one, at, id)
        elif any(one.get("deviation") and one.get("error") for one in decision.get("matched", ())):
            agent = str(event.get("agent", ""))
            self.unknown[agent if agent in self.unknown or len(self.unknown) < _DEVIATIONS else OTHERS] += 1

    def _rule(self, one: Mapping[str, Any], at: str, *, observed: bool = False) -> str:
        name = f"{one.get('policy')}/{one.get('rule_id')}"
        count = self.rules.get(name)
        if count is None:
            if len(self.rules) >= _RULES:
                return name
            count = self.rules[name] = RuleCount(str(one.get("effect")))
        if observed:
            count.observed += 1
        else:
            count.fired += 1
        count.errors += "error" in one
        count.last = at
        return name

    def _deviation(self, event: Mapping[str, Any], one: Mapping[str, Any], at: str, id: str) -> None:
        rule = f"{one.get('policy')}/{one.get('rule_id')}"
        key = rule, str(event.get("agent", "")), str(event.get("tool", ""))
        if key not in self.deviations and len(self.deviations) >= _DEVIATIONS:
            key = rule, OTHERS, OTHERS
        count = self.deviations.get(key)
        if count is None:
            count = self.deviations[key] = DeviationCount(str(one.get("effect")), at)
        count.calls += 1
        count.last = at
        count.events.append(id)

    def _flag(self, event: Mapping[str, Any]) -> None:
        flag = event.get("flag")
        rule = flag.get("rule") if isinstance(flag, Mapping) else None
        for control in self._controls.get(str(rule), ()):
            self._control(control).flags += 1

    def _control(self, name: str) -> ControlCount:
        return self.controls.setdefault(name, ControlCount())
