"""Lanes: what one agent causes under one rule is told one by one only so often; the rest is summed up.

Critical things have lanes of their own with a larger bound, so no flood of others takes their place (T61).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from agentguard.channels import outbox
from agentguard.channels.told import Entry, subject_id
from agentguard.store.protocol import Record

__all__ = ["KIND", "SUMMARY", "WINDOW_S", "admit", "lane_id", "summary_id", "summed_up"]

KIND: Final = "delivery-lane"
SUMMARY: Final = "summary"
"""The family and the type of what is told of many at once."""
WINDOW_S: Final = 600
_URGENT_TIMES: Final = 5
_SAMPLE: Final = 5


def lane_id(channel: str, entry: Entry) -> str:
    """The lane that an entry comes in by."""
    return f"{channel}/{entry.lane.removeprefix('sha256:')[:32]}{'!' if entry.urgent else ''}"


def summary_id(channel: str, entry: Entry) -> str:
    """The outbox's record that sums up the lane."""
    return subject_id(channel, SUMMARY, lane_id(channel, entry).partition("/")[2])


def admit(found: Record | None, id: str, entry: Entry, limit: int, now: dt.datetime) -> tuple[Record, bool]:
    """Count an entry in its lane; whether it is told by itself."""
    body: Mapping[str, Any] = {} if found is None else found.body
    since = dt.datetime.fromisoformat(body["since"]) if "since" in body else None
    if since is None or not dt.timedelta() <= now - since < dt.timedelta(seconds=WINDOW_S):
        body = {"since": now.isoformat(), "count": 0}
    count = int(body["count"]) + 1
    lane = Record(kind=KIND, id=id, state="open", body={**body, "count": count})
    return lane, count <= limit * (_URGENT_TIMES if entry.urgent else 1)


def summed_up(found: Record | None, channel: str, entry: Entry, now: dt.datetime) -> Record:
    """The summary of a lane with one more in it; what may have been sent already is left as it is."""
    if found is not None and found.state in outbox.OPEN and found.body["waiting"]:
        *before, last = found.body["waiting"]
        if before or not found.body["attempts"]:
            counted = {**last, "said": _counted(last["said"], entry)}
            return Record(
                kind=found.kind,
                id=found.id,
                state=found.state,
                body={**found.body, "waiting": [*before, counted]},
                due=found.due,
            )
    summary = Entry(
        id=f"summary-{entry.id}",
        type=SUMMARY,
        at=entry.at,
        family=SUMMARY,
        subject=lane_id(channel, entry).partition("/")[2],
        said=_counted({}, entry),
        urgent=entry.urgent,
    )
    made = outbox.add(found, channel, summary, now)
    if made.due is None or made.due > now:
        return made
    return Record(
        kind=made.kind,
        id=made.id,
        state=made.state,
        body=made.body,
        due=now + dt.timedelta(seconds=WINDOW_S / 10 if entry.urgent else WINDOW_S),
    )


def _counted(said: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    sample = list(said.get("subjects", []))
    if len(sample) < _SAMPLE:
        sample.append(entry.subject[:128])
    return {
        "of": entry.family,
        "type": entry.type,
        "count": int(said.get("count", 0)) + 1,
        "first": said.get("first", entry.at),
        "last": entry.at,
        "subjects": sample,
        **{name: entry.said[name] for name in ("agent", "rule", "tool") if name in entry.said},
    }
