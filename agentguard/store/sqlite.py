"""The store in one SQLite file: the default, and shared by every process of one machine.

Every method is one short transaction under SQLite's write lock (`BEGIN IMMEDIATE`), or a plain read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from agentguard.canonical import encode
from agentguard.errors import NotFound, StoreError, StoreUnavailable
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.store import codec, records, rules, sqlite_records
from agentguard.store.clock import BEHIND_US, Clock, SystemClock, to_micros
from agentguard.store.counters import reserve
from agentguard.store.database import Database, Write
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
from agentguard.store.sqlite_ledger import MAX_TAIL, SHIFT, SQLiteLedger
from agentguard.store.sqlite_payloads import erase_payloads, find_payload, find_payloads

__all__ = ["SQLiteStore"]

_INSERT_APPROVAL: Final = (
    f"INSERT INTO approval (tenant, version, {', '.join(codec.COLUMNS)})"
    f" VALUES (:tenant, :version, {', '.join(':' + name for name in codec.COLUMNS)})"
)
_UPDATE_APPROVAL: Final = (
    f"UPDATE approval SET version = :version, {', '.join(f'{name} = :{name}' for name in codec.MUTABLE)}"
    " WHERE tenant = :tenant AND id = :id"
)
_ERASE_APPROVALS: Final = (
    "UPDATE approval SET arguments = NULL, shown = ?, request = ?, proposal = NULL, erased = 1"
    " WHERE tenant = ? AND erased = 0 AND coalesce(principal, agent) = ?"
)
_STRAYS: Final = f"""
    SELECT (SELECT count(*) FROM event WHERE key >> {SHIFT} NOT IN (SELECT no FROM tenant))
         + (SELECT count(*) FROM approval WHERE tenant NOT IN (SELECT no FROM tenant))
         + (SELECT count(*) FROM record WHERE tenant NOT IN (SELECT no FROM tenant))"""
_LANE: Final = """
    SELECT count(*) FROM approval
    WHERE tenant = ? AND agent = ? AND lane = ? AND state = 'requested' AND expires_at > ?"""
_CLAIM: Final = """
    UPDATE approval SET state = 'claimed', due = NULL, claimed_at = :now, prev_event = last_event,
        last_event = :last, version = (SELECT version + 1 FROM tenant WHERE no = :tenant)
    WHERE tenant = :tenant AND id = :id AND state = 'approved' AND digest = :digest AND expires_at > :now
        AND decided_at <= :now + :behind AND erased = 0
        AND epoch = (SELECT value FROM meta WHERE key = 'epoch')
    RETURNING *"""


class SQLiteStore:
    """Implements `agentguard.store.protocol.Store` on the standard library's `sqlite3`."""

    def __init__(
        self, path: str, *, clock: Clock | None = None, create: bool = True, timeout_s: float = 5.0
    ) -> None:
        if not path or path.startswith(":memory:") or "\x00" in path:
            raise StoreUnavailable("an SQLite store needs a file; use `memory:` for one without")
        self._clock: Clock = clock or SystemClock()
        self._database = Database(path, create=create, timeout_s=timeout_s)
        self._soon = Soon(self)
        self._ledger = SQLiteLedger(self._database, self._soon)

    @property
    def url(self) -> str:
        return f"sqlite:///{self._database.path}"

    @property
    def epoch(self) -> str:
        with self._database.read as db:
            return _epoch(db)

    def renew_epoch(self, epoch: str) -> None:
        with self._database.write as db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch,))
            db.execute("UPDATE tenant SET register = register + ?", (rules.RENEWED,))

    def now(self) -> dt.datetime:
        return self._clock().astimezone(dt.UTC)

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
        if not durable and not payloads:
            if self._database.closed:
                raise StoreUnavailable(f"`{self._database.path}` was closed")
            rules.check_tenant(tenant)
            self._soon.add(tenant, leaves)
            return
        kept = list((payloads or {}).items())
        beside = kept.pop() if leaves and len(kept) == 1 else None
        if (
            len(leaves) == 1
            and not kept
            and self._ledger.append_one(tenant, leaves[0], beside, durable, register)
        ):
            return
        with self._writing(durable) as db:
            tree = self._ledger.add(db, tenant, leaves, beside)
            sqlite_records.check_register(db, tree.no, register)
            for key, payload in kept:
                db.execute(
                    "INSERT OR IGNORE INTO payload VALUES (?, ?, ?, ?)",
                    (tree.no, key, payload.subject, payload.content),
                )
            if tree.frontier.size - tree.promised >= MAX_TAIL - 1:
                self._ledger.promise(db, tree)

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
        with self._writing() as db:
            tree = self._ledger.tree(db, approval.tenant)
            found = self._row(
                db,
                "SELECT * FROM approval WHERE tenant = ? AND call_id = ? AND digest = ?",
                (tree.no, approval.call_id, approval.digest),
            )
            if found is not None:
                return codec.load(approval.tenant, found)
            sqlite_records.check_register(db, tree.no, register)
            if quota is not None:
                lane = (tree.no, approval.agent, codec.rules_of(approval), to_micros(self.now()))
                rules.check_quota(approval, db.execute(_LANE, lane).fetchone()[0], quota)
            epoch = _epoch(db)
            approval = replace(approval, epoch=epoch, last_event=rules.last_event(approval, events))
            record = codec.dump(approval)
            tree = self._ledger.add(db, approval.tenant, leaves)
            self._ledger.promise(db, tree)
            version = self._ledger.next_version(db, tree)
            if db.execute(
                "SELECT 1 FROM approval WHERE tenant = ? AND id = ?", (tree.no, approval.id)
            ).fetchone():
                raise StoreError(f"an approval `{approval.id}` exists already for another call")
            db.execute(_INSERT_APPROVAL, {**record, "tenant": tree.no, "version": version})
        return approval

    def approval(self, tenant: str, approval_id: str) -> Approval:
        with self._database.read as db:
            return self._approval(db, tenant, approval_id)

    def approval_for_call(self, tenant: str, call_id: str, digest: str) -> Approval | None:
        with self._database.read as db:
            row = self._row(
                db,
                "SELECT a.* FROM approval a JOIN tenant t ON t.no = a.tenant"
                " WHERE t.name = ? AND a.call_id = ? AND a.digest = ?",
                (tenant, call_id, digest),
            )
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
        sql = "SELECT a.* FROM approval a JOIN tenant t ON t.no = a.tenant WHERE t.name = ?"
        values: list[Any] = [tenant]
        if states:
            sql += f" AND a.state IN ({', '.join('?' * len(states))})"
            values += [state.value for state in states]
        if due_by is not None:
            sql += " AND a.due <= ?"
            values.append(to_micros(due_by))
        if prefix:
            sql += " AND substr(a.id, 1, ?) = ?"
            values += [len(prefix), prefix]
        with self._database.read as db:
            rows = self._rows(db, f"{sql} ORDER BY a.opened_at, a.no LIMIT ?", (*values, limit))
        return [codec.load(tenant, row) for row in rows]

    def update_approval(self, tenant: str, approval_id: str, update: Update) -> Approval:
        with self._writing() as db:
            approval = self._approval(db, tenant, approval_id)
            change = update(approval, self.now())
            if change is None:
                return approval
            rules.check_update(approval, change.approval, lambda: _epoch(db))
            tree = self._ledger.add(db, tenant, rules.leaves(tenant, change.events))
            self._ledger.promise(db, tree)
            version = self._ledger.next_version(db, tree)
            record = codec.dump(change.approval)
            values = {name: record[name] for name in codec.MUTABLE}
            db.execute(_UPDATE_APPROVAL, {**values, "tenant": tree.no, "id": approval_id, "version": version})
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
        now = self.now()
        rules.leaves(tenant, events)
        with self._writing() as db:
            tree = self._ledger.tree(db, tenant)
            sqlite_records.check_register(db, tree.no, register)
            claim = {
                "tenant": tree.no,
                "id": approval_id,
                "digest": digest,
                "now": to_micros(now),
                "behind": BEHIND_US,
                "last": rules.last_of(approval_id, events),
            }
            row = self._row(db, _CLAIM, claim)
            if row is None:
                approval = self._approval(db, tenant, approval_id)
                epoch = _epoch(db)
                erased = bool(
                    db.execute(
                        "SELECT erased FROM approval WHERE tenant = ? AND id = ?", (tree.no, approval_id)
                    ).fetchone()[0]
                )
                refusal = rules.refusal(approval, digest, now, epoch, erased)
            else:
                chained = rules.chain(approval_id, events, row["prev_event"])
                tree = self._ledger.add(db, tenant, rules.leaves(tenant, chained))
                self._ledger.promise(db, tree)
                self._ledger.next_version(db, tree)
                return codec.load(tenant, row)
        if refusal.state == "expired":
            self.update_approval(tenant, approval_id, machine.expire)
        raise refusal

    def reserve(
        self, tenant: str, reservations: Sequence[Reservation], events: Sequence[Event] = ()
    ) -> str | None:
        checked = rules.check_reservations(reservations)
        leaves = rules.leaves(tenant, events)
        now = to_micros(self.now())
        try:
            with self._writing() as db:
                tree = self._ledger.tree(db, tenant)
                for reservation in checked:
                    if not reserve(db, tree.no, reservation, now):
                        raise _Refused(reservation.key)
                if leaves:
                    self._ledger.promise(db, self._ledger.add(db, tenant, leaves))
        except _Refused as refused:
            return refused.key
        return None

    def payload(self, tenant: str, key: str) -> Payload | None:
        with self._database.read as db:
            number = self._ledger.number(db, tenant)
            return None if number is None else find_payload(db, number, key)

    def payloads(
        self, tenant: str, keys: Collection[str], *, after: int = 0, upto: int | None = None
    ) -> dict[str, Payload]:
        self._ledger.settle()
        with self._database.read as db:
            number = self._ledger.number(db, tenant)
            return {} if number is None else find_payloads(db, number, keys, after, upto)

    def erase(self, tenant: str, subject: str) -> int:
        with self._writing() as db:
            number = self._ledger.number(db, tenant)
            if number is None:
                return 0
            erased = erase_payloads(db, number, subject)
            erased += db.execute(_ERASE_APPROVALS, (encode({}), encode({}), number, subject)).rowcount
        with contextlib.suppress(StoreError), self._database.read as db:
            # The old pages are in the write-ahead log too, until it is emptied: now, or when no reader needs
            # them any more.
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return erased

    def record(self, tenant: str, kind: str, id: str) -> Record:
        with self._database.read as db:
            number = self._ledger.number(db, tenant)
            found = {} if number is None else sqlite_records.find(db, number, [(kind, id)])
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
        with self._database.read as db:
            number = self._ledger.number(db, tenant)
            if number is None:
                return []
            return sqlite_records.query(
                db, number, kind, states=states, due_by=due_by, prefix=prefix, after=after, limit=limit
            )

    def change_records(
        self, tenant: str, keys: Collection[RecordKey], update: RecordsUpdate
    ) -> tuple[Record, ...]:
        wanted = records.check_keys(keys)
        with self._writing() as db:
            number = self._ledger.number(db, tenant)
            before = {} if number is None else sqlite_records.find(db, number, wanted)
            change = update(before, self.now())
            if change is None:
                return ()
            written = records.written(tenant, wanted, before, change)
            tree = self._ledger.add(db, tenant, written.leaves)
            self._ledger.promise(db, tree)
            sqlite_records.save(db, tree.no, written.records)
            if written.registers:
                sqlite_records.next_register(db, tree.no)
        return written.records

    def register(self, tenant: str) -> tuple[int, list[Record]]:
        with self._database.read as db:
            db.execute("BEGIN")  # one state of the file for both
            try:
                number = self._ledger.number(db, tenant)
                found = [] if number is None else sqlite_records.find_registered(db, number)
                return sqlite_records.register_version(db, tenant), found
            finally:
                db.execute("COMMIT")

    def register_version(self, tenant: str) -> int:
        with self._database.read as db:
            return sqlite_records.register_version(db, tenant)

    def changes_since(self, tenant: str, version: int) -> tuple[int, frozenset[str]]:
        with self._database.read as db:
            found = db.execute("SELECT no, version FROM tenant WHERE name = ?", (tenant,)).fetchone()
            if found is None:
                return 0, frozenset()
            if found[1] <= version:
                return found[1], frozenset()
            ids = db.execute(
                "SELECT id FROM approval WHERE tenant = ? AND version > ?", (found[0], version)
            ).fetchall()
        return found[1], frozenset(row[0] for row in ids)

    def listen(self, wake: Callable[[], None]) -> bool:
        return False

    def unlisten(self, wake: Callable[[], None]) -> None:
        pass

    def events(
        self, tenant: str, *, after: int = 0, limit: int | None = None, types: Sequence[str] = ()
    ) -> Iterator[StoredEvent]:
        return self._ledger.events(tenant, after=after, limit=limit, types=types)

    def rows(
        self, tenant: str, *, after: int = 0, limit: int = 1000, types: Sequence[str] = ()
    ) -> list[EventRow]:
        return self._ledger.rows(tenant, after, limit, types)

    def head(self, tenant: str) -> tuple[int, bytes]:
        return self._ledger.head(tenant)

    def tenants(self) -> list[str]:
        self._ledger.settle()
        with self._database.read as db:
            return [row[0] for row in db.execute("SELECT name FROM tenant ORDER BY name").fetchall()]

    def strays(self) -> int:
        with self._database.read as db:
            return int(db.execute(_STRAYS).fetchone()[0])

    def flush(self) -> None:
        self._ledger.flush()

    def close(self) -> None:
        with contextlib.suppress(StoreError):  # a store that can no longer be written can still be closed
            self._ledger.flush()
            self._ledger.finish()
        self._soon.stop()
        self._database.close()

    def _writing(self, durable: bool = True) -> Write:
        return self._database.write if durable else self._database.write_fast

    def _approval(self, db: sqlite3.Connection, tenant: str, approval_id: str) -> Approval:
        row = self._row(
            db,
            "SELECT a.* FROM approval a JOIN tenant t ON t.no = a.tenant WHERE t.name = ? AND a.id = ?",
            (tenant, approval_id),
        )
        if row is None:
            raise NotFound(f"there is no approval `{approval_id}`")
        return codec.load(tenant, row)

    @staticmethod
    def _rows(db: sqlite3.Connection, sql: str, values: Any) -> list[codec.Row]:
        cursor = db.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _row(self, db: sqlite3.Connection, sql: str, values: Any) -> codec.Row | None:
        return next(iter(self._rows(db, sql, values)), None)


def _epoch(db: sqlite3.Connection) -> str:
    return str(db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])


class _Refused(Exception):
    """A reservation that would pass its limit; ends the transaction."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key
