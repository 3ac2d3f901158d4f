"""What no flag records and somebody has to look at all the same, as items among the flags.

* Calls that a rule about the baseline denied, or put to a person: for the agent's owner. A flagged deviation
  is an item by its flag.
* An agent that a rule suspended: for the agent's owner.
* An emergency exception: for whoever owns it, to be reviewed within a day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from agentguard.governance.flag_joining import Joining, Owners, occurrence
from agentguard.governance.flags import Occurrence
from agentguard.governance.projecting import Projection, Seen
from agentguard.store.protocol import RecordKey

__all__ = ["BREAK_GLASS", "SUSPENDED", "Deviations", "deviating"]

BREAK_GLASS: Final = "agentguard/break-glass"
"""The rule under which an emergency exception is an item."""
SUSPENDED: Final = "agentguard/suspended"
"""The rule under which a suspension by rule is an item."""
_DAY: Final = 86_400


def deviating(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rules about the baseline that fired on a decision; one that was not evaluated tells nothing."""
    decision = event.get("decision")
    matched = decision.get("matched", ()) if isinstance(decision, Mapping) else ()
    return [one for one in matched if one.get("deviation") is True and not one.get("error")]


class Deviations(Joining):
    """The projection of one sweep, over decisions."""

    @property
    def projection(self) -> Projection:
        types = ("decision", "agent.suspended", "exception.approved")
        return Projection(name="deviations", types=types, keys=self._keys, apply=self._apply)

    def _keys(self, batch: Sequence[Seen]) -> Collection[RecordKey]:
        return super()._keys([seen for seen in batch if any(_alarms(seen.event))])

    def _occurrences(self, batch: Sequence[Seen]) -> Iterator[Occurrence]:
        if not batch:
            return
        kinds, owners = self.kinds(batch), Owners(self._store, self._tenant)
        for seen in batch:
            event = {**seen.event, "decision_id": seen.event.get("id")}
            for said in _alarms(seen.event):
                yield occurrence(event, said, kinds, owners)


def _alarms(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What an event says of the items that it opens, as a flag would."""
    match event.get("type"):
        case "agent.suspended":
            word = event.get("word")
            if isinstance(word, Mapping) and word.get("assurance") == "rule":
                yield {"rule": SUSPENDED, "deviation": True, "review_in_s": _DAY}
        case "exception.approved" if event.get("emergency") is True:
            yield {
                "rule": BREAK_GLASS, "owner": event.get("owner"), "review_in_s": _DAY,
                "exception": event.get("exception"),
            }  # fmt: skip
        case _:
            for one in _unflagged(event):
                yield {"rule": f"{one.get('policy')}/{one.get('rule_id')}", "deviation": True}


def _unflagged(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if event.get("phase", "decide") == "decide":
        for one in deviating(event):
            if one.get("effect") != "flag" or event.get("runs") is not True:
                yield one
