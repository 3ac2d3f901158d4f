"""The store in a PostgreSQL database: shared by the processes of many machines.

Locks are taken in one order, so that nobody waits in a circle: governance records of a tenant; the register
(shared by whoever records a decision, alone by whoever changes it); an approval or counters; the tenant's
row.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agentguard.errors import ClaimRefused, NotFound, StoreError
from agentguard.forks import let_go_in_child
from agentguard.ledger.log import EMPTY_ROOT
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.store import (
    codec,
    postgres_approvals,
    postgres_counters,
    postgres_payloads,
    postgres_records,
    records,
    rules,
)
from agentguard.store.clock import Clock, to_micros
from agentguard.store.postgres_connections import Connections, connect
from agentguard.store.postgres_hints import Hints
from agentguard.store.postgres_ledger import PostgresLedger, Sequencer, insert
from agentguard.store.postgres_schema import Connection, epoch, migrate
from agentguard.store.postgres_tenants import Tenants
from agentguard.store.postgres_url import parse
from agentguard.store.postgres_writer import Writer
from agentguard.store.protocol import (
    Event,
    EventRow,
    Payload,
    Record,
    RecordKey,
    RecordsUpdate,
    Reservation,
    StoredEvent,
    Update,
)

__all__ = ["PostgresStore"]

_open: Final[weakref.WeakSet[PostgresStore]] = weakref.WeakSet()


class PostgresStore:
    """Implements `agentguard.store.protocol.Store` with psycopg."""

    def __init__(
        self, url: str, *, clock: Clock | None = None, create: bool = True, timeout_s: float = 5.0
    ) -> None:
        self._place = parse(url)
        self._clock = clock
        self._connections = Connections(self._place, timeout_s)
        self._tenants = Tenants(self._connections)
        self._ledger = PostgresLedger(self._connections)
        self._sequencer = Sequencer(self._ledger, self._connections)
        self._writer = Writer(self._connections, self._tenants, self._sequencer)
        self._hints = Hints(self._place, timeout_s)
        with contextlib.closing(connect(self._place, timeout_s)) as connection, self._connections.errors():
            lock = self._place.lock("schema")
            migrate(connection, self._place.shown, self._place.schema, lock, create=create)
        if clock is None:
            with self._connections.use():
                pass  # learns the server's time
        _open.add(self)

    @property
    def url(self) -> str:
        return self._place.shown

    @property
    def epoch(self) -> str:
        with self._connections.use() as db:
            return epoch(db)

    def renew_epoch(self, epoch: str) -> None:
        with self._connections.transaction() as db:
            db.execute("UPDATE meta SET value = %s WHERE key = 'epoch'", (epoch,))
            db.execute("UPDATE tenant SET register = register + %s", (rules.RENEWED,))

    def now(self) -> dt.datetime:
        return self._connections.now() if self._clock is None else self._clock().astimezone(dt.UTC)

    def append(
        self,
        tenant: str,
        events: Sequence[Event],
        *,
        payloads: Mapping[str, Payload] | None = None,
        durable: bool = True,
        register: int | None = None,
    ) -> None:
        leaves = rules.leaves(tenant, events)
        rules.check_tenant(tenant)
        if not durable and not payloads:
            self._writer.later(tenant, leaves)
        else:
            self._writer.append(tenant, leaves, payloads or {}, register)

    def open_approval(
        self,
        approval: Approval,
        events: Sequence[Event],
        *,
        register: int | None = None,
        quota: int | None = None,
    ) -> Approval:
        rules.check_opening(approval, self.now())
        leaves = rules.leaves(approval.tenant, events)
        number = self._tenants.number(approval.tenant)
        with self._connections.transaction() as db:
            same = ("call_id = %s AND digest = %s", approval.call_id, approval.digest)
            found = postgres_approvals.find(db, number, *same)
            if found is not None:
                return codec.load(approval.tenant, found)
            self._check_register(db, number, register)
            if quota is not None:
                self._check_quota(db, number, approval, quota)
            approval = replace(approval, epoch=epoch(db), last_event=rules.last_event(approval, events))
            if postgres_approvals.find(db, number, "id = %s", approval.id) is not None:
                raise StoreError(f"an approval `{approval.id}` exists already for another call")
            if not postgres_approvals.insert(db, number, approval):
                found = postgres_approvals.find(db, number, *same)  # another process was faster
                assert found is not None
                return codec.load(approval.tenant, found)
            self._tell(db, number, approval.id, leaves)
        self._sequencer.touch(number)
        return approval

    def approval(self, tenant: str, approval_id: str) -> Approval:
        number = self._tenants.known(tenant)
        if number is not None:
            with self._connections.use() as db:
                row = postgres_approvals.find(db, number, "id = %s", approval_id)
            if row is not None:
                return codec.load(tenant, row)
        raise NotFound(f"there is no approval `{approval_id}`")

    def approval_for_call(self, tenant: str, call_id: str, digest: str) -> Approval | None:
        number = self._tenants.known(tenant)
        if number is None:
            return None
        with self._connections.use() as db:
            row = postgres_approvals.find(db, number, "call_id = %s AND digest = %s", call_id, digest)
        return None if row is None else codec.load(tenant, row)

    def approvals(
        self,
        tenant: str,
        *,
        states: Sequence[State] = (),
        due_by: dt.datetime | None = None,
        limit: int = 100,
        prefix: str = "",
    ) -> list[Approval]:
        number = self._tenants.known(tenant)
        if number is None:
            return []
        with self._connections.use() as db:
            found = postgres_approvals.query(
                db, number, states=states, due_by=due_by, prefix=prefix, limit=limit
            )
        return [codec.load(tenant, row) for row in found]

    def update_approval(self, tenant: str, approval_id: str, update: Update) -> Approval:
        number = self._tenants.known(tenant)
        with self._connections.transaction() as db:
            row = None
            if number is not None:
                row = postgres_approvals.find(db, number, "id = %s FOR UPDATE", approval_id)
            if number is None or row is None:
                raise NotFound(f"there is no approval `{approval_id}`")
            approval = codec.load(tenant, row)
            change = update(approval, self._now(db))
            if change is None:
                return approval
            rules.check_update(approval, change.approval, lambda: epoch(db))
            leaves = rules.leaves(tenant, change.events)
            postgres_approvals.save(db, number, change.approval)
            self._tell(db, number, approval_id, leaves)
        self._sequencer.touch(number)
        return change.approval

    def claim(
        self,
        tenant: str,
        approval_id: str,
        digest: str,
        events: Sequence[Event],
        *,
        register: int | None = None,
    ) -> Approval:
        rules.leaves(tenant, events)
        number = self._tenants.known(tenant)
        claimed: Approval | None = None
        refusal: ClaimRefused | None = None
        with self._connections.transaction() as db:
            if number is None:
                raise NotFound(f"there is no approval `{approval_id}`")
            self._check_register(db, number, register)
            now = self._now(db)
            taken = postgres_approvals.claim(
                db,
                number,
                approval_id,
                digest,
                now,
                given=self._clock is not None,
                last=rules.last_of(approval_id, events),
            )
            if taken is not None:
                row, before = taken
                chained = rules.chain(approval_id, events, before)
                self._tell(db, number, approval_id, rules.leaves(tenant, chained))
                claimed = codec.load(tenant, row)
            else:
                found = postgres_approvals.find(db, number, "id = %s", approval_id)
                if found is None:
                    raise NotFound(f"there is no approval `{approval_id}`")
                approval = codec.load(tenant, found)
                now = self._now(db)  # the row may have been waited for
                refusal = rules.refusal(approval, digest, now, epoch(db), bool(found["erased"]))
        if claimed is not None:
            self._sequencer.touch(number)
            return claimed
        assert refusal is not None
        if refusal.state == "expired":
            self.update_approval(tenant, approval_id, machine.expire)
        raise refusal

    def reserve(
        self, tenant: str, reservations: Sequence[Reservation], events: Sequence[Event] = ()
    ) -> str | None:
        checked = rules.check_reservations(reservations)
        leaves = rules.leaves(tenant, events)
        number = self._tenants.number(tenant)
        try:
            with self._connections.transaction() as db:
                keys = {postgres_counters.counter(reservation) for reservation in checked}
                for lock in sorted(self._place.lock("counter", number, key) for key in keys):
                    db.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
                now = to_micros(self._now(db))
                for reservation in checked:
                    if not postgres_counters.reserve(db, number, reservation, now):
                        raise _Refused(reservation.key)
                if leaves:
                    insert(db, number, leaves)
        except _Refused as refused:
            return refused.key
        if leaves:
            self._sequencer.touch(number)
        return None

    def payload(self, tenant: str, key: str) -> Payload | None:
        return self.payloads(tenant, [key]).get(key)

    def payloads(
        self, tenant: str, keys: Collection[str], *, after: int = 0, upto: int | None = None
    ) -> dict[str, Payload]:
        number = self._tenants.known(tenant)
        if number is None or not keys:
            return {}
        with self._connections.use() as db:
            return postgres_payloads.find(db, number, keys)

    def erase(self, tenant: str, subject: str) -> int:
        number = self._tenants.known(tenant)
        if number is None:
            return 0
        with self._connections.transaction() as db:
            erased = postgres_payloads.erase(db, number, subject)
            erased += postgres_approvals.erase(db, number, subject)
        with contextlib.suppress(StoreError), self._connections.use() as db:
            db.execute("VACUUM payload, approval")  # what was deleted stands in the files until then
        return erased

    def record(self, tenant: str, kind: str, id: str) -> Record:
        number = self._tenants.known(tenant)
        with self._connections.use() as db:
            found = {} if number is None else postgres_records.find(db, number, [(kind, id)])
        if not found:
            raise NotFound(f"there is no {kind} `{id}`")
        return found[kind, id]

    def records(
        self,
        tenant: str,
        kind: str,
        *,
        states: Sequence[str] = (),
        due_by: dt.datetime | None = None,
        prefix: str = "",
        after: str = "",
        limit: int | None = None,
    ) -> list[Record]:
        number = self._tenants.known(tenant)
        if number is None:
            return []
        with self._connections.use() as db:
            rows = postgres_records.query(
                db, number, kind, states=states, due_by=due_by, prefix=prefix, after=after, limit=limit
            )
        return [records.load(row) for row in rows]

    def change_records(
        self, tenant: str, keys: Collection[RecordKey], update: RecordsUpdate
    ) -> tuple[Record, ...]:
        wanted = records.check_keys(keys)
        number = self._tenants.number(tenant)
        with self._connections.transaction() as db:
            self._lock(db, "records", number)
            before = postgres_records.find(db, number, wanted)
            change = update(before, self._now(db))
            if change is None:
                return ()
            written = records.written(tenant, wanted, before, change)
            rows = [(number, *records.dump(record)) for record in written.records]
            if written.registers:
                self._lock(db, "register", number)
            postgres_records.save(db, rows)
            if written.leaves:
                insert(db, number, written.leaves)
            if written.registers:
                postgres_records.next_register(db, number)
        self._sequencer.touch(number)
        return written.records

    def register(self, tenant: str) -> tuple[int, list[Record]]:
        number = self._tenants.known(tenant)
        if number is None:
            return 0, []
        with self._connections.transaction() as db:
            # One state of the database for both.
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            version = postgres_records.register_version(db, number)
            return version, postgres_records.find_registered(db, number)

    def register_version(self, tenant: str) -> int:
        with self._connections.use() as db:
            return postgres_records.register_version(db, tenant)

    def changes_since(self, tenant: str, version: int) -> tuple[int, frozenset[str]]:
        with self._connections.use() as db:
            return postgres_approvals.changed_since(db, tenant, version)

    def listen(self, wake: Callable[[], None]) -> bool:
        self._hints.listen(wake)
        return True

    def unlisten(self, wake: Callable[[], None]) -> None:
        self._hints.unlisten(wake)

    def events(
        self, tenant: str, *, after: int = 0, limit: int | None = None, types: Sequence[str] = ()
    ) -> Iterator[StoredEvent]:
        number = self._settled(tenant)
        return iter(()) if number is None else self._ledger.events(number, after, limit, types)

    def rows(
        self, tenant: str, *, after: int = 0, limit: int = 1000, types: Sequence[str] = ()
    ) -> list[EventRow]:
        number = self._settled(tenant)
        return [] if number is None else self._ledger.rows(number, after, limit, types)

    def head(self, tenant: str) -> tuple[int, bytes]:
        number = self._settled(tenant)
        return (0, EMPTY_ROOT) if number is None else self._ledger.head(number)

    def tenants(self) -> list[str]:
        self._flush_quietly()
        return self._tenants.names()

    def strays(self) -> int:
        return self._tenants.strays()

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._flush_quietly()
        self._writer.stop()
        self._sequencer.stop()
        self._hints.stop()
        self._connections.close()

    def forked(self) -> None:
        """In a child process: none of the parent's threads is here."""
        self._sequencer.reset()
        self._hints.reset()

    # -- inside

    def _flush_quietly(self) -> None:
        with contextlib.suppress(StoreError):
            self.flush()

    def _settled(self, tenant: str) -> int | None:
        """The number of a tenant all of whose events have theirs."""
        self._flush_quietly()
        number = self._tenants.known(tenant)
        if number is not None:
            self._ledger.settle(number)
        return number

    def _now(self, db: Connection) -> dt.datetime:
        """The time, confirmed inside a transaction."""
        if self._clock is not None:
            return self._clock().astimezone(dt.UTC)
        return self._connections.ask_time(db)

    def _check_register(self, db: Connection, number: int, register: int | None) -> None:
        if register is None:
            return
        lock = self._place.lock("register", number)
        db.execute("SELECT pg_advisory_xact_lock_shared(%s)", (lock,))
        postgres_records.check_register(db, number, register)

    def _check_quota(self, db: Connection, number: int, approval: Approval, quota: int) -> None:
        lane = codec.rules_of(approval)
        self._lock(db, "lane", number, approval.agent, lane)
        waiting = postgres_approvals.pending(db, number, approval.agent, lane, self._now(db))
        rules.check_quota(approval, waiting, quota)

    def _lock(self, db: Connection, *name: object) -> None:
        """Until the end of the transaction."""
        db.execute("SELECT pg_advisory_xact_lock(%s)", (self._place.lock(*name),))

    def _tell(self, db: Connection, number: int, approval_id: str, leaves: Sequence[rules.Leaf]) -> None:
        """The end of a change of an approval: its events, its version, and a hint to who waits."""
        with db.pipeline():  # they travel together, since others wait for the tenant's row
            if leaves:
                insert(db, number, leaves)
            postgres_approvals.next_version(db, number, approval_id)
            self._hints.send(db)


def _after_fork() -> None:
    for store in list(_open):
        store.forked()


let_go_in_child(_after_fork)


class _Refused(Exception):
    """A reservation that would pass its limit; ends the transaction."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
