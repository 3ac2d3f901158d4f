"""Events that need not wait for the disk: outcomes of calls whose decision is durable already.

They stay in memory until the store writes something else, which takes them along in its own transaction, and
for `SECONDS` at most: a thread that lives while there are any writes them then. The store's own reads write
them first, so that within one process nobody sees the difference.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from agentguard.errors import StoreError, StoreUnavailable
from agentguard.exits import at_exit
from agentguard.forks import let_go_in_child

if TYPE_CHECKING:
    from agentguard.store.rules import Leaf

__all__ = ["LIMIT", "SECONDS", "Soon"]

SECONDS: Final = 0.02
"""How long an event may wait in memory."""

LIMIT: Final = 1024
"""Events that may wait while the store cannot be written; further ones are refused."""

_LINGER: Final = 5.0
_LONGEST_PAUSE: Final = 1.0
log = logging.getLogger("agentguard")


class Flushable(Protocol):
    """The store, as far as it is known here."""

    def flush(self) -> None:
        """Write what waits."""
        ...


class Soon:
    """The waiting events of one store, oldest first.

    Anybody adds; only who holds the store's lock takes `first` and, once they are committed, drops them.
    """

    def __init__(self, store: Flushable) -> None:
        self._store = weakref.ref(store)
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self._waiting: deque[tuple[str, Leaf]] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._taken = 0
        self._wake = threading.Event()
        self._armed = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, tenant: str, leaves: Sequence[Leaf]) -> None:
        """Keep events until they are written.

        Raises:
            StoreUnavailable: too many are waiting already, because the store cannot be written.
        """
        if len(self._waiting) + len(leaves) > LIMIT:
            raise StoreUnavailable(f"{len(self._waiting)} outcomes wait already for a store that fails")
        self._waiting.extend([(tenant, leaf) for leaf in leaves])
        if not self._armed:
            self._arm()

    def first(self, limit: int) -> tuple[str, list[Leaf]]:
        """The oldest events that follow each other in one tenant, at most `limit`, and the tenant."""
        waiting = self._waiting
        count = min(len(waiting), limit)
        if not count:
            return "", []
        tenant, leaf = waiting[0]
        found = [leaf]
        for at in range(1, count):  # others append meanwhile, so not by iteration
            owner, leaf = waiting[at]
            if owner != tenant:
                break
            found.append(leaf)
        return tenant, found

    def drop(self, count: int) -> None:
        """Forget the oldest `count` events: they are written."""
        for _ in range(count):
            self._waiting.popleft()

    def take(self, tenant: str | None, limit: int) -> tuple[str, list[Leaf]]:
        """The same, if they are this tenant's or it does not matter, and drop them.

        Whoever takes writes them, and then says `written` or puts them back; until then `settled` waits.
        """
        with self._changed:
            owner, found = self.first(limit)
            if not found or (tenant is not None and owner != tenant):
                return "", []
            self.drop(len(found))
            self._taken += 1
            return owner, found

    def written(self, leaves: Sequence[Leaf]) -> None:
        """What was taken is in the store."""
        if leaves:
            self._done()

    def put_back(self, tenant: str, leaves: Sequence[Leaf]) -> None:
        """What was taken could not be written, or nobody knows."""
        if not leaves:
            return
        with self._lock:
            self._waiting.extendleft([(tenant, leaf) for leaf in reversed(leaves)])
        self._done()
        if not self._armed:
            self._arm()

    def settled(self, timeout_s: float) -> bool:
        """Wait for what others have taken; False where they take longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._taken, timeout_s)

    def _done(self) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Give up what could not be written: the store is closed."""
        if self._waiting:
            log.error("%d outcomes were not written: their store was closed", len(self._waiting))
        self._waiting.clear()
        self._wake.set()

    def _arm(self) -> None:
        store = self._store()
        if store is None:
            return
        with self._lock:
            if self._armed:
                return
            self._armed = True
            if self._thread is not None:
                self._wake.set()
                return
            thread = threading.Thread(target=self._work, args=(store,), name="agentguard-soon", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is ending, or has no more threads
                self._armed = False
            else:
                self._thread = thread
        at_exit(store.flush)
        if self._thread is None:
            store.flush()

    def _work(self, store: Flushable | None) -> None:
        pause = SECONDS
        while store is not None:
            time.sleep(pause)
            self._armed = False  # from here on who adds arms again
            try:
                store.flush()
                pause = SECONDS
            except Exception as error:
                self._armed = True
                if pause == SECONDS:
                    told = str(error) if isinstance(error, StoreError) else type(error).__name__
                    log.error("outcomes wait for a store that cannot be written: %s", told)
                pause = min(_LONGEST_PAUSE, 2 * pause)
                continue
            store = None  # whoever is done with the store lets it go, and us with it
            if not self._wake.wait(_LINGER):
                with self._lock:
                    if not self._armed:
                        self._thread = None
                        return
            self._wake.clear()
            store = self._store()


_all: Final[weakref.WeakSet[Soon]] = weakref.WeakSet()


def _after_fork() -> None:
    for soon in list(_all):
        soon._reset()  # what waits is the parent's to write


let_go_in_child(_after_fork)
