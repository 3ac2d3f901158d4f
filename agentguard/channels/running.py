"""Delivering while a guard or a server runs: a thread for each channel, so that none waits for another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from agentguard.channels.channel import OutboxChannel
from agentguard.channels.delivering import Delivering
from agentguard.errors import StoreError

if TYPE_CHECKING:
    from agentguard.store.protocol import Store

__all__ = ["Deliveries"]

_TICK_S: Final = 1.0
_CLOSING_S: Final = 2.0
log = logging.getLogger("agentguard")


class Deliveries:
    """Looks once a second, and at once when it is woken. What is on its way at the end is told again by the
    next process, when its lease is over.

    Raises:
        StoreError: the store could not begin a channel.
    """

    def __init__(self, store: Store, tenant: str, channels: Sequence[OutboxChannel]) -> None:
        self._store, self._tenant, self._channels = store, tenant, tuple(channels)
        for channel in self._channels:  # before the first call, so that nothing is left out
            Delivering(store, tenant, channel)
        self.start()

    def start(self) -> None:
        """Begin, also in a forked child, which has none of its parent's threads."""
        stopped = self._stopped = threading.Event()
        self._wakes = [threading.Event() for _ in self._channels]
        self._threads = [
            threading.Thread(
                target=self._work, args=(channel, wake, stopped), name="agentguard-outbox", daemon=True
            )
            for channel, wake in zip(self._channels, self._wakes, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look now; from any thread."""
        for wake in self._wakes:
            wake.set()

    def stop(self) -> None:
        """Tell nothing more; waits a little for what is on its way."""
        self._stopped.set()
        self.wake()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_CLOSING_S)

    def _work(self, channel: OutboxChannel, wake: threading.Event, stopped: threading.Event) -> None:
        delivering = Delivering(self._store, self._tenant, channel, stopped=stopped.is_set, begins=False)
        failed = False
        while not stopped.is_set():
            wake.clear()
            try:
                delivering.turn()
                failed = False
            except Exception as error:
                if not failed and not stopped.is_set():  # once, and not every second while the store is away
                    told = str(error) if isinstance(error, StoreError) else type(error).__name__
                    log.error("channel `%s` could not be told what is due: %s", channel.name, told)
                failed = True
            wake.wait(_TICK_S)
