"""When an agent was last seen, and as whom: what the decisions of the ledger show of each agent's id.

A sighting is a record of its own beside the agent's, so that a call changes nothing that people decided and
the register has no new version.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from agentguard.governance.projecting import Projection, Seen
from agentguard.store.protocol import Event, Known, Record, RecordKey

__all__ = ["KIND", "SIGHTINGS", "keepable"]

KIND: Final = "sighting"
MOST: Final = 20
"""Different owners, environments, scopes or tools that a sighting lists; `more`: there were others."""
_SETS: Final = ("owners", "environments", "scopes", "tools")


def keepable(id: object) -> bool:
    """Whether an agent's id can be a record's."""
    return isinstance(id, str) and 0 < len(id) <= 256 and id.isprintable()


def _agents(event: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The acting agent, and those that delegated to it."""
    agent = event.get("agent")
    if keepable(agent):
        yield str(agent), True
    for link in event.get("chain") or ():
        if keepable(link) and link != agent:
            yield str(link), False


def _keys(batch: Sequence[Seen]) -> Collection[RecordKey]:
    return {(KIND, agent) for seen in batch for agent, _ in _agents(seen.event)}


def _apply(known: Known, batch: Sequence[Seen], now: dt.datetime) -> tuple[Sequence[Record], Sequence[Event]]:
    found: dict[str, dict[str, Any]] = {}
    for seen in batch:
        for agent, acting in _agents(seen.event):
            body = found.get(agent)
            if body is None:
                record = known.get((KIND, agent))
                body = found[agent] = {} if record is None else dict(record.body)
            _add(body, seen.event, acting)
    return [Record(kind=KIND, id=agent, state="seen", body=body) for agent, body in found.items()], ()


def _add(body: dict[str, Any], event: Mapping[str, Any], acting: bool) -> None:
    at = event.get("at", "")
    body["first"] = min(body.get("first", at), at)
    body["last"] = max(body.get("last", at), at)
    body["calls" if acting else "delegated"] = body.get("calls" if acting else "delegated", 0) + 1
    if not acting:
        return
    values = {
        "owners": [event.get("owner")],
        "environments": [event.get("environment")],
        "scopes": event.get("secrets") or (),
        "tools": [event.get("tool")],
    }
    for name in _SETS:
        listed = body.get(name, [])
        for value in values[name]:
            if isinstance(value, str) and value and value not in listed:
                if len(listed) < MOST:
                    listed = sorted([*listed, value])
                else:
                    body["more"] = True
        if listed:
            body[name] = listed


SIGHTINGS: Final = Projection(name="sightings", types=("decision",), keys=_keys, apply=_apply)
"""Every decision is a sighting of the agent that acted and of those that delegated to it."""
