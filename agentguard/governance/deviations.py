"""Deviations that no flag records: calls that a rule about the baseline denied, or put to a person.

They become items for the agent's owner as flagged calls do. A flagged deviation is an item by its flag.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from agentguard.governance.flag_joining import Joining, Owners, occurrence
from agentguard.governance.flags import Occurrence
from agentguard.governance.projecting import Projection, Seen
from agentguard.store.protocol import RecordKey

__all__ = ["Deviations", "deviating"]


def deviating(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rules about the baseline that fired on a decision; one that was not evaluated tells nothing."""
    decision = event.get("decision")
    matched = decision.get("matched", ()) if isinstance(decision, Mapping) else ()
    return [one for one in matched if one.get("deviation") is True and not one.get("error")]


class Deviations(Joining):
    """The projection of one sweep, over decisions."""

    @property
    def projection(self) -> Projection:
        return Projection(name="deviations", types=("decision",), keys=self._keys, apply=self._apply)

    def _keys(self, batch: Sequence[Seen]) -> Collection[RecordKey]:
        return super()._keys([seen for seen in batch if any(_unflagged(seen.event))])

    def _occurrences(self, batch: Sequence[Seen]) -> Iterator[Occurrence]:
        if not batch:
            return
        kinds, owners = self.kinds(batch), Owners(self._store, self._tenant)
        for seen in batch:
            event = {**seen.event, "decision_id": seen.event.get("id")}
            for one in _unflagged(seen.event):
                rule = f"{one.get('policy')}/{one.get('rule_id')}"
                yield occurrence(event, {"rule": rule, "deviation": True}, kinds, owners)


def _unflagged(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if event.get("phase", "decide") == "decide":
        for one in deviating(event):
            if one.get("effect") != "flag" or event.get("runs") is not True:
                yield one
