"""Waiting for people: one listener per process for every approval that somebody waits for.

The listener is one thread that lives while anybody waits. Each tick it asks the store once per tenant what
changed and hands out what was decided. A vote cast in this process wakes it at once (`wake`), one from
another process where the store hints at changes (`Store.listen`); otherwise it is seen at the next tick. At
an approval's expiry the listener records it in the store: no answer in time is a durable denial.

Waiting tasks and threads hold a small entry each and never touch the store themselves, so an event loop is
not blocked and several loops and threads may wait through one `ApprovalWaiter`.
"""

from __future__ import annotations

import datetime as dt
import heapq
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentguard.errors import AgentGuardError, NotFound, StoreError
from agentguard.forks import let_go_in_child
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.store.protocol import Store

if TYPE_CHECKING:
    import asyncio

__all__ = ["ApprovalWaiter", "wake"]

TICK_S: Final = 0.1
HINTED_TICK_S: Final = 1.0

_waiters: Final[weakref.WeakSet[ApprovalWaiter]] = weakref.WeakSet()

Result = Approval | BaseException

_NEWEST: Final = 2**62
"""A version that no store reaches: nothing changed after it, and the answer says which one is the newest."""


def wake() -> None:
    """Let every listener of this process look at its store now."""
    for waiter in list(_waiters):
        waiter.wake()


@dataclass(eq=False, slots=True)
class _Entry:
    """One task or thread that waits; `deliver` is called once, by the listener."""

    tenant: str
    approval_id: str
    deadline: dt.datetime | None
    deliver: Callable[[Result], None]
    gone: bool = False


class ApprovalWaiter:
    """Waits for approvals of one store.

    `tick` is in seconds: by default 0.1, and 1 where the store hints at changes.
    """

    def __init__(self, store: Store, *, tick: float | None = None) -> None:
        self._store = store
        self._wanted = tick
        self._tick = TICK_S if tick is None else tick
        self._reset()
        _waiters.add(self)

    def _reset(self) -> None:
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._poked = False
        self._arrived: list[_Entry] = []
        self._watched: dict[str, dict[str, list[_Entry]]] = {}
        self._versions: dict[str, int] = {}
        self._deadlines: list[tuple[dt.datetime, int, _Entry]] = []
        self._sequence = 0

    async def wait(
        self, approval_id: str, deadline: dt.datetime | None = None, *, tenant: str = "default"
    ) -> Approval:
        """The approval once it is no longer `requested`, at the latest at its expiry, which is recorded.

        `deadline` is in the store's time. Where it comes before the expiry, the approval comes back at the
        deadline as it is, and the caller decides whether to withdraw it or to leave it to another process.
        Cancellation stops the waiting and changes nothing.

        Raises:
            StoreError: the store failed while we waited; the call must not run.
        """
        from asyncio import get_running_loop  # here: synchronous programs need no event loop

        loop = get_running_loop()
        future: asyncio.Future[Approval] = loop.create_future()

        def deliver(result: Result) -> None:
            try:
                loop.call_soon_threadsafe(_resolve, future, result)
            except RuntimeError:  # the loop was closed: nobody waits there any more
                pass

        entry = self._enter(tenant, approval_id, deadline, deliver)
        try:
            return await future
        finally:
            self._leave(entry)

    def wait_blocking(
        self, approval_id: str, deadline: dt.datetime | None = None, *, tenant: str = "default"
    ) -> Approval:
        """The same for a thread. On a running event loop it would keep that loop from its own approver."""
        ready = threading.Event()
        results: list[Result] = []

        def deliver(result: Result) -> None:
            results.append(result)
            ready.set()

        entry = self._enter(tenant, approval_id, deadline, deliver)
        try:
            ready.wait()
        finally:
            self._leave(entry)
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    def wake(self) -> None:
        """Look at the store now instead of at the next tick."""
        with self._condition:
            self._poked = True
            self._condition.notify()

    @property
    def waiting(self) -> int:
        """How many tasks and threads wait."""
        with self._condition:
            watched = sum(len(entries) for ids in self._watched.values() for entries in ids.values())
            return sum(not entry.gone for entry in self._arrived) + watched

    def _enter(
        self, tenant: str, approval_id: str, deadline: dt.datetime | None, deliver: Callable[[Result], None]
    ) -> _Entry:
        entry = _Entry(tenant, approval_id, deadline, deliver)
        with self._condition:
            self._arrived.append(entry)
            self._condition.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="agentguard-approvals", daemon=True)
                self._thread.start()
        return entry

    def _leave(self, entry: _Entry) -> None:
        with self._condition:
            entry.gone = True
            self._remove(entry.tenant, entry.approval_id, lambda other: other is entry)
            if not self._watched:
                self._condition.notify()  # the listener may end

    def _remove(self, tenant: str, approval_id: str, which: Callable[[_Entry], bool]) -> list[_Entry]:
        """Take entries out of the register, which holds no empty places; for whoever has the lock."""
        ids = self._watched.get(tenant, {})
        entries = ids.get(approval_id, [])
        removed = [entry for entry in entries if which(entry)]
        if removed:
            ids[approval_id] = [entry for entry in entries if not which(entry)]
            if not ids[approval_id]:
                del ids[approval_id]
            if not ids:
                del self._watched[tenant]
        return removed

    def _listen(self) -> None:
        def wake() -> None:  # one of its own: the next listener's is another
            self.wake()

        if self._store.listen(wake) and self._wanted is None:
            self._tick = HINTED_TICK_S
        try:
            self._work()
        finally:
            self._store.unlisten(wake)

    def _work(self) -> None:
        due = time.monotonic() + self._tick
        while True:
            with self._condition:
                if not self._arrived and not self._poked:
                    self._condition.wait(max(0, due - time.monotonic()) if self._watched else 0)
                moment = time.monotonic()
                poll = self._poked or moment >= due
                if poll:
                    due = moment + self._tick
                self._poked = False
                arrived, self._arrived = [e for e in self._arrived if not e.gone], []
                if not arrived and not self._watched:
                    self._thread = None
                    self._versions.clear()
                    self._deadlines.clear()
                    return
                for entry in arrived:
                    ids = self._watched.setdefault(entry.tenant, {})
                    ids.setdefault(entry.approval_id, []).append(entry)
                tenants = list(self._watched)
            try:
                self._look(tenants, arrived, poll)
                if self._deadlines:
                    left = (self._deadlines[0][0] - self._store.now()).total_seconds()
                    due = min(due, time.monotonic() + max(0.0, left))
            except Exception as error:
                self._fail(error)

    def _look(self, tenants: Iterable[str], arrived: list[_Entry], poll: bool) -> None:
        # INVARIANT: a tenant's version is read before its newcomers' approvals: no change falls between.
        changed: dict[tuple[str, str], None] = {}
        for tenant in tenants:
            if not poll and tenant in self._versions:
                continue
            self._versions[tenant], ids = self._store.changes_since(
                tenant, self._versions.get(tenant, _NEWEST)
            )
            changed.update(dict.fromkeys((tenant, found) for found in ids))
        for entry in arrived:
            changed[(entry.tenant, entry.approval_id)] = None
        newcomers = {id(entry) for entry in arrived}
        for tenant, approval_id in changed:
            if approval_id in self._watched.get(tenant, ()):
                self._settle(tenant, approval_id, newcomers)
        self._expire()

    def _settle(self, tenant: str, approval_id: str, newcomers: set[int]) -> None:
        try:
            approval = self._store.approval(tenant, approval_id)
        except NotFound as error:
            self._deliver(tenant, approval_id, error)
            return
        if approval.state is not State.REQUESTED:
            self._deliver(tenant, approval_id, approval)
            return
        with self._condition:
            entries = list(self._watched.get(tenant, {}).get(approval_id, ()))
        for entry in entries:
            if id(entry) in newcomers:
                at = (
                    approval.expires_at
                    if entry.deadline is None
                    else min(entry.deadline, approval.expires_at)
                )
                self._sequence += 1
                heapq.heappush(self._deadlines, (at, self._sequence, entry))

    def _expire(self) -> None:
        if not self._deadlines:
            return
        now = self._store.now()
        while self._deadlines and self._deadlines[0][0] <= now:
            entry = heapq.heappop(self._deadlines)[2]
            if entry.gone:
                continue
            approval = self._store.update_approval(entry.tenant, entry.approval_id, machine.expire)
            only = entry if approval.state is State.REQUESTED else None
            self._deliver(entry.tenant, entry.approval_id, approval, only=only)
        waiting = sum(len(ids) for ids in list(self._watched.values()))
        if len(self._deadlines) > 2 * waiting + 1000:  # most of them are gone
            self._deadlines = [item for item in self._deadlines if not item[2].gone]
            heapq.heapify(self._deadlines)

    def _deliver(self, tenant: str, approval_id: str, result: Result, only: _Entry | None = None) -> None:
        with self._condition:
            ready = self._remove(tenant, approval_id, lambda entry: only is None or entry is only)
            for entry in ready:
                entry.gone = True
        for entry in ready:
            entry.deliver(result)

    def _fail(self, error: Exception) -> None:
        failure = error if isinstance(error, AgentGuardError) else StoreError(f"waiting failed: {error}")
        with self._condition:
            waiting = [(tenant, found) for tenant, ids in self._watched.items() for found in ids]
        for tenant, approval_id in waiting:
            self._deliver(tenant, approval_id, failure)


def _after_fork() -> None:
    for waiter in list(_waiters):  # the parent's listener and its waiters are not here
        waiter._reset()


let_go_in_child(_after_fork)


def _resolve(future: asyncio.Future[Approval], result: Result) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
