"""What the events of one ledger say together: every call's decision, claim and outcome fit, and the table of
approvals agrees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pydantic_core

from agentguard.errors import NotFound, StoreUnavailable
from agentguard.ledger.governed import Governed
from agentguard.ledger.retold import Retold
from agentguard.stepup.machine import TRANSITIONS
from agentguard.stepup.model import Approval, State
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
    retold: Retold = field(default_factory=Retold)


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
    governed: Governed = field(default_factory=Governed)

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
        else:
            self.governed.tell(event)
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
            opened = self.approvals[name] = _Asked(State.REQUESTED, id_, {decided})
            opened.retold.tell(kind, event)
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
        asked.retold.tell(kind, event)
        state = _becomes(kind, event)
        if state is None:
            return
        if state not in TRANSITIONS[asked.state]:
            yield f"approval `{name}` became {state.value}, but it was {asked.state.value}"
        if state is State.CLAIMED and event.get("decision_id", "") not in asked.decisions:
            yield f"approval `{name}` was claimed for a decision that is not about it"
        asked.state = state

    def finish(
        self, store: Store, tenant: str, seen: int, key: bytes | None = None
    ) -> Iterator[tuple[str, str | None]]:
        """What is wrong at the end, with the id of an approval where it is about one.

        `key` is the ledger's key, with which the arguments that an approval holds are compared too.
        """
        for name, decided in self.unasked.items():
            if decided not in self.asking:
                yield f"approval `{name}` was opened without a decision that asked for it", name
        wrong = {name: self._wrong(store, tenant, name, key) for name in self.approvals}
        extra = store.changes_since(tenant, 0)[1] - wrong.keys()
        strange = list(self.governed.wrong(store, tenant))
        if extra or strange or any(wrong.values()):
            # Others may have written while we read: take in what came since, and look again.
            for row in store.events(tenant, after=seen):
                self.tell(pydantic_core.from_json(row.leaf))
            strange = list(self.governed.wrong(store, tenant))
            again = [name for name in (*wrong, *extra) if name in extra or wrong[name]]
            wrong = {name: self._wrong(store, tenant, name, key) for name in again}
        for message in strange:
            yield message, None
        for name, messages in wrong.items():
            for message in messages:
                yield f"approval `{name}` {message}", name

    def _wrong(self, store: Store, tenant: str, name: str, key: bytes | None) -> list[str]:
        """What the table says of an approval and its events do not."""
        told, row = self.approvals.get(name), _stored(store, tenant, name)
        if told is None:
            return ["is in the table and in no event"]
        if row is None:
            return ["is missing from the table, or damaged"]
        if row.state is not told.state:
            return [f"is {row.state.value} in the table and {told.state.value} in the ledger"]
        if row.last_event != told.last:
            return ["names another event as its last in the table"]
        try:
            return [f"{message} in the table" for message in told.retold.differences(row, key)]
        except (TypeError, ValueError, KeyError):
            return ["is damaged in the table"]


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


def _stored(store: Store, tenant: str, name: str) -> Approval | None:
    try:
        return store.approval(tenant, name)
    except (NotFound, StoreUnavailable):
        return None
