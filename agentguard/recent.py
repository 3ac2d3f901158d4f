"""How many calls of each tool each agent made within the last hour, counted from the ledger.

The ledger is the counter, so that a restart forgets nothing and every process counts the calls of all of
them; what is kept here is only how far it was read. A call counts from its decision on, whatever that was.
Two calls at the same moment do not see each other, and a decision that is recorded in a batch is counted when
its batch is written.
"""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING, Any, Final

import pydantic_core

from agentguard.ledger.events import instant

if TYPE_CHECKING:
    from agentguard.store.protocol import Store

__all__ = ["Recent"]

_HOUR: Final = dt.timedelta(hours=1)
_MINUTE: Final = 16
"""Characters of an instant up to its minute."""


class Recent:
    """Counts of one tenant by agent, tool and minute."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._counts: dict[tuple[str, str], dict[str, int]] = {}
        self._pruned = ""
        self._after: int | None = None
        self.forked()

    def forked(self) -> None:
        """Also in a child process: a lock that nobody holds."""
        self._lock = threading.Lock()

    def count(self, agent: str, tool: str, now: dt.datetime) -> int:
        """Calls in the last 60 minutes, the minute in which they begin included.

        Raises:
            StoreError: the ledger cannot be read.
        """
        since = instant(now - _HOUR)[:_MINUTE]
        with self._lock:
            self._read_on(now)
            self._prune(since)
            counts = self._counts.get((agent, tool), {})
            return sum(count for minute, count in counts.items() if minute >= since)

    def _read_on(self, now: dt.datetime) -> None:
        if self._after is None:
            from agentguard.ledger.lookback import number_at

            self._after = number_at(self._store, self._tenant, now - _HOUR)
        for row in self._store.events(self._tenant, after=self._after, types=("decision",)):
            self._take(row.leaf)
            self._after = row.seq

    def _take(self, leaf: bytes) -> None:
        try:
            event: Any = pydantic_core.from_json(leaf, cache_strings="keys")
            if event.get("phase", "decide") != "decide" or _unknown_tool(event):
                return
            key = str(event["agent"]), str(event["tool"])
            minute = str(event["at"])[:_MINUTE]
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # `agentguard ledger verify` says so
        counts = self._counts.setdefault(key, {})
        counts[minute] = counts.get(minute, 0) + 1

    def _prune(self, since: str) -> None:
        """Once a minute, so that what is kept is bounded by the calls of an hour."""
        if since == self._pruned:
            return
        self._pruned = since
        for key, counts in list(self._counts.items()):
            for minute in [minute for minute in counts if minute < since]:
                del counts[minute]
            if not counts:
                del self._counts[key]


def _unknown_tool(event: Any) -> bool:
    """Whether the call named a tool that nobody registered: its name can be anything."""
    return any(
        one.get("policy") == "agentguard" and one.get("rule_id") == "tool"
        for one in event["decision"].get("matched", ())
    )
