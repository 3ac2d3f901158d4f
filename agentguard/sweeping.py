"""What happens by itself while a guard runs: questions escalate and end, records expire, events are counted.

Nothing relies on it: who may answer, and whether an exception is in force, follow from the time of each call.
The sweep makes it visible, and tells the people whose turn it is.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agentguard.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from agentguard.governance.flag_sweeping import FlagNotice
    from agentguard.guard import Guard

__all__ = ["Sweeper", "sweep"]

_SHORTEST_S: Final = 0.05
log = logging.getLogger("agentguard")


def sweep(guard: Guard, tell: Callable[[FlagNotice], None]) -> int:
    """Sweep once, telling of flags too; returns how many records changed. See `Guard.sweep`."""
    from agentguard.governance import flag_sweeping
    from agentguard.governance.sweeping import sweep as sweep_records
    from agentguard.stepup.sweeping import sweep_approvals

    guard.in_force.refresh(again=True)
    changed = sweep_approvals(guard.store, guard.tenant, guard.notify)
    changed += sweep_records(guard.store, guard.tenant).ended
    found = flag_sweeping.sweep(guard.store, guard.tenant, tell=tell)
    return changed + found.opened + found.reopened + found.escalated + found.breached


class Sweeper:
    """Sweeps every `every_s` seconds, on a thread of its own that lives as long as its guard."""

    def __init__(self, guard: Guard, every_s: float) -> None:
        if not every_s >= _SHORTEST_S:
            raise ConfigurationError(f"`sweep_s` is {_SHORTEST_S} seconds at least, not {every_s!r}")
        self._guard = weakref.ref(guard)
        self._every_s = every_s
        self.start()

    def start(self) -> None:
        """Begin, also in a forked child, which has none of its parent's threads."""
        self._stopped = threading.Event()
        threading.Thread(
            target=self._work, args=(self._stopped,), name="agentguard-sweeper", daemon=True
        ).start()

    def stop(self) -> None:
        """Sweep no more."""
        self._stopped.set()

    def _work(self, stopped: threading.Event) -> None:
        failed = False
        while not stopped.wait(self._every_s):
            guard = self._guard()
            if guard is None or guard.closed:
                return
            try:
                guard.sweep()
                failed = False
            except Exception as error:
                if not failed and not stopped.is_set():  # once, and not every time while the store is away
                    told = str(error) if isinstance(error, StoreError) else type(error).__name__
                    log.error("what is due could not be swept: %s", told)
                failed = True
            del guard
