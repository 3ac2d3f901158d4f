"""Learning what is normal for an agent from a stated period of the ledger, in one pass and bounded memory.

Only calls that ran and that nobody had to look at are learned from. What was denied, flagged, observed, or
ran under an exception is left out and counted: somebody who repeats a deviation until it looks normal finds
it missing from the baseline. What appears late, in one session only, or grows within the period is named.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pydantic_core

from agentguard.canonical import encode
from agentguard.errors import RecordRefused
from agentguard.governance.baseline_content import DAYS, MAX_TOOLS
from agentguard.governance.baseline_shape import Digest, shape_of
from agentguard.governance.baseline_tool import ToolUse
from agentguard.ledger.events import instant
from agentguard.ledger.lookback import number_at
from agentguard.store.protocol import EventRow, Store

__all__ = ["MAX_DAYS", "MIN_CALLS", "MIN_DAYS", "Learner", "learn", "why_left_out"]

MIN_CALLS: Final = 50
"""Calls without which nothing is learned."""
MIN_DAYS: Final = 2
"""Different days of the period on which there have to be calls."""
MAX_DAYS: Final = 366
"""Days of a period."""

_CHUNK: Final = 1000
_BACK: Final = 2048
_SESSIONS: Final = 100_000
_NAMES: Final = 200
_LATE: Final = 0.75
"""What is first seen in the last quarter of the period is late."""

Why = Literal["denied", "failed to evaluate", "observed", "excepted", "flagged", "not run"]


def why_left_out(event: Mapping[str, Any]) -> Why | None:
    """Why a decision is not one to learn from; None where it is."""
    decision = event.get("decision")
    if not isinstance(decision, Mapping) or decision.get("effect") == "deny":
        return "denied"
    if event.get("error") or any(one.get("error") for one in decision.get("matched", ())):
        return "failed to evaluate"
    if decision.get("observed"):
        return "observed"
    if decision.get("exceptions"):
        return "excepted"
    flags = any(one.get("kind") == "flag" for one in decision.get("obligations", ()))
    if flags or decision.get("effect") == "flag":
        return "flagged"
    return None if event.get("runs") is True else "not run"


@dataclass(slots=True)
class _Names:
    """How often each name was seen, and when first."""

    calls: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def see(self, name: str, at: str, what: str) -> None:
        if name not in self.first:
            if len(self.first) >= _NAMES:
                raise RecordRefused(f"the agent uses more than {_NAMES} {what}; no baseline can tell them")
            self.first[name] = at
        self.calls[name] += 1


class Learner:
    """Takes in the decisions of one agent, oldest first."""

    def __init__(
        self, *, begin: dt.datetime, end: dt.datetime, zone: dt.tzinfo, digest: Digest | None
    ) -> None:
        self._zone = zone
        self._digest = digest
        self._begin, self._span = begin, end - begin
        self._middle, self._late = instant(begin + self._span / 2), instant(begin + self._span * _LATE)
        self.tools: dict[str, ToolUse] = {}
        self.left_out: Counter[str] = Counter()
        self.left_out_tools: Counter[str] = Counter()
        self.scopes, self.environments, self.chain, self.cells = _Names(), _Names(), _Names(), _Names()
        self.days: set[str] = set()
        self.sessions: set[int] = set()
        self.calls = self.approved = self.bare = 0
        self._minute, self._cell = "", ""

    def wanted(self, event: Mapping[str, Any]) -> bool:
        """Whether to learn from this decision; one that is left out is counted."""
        if event.get("phase", "decide") == "decide" and event["decision"].get("effect") == "step_up":
            return False  # its claim tells whether it ran
        why = why_left_out(event)
        if why is not None:
            self.left_out[why] += 1
            self.left_out_tools[str(event.get("tool", ""))] += 1
        return why is None

    def take(self, event: Mapping[str, Any], arguments: bytes | None) -> None:
        """Learn from one call; `arguments` are canonical, None where they were erased."""
        at, tool, session = str(event["at"]), str(event["tool"]), hash(str(event.get("session", "")))
        use = self.tools.get(tool)
        if use is None:
            if len(self.tools) >= MAX_TOOLS:
                raise RecordRefused(f"the agent uses more than {MAX_TOOLS} tools; no baseline can tell them")
            use = self.tools[tool] = ToolUse(tool, at)
        shape = None if arguments is None else shape_of(arguments)
        use.take(at, session, shape, self._digest, late=at >= self._middle)
        self.calls += 1
        self.bare += shape is None
        self.approved += event.get("phase") == "claim"
        self.days.add(at[:10])
        if len(self.sessions) < _SESSIONS:
            self.sessions.add(session)
        for scope in event.get("secrets", ()):
            self.scopes.see(str(scope), at, "secret scopes")
        self.environments.see(str(event.get("environment", "")), at, "environments")
        for link in event.get("chain", ()):
            self.chain.see(str(link), at, "delegating agents")
        self.cells.see(self._cell_of(at), at, "hours of the week")

    def _cell_of(self, at: str) -> str:
        if at[:16] != self._minute:
            self._minute = at[:16]
            local = dt.datetime.fromisoformat(at).astimezone(self._zone)
            self._cell = f"{DAYS[local.weekday()]} {local.hour}"
        return self._cell

    def content(self) -> dict[str, Any]:
        """What was learned, as the parts of a content.

        Raises:
            RecordRefused: it is too little.
        """
        if self.calls < MIN_CALLS or len(self.days) < MIN_DAYS:
            raise RecordRefused(
                f"{self.calls} calls on {len(self.days)} days are too few to tell what is normal: "
                f"{MIN_CALLS} calls on {MIN_DAYS} days are needed"
                + (f" ({self.left_out.total()} were left out)" if self.left_out else "")
            )
        hours: dict[str, dict[str, int]] = {}
        for cell, count in sorted(self.cells.calls.items()):
            day, hour = cell.split()
            hours.setdefault(day, {})[hour] = count
        return {
            "tools": {name: use.content() for name, use in sorted(self.tools.items())},
            "scopes": dict(sorted(self.scopes.calls.items())),
            "environments": dict(sorted(self.environments.calls.items())),
            "hours": hours,
            "chain": sorted(self.chain.calls),
            "notable": [{"kind": kind, "text": text[:600]} for kind, text in self.notable()][:500],
        }

    def notable(self) -> Iterator[tuple[str, str]]:
        """What the owner should look at: what was left out, what came late, what is rare, what grew."""
        for why, count in self.left_out.most_common():
            yield "left out", f"{count:,} calls were {why} and are left out"
        for tool, count in self.left_out_tools.most_common(20):
            if tool not in self.tools:
                yield "left out", f"`{tool}` is left out whole: none of its {count:,} calls ran unremarked"
        if self._span < dt.timedelta(days=7):
            days = self._span.total_seconds() / 86_400
            yield "short", f"the period has {days:.1f} days: a week has hours that nobody saw"
        for what, names in (("scope", self.scopes), ("environment", self.environments)):
            for name, first in sorted(names.first.items()):
                if first >= self._late:
                    yield "late", f"{what} `{name}` was first seen on {first[:10]}, late in the period"
        late = [cell for cell, first in sorted(self.cells.first.items()) if first >= self._late]
        if late and self._span >= dt.timedelta(days=14):
            yield "late", f"it began to act at other hours late in the period: {', '.join(late[:20])}"
        for use in self.tools.values():
            yield from use.notable(late=self._late, middle=self._middle, sessions=len(self.sessions))
        if self.approved:
            yield "approved", f"{self.approved:,} calls ran because a person approved each of them"
        if self.bare:
            yield "bare", f"the arguments of {self.bare:,} calls were erased: their shape is not learned"
        if self._digest is None:
            yield "vocabulary", "the ledger's key is not here, so that no closed vocabulary is learned"


def learn(
    store: Store,
    tenant: str,
    agent: str,
    *,
    begin: dt.datetime,
    end: dt.datetime,
    zone: dt.tzinfo,
    digest: Digest | None,
) -> dict[str, Any]:
    """What is normal for an agent, from the events from `begin` to before `end`: the parts of a content.

    Raises:
        RecordRefused: the period is empty or too long, or has too few calls; StoreError: it cannot be read.
    """
    if not dt.timedelta() < end - begin <= dt.timedelta(days=MAX_DAYS):
        raise RecordRefused(f"a period begins before it ends and has at most {MAX_DAYS} days")
    learner = Learner(begin=begin, end=end, zone=zone, digest=digest)
    size, root = store.head(tenant)
    first = last = 0
    for seq, event, arguments in _calls(store, tenant, agent, begin, end, size, learner):
        first, last = first or seq, seq
        learner.take(event, arguments)
    parts = learner.content()
    learned = {
        "begin": instant(begin), "end": instant(end), "first": first, "last": last,
        "calls": learner.calls, "days": len(learner.days), "sessions": len(learner.sessions),
        "left_out": dict(sorted(learner.left_out.items())), "approved": learner.approved,
        "bare": learner.bare, "tree": {"size": size, "root": root.hex()},
    }  # fmt: skip
    return {**parts, "learned": learned}


def _calls(
    store: Store, tenant: str, agent: str, begin: dt.datetime, end: dt.datetime, size: int, learner: Learner
) -> Iterator[tuple[int, Mapping[str, Any], bytes | None]]:
    """The calls to learn from, each with its canonical arguments if they are still there."""
    # INVARIANT: a decision's leaf begins with the agent (`ledger.events`), so that most need no reading.
    head = b'{"agent":' + encode(agent) + b","
    after, low, high = number_at(store, tenant, begin), instant(begin), instant(end)
    while after < size and (rows := store.rows(tenant, after=after, limit=_CHUNK, types=("decision",))):
        found = []
        for row in rows:
            if row[0] <= size and row[3].startswith(head):
                event = _read(row[3])
                if low <= event.get("at", "") < high and learner.wanted(event):
                    found.append((row, event))
        kept = _arguments(store, tenant, found, rows[-1][0])
        for row, event in found:
            name = str(event.get("args_hmac", ""))
            yield row[0], event, row[5] if row[4] == name and row[5] is not None else kept.get(name)
        after = rows[-1][0]


def _arguments(
    store: Store, tenant: str, found: list[tuple[EventRow, dict[str, Any]]], upto: int
) -> dict[str, bytes]:
    """The arguments that do not lie beside their event."""
    wanted = {
        str(event["args_hmac"])
        for row, event in found
        if event.get("args_hmac") and (row[4] != event["args_hmac"] or row[5] is None)
    }
    if not wanted:
        return {}
    after = max(0, found[0][0][0] - _BACK)
    return {key: one.content for key, one in store.payloads(tenant, wanted, after=after, upto=upto).items()}


def _read(leaf: bytes) -> dict[str, Any]:
    try:
        found = pydantic_core.from_json(leaf, cache_strings="keys")
    except ValueError:
        return {}  # `agentguard ledger verify` says so
    return found if isinstance(found, dict) and isinstance(found.get("decision"), dict) else {}
