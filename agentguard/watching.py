"""Looking for other policies while the guard runs, on a thread of its own; a bad set changes nothing.

One decision sees one snapshot, whichever was in force when it began.
"""

from __future__ import annotations

import logging
import threading
import weakref
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Literal

from agentguard.errors import AgentGuardError, ConfigurationError
from agentguard.ids import uuid7
from agentguard.ledger import events

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.policy import Snapshot

__all__ = ["Look", "Watch"]

Look = Literal["unchanged", "changing", "loaded", "refused", "unreachable"]
"""What one look found: nothing new, files that are being written, a set that is now in force, a bad one, a
server that has none."""

_REASON: Final = 300
log = logging.getLogger("agentguard")


class Watch(ABC):
    """Looks every `every_s` seconds, and puts what changed in force."""

    def __init__(self, guard: Guard, every_s: float, *, shortest_s: float) -> None:
        if not every_s >= shortest_s:
            raise ConfigurationError(
                f"policies are looked at every {shortest_s:g} s or less often, not {every_s!r}"
            )
        self._guard = weakref.ref(guard)
        self._every_s = every_s
        self.start()

    def start(self) -> None:
        """Begin to look, also in a forked child, which has none of its parent's threads."""
        self._stopped = threading.Event()
        self._looking = threading.Lock()
        threading.Thread(target=self._work, name="agentguard-policies", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> Look:
        """Look once, now."""
        with self._looking:
            guard = self._guard()
            return "unchanged" if guard is None or guard.closed else self._look(guard)

    @abstractmethod
    def _look(self, guard: Guard) -> Look: ...

    def _put_in_force(self, guard: Guard, snapshot: Snapshot) -> None:
        """Swap, where it is another one."""
        old = guard.snapshot
        if (snapshot.digest, snapshot.signed) != (old.digest, old.signed):
            guard.swap(snapshot)
            log.info("policies changed: %d rules, snapshot %s", len(snapshot.rules), snapshot.digest[:19])

    def _refused(self, guard: Guard, error: Exception) -> None:
        """Say in the log and in the ledger that the old ones stay."""
        told = str(error) if isinstance(error, AgentGuardError) else type(error).__name__
        log.error("changed policies were refused, the old ones stay in force: %s", told)
        event = events.policy_refused(
            id=uuid7(),
            tenant=guard.tenant,
            at=guard.now(),
            snapshot=guard.snapshot.digest,
            reason=told.splitlines()[0][:_REASON] if told else type(error).__name__,
        )
        guard.store.append(guard.tenant, (event,))

    def _work(self) -> None:
        stopped = self._stopped
        while not stopped.wait(self._every_s):
            guard = self._guard()
            if guard is None or guard.closed:
                return
            del guard
            try:
                self.look()
            except Exception as error:
                # The store refuses, say: nothing comes in force unrecorded, and the next look tries again.
                log.error("changed policies could not be put in force: %s", type(error).__name__)
