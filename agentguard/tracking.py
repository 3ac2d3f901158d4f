"""Provenance in the path of a call: what a session saw goes to its tracker, and conditions get its answers.

It is asked only where the snapshot needs it, without waiting for anybody; what fails is an absent fact.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agentguard.call import ContextRequest
from agentguard.canonical import freeze
from agentguard.policy.functions import PROVENANCE
from agentguard.provenance.tracker import Tracker

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.policy import Snapshot
    from agentguard.session import Observation, Session

__all__ = ["Provenance", "Trail", "judged"]

_KEPT: Final = 1_000
_MINUTE: Final = 60.0

log = logging.getLogger("agentguard")


class Provenance:
    """Of one session. `missing` says that it does not hold all that was seen before it began."""

    def __init__(self, guard: Guard, observations: Iterable[Observation], *, missing: bool = False) -> None:
        self._guard = guard
        self.tracker = Tracker()
        self.tracker.seen.full = missing
        self.trail = Trail()
        for one in list(observations):
            self.take(one)

    def copy(self) -> Provenance:
        """The same knowledge for another session."""
        other = Provenance(self._guard, ())
        other.tracker, other.trail = self.tracker.copy(), self.trail.copy()
        return other

    def reject(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """A call that a person was asked about and rejected."""
        found = self._guard.tools.get(tool)
        self.trail.reject(tool, arguments)
        self.tracker.rejected(tool, found.facts if found is not None else {}, arguments)

    def take(self, observation: Observation) -> None:
        """One more thing that the agent was shown."""
        try:
            self._take(observation)
        except Exception as error:
            # INVARIANT: what could not be taken up counts as unknown, so that nothing is waived for it.
            self.tracker.seen.full = True
            log.warning(
                "what `%s` returned cannot be indexed: %s", observation.source[:80], type(error).__name__
            )

    def _take(self, observation: Observation) -> None:
        if observation.trust == "user":
            self.tracker.says(observation.content)
            self.trail.spoke()
            return
        tool = self._guard.tools.get(observation.source)
        facts: Mapping[str, Any] = tool.facts if tool is not None else {}
        if observation.trust == "system":
            trusted = True
        elif tool is not None and observation.arguments is not None:
            trusted = observation.trust != "untrusted" and facts.get("untrusted_output") is False
        else:
            trusted = observation.trust == "trusted" and facts.get("untrusted_output") is not None
        self.trail.add(observation.source, untrusted=not trusted, arguments=observation.arguments)
        self.tracker.returned(
            observation.source,
            observation.content,
            facts=facts,
            args=observation.arguments,
            call_id=observation.call_id,
            trusted=trusted,
        )


class Trail:
    """What came in, in order: of each call its tool, its arguments by digest, and when."""

    def __init__(self) -> None:
        self._items: deque[tuple[str, bool, str | None, float]] = deque(maxlen=_KEPT)
        self._rejected: deque[tuple[str, str]] = deque(maxlen=_KEPT)

    def copy(self) -> Trail:
        """The same past."""
        other = Trail()
        other._items, other._rejected = self._items.copy(), self._rejected.copy()
        return other

    def add(self, source: str, *, untrusted: bool, arguments: Mapping[str, Any] | None = None) -> None:
        """One more; without arguments it was no call."""
        digest = None if arguments is None else freeze(arguments).digest
        self._items.append((source, untrusted, digest, time.monotonic()))

    def spoke(self) -> None:
        """The user said something; what was rejected before may be what they want now."""
        self._rejected.clear()
        self.add("prompt", untrusted=False)

    def reject(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """A person rejected a call."""
        self._rejected.append((tool, freeze(arguments).digest))

    def facts(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """As conditions see it under `history`, and as its functions read it."""
        items = list(self._items)
        digest = freeze(arguments).digest
        mine = [item for item in items if item[0] == tool and item[2] is not None]
        now = time.monotonic()
        return {
            "repeats": sum(item[2] == digest for item in mine),
            "rejected": self._rejected.count((tool, digest)),
            "of_tool": len(mine),
            "last_minute": sum(now - item[3] < _MINUTE for item in mine),
            "tools": [item[0] for item in items if item[2] is not None],
            "trail": [item[0] for item in items],
            "untrusted": [item[1] for item in items],
        }


def judged(
    session: Session | None,
    snapshot: Snapshot,
    request: ContextRequest,
    before: Mapping[str, Any] | None = None,
) -> ContextRequest:
    """The request with what is known of its values, where a rule reads it.

    `before` is the stored request of an approval: a session that was restored for it saw nothing by itself.
    """
    if session is None:
        return request
    needs = snapshot.needs(request.tool) & PROVENANCE
    if not needs:
        return request
    known: dict[str, Any] = {}
    if before is not None and session.restored:
        known = {name: before.get("supplied", {}).get(name) for name in PROVENANCE}
    else:
        try:
            found = session.provenance()
            if needs - {"history"}:
                known = found.tracker.facts(request.tool, request.facts, request.args)
            if "history" in needs:
                known["history"] = found.trail.facts(request.tool, request.args)
        except Exception as error:
            # Absent facts: every rule that reads them fires, and no allow rule does.
            log.warning("provenance of a call of `%s` failed: %s", request.tool, type(error).__name__)
            return request
    supplied = dict(request.supplied)
    for name, value in known.items():
        if isinstance(value, Mapping):
            # What a constraint wrote stays the policy's.
            supplied[name] = freeze({**value, **supplied.get(name, {})}).view
    return replace(request, supplied=supplied)
