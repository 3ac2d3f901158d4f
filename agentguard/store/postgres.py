"""The store in a PostgreSQL database: shared by the processes of many machines.

Locks are taken in one order, so that nobody waits in a circle: governance records of a tenant; the register
(shared by whoever records a decision, alone by whoever changes it); an approval or counters; the tenant's
row.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from agentguard.canonical import encode
from agentguard.errors import ClaimRefused, NotFound, RegisterChanged, StoreError, StoreUnavailable
from agentguard.ledger.log import EMPTY_ROOT
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.store import codec, postgres_counters, records, rules
from agentguard.store.clock import BEHIND_US, Clock, to_micros
from agentguard.store.postgres_connections import SERVER_TIME, Connections, connect
from agentguard.store.postgres_hints import Hints
from agentguard.store.postgres_ledger import PostgresLedger, Sequencer, insert
from agentguard.store.postgres_schema import Connection, migrate
from agentguard.store.postgres_url import lock_of, parse
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
from agentguard.store.soon import Soon

__all__ = ["PostgresStore"]

_COLUMNS: Final = ", ".join(codec.COLUMNS)
_INSERT_APPROVAL: Final = (
    f"INSERT INTO approval (tenant, version, {_COLUMNS})"
    f" VALUES (%(tenant)s, 0, {', '.join(f'%({name})s' for name in codec.COLUMNS)})"
    " ON CONFLICT (tenant, call_id, digest) DO NOTHING RETURNING no"
)
_UPDATE_APPROVAL: Final = (
    f"UPDATE approval SET {', '.join(f'{name} = %({name})s' for name in codec.MUTABLE)}"
    " WHERE tenant = %(tenant)s AND id = %(id)s"
)
_FIND: Final = f"SELECT {_COLUMNS} FROM approval WHERE tenant = %s AND "
_LANE: Final = """
    SELECT count(*) FROM approval
    WHERE tenant = %s AND agent = %s AND lane = %s AND state = 'requested' AND expires_at > %s"""
_CLAIM: Final = f"""
    UPDATE approval SET state = 'claimed', due = NULL, claimed_at = %(now)s, prev_event = last_event,
        last_event = %(last)s
    WHERE tenant = %(tenant)s AND id = %(id)s AND state = 'approved' AND digest = %(digest)s
        AND expires_at > %(now)s AND (%(given)s OR expires_at > {SERVER_TIME})
        AND decided_at <= %(now)s + %(behind)s AND erased = 0
        AND epoch = (SELECT value FROM meta WHERE key = 'epoch')
    RETURNING {_COLUMNS}, prev_event"""
_VERSION: Final = """
    WITH next AS (UPDATE tenant SET version = version + 1 WHERE no = %(tenant)s RETURNING version)
    UPDATE approval SET version = next.version FROM next WHERE tenant = %(tenant)s AND id = %(id)s"""
_PAYLOADS: Final = """
    INSERT INTO payload (tenant, key, subject, content)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bytea[])
    WHERE %s::bigint IS NULL OR (SELECT register FROM tenant WHERE no = %s) = %s
    ON CONFLICT DO NOTHING"""
_ERASE: Final = """
    UPDATE approval SET arguments = NULL, shown = %s, request = %s, proposal = NULL, erased = 1
    WHERE tenant = %s AND erased = 0 AND coalesce(principal, agent) = %s"""
_STRAYS: Final = "SELECT " + " + ".join(
    f"(SELECT count(*) FROM {table} WHERE tenant NOT IN (SELECT no FROM tenant))"
    for table in ("event", "approval", "record")
)
_RECORD: Final = ", ".join(records.COLUMNS)
_SAVE_RECORD: Final = (
    f"INSERT INTO record (tenant, {_RECORD}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (tenant, kind, id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ("state", "due", "registered", "revision", "body"))
)
_BATCH: Final = 256
_open: Final[weakref.WeakSet[PostgresStore]] = weakref.WeakSet()
_KNOWN: Final = 1024


class PostgresStore:
    """Implements `agentguard.store.protocol.Store` with psycopg."""

    def __init__(
        self, url: str, *, clock: Clock | None = None, create: bool = True, timeout_s: float = 5.0
    ) -> None:
        self._place = parse(url)
        self._clock = clock
        self._connections = Connections(self._place, timeout_s)
        self._numbers: dict[str, int] = {}
        self._soon = Soon(self)
        self._ledger = PostgresLedger(self._connections)
        self._sequencer = Sequencer(self._ledger, self._connections)
        self._hints = Hints(self._place, timeout_s)
        with contextlib.closing(connect(self._place, timeout_s)) as connection, self._connections.errors():
            lock = lock_of(self._place.schema, "schema")
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
            return _epoch(db)

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
            if self._connections.closed:
                raise StoreUnavailable(f"`{self.url}` was closed")
            self._soon.add(tenant, leaves)
            return
        _, waiting = self._soon.take(tenant, _BATCH) if self._soon else ("", [])
        try:
            changed = self._append(tenant, waiting, leaves, payloads or {}, register)
        except BaseException:
            self._soon.put_back(tenant, waiting)  # in case they were written they are not written again
            raise
        self._soon.written(waiting)
        if changed:
            raise RegisterChanged(f"the register has another version now than {register}; decide again")

    def _append(
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
        number = self._number(tenant)
        appended = None
        with self._connections.pipelined() as db:
            if not leaves and not payloads:
                db.execute("SET LOCAL synchronous_commit = off")
            if waiting:
                insert(db, number, waiting, again=True)
            if register is not None:
                db.execute("SELECT pg_advisory_xact_lock_shared(%s)", (self._lock("register", number),))
            if payloads:
                # In one order, so that two who write the same ones do not wait for each other.
                listed = sorted(payloads.items())
                columns = (
                    [key for key, _ in listed],
                    [payload.subject for _, payload in listed],
                    [payload.content for _, payload in listed],
                )
                db.execute(_PAYLOADS, (number, *columns, register, number, register))
            if leaves:
                appended = insert(db, number, leaves, register)
        changed = appended is not None and appended.rowcount == 0
        if waiting or (leaves and not changed):
            self._sequencer.touch(number)
        return changed

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
        number = self._number(approval.tenant)
        with self._connections.transaction() as db:
            same = ("call_id = %s AND digest = %s", approval.call_id, approval.digest)
            found = self._row(db, number, *same)
            if found is not None:
                return codec.load(approval.tenant, found)
            self._check_register(db, number, register)
            if quota is not None:
                self._check_quota(db, number, approval, quota)
            approval = replace(approval, epoch=_epoch(db), last_event=rules.last_event(approval, events))
            if self._row(db, number, "id = %s", approval.id) is not None:
                raise StoreError(f"an approval `{approval.id}` exists already for another call")
            made = db.execute(_INSERT_APPROVAL, {**codec.dump(approval), "tenant": number}).fetchone()
            if made is None:
                found = self._row(db, number, *same)  # another process was faster
                assert found is not None
                return codec.load(approval.tenant, found)
            self._tell(db, number, approval.id, leaves)
        self._sequencer.touch(number)
        return approval

    def approval(self, tenant: str, approval_id: str) -> Approval:
        return self._approval(tenant, "id = %s", approval_id)

    def approval_for_call(self, tenant: str, call_id: str, digest: str) -> Approval | None:
        number = self._known(tenant)
        if number is None:
            return None
        with self._connections.use() as db:
            row = self._row(db, number, "call_id = %s AND digest = %s", call_id, digest)
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
        number = self._known(tenant)
        if number is None:
            return []
        sql = f"{_FIND} starts_with(id, %s)"
        values: list[Any] = [number, prefix]
        if states:
            sql += " AND state = ANY(%s)"
            values.append([state.value for state in states])
        if due_by is not None:
            sql += " AND due <= %s"
            values.append(to_micros(due_by))
        with self._connections.use() as db:
            found = db.execute(f"{sql} ORDER BY opened_at, no LIMIT %s".encode(), (*values, limit)).fetchall()
        return [codec.load(tenant, _named(row)) for row in found]

    def update_approval(self, tenant: str, approval_id: str, update: Update) -> Approval:
        number = self._known(tenant)
        with self._connections.transaction() as db:
            row = None if number is None else self._row(db, number, "id = %s FOR UPDATE", approval_id)
            if number is None or row is None:
                raise NotFound(f"there is no approval `{approval_id}`")
            approval = codec.load(tenant, row)
            change = update(approval, self._now(db))
            if change is None:
                return approval
            rules.check_update(approval, change.approval, lambda: _epoch(db))
            leaves = rules.leaves(tenant, change.events)
            record = codec.dump(change.approval)
            values = {name: record[name] for name in codec.MUTABLE}
            db.execute(_UPDATE_APPROVAL, {**values, "tenant": number, "id": approval_id})
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
        number = self._known(tenant)
        claimed: Approval | None = None
        refusal: ClaimRefused | None = None
        with self._connections.transaction() as db:
            if number is None:
                raise NotFound(f"there is no approval `{approval_id}`")
            self._check_register(db, number, register)
            now = self._now(db)
            claim = {
                "tenant": number,
                "id": approval_id,
                "digest": digest,
                "now": to_micros(now),
                "given": self._clock is not None,  # else a wait for the row counts as well
                "behind": BEHIND_US,
                "last": rules.last_of(approval_id, events),
            }
            row = db.execute(_CLAIM, claim).fetchone()
            if row is not None:
                chained = rules.chain(approval_id, events, _text(row[-1]))
                self._tell(db, number, approval_id, rules.leaves(tenant, chained))
                claimed = codec.load(tenant, _named(row[:-1]))
            else:
                found = self._row(db, number, "id = %s", approval_id)
                if found is None:
                    raise NotFound(f"there is no approval `{approval_id}`")
                approval = codec.load(tenant, found)
                now = self._now(db)  # the row may have been waited for
                refusal = rules.refusal(approval, digest, now, _epoch(db), bool(found["erased"]))
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
        number = self._number(tenant)
        try:
            with self._connections.transaction() as db:
                keys = {postgres_counters.counter(reservation) for reservation in checked}
                for lock in sorted(self._lock("counter", number, key) for key in keys):
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
        number = self._known(tenant)
        if number is None or not keys:
            return {}
        with self._connections.use() as db:
            rows: list[Any] = db.execute(
                "SELECT key, subject, content FROM payload WHERE tenant = %s AND key = ANY(%s)",
                (number, list(keys)),
            ).fetchall()
        return {key: Payload(subject, bytes(content)) for key, subject, content in rows}

    def erase(self, tenant: str, subject: str) -> int:
        number = self._known(tenant)
        if number is None:
            return 0
        with self._connections.transaction() as db:
            gone = db.execute("DELETE FROM payload WHERE tenant = %s AND subject = %s", (number, subject))
            erased = gone.rowcount
            erased += db.execute(_ERASE, (encode({}), encode({}), number, subject)).rowcount
        with contextlib.suppress(StoreError), self._connections.use() as db:
            db.execute("VACUUM payload, approval")  # what was deleted stands in the files until then
        return erased

    def record(self, tenant: str, kind: str, id: str) -> Record:
        number = self._known(tenant)
        with self._connections.use() as db:
            found = {} if number is None else _find_records(db, number, [(kind, id)])
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
        number = self._known(tenant)
        if number is None:
            return []
        sql = f"SELECT {_RECORD} FROM record WHERE tenant = %s AND kind = %s AND id > %s"
        sql += " AND starts_with(id, %s)"
        values: list[Any] = [number, kind, after, prefix]
        if states:
            sql += " AND state = ANY(%s)"
            values.append(list(states))
        if due_by is not None:
            sql += " AND due <= %s"
            values.append(to_micros(due_by))
        with self._connections.use() as db:
            rows = db.execute(f"{sql} ORDER BY id LIMIT %s".encode(), (*values, limit)).fetchall()
        return [records.load(row) for row in rows]

    def change_records(
        self, tenant: str, keys: Collection[RecordKey], update: RecordsUpdate
    ) -> tuple[Record, ...]:
        wanted = records.check_keys(keys)
        number = self._number(tenant)
        with self._connections.transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock("records", number),))
            before = _find_records(db, number, wanted)
            change = update(before, self._now(db))
            if change is None:
                return ()
            written = records.written(tenant, wanted, before, change)
            rows = [(number, *records.dump(record)) for record in written.records]
            if written.registers:
                db.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock("register", number),))
            for row in rows:
                db.execute(_SAVE_RECORD, row)
            if written.leaves:
                insert(db, number, written.leaves)
            if written.registers:
                db.execute("UPDATE tenant SET register = register + 1 WHERE no = %s", (number,))
        self._sequencer.touch(number)
        return written.records

    def register(self, tenant: str) -> tuple[int, list[Record]]:
        number = self._known(tenant)
        if number is None:
            return 0, []
        sql = f"SELECT {_RECORD} FROM record WHERE tenant = %s AND registered = 1 ORDER BY kind, id"
        with self._connections.transaction() as db:
            # One state of the database for both.
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            version = _whole(db.execute("SELECT register FROM tenant WHERE no = %s", (number,)).fetchone())
            return version, [records.load(row) for row in db.execute(sql.encode(), (number,)).fetchall()]

    def register_version(self, tenant: str) -> int:
        with self._connections.use() as db:
            return _whole(db.execute("SELECT register FROM tenant WHERE name = %s", (tenant,)).fetchone())

    def changes_since(self, tenant: str, version: int) -> tuple[int, frozenset[str]]:
        with self._connections.use() as db:
            found: Any = db.execute("SELECT no, version FROM tenant WHERE name = %s", (tenant,)).fetchone()
            if found is None:
                return 0, frozenset()
            if found[1] <= version:
                return found[1], frozenset()
            ids = db.execute(
                "SELECT id FROM approval WHERE tenant = %s AND version > %s", (found[0], version)
            ).fetchall()
        return found[1], frozenset(str(row[0]) for row in ids)

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
        with self._connections.use() as db:
            return sorted(str(row[0]) for row in db.execute("SELECT name FROM tenant").fetchall())

    def strays(self) -> int:
        with self._connections.use() as db:
            return _whole(db.execute(_STRAYS.encode()).fetchone())

    def flush(self) -> None:
        self._write_waiting()
        if not self._soon.settled(self._connections.timeout_s):
            raise StoreUnavailable(f"`{self.url}` is busy: another thread is still writing outcomes")
        self._write_waiting()  # what the other thread could not write

    def close(self) -> None:
        self._flush_quietly()
        self._soon.stop()
        self._sequencer.stop()
        self._hints.stop()
        self._connections.close()

    def forked(self) -> None:
        """In a child process: none of the parent's threads is here."""
        self._sequencer.reset()
        self._hints.reset()

    # -- inside

    def _write_waiting(self) -> None:
        while True:
            tenant, waiting = self._soon.take(None, _BATCH)
            if not waiting:
                return
            try:
                self._append(tenant, waiting)
            except BaseException:
                self._soon.put_back(tenant, waiting)
                raise
            self._soon.written(waiting)

    def _flush_quietly(self) -> None:
        with contextlib.suppress(StoreError):
            self.flush()

    def _settled(self, tenant: str) -> int | None:
        """The number of a tenant all of whose events have theirs."""
        self._flush_quietly()
        number = self._known(tenant)
        if number is not None:
            self._ledger.settle(number)
        return number

    def _known(self, tenant: str) -> int | None:
        known = self._numbers.get(tenant)
        if known is not None and not self._connections.closed:
            return known
        with self._connections.use() as db:
            found: Any = db.execute("SELECT no FROM tenant WHERE name = %s", (tenant,)).fetchone()
        return None if found is None else self._remember(tenant, found[0])

    def _number(self, tenant: str) -> int:
        """The tenant's number; a new tenant is made."""
        known = self._known(tenant)
        if known is not None:
            return known
        rules.check_tenant(tenant)
        with self._connections.transaction() as db:
            db.execute("INSERT INTO tenant (name) VALUES (%s) ON CONFLICT DO NOTHING", (tenant,))
            number = _whole(db.execute("SELECT no FROM tenant WHERE name = %s", (tenant,)).fetchone())
            db.execute("INSERT INTO head VALUES (%s, 0, '', %s) ON CONFLICT DO NOTHING", (number, EMPTY_ROOT))
        return self._remember(tenant, number)

    def _remember(self, tenant: str, number: int) -> int:
        if len(self._numbers) >= _KNOWN:
            self._numbers.clear()
        self._numbers[tenant] = number
        return number

    def _lock(self, *name: object) -> int:
        return lock_of(self._place.schema, *name)

    def _now(self, db: Connection) -> dt.datetime:
        """The time, confirmed inside a transaction."""
        if self._clock is not None:
            return self._clock().astimezone(dt.UTC)
        return self._connections.ask_time(db)

    def _check_register(self, db: Connection, number: int, register: int | None) -> None:
        if register is None:
            return
        db.execute("SELECT pg_advisory_xact_lock_shared(%s)", (self._lock("register", number),))
        found = _whole(db.execute("SELECT register FROM tenant WHERE no = %s", (number,)).fetchone())
        if found != register:
            raise RegisterChanged(f"the register has version {found} now, not {register}; decide again")

    def _check_quota(self, db: Connection, number: int, approval: Approval, quota: int) -> None:
        lane = codec.rules_of(approval)
        db.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock("lane", number, approval.agent, lane),))
        count = db.execute(_LANE, (number, approval.agent, lane, to_micros(self._now(db))))
        rules.check_quota(approval, _whole(count.fetchone()), quota)

    def _tell(self, db: Connection, number: int, approval_id: str, leaves: Sequence[rules.Leaf]) -> None:
        """The end of a change of an approval: its events, its version, and a hint to who waits."""
        with db.pipeline():  # they travel together, since others wait for the tenant's row
            if leaves:
                insert(db, number, leaves)
            db.execute(_VERSION, {"tenant": number, "id": approval_id})
            self._hints.send(db)

    def _approval(self, tenant: str, where: str, *values: object) -> Approval:
        number = self._known(tenant)
        if number is not None:
            with self._connections.use() as db:
                row = self._row(db, number, where, *values)
            if row is not None:
                return codec.load(tenant, row)
        raise NotFound(f"there is no approval `{values[0]}`")

    @staticmethod
    def _row(db: Connection, number: int, where: str, *values: object) -> codec.Row | None:
        found = db.execute((_FIND + where).encode(), (number, *values)).fetchone()
        return None if found is None else _named(found)


def _named(row: Sequence[object]) -> codec.Row:
    return dict(zip(codec.COLUMNS, row, strict=True))


def _find_records(db: Connection, number: int, keys: Sequence[RecordKey]) -> dict[RecordKey, Record]:
    sql = f"""SELECT {_RECORD} FROM record WHERE tenant = %s
        AND (kind, id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"""
    rows = db.execute(sql.encode(), (number, [key[0] for key in keys], [key[1] for key in keys])).fetchall()
    return {record.key: record for record in map(records.load, rows)}


def _epoch(db: Connection) -> str:
    found = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    return "" if found is None else str(found[0])


def _whole(row: Sequence[object] | None) -> int:
    return 0 if row is None else int(str(row[0]))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _after_fork() -> None:
    for store in list(_open):
        store.forked()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_after_fork)


class _Refused(Exception):
    """A reservation that would pass its limit; ends the transaction."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
