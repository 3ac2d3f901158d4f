"""NOTIFY as a hint that an approval was changed, so that who waits looks at once.

A hint may be lost, and a connection may be cut: nothing relies on it, since every waiter looks by itself from
time to time.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import sql

from agentguard.errors import StoreError
from agentguard.store.postgres_connections import connect
from agentguard.store.postgres_schema import Connection
from agentguard.store.postgres_url import Place

__all__ = ["Hints"]

log = logging.getLogger("agentguard")

_SLICE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 10.0


class Hints:
    """Sends hints inside transactions, and listens on a thread and a connection of its own while asked to."""

    def __init__(self, place: Place, timeout_s: float) -> None:
        self._place = place
        self._timeout_s = timeout_s
        self._channel = f"agentguard_{place.lock('hints') & (2**64 - 1):016x}"  # however long it is
        self.reset()

    def reset(self) -> None:
        """Also in a forked child, which has none of its parent's threads."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._wakes: tuple[Callable[[], None], ...] = ()

    def send(self, db: Connection) -> None:
        """Hint at a change, inside the transaction that makes it: heard when it is committed."""
        db.execute("SELECT pg_notify(%s, '')", (self._channel,))

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each hint, and once when we begin to hear them."""
        with self._lock:
            first = not self._wakes
            self._wakes = (*self._wakes, wake)
            if first:
                self._stopped = stopped = threading.Event()
                threading.Thread(
                    target=self._work, args=(stopped,), name="agentguard-hints", daemon=True
                ).start()

    def unlisten(self, wake: Callable[[], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._wakes = tuple(other for other in self._wakes if other is not wake)
            if not self._wakes:
                self._stopped.set()

    def stop(self) -> None:
        """Listen no more."""
        with self._lock:
            self._wakes = ()
            self._stopped.set()

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()

    def _work(self, stopped: threading.Event) -> None:
        pause = 0.0
        while not stopped.wait(pause):
            try:
                with contextlib.closing(connect(self._place, self._timeout_s)) as connection:
                    channel = sql.Identifier(self._channel)
                    connection.execute(sql.SQL("LISTEN {}").format(channel))
                    self._wake()  # what was told before we listened
                    pause = 0.0
                    while not stopped.is_set():
                        for _ in connection.notifies(timeout=_SLICE_S, stop_after=1):
                            self._wake()
            except (psycopg.Error, StoreError, OSError) as error:
                log.warning("hints of changed approvals are not heard: %s", str(error).partition("\n")[0])
                pause = min(_LONGEST_PAUSE_S, 2 * pause or 0.1)
