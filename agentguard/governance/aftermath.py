"""Calls that an expired exception would still have matched: who still needs it, read from the ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic_core

from agentguard import cel
from agentguard.errors import ArgumentsError
from agentguard.governance.deviation import ExceptionContent
from agentguard.ledger.events import instant
from agentguard.ledger.lookback import number_at
from agentguard.policy.evaluation import truth
from agentguard.policy.expressions import Expressions, Fault
from agentguard.policy.scalars import tool_matches
from agentguard.store.protocol import Store
from agentguard.views import UnknownValue, view_of

__all__ = ["Aftermath", "still_matching"]


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Calls since the expiry: those that it would have covered, and those where that cannot be told any more.

    It cannot be told where a condition reads arguments that were erased, or facts that were not kept.
    """

    id: str
    since: dt.datetime
    calls: int
    unclear: int
    last: str
    tools: tuple[str, ...]


def still_matching(store: Store, tenant: str, exceptions: Mapping[str, ExceptionContent]) -> list[Aftermath]:
    """What became of the calls of expired exceptions, for those that have any; by id.

    A call counts where one of the exception's rules fired on it, in its scope of agent, principal, tools and
    secret scopes, and its condition holds on the arguments.
    """
    if not exceptions:
        return []
    found = {id: _Count(read) for id, read in exceptions.items()}
    first = min(read.expires for read in exceptions.values())
    for event in _decisions(store, tenant, number_at(store, tenant, first)):
        for count in found.values():
            count.look(store, tenant, event)
    return [count.told(id) for id, count in sorted(found.items()) if count.calls or count.unclear]


class _Count:
    """One exception, and what was seen of its calls since."""

    def __init__(self, read: ExceptionContent) -> None:
        self.read = read
        self.rules = frozenset(read.rules)
        self.expires = instant(read.expires)
        self.calls = self.unclear = 0
        self.last = ""
        self.tools: set[str] = set()
        compiled = Expressions().compile(str(read.when)) if isinstance(read.when, str) else None
        self.condition: cel.Program | None = compiled if isinstance(compiled, cel.Program) else None
        self.never = read.when is False or isinstance(compiled, Fault)

    def look(self, store: Store, tenant: str, event: Mapping[str, Any]) -> None:
        if self.never or event.get("at", "") < self.expires or not self._in_scope(event):
            return
        held = True if self.condition is None else _holds(store, tenant, self.condition, event)
        if held is False:
            return
        if held is True:
            self.calls += 1
        else:
            self.unclear += 1
        self.last = max(self.last, event["at"])
        self.tools.add(str(event.get("tool", "")))

    def told(self, id: str) -> Aftermath:
        tools = tuple(sorted(self.tools))
        return Aftermath(id, self.read.expires, self.calls, self.unclear, self.last, tools)

    def _in_scope(self, event: Mapping[str, Any]) -> bool:
        read, tool = self.read, str(event.get("tool", ""))
        if event.get("agent") != read.agent or event.get("phase") == "claim":
            return False
        if read.principal is not None and event.get("principal") != read.principal:
            return False
        if not any(tool_matches(pattern, tool) for pattern in read.tools):
            return False
        if read.secrets is not None and not set(event.get("secrets") or ()).issubset(read.secrets):
            return False
        decision = event.get("decision")
        fired = decision.get("matched", ()) if isinstance(decision, Mapping) else ()
        return any(f"{one.get('policy')}/{one.get('rule_id')}" in self.rules for one in fired)


def _holds(store: Store, tenant: str, condition: cel.Program, event: Mapping[str, Any]) -> bool | None:
    """Whether the condition is true of a recorded call; None where it cannot be told."""
    payload = store.payload(tenant, str(event.get("args_hmac", "")))
    if payload is None:
        return None
    try:
        args = view_of(payload.content)
    except (ArgumentsError, UnknownValue):
        return None
    bindings: dict[str, Any] = {
        "tool": event.get("tool"),
        "args": args,
        "agent": {"id": event.get("agent")},
        "secrets": tuple(event.get("secrets") or ()),
        "now": dt.datetime.fromisoformat(event["at"]),
        **({"environment": event["environment"]} if "environment" in event else {}),
        **({"principal": {"id": event["principal"]}} if "principal" in event else {}),
        **({"session": {"id": event["session"]}} if "session" in event else {}),
    }
    said = truth(condition, bindings)
    return said if isinstance(said, bool) else None


def _decisions(store: Store, tenant: str, after: int) -> Iterator[Mapping[str, Any]]:
    for row in store.events(tenant, after=after, types=("decision",)):
        try:
            event = pydantic_core.from_json(row.leaf)
        except ValueError:
            continue  # `agentguard ledger verify` says so
        if isinstance(event, dict) and isinstance(event.get("at"), str):
            yield event
