"""Suspension by rule: an agent on which a rule fires too often is suspended by the sweep.

A rule says `suspend: {after: 3, within: 1h}`. Its firing is counted from the decisions of the ledger, for
the acting agent alone: what others do, whatever they delegate, suspends nobody else. The suspension is an
ordinary one, with the rule as its word and reason, and nobody but a person ends it. A rule that fired because
it could not be evaluated does not count.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentguard.canonical import encode
from agentguard.errors import RecordRefused
from agentguard.governance import agents
from agentguard.governance.projecting import Projection, Seen
from agentguard.governance.sightings import keepable
from agentguard.governance.vouching import Word
from agentguard.store.protocol import Event, Known, Record, RecordKey, RecordsChange

__all__ = ["KIND", "SUSPENSIONS"]

KIND: Final = "firing"
"""The kind of the records that count how often a rule fired on an agent."""
_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class _Fired:
    """One firing of a rule that suspends."""

    rule: str
    agent: str
    tenant: str
    at: str
    after: int
    within_s: int

    @property
    def key(self) -> RecordKey:
        return KIND, hashlib.sha256(encode({"rule": self.rule, "agent": self.agent})).hexdigest()


def _fired(seen: Seen) -> Iterator[_Fired]:
    event = seen.event
    decision = event.get("decision")
    if event.get("phase", "decide") != "decide" or not isinstance(decision, Mapping):
        return
    for one in decision.get("matched", ()):
        plan = one.get("suspend")
        if not isinstance(plan, Mapping) or one.get("error") or not keepable(event.get("agent")):
            continue
        after, within = plan.get("after"), plan.get("within_s")
        if type(after) is int and type(within) is int and 0 < after <= _MOST and within > 0:
            rule = f"{one.get('policy')}/{one.get('rule_id')}"
            yield _Fired(rule, event["agent"], str(event.get("tenant", "")), event["at"], after, within)


def _keys(batch: Sequence[Seen]) -> Collection[RecordKey]:
    found = [one for seen in batch for one in _fired(seen)]
    return {*(one.key for one in found), *((agents.KIND, one.agent) for one in found)}


def _apply(known: Known, batch: Sequence[Seen], now: dt.datetime) -> tuple[Sequence[Record], Sequence[Event]]:
    counts: dict[RecordKey, Record] = {}
    stopped: dict[str, Record] = {}
    events: list[Event] = []
    for one in (fired for seen in batch for fired in _fired(seen)):
        agent = stopped.get(one.agent) or known.get((agents.KIND, one.agent))
        if agent is not None and agent.state in (agents.AgentState.SUSPENDED, agents.AgentState.OFFBOARDED):
            continue  # it is over; what was decided before counts no more once somebody restores it
        times = [*_times(counts.get(one.key) or known.get(one.key)), one.at][-one.after :]
        if len(times) == one.after and _span(times) <= one.within_s:
            change = _suspend(agent, one, now)
            if change is not None:
                stopped[one.agent] = change.records[0]
                events.extend(change.events)
            times = []
        body = {"rule": one.rule, "agent": one.agent, "times": times}
        counts[one.key] = Record(kind=KIND, id=one.key[1], state="counted", body=body)
    return [*counts.values(), *stopped.values()], events


def _suspend(agent: Record | None, one: _Fired, now: dt.datetime) -> RecordsChange | None:
    try:
        return agents.suspend(agent, one.tenant, one.agent, _word(one, agent, now), now)
    except RecordRefused:
        return None  # INVARIANT: a damaged record of one agent stops nothing for the others.


def _word(one: _Fired, agent: Record | None, now: dt.datetime) -> Word:
    return Word(
        act="suspend",
        subject=one.rule,
        digest=agents.state_digest(one.tenant, one.agent, agent),
        at=now,
        reason=f"rule `{one.rule}` fired {one.after} times within {one.within_s} s",
        assurance="rule",
    )


def _times(record: Record | None) -> list[str]:
    found: Any = None if record is None else record.body.get("times")
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _span(times: Sequence[str]) -> float:
    first, last = (dt.datetime.fromisoformat(one) for one in (min(times), max(times)))
    return (last - first).total_seconds()


SUSPENSIONS: Final = Projection(name="suspensions", types=("decision",), keys=_keys, apply=_apply)
"""Every decision on which a rule with `suspend` fired."""
