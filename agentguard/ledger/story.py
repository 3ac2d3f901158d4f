"""What the events of one ledger say together: every call's decision, claim and outcome fit, and the table of
approvals agrees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pydantic_core

from agentguard.errors import NotFound, StoreUnavailable
from agentguard.stepup.machine import TRANSITIONS
from agentguard.stepup.model import State
from agentguard.store.protocol import Store

__all__ = ["Story"]

_OUTCOMES: Final = {
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "unknown": State.UNKNOWN,
}


@dataclass(slots=True)
class _Asked:
    """One approval as its events tell it."""

    state: State
    last: str
    decisions: set[str]


@dataclass(slots=True)
class Story:
    """Reads events in order.

    It remembers decisions that were let run until their outcome comes, step-ups until their approval is
    opened, and every approval.
    """

    running: set[str] = field(default_factory=set)
    asking: set[str] = field(default_factory=set)
    approvals: dict[str, _Asked] = field(default_factory=dict)
    unasked: dict[str, str] = field(default_factory=dict)

    @property
    def open_decisions(self) -> int:
        """Calls that were let run and have no outcome."""
        claimed = sum(asked.state is State.CLAIMED for asked in self.approvals.values())
        return len(self.running) + claimed

    def tell(self, event: Mapping[str, Any]) -> Sequence[str]:
        """Take in one event; returns what is wrong with it."""
        kind = event["type"]
        if kind == "decision":
            self._decision(event)
        elif kind == "outcome" and "approval" not in event:
            decided = event.get("decision_id", "")
            if decided not in self.running:
                return ["an outcome without a decision that let the call run, or a second outcome"]
            self.running.discard(decided)
        elif "approval" in event and (kind in ("vote", "claimed", "outcome") or kind.startswith("approval.")):
            return list(self._approval(kind, event))
        return ()

    def _decision(self, event: Mapping[str, Any]) -> None:
        if "approval" in event:
            asked = self.approvals.get(event["approval"])
            if asked is not None:
                asked.decisions.add(event["id"])
        elif event.get("runs") is True:
            self.running.add(event["id"])
        elif event["decision"].get("effect") == "step_up":
            self.asking.add(event["id"])

    def _approval(self, kind: str, event: Mapping[str, Any]) -> Iterator[str]:
        name, id_ = event["approval"], event["id"]
        asked = self.approvals.get(name)
        if kind == "approval.opened":
            if asked is not None:
                yield f"approval `{name}` was opened twice"
            decided = event.get("decision_id", "")
            self.approvals[name] = _Asked(State.REQUESTED, id_, {decided})
            if decided in self.asking:
                self.asking.discard(decided)
            else:
                self.unasked[name] = decided
            return
        if asked is None:
            yield f"approval `{name}` was never opened"
            return
        if event.get("prev") != asked.last:
            yield f"the event does not name the one before it of approval `{name}`"
        asked.last = id_
        state = _becomes(kind, event)
        if state is None:
            return
        if state not in TRANSITIONS[asked.state]:
            yield f"approval `{name}` became {state.value}, but it was {asked.state.value}"
        if state is State.CLAIMED and event.get("decision_id", "") not in asked.decisions:
            yield f"approval `{name}` was claimed for a decision that is not about it"
        asked.state = state

    def finish(self, store: Store, tenant: str, seen: int) -> Iterator[tuple[str, str | None]]:
        """What is wrong at the end, with the id of an approval where it is about one."""
        for name, decided in self.unasked.items():
            if decided not in self.asking:
                yield f"approval `{name}` was opened without a decision that asked for it", name
        found = {name: _stored(store, tenant, name) for name in self.approvals}
        extra = store.changes_since(tenant, 0)[1] - found.keys()
        if extra or any(state != self.approvals[name].state for name, state in found.items()):
            # Others may have written while we read: take in what came since.
            for row in store.events(tenant, after=seen):
                self.tell(pydantic_core.from_json(row.leaf))
            found = {name: _stored(store, tenant, name) for name in {*found, *extra}}
        for name, state in found.items():
            told = self.approvals.get(name)
            if told is None:
                yield f"approval `{name}` is in the table and in no event", name
            elif state is None:
                yield f"approval `{name}` is missing from the table, or damaged", name
            elif state is not told.state:
                yield (
                    f"approval `{name}` is {state.value} in the table and {told.state.value} in the ledger",
                    name,
                )


def _becomes(kind: str, event: Mapping[str, Any]) -> State | None:
    if kind == "vote":
        return None
    if kind == "claimed":
        return State.CLAIMED
    if kind == "outcome":
        return _OUTCOMES.get(event.get("status", ""), State.UNKNOWN)
    try:
        return State(kind.removeprefix("approval."))
    except ValueError:
        return None


def _stored(store: Store, tenant: str, name: str) -> State | None:
    try:
        return store.approval(tenant, name).state
    except (NotFound, StoreUnavailable):
        return None
