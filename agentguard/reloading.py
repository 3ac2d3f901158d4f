"""Policies that change while the guard runs: looked for, compiled aside, swapped; a bad set changes nothing.

One decision sees one snapshot, whichever was in force when it began.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from agentguard.errors import AgentGuardError, ConfigurationError
from agentguard.ids import uuid7
from agentguard.ledger import events

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.policy import Snapshot

__all__ = ["PolicyWatch"]

Look = Literal["unchanged", "changing", "loaded", "refused"]
"""What one look found: nothing new, files that are being written, a set that is now in force, a bad one."""

_SHORTEST_S: Final = 0.05
_REASON: Final = 300
log = logging.getLogger("agentguard")


class PolicyWatch:
    """Looks at policy files every `every_s` seconds, on a thread of its own, and swaps what changed.

    A set is loaded once two looks in a row saw the same files, so that one that is being written is not taken
    for finished (write beside and rename, to be sure). One that does not load leaves the old one in force:
    that is logged and recorded, and tried again when the files change again.
    """

    def __init__(
        self,
        guard: Guard,
        paths: Iterable[str | os.PathLike[str]],
        load: Callable[[], Snapshot],
        every_s: float,
    ) -> None:
        if not every_s >= _SHORTEST_S:
            raise ConfigurationError(f"policies are looked at every {_SHORTEST_S} s at most, not {every_s!r}")
        self._guard = weakref.ref(guard)
        self._paths = tuple(Path(path) for path in paths)
        self._load = load
        self._every_s = every_s
        self._known: tuple[object, ...] | None = None  # so that nothing is missed since the first loading
        self._seen: tuple[object, ...] | None = None
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
            return self._look()

    def _look(self) -> Look:
        found = self._fingerprint()
        if found == self._known:
            self._seen = found
            return "unchanged"
        if found != self._seen:
            self._seen = found
            return "changing"
        guard = self._guard()
        if guard is None or guard.closed:
            return "unchanged"
        try:
            snapshot = self._load()
            guard.check_version(snapshot)
        except Exception as error:
            if self._fingerprint() != found:
                return "changing"
            self._refused(guard, error)
            self._known = found
            return "refused"
        if self._fingerprint() != found:
            return "changing"
        old = guard.snapshot
        if (snapshot.digest, snapshot.signed) != (old.digest, old.signed):
            guard.swap(snapshot)
            log.info("policies changed: %d rules, snapshot %s", len(snapshot.rules), snapshot.digest[:19])
        self._known = found
        return "loaded"

    def _refused(self, guard: Guard, error: Exception) -> None:
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

    def _fingerprint(self) -> tuple[object, ...]:
        """What the file system says of every policy file; a file that comes or goes changes it."""
        found: list[object] = []
        for path in self._paths:
            files = sorted(path.rglob("*.y*ml")) if path.is_dir() else [path]
            for file in (path, *files):
                try:
                    status = file.stat()
                except OSError as error:
                    found.append((str(file), type(error).__name__))
                else:
                    folder = file.is_dir()
                    found.append(
                        (
                            str(file),
                            status.st_ino,
                            status.st_mode,
                            status.st_uid,
                            *(() if folder else (status.st_size, status.st_mtime_ns, status.st_ctime_ns)),
                        )
                    )
        return tuple(found)
