"""The batched recorder: for calls declared read-only, without obligations, whose loss is tolerable.

Events wait in memory for at most `window_ms` milliseconds or `LIMIT` events. A `segment` event, durable
before the first of them, says that a window is open, and another one at the end that nothing was lost: a
segment that was never closed marks where up to one window of records may be missing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agentguard.errors import StoreError
from agentguard.exits import at_exit
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.operations import Batch
from agentguard.store.protocol import Event, Payload

if TYPE_CHECKING:
    import datetime as dt

    from agentguard.store.protocol import Store

__all__ = ["LIMIT", "Recorder"]

LIMIT: Final = 1024
log = logging.getLogger("agentguard")


class Recorder:
    """Collects events and writes them together from a thread of its own."""

    def __init__(
        self, store: Store, tenant: str, now: Callable[[], dt.datetime], *, window_ms: int = 200
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._now = now
        self._window_ms = window_ms
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._writer = uuid7()
        self._pending: list[Callable[[], Batch]] = []
        self._count = 0
        self._open = False
        self._closed = False
        self._failure: Exception | None = None
        self._condition = threading.Condition()
        self._writing = threading.Lock()

    def add(self, make: Callable[[], Batch]) -> None:
        """Take a record, to be written out later by `make`; blocks when the buffer is full.

        Raises:
            StoreError: the last write failed, or the recorder is closed; the call must not run.
        """
        if os.getpid() != self._pid:
            self._reset()  # a forked child must not write its parent's records again
        if self._failure is not None:
            self.flush()
        if not self._open:
            self._begin()
        with self._condition:
            if self._closed:
                raise StoreError("the guard is closed")
            pending = self._pending
            pending.append(make)
            if len(pending) == 1:
                self._condition.notify()
        if len(pending) >= LIMIT:
            self.flush()

    def _begin(self) -> None:
        with self._writing:
            if self._open:
                return
            self._store.append(self._tenant, (self._segment("open"),))
            threading.Thread(target=self._listen, name="agentguard-recorder", daemon=True).start()
            self._open = True
            at_exit(self.close)

    def _listen(self) -> None:
        window = self._window_ms / 1000
        while not self._closed:
            with self._condition:
                while not self._pending and not self._closed:
                    self._condition.wait()
                self._condition.wait_for(lambda: self._closed, timeout=window)
            try:
                self.flush()
            except Exception as error:
                told = str(error) if isinstance(error, StoreError) else type(error).__name__
                log.error("batched records could not be written: %s", told)
                threading.Event().wait(window)

    def flush(self) -> None:
        """Write everything now.

        Raises:
            StoreError: nothing was written; the events are kept for the next try.
        """
        if os.getpid() != self._pid:
            return  # what is pending is its parent's to write
        with self._writing:
            with self._condition:
                taken, self._pending = self._pending, []
            if not taken:
                self._failure = None
                return
            events_: list[Event] = []
            payloads: dict[str, Payload] = {}
            try:
                for make in taken:
                    written, kept = make()
                    events_.extend(written)
                    payloads.update(kept)
                self._store.append(self._tenant, events_, payloads=payloads)
            except Exception as error:
                with self._condition:
                    self._pending = taken + self._pending
                self._failure = error
                raise
            self._count += len(events_)
            self._failure = None

    def close(self) -> None:
        """Write the rest and close the segment."""
        if self._closed or os.getpid() != self._pid:
            return
        with self._condition:
            self._closed = True  # from here on nothing is taken, so nothing is lost behind the last write
            self._condition.notify_all()
        if self._open:
            self.flush()
            self._store.append(self._tenant, (self._segment("closed"),))

    def _segment(self, state: str) -> Event:
        return events.segment(
            id=uuid7(),
            tenant=self._tenant,
            at=self._now(),
            writer=self._writer,
            state="open" if state == "open" else "closed",
            window_ms=self._window_ms,
            count=self._count,
        )
