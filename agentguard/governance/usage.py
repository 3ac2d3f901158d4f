"""How often an exception or a grant let a call run, from the decisions of the ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from agentguard.governance.projecting import Projection, Seen
from agentguard.governance.sightings import keepable
from agentguard.store.protocol import Event, Known, Record, RecordKey

__all__ = ["KIND", "USAGE"]

KIND: Final = "usage"
_GRANT: Final = "grant/"


def _used(event: Mapping[str, Any]) -> Iterator[str]:
    """The ids of exceptions and grants that a call ran with."""
    decision = event.get("decision")
    if event.get("runs") is not True or not isinstance(decision, Mapping):
        return
    for one in decision.get("exceptions") or ():
        if isinstance(one, Mapping) and keepable(one.get("id")):
            yield str(one["id"])
    for name in decision.get("granted_by") or ():
        if isinstance(name, str) and name.startswith(_GRANT) and keepable(name.removeprefix(_GRANT)):
            yield name.removeprefix(_GRANT)


def _keys(batch: Sequence[Seen]) -> Collection[RecordKey]:
    return {(KIND, id) for seen in batch for id in _used(seen.event)}


def _apply(known: Known, batch: Sequence[Seen], now: dt.datetime) -> tuple[Sequence[Record], Sequence[Event]]:
    found: dict[str, dict[str, Any]] = {}
    for seen in batch:
        for id in _used(seen.event):
            body = found.get(id)
            if body is None:
                record = known.get((KIND, id))
                body = found[id] = {} if record is None else dict(record.body)
            at = seen.event.get("at", "")
            body["uses"] = body.get("uses", 0) + 1
            body["first"] = min(body.get("first", at), at)
            body["last"] = max(body.get("last", at), at)
    return [Record(kind=KIND, id=id, state="used", body=body) for id, body in found.items()], ()


USAGE: Final = Projection(name="usage", types=("decision",), keys=_keys, apply=_apply)
"""Each decision on which a call ran is one use of the exceptions and grants in it."""
