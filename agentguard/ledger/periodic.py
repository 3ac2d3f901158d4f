"""Checkpoints made while a guard runs: on a thread of its own, never on the path of a call."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from agentguard.errors import AgentGuardError
from agentguard.ledger.checkpoint_options import CheckpointOptions, signer_of
from agentguard.ledger.checkpointing import Checkpointer
from agentguard.ledger.checkpoints import Checkpoint

if TYPE_CHECKING:
    from agentguard.guard import Guard

__all__ = ["PeriodicCheckpoints"]

_LOOK_S: Final = 1.0
_PAUSE_S: Final = 0.002
_CLOSING_S: Final = 5.0
_REMIND_S: Final = 60.0
_now = time.monotonic
log = logging.getLogger("agentguard")


class PeriodicCheckpoints:
    """Makes a checkpoint after `every_events` events, or after `every_s` seconds in which any came.

    A failure is logged, once a minute while it lasts, and stands in `problem`. With `required` it denies
    every call until a checkpoint succeeds again; the first one is then made before the guard starts.

    Raises:
        ConfigurationError, CheckpointRefused, StoreError: with `required`, the first one fails; always, that
            the key cannot be used.
    """

    def __init__(self, guard: Guard, options: CheckpointOptions) -> None:
        self._guard = weakref.ref(guard)
        self._options = options
        self._signer = signer_of(options.key, options.name, guard.tenant)
        self.problem = ""
        self._begin(guard)
        if options.required:
            self._checkpointer.make()
        self._thread.start()

    def _begin(self, guard: Guard) -> None:
        options = self._options
        self._stopped = threading.Event()
        self._next = _now()
        self._told = ("", 0.0)
        self._thread = threading.Thread(target=self._work, name="agentguard-checkpoints", daemon=True)
        self._checkpointer = Checkpointer(
            guard.store,
            guard.tenant,
            self._signer,
            file=options.file,
            command=options.command,
            pause=self._rest,
        )

    @property
    def last(self) -> Checkpoint | None:
        """The newest checkpoint that this process knows to be kept."""
        return self._checkpointer.last

    def start(self) -> None:
        """Begin anew in a forked child, which has none of its parent's threads."""
        guard = self._guard()
        if guard is not None:
            self._begin(guard)
            self._thread.start()

    def stop(self) -> None:
        """Make the last one, of everything that was written, within a bounded time; then no more."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._thread.join(_CLOSING_S)
        if self._thread.is_alive():
            log.error("the last checkpoint was not finished within %g s", _CLOSING_S)

    def _rest(self) -> None:
        """Between two batches of a long reading: calls go first, except at the beginning and the end."""
        if threading.current_thread() is self._thread and not self._stopped.is_set():
            time.sleep(_PAUSE_S)

    def look(self) -> None:
        """Make a checkpoint if one is due; what goes wrong is told and kept, never raised."""
        guard = self._guard()
        if guard is None:
            return
        try:
            if self._due(guard):
                self._checkpointer.make()
                self._next = _now() + self._options.every_s
        except Exception as error:
            self._failed(guard, error)
        else:
            if self.problem:
                log.warning("checkpoints are made again")
            self.problem = ""
            if self._options.required:
                guard.halted = ""

    def _due(self, guard: Guard) -> bool:
        last = self._checkpointer.last
        if last is None or self.problem or _now() >= self._next:
            return True
        size, _ = guard.store.head(guard.tenant)
        return size < last.size or size - last.size >= self._options.every_events

    def _failed(self, guard: Guard, error: Exception) -> None:
        told = str(error) if isinstance(error, AgentGuardError) else f"{type(error).__name__}: {error}"
        self.problem = told
        if self._options.required:
            guard.halted = "no checkpoint of the ledger can be made, and one is required"
        known, at = self._told
        if told != known or _now() - at >= _REMIND_S:
            log.error("no checkpoint of the ledger could be made: %s", told)
            self._told = told, _now()

    def _work(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            guard = self._guard()
            if guard is None:
                return
            if not guard.closed:  # one that closes stops us when everything is written
                del guard
                self.look()
        self._next = 0.0
        self.look()
