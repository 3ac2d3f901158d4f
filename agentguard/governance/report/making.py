"""Making a report: one pass over the period, then what stands now, then what somebody should look into."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pydantic_core

from agentguard.governance.report import standing
from agentguard.governance.report.changes import change_of
from agentguard.governance.report.controls import catalogue
from agentguard.governance.report.findings import findings_of
from agentguard.governance.report.model import (
    ControlEvidence,
    Day,
    Deviation,
    ExceptionsState,
    Report,
    RuleUse,
)
from agentguard.governance.report.people import People
from agentguard.governance.report.tally import TYPES, DeviationCount, Limits, Tally
from agentguard.ledger.events import instant
from agentguard.ledger.lookback import number_at

if TYPE_CHECKING:
    from agentguard.ledger.kept import Kept
    from agentguard.policy.rules import Rule
    from agentguard.stepup.directory import Directory
    from agentguard.store.protocol import Store

__all__ = ["make"]

_CHUNK: Final = 1000
_LINES: Final = 200


def make(
    store: Store,
    tenant: str,
    *,
    begin: dt.datetime,
    end: dt.datetime,
    directory: Directory,
    agent: str | None = None,
    rules: Iterable[Rule] | None = None,
    limits: Limits | None = None,
    verify: bool = True,
    checkpoints: Kept | None = None,
) -> Report:
    """A report on the events from `begin` to before `end`, of all agents or of one.

    `rules` are those in force now; without them nobody can say which are unused, nor whose controls are
    evidenced. `verify` checks the whole ledger.

    Raises:
        StoreError: the store cannot be read.
    """
    limits = limits or Limits()
    listed = None if rules is None else list(rules)
    known = catalogue()
    controls = {rule.name: [known.name(one) for one in rule.controls] for rule in listed or ()}
    tally = Tally(People(lambda group: sorted(directory.members(group))), agent=agent, controls=controls)
    _read(store, tenant, begin, end, tally)
    now = store.now()
    exceptions = standing.exceptions_state(store, tenant, agent, now, limits, (begin, end))
    found = Report(
        tenant=tenant,
        agent=agent,
        begin=begin,
        end=end,
        made_at=now,
        events=tally.events,
        effects=dict(tally.effects),
        days=tuple(_day(day, tally) for day in sorted(tally.days)),
        deviations=_deviations(tally),
        deviating_calls=tally.deviating,
        rules=_rules(tally, listed),
        rules_known=listed is not None,
        questions=tuple(tally.people.questions()[:_LINES]),
        reviewers=tuple(tally.people.reviewers()[:_LINES]),
        flags=standing.flags_state(store, tenant, agent, now),
        exceptions=exceptions,
        baselines=standing.baselines_state(store, tenant, agent),
        agents=standing.agents_state(store, tenant, agent, directory, now, limits),
        ledger=standing.ledger_state(store, tenant, now, verify=verify, checkpoints=checkpoints),
        changes=tuple(change_of(event) for event in tally.changes),
        controls=_controls(controls, tally, exceptions),
        findings=(),
    )
    return found.model_copy(update={"findings": tuple(findings_of(found, limits, tally.unknown))})


def _read(store: Store, tenant: str, begin: dt.datetime, end: dt.datetime, tally: Tally) -> None:
    after, low, high = number_at(store, tenant, begin), instant(begin), instant(end)
    size = store.head(tenant)[0]
    while after < size and (rows := store.rows(tenant, after=after, limit=_CHUNK, types=TYPES)):
        after = rows[-1][0]
        for row in rows:
            event = _event(row[3])
            if low <= str(event.get("at", "")) < high:
                tally.take(event)


def _event(leaf: bytes) -> Mapping[str, Any]:
    try:
        found = pydantic_core.from_json(leaf, cache_strings="keys")
    except ValueError:
        return {}  # the verification says so
    return found if isinstance(found, dict) else {}


def _day(day: str, tally: Tally) -> Day:
    return Day(day=day, effects=dict(tally.days[day]), deviations=tally.day_deviations[day])


def _deviations(tally: Tally) -> tuple[Deviation, ...]:
    rows = sorted(tally.deviations.items(), key=lambda one: (-one[1].calls, one[0]))
    return tuple(_deviation(*key, one) for key, one in rows[:_LINES])


def _deviation(rule: str, agent: str, tool: str, one: DeviationCount) -> Deviation:
    return Deviation(
        rule=rule, agent=agent, tool=tool, effect=one.effect, calls=one.calls,
        first=dt.datetime.fromisoformat(one.first), last=dt.datetime.fromisoformat(one.last),
        events=tuple(one.events),
    )  # fmt: skip


def _rules(tally: Tally, listed: list[Rule] | None) -> tuple[RuleUse, ...]:
    """Every rule that fired or is in force; what fired most first, and what never did last."""
    in_force = {rule.name: rule.effect.value for rule in listed or ()}
    found = []
    for name in {*in_force, *tally.rules}:
        one = tally.rules.get(name)
        found.append(
            RuleUse(
                rule=name,
                effect=in_force.get(name) or (one.effect if one is not None else ""),
                fired=0 if one is None else one.fired,
                observed=0 if one is None else one.observed,
                errors=0 if one is None else one.errors,
                in_force=name in in_force,
                last=None if one is None or not one.last else dt.datetime.fromisoformat(one.last),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.fired, -one.observed, one.rule)))


def _controls(
    controls: Mapping[str, Iterable[str]], tally: Tally, exceptions: ExceptionsState
) -> tuple[ControlEvidence, ...]:
    known = catalogue()
    rules: dict[str, list[str]] = {}
    for rule, names in controls.items():
        for name in names:
            rules.setdefault(name, []).append(rule)
    lines = {line.id: line.rules for line in exceptions.lines}
    lines |= {over.id: over.rules for over in exceptions.ended}
    found = []
    for name, listed in sorted(rules.items()):
        entry, count = known.find(name), tally.controls.get(name)
        waived = [id for id, of in sorted(lines.items()) if set(of) & set(listed)]
        found.append(
            ControlEvidence(
                id=name,
                title=None if entry is None else entry.title,
                catalogue=None if entry is None else entry.catalogue,
                source=None if entry is None else entry.source,
                standing=None if entry is None else entry.standing,
                rules=tuple(sorted(listed)),
                decisions=0 if count is None else count.decisions,
                flags=0 if count is None else count.flags,
                approvals=sum(tally.people.approvals(rule) for rule in listed),
                exceptions=tuple(waived),
                events=() if count is None else tuple(count.events),
            )
        )
    return tuple(found)
