"""Exceptions, grants, agents and baselines as their events tell them, held against the records of the store.

A record that somebody wrote, or brought back, beside the commands says something else than the ledger: an
exception that was revoked is in force again, an agent that was suspended acts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentguard.canonical import digest, encode
from agentguard.errors import StoreUnavailable
from agentguard.store.protocol import Record, Store

__all__ = ["Governed"]

_BECOMES: Final[Mapping[str, Mapping[str, str]]] = {
    "exception": {"approved": "active", "renewed": "active", "revalidated": "active"},
    "grant": {"vouched": "requested", "given": "active"},
    "agent": {"restored": "active"},
    "baseline": {},
}
"""The state after a move; any other move is named like the state it leads to."""
_HELD: Final = {"exception": "content", "grant": "content", "agent": "facts", "baseline": "content"}
"""The part of a record's body whose digest its events name."""
_IN_REGISTER: Final = {
    "exception": ("active",),
    "grant": ("active",),
    "agent": ("suspended", "offboarded"),
    "baseline": ("approved",),
}


@dataclass(slots=True)
class _Told:
    state: str
    digest: str


@dataclass(slots=True)
class Governed:
    """Reads events in order, and knows how every record of these kinds should stand."""

    told: dict[tuple[str, str], _Told] = field(default_factory=dict)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        kind, _, move = str(event["type"]).partition(".")
        if kind not in _BECOMES or not isinstance(event.get(kind), str):
            return
        key, found = (kind, event[kind]), str(event.get("digest", ""))
        before = self.told.get(key)
        if before is not None and _keeps(kind, move, before.state):
            # A renewal that was asked for or declined; what is known of an agent that stays suspended.
            if kind == "agent":
                before.digest = found
            return
        state = _BECOMES[kind].get(move, "active" if move in ("registered", "changed") else move)
        self.told[key] = _Told(state, found)

    def wrong(self, store: Store, tenant: str) -> Iterator[str]:
        """What the records say and the events do not."""
        for kind in _BECOMES:
            left = {id for of, id in self.told if of == kind}
            try:
                records = store.records(tenant, kind)
            except StoreUnavailable as error:
                yield str(error)
                continue
            for record in records:
                left.discard(record.id)
                message = self._of(record)
                if message:
                    yield f"{kind} `{record.id[:100]}` {message}"
            for id in sorted(left):
                yield f"{kind} `{id[:100]}` is in the ledger and its record is gone"

    def _of(self, record: Record) -> str:
        told = self.told.get(record.key)
        if told is None:
            return "has a record and no event"
        if record.state != told.state:
            return f"is {record.state[:20]} in its record and {told.state} in the ledger"
        if record.registered != _registered(record):
            return (
                "is in the register and should not be"
                if record.registered
                else "is missing from the register"
            )
        held = record.body.get(_HELD[record.kind]) or {}
        if not isinstance(held, Mapping) or digest(encode(dict(held))) != told.digest:
            return "says something else in its record than in the ledger"
        return ""


def _keeps(kind: str, move: str, state: str) -> bool:
    if kind == "agent":
        return move in ("registered", "changed")
    if kind == "baseline":
        return state == "approved" and move in ("proposed", "rejected")
    return kind == "exception" and state == "active" and move in ("requested", "rejected", "withdrawn")


def _registered(record: Record) -> bool:
    return record.state in _IN_REGISTER[record.kind]
