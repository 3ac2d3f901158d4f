"""Appending to a PostgreSQL store: what is decided at once and durably, outcomes soon or along with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agentguard.errors import RegisterChanged, StoreUnavailable
from agentguard.store import postgres_payloads, rules
from agentguard.store.postgres_connections import Connections
from agentguard.store.postgres_ledger import Sequencer, insert
from agentguard.store.postgres_tenants import Tenants
from agentguard.store.protocol import Payload
from agentguard.store.soon import Soon

__all__ = ["Writer"]

_BATCH: Final = 256


class Writer:
    """Appends the events of one store, each in one transaction and one round trip to the server."""

    def __init__(self, connections: Connections, tenants: Tenants, sequencer: Sequencer) -> None:
        self._connections = connections
        self._tenants = tenants
        self._sequencer = sequencer
        self._soon = Soon(self)

    def append(
        self,
        tenant: str,
        leaves: Sequence[rules.Leaf],
        payloads: Mapping[str, Payload],
        register: int | None,
    ) -> None:
        """Write events and payloads durably, with outcomes of the same tenant that wait.

        Raises:
            RegisterChanged: the register has another version than `register`.
        """
        _, waiting = self._soon.take(tenant, _BATCH) if self._soon else ("", [])
        try:
            changed = self._write(tenant, waiting, leaves, payloads, register)
        except BaseException:
            self._soon.put_back(tenant, waiting)  # in case they were written they are not written again
            raise
        self._soon.written(waiting)
        if changed:
            raise RegisterChanged(f"the register has another version now than {register}; decide again")

    def later(self, tenant: str, leaves: Sequence[rules.Leaf]) -> None:
        """Keep events that need not wait for the disk; they are written soon."""
        if self._connections.closed:
            raise StoreUnavailable(f"`{self._connections.place.shown}` was closed")
        self._soon.add(tenant, leaves)

    def flush(self) -> None:
        """Write what waits.

        Raises:
            StoreUnavailable: it cannot be written, or another thread is still at it.
        """
        self._write_waiting()
        if not self._soon.settled(self._connections.timeout_s):
            shown = self._connections.place.shown
            raise StoreUnavailable(f"`{shown}` is busy: another thread is still writing outcomes")
        self._write_waiting()  # what the other thread could not write

    def stop(self) -> None:
        """Give up what could not be written: the store is closed."""
        self._soon.stop()

    def _write_waiting(self) -> None:
        while True:
            tenant, waiting = self._soon.take(None, _BATCH)
            if not waiting:
                return
            try:
                self._write(tenant, waiting)
            except BaseException:
                self._soon.put_back(tenant, waiting)
                raise
            self._soon.written(waiting)

    def _write(
        self,
        tenant: str,
        waiting: Sequence[rules.Leaf],
        leaves: Sequence[rules.Leaf] = (),
        payloads: Mapping[str, Payload] | None = None,
        register: int | None = None,
    ) -> bool:
        """One transaction in one round trip to the server; without leaves it does not wait for the disk.

        True where the register has another version: only what was waiting is written then.
        """
        number = self._tenants.number(tenant)
        appended = None
        with self._connections.pipelined() as db:
            if not leaves and not payloads:
                db.execute("SET LOCAL synchronous_commit = off")
            if waiting:
                insert(db, number, waiting, again=True)
            if register is not None:
                lock = self._connections.place.lock("register", number)
                db.execute("SELECT pg_advisory_xact_lock_shared(%s)", (lock,))
            if payloads:
                postgres_payloads.insert(db, number, payloads, register)
            if leaves:
                appended = insert(db, number, leaves, register)
        changed = appended is not None and appended.rowcount == 0
        if waiting or (leaves and not changed):
            self._sequencer.touch(number)
        return changed
