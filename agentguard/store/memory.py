"""The store in this process's memory: for trying things out and for tests. It dies with the process."""

from __future__ import annotations

import datetime as dt
import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from agentguard.errors import NotFound, RegisterChanged, StoreError, StoreUnavailable
from agentguard.forks import let_go_in_child
from agentguard.ledger.log import Frontier
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.store import codec, records, rules
from agentguard.store.clock import BEHIND_US, Clock, SystemClock, to_micros
from agentguard.store.counters import counter
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

__all__ = ["MemoryStore"]

_open: Final[weakref.WeakSet[MemoryStore]] = weakref.WeakSet()


@dataclass(slots=True)
class _Tenant:
    """Everything of one tenant. Approvals are kept as records, so that nobody holds a piece of them."""

    frontier: Frontier = field(default_factory=Frontier)
    events: list[StoredEvent] = field(default_factory=list)
    approvals: dict[str, codec.Row] = field(default_factory=dict)
    calls: dict[tuple[str, str], str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    version: int = 0
    payloads: dict[str, dict[str, Payload]] = field(default_factory=dict)
    counters: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    records: dict[RecordKey, tuple[object, ...]] = field(default_factory=dict)
    register: int = 0


class MemoryStore:
    """Implements `agentguard.store.protocol.Store` with dictionaries under one lock."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._tenants: dict[str, _Tenant] = {}
        self._closed = ""
        self._epoch = os.urandom(16).hex()
        _open.add(self)

    @property
    def url(self) -> str:
        return "memory:"

    @property
    def epoch(self) -> str:
        return self._epoch

    def renew_epoch(self, epoch: str) -> None:
        with self._lock:
            self._epoch = epoch
            for found in self._tenants.values():
                found.register += rules.RENEWED

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
        with self._lock:
            found = self._tenant(tenant)
            _check_register(found, register)
            self._add(found, leaves)
            for key, payload in (payloads or {}).items():
                found.payloads.setdefault(key, {}).setdefault(payload.subject, payload)

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
        approval = replace(approval, epoch=self._epoch, last_event=rules.last_event(approval, events))
        record = codec.dump(approval)
        with self._lock:
            found = self._tenant(approval.tenant)
            known = found.calls.get((approval.call_id, approval.digest))
            if known is not None:
                return codec.load(approval.tenant, found.approvals[known])
            _check_register(found, register)
            if quota is not None:
                rules.check_quota(approval, _waiting(found, record, to_micros(self.now())), quota)
            if approval.id in found.approvals:
                raise StoreError(f"an approval `{approval.id}` exists already for another call")
            self._add(found, leaves)
            found.calls[(approval.call_id, approval.digest)] = approval.id
            self._keep(found, record)
        return approval

    def approval(self, tenant: str, approval_id: str) -> Approval:
        with self._lock:
            return codec.load(tenant, self._record(tenant, approval_id))

    def approval_for_call(self, tenant: str, call_id: str, digest: str) -> Approval | None:
        with self._lock:
            found = self._tenant(tenant, create=False)
            known = found.calls.get((call_id, digest))
            return None if known is None else codec.load(tenant, found.approvals[known])

    def approvals(
        self,
        tenant: str,
        *,
        states: Sequence[State] = (),
        due_by: dt.datetime | None = None,
        limit: int = 100,
        prefix: str = "",
    ) -> list[Approval]:
        wanted = {state.value for state in states}
        by = None if due_by is None else to_micros(due_by)
        with self._lock:
            rows = [
                row
                for row in self._tenant(tenant, create=False).approvals.values()
                if (not wanted or row["state"] in wanted)
                and row["id"].startswith(prefix)
                and (by is None or (row["due"] is not None and row["due"] <= by))
            ]
            rows.sort(key=lambda row: row["opened_at"])
            return [codec.load(tenant, row) for row in rows[:limit]]

    def update_approval(self, tenant: str, approval_id: str, update: Update) -> Approval:
        with self._lock:
            record = self._record(tenant, approval_id)
            approval = codec.load(tenant, record)
            change = update(approval, self.now())
            if change is None:
                return approval
            rules.check_update(approval, change.approval, lambda: self._epoch)
            leaves = rules.leaves(tenant, change.events)
            changed = codec.dump(change.approval)
            found = self._tenant(tenant)
            self._add(found, leaves)
            self._keep(found, {**record, **{name: changed[name] for name in codec.MUTABLE}})
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
        with self._lock:
            _check_register(self._tenant(tenant, create=False), register)
            record = self._record(tenant, approval_id)
            approval = codec.load(tenant, record)
            micros = to_micros(now)
            if (
                record["state"] == State.APPROVED.value
                and record["digest"] == digest
                and record["expires_at"] > micros
                and record["decided_at"] is not None
                and record["decided_at"] <= micros + BEHIND_US
                and record["epoch"] == self._epoch
                and not record["erased"]
            ):
                chained = rules.chain(approval_id, events, record["last_event"])
                leaves = rules.leaves(tenant, chained)
                last = rules.last_of(approval_id, chained) or record["last_event"]
                found = self._tenant(tenant)
                self._add(found, leaves)
                claimed = {"state": State.CLAIMED.value, "claimed_at": micros, "last_event": last}
                self._keep(found, {**record, **claimed, "due": None})
                return codec.load(tenant, found.approvals[approval_id])
            refusal = rules.refusal(approval, digest, now, self._epoch, bool(record["erased"]))
        if refusal.state == State.EXPIRED.value:
            self.update_approval(tenant, approval_id, machine.expire)
        raise refusal

    def reserve(
        self, tenant: str, reservations: Sequence[Reservation], events: Sequence[Event] = ()
    ) -> str | None:
        checked = rules.check_reservations(reservations)
        leaves = rules.leaves(tenant, events)
        now = to_micros(self.now())
        with self._lock:
            found = self._tenant(tenant)
            taken: dict[str, list[tuple[int, int]]] = {}
            for wanted in checked:
                name = counter(wanted)
                since = -1 if wanted.window_s is None else now - wanted.window_s * 1_000_000
                rows = [row for row in taken.get(name, found.counters.get(name, [])) if row[0] > since]
                if wanted.amount > wanted.limit - sum(amount for _, amount in rows):
                    return wanted.key
                taken[name] = [*rows, (0 if wanted.window_s is None else now, wanted.amount)]
            found.counters.update(taken)
            self._add(found, leaves)
        return None

    def payload(self, tenant: str, key: str) -> Payload | None:
        with self._lock:
            found = self._tenant(tenant, create=False).payloads.get(key)
            return next(iter(found.values())) if found else None

    def payloads(
        self, tenant: str, keys: Collection[str], *, after: int = 0, upto: int | None = None
    ) -> dict[str, Payload]:
        with self._lock:
            kept = self._tenant(tenant, create=False).payloads
            return {key: next(iter(kept[key].values())) for key in keys if kept.get(key)}

    def erase(self, tenant: str, subject: str) -> int:
        nothing = b"{}"
        erased = 0
        with self._lock:
            found = self._tenant(tenant, create=False)
            for key in list(found.payloads):
                erased += found.payloads[key].pop(subject, None) is not None
                if not found.payloads[key]:
                    del found.payloads[key]
            for name, row in found.approvals.items():
                whose = row["agent"] if row["principal"] is None else row["principal"]
                if whose == subject and not row["erased"]:
                    gone = {"arguments": None, "shown": nothing, "request": nothing, "proposal": None}
                    found.approvals[name] = {**row, **gone, "erased": 1}
                    erased += 1
        return erased

    def record(self, tenant: str, kind: str, id: str) -> Record:
        with self._lock:
            row = self._tenant(tenant, create=False).records.get((kind, id))
        if row is None:
            raise NotFound(f"there is no {kind} `{id}`")
        return records.load(row)

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
        with self._lock:
            kept = self._tenant(tenant, create=False).records
            rows = [kept[key] for key in sorted(kept) if key[0] == kind and key[1] > after]
        found = [
            record
            for record in map(records.load, rows)
            if (not states or record.state in states)
            and record.id.startswith(prefix)
            and (due_by is None or (record.due is not None and record.due <= due_by))
        ]
        return found[:limit]

    def change_records(
        self, tenant: str, keys: Collection[RecordKey], update: RecordsUpdate
    ) -> tuple[Record, ...]:
        wanted = records.check_keys(keys)
        with self._lock:
            kept = self._tenant(tenant, create=False).records
            before = {key: records.load(kept[key]) for key in wanted if key in kept}
            change = update(before, self.now())
            if change is None:
                return ()
            written = records.written(tenant, wanted, before, change)
            rows = {record.key: records.dump(record) for record in written.records}
            found = self._tenant(tenant)
            self._add(found, written.leaves)
            found.records.update(rows)
            found.register += written.registers
        return written.records

    def register(self, tenant: str) -> tuple[int, list[Record]]:
        with self._lock:
            found = self._tenant(tenant, create=False)
            rows = [found.records[key] for key in sorted(found.records)]
            return found.register, [one for one in map(records.load, rows) if one.registered]

    def register_version(self, tenant: str) -> int:
        with self._lock:
            return self._tenant(tenant, create=False).register

    def changes_since(self, tenant: str, version: int) -> tuple[int, frozenset[str]]:
        with self._lock:
            found = self._tenant(tenant, create=False)
            if found.version <= version:
                return found.version, frozenset()
            return found.version, frozenset(name for name, at in found.versions.items() if at > version)

    def listen(self, wake: Callable[[], None]) -> bool:
        return False

    def unlisten(self, wake: Callable[[], None]) -> None:
        pass

    def events(
        self, tenant: str, *, after: int = 0, limit: int | None = None, types: Sequence[str] = ()
    ) -> Iterator[StoredEvent]:
        with self._lock:
            events = self._tenant(tenant, create=False).events[max(0, after) :]
        given = 0
        for event in events:
            if limit is not None and given >= limit:
                return
            if not types or event.type in types:
                given += 1
                yield event

    def rows(
        self, tenant: str, *, after: int = 0, limit: int = 1000, types: Sequence[str] = ()
    ) -> list[EventRow]:
        found = self.events(tenant, after=after, limit=limit, types=types)
        return [(event.seq, event.id, event.type, event.leaf, None, None) for event in found]

    def head(self, tenant: str) -> tuple[int, bytes]:
        with self._lock:
            frontier = self._tenant(tenant, create=False).frontier
            return frontier.size, frontier.root()

    def tenants(self) -> list[str]:
        with self._lock:
            self._check()
            return sorted(self._tenants)

    def strays(self) -> int:
        return 0

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._closed = "the memory store was closed"

    def forked(self) -> None:
        """In a child process: a copy that nobody else sees is no record."""
        self._lock = threading.Lock()
        self._closed = "a memory store cannot be used in a forked process; use an SQLite store"

    def _check(self) -> None:
        if self._closed:
            raise StoreUnavailable(self._closed)

    def _tenant(self, tenant: str, *, create: bool = True) -> _Tenant:
        self._check()
        found = self._tenants.get(tenant)
        if found is None:
            found = _Tenant()
            if create:
                rules.check_tenant(tenant)
                self._tenants[tenant] = found
        return found

    def _record(self, tenant: str, approval_id: str) -> codec.Row:
        record = self._tenant(tenant, create=False).approvals.get(approval_id)
        if record is None:
            raise NotFound(f"there is no approval `{approval_id}`")
        return record

    @staticmethod
    def _keep(found: _Tenant, record: codec.Row) -> None:
        found.version += 1
        found.versions[record["id"]] = found.version
        found.approvals[record["id"]] = record

    @staticmethod
    def _add(found: _Tenant, leaves: Sequence[rules.Leaf]) -> None:
        for id_, type_, at, leaf in leaves:
            found.frontier.add(leaf)
            found.events.append(
                StoredEvent(
                    found.frontier.size, id_, type_, rules.parse_instant(at), leaf, found.frontier.edge()
                )
            )


def _waiting(found: _Tenant, record: codec.Row, now: int) -> int:
    lane = ("requested", record["agent"], record["lane"])
    return sum(
        (row["state"], row["agent"], row["lane"]) == lane and row["expires_at"] > now
        for row in found.approvals.values()
    )


def _check_register(found: _Tenant, register: int | None) -> None:
    if register is not None and register != found.register:
        raise RegisterChanged(f"the register has version {found.register} now, not {register}; decide again")


def _after_fork() -> None:
    for store in list(_open):
        store.forked()


let_go_in_child(_after_fork)
