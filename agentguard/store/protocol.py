"""What the guard asks of a store.

Every method is synchronous and one short transaction: all of it happened, or a `StoreError` was raised and
nothing did. The asynchronous driver runs them on one thread. `tests/store` holds the conformance suite that
every implementation passes.

A store numbers events inline: each appended event gets the next `seq` of its tenant, without gaps, and the
bytes that were hashed (the leaf) are kept as they were.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentguard.stepup.model import Approval, State

__all__ = [
    "ApprovalChange",
    "Event",
    "EventRow",
    "Known",
    "Record",
    "RecordKey",
    "RecordsChange",
    "RecordsUpdate",
    "Reservation",
    "Store",
    "StoredEvent",
    "Update",
]

Event = Mapping[str, Any]
"""An event as `agentguard.ledger.events` builds it: plain JSON data with at least `v`, `id`, `type`, `at`."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One leaf of the ledger: its number from 1, the bytes that were hashed, and the tree's edge after it.

    `edge` is `agentguard.ledger.log.Frontier.edge`: a hash that binds the event to all before it.
    """

    seq: int
    id: str
    type: str
    at: dt.datetime
    leaf: bytes
    edge: bytes


EventRow = tuple[int, str, str, bytes, str | None, bytes | None]
"""An event's number, id, type and leaf, and the key and content of the payload beside it, if there is one."""


@dataclass(frozen=True, slots=True)
class ApprovalChange:
    """What an update wants: the approval as it will be, and the events that say so, in one transaction."""

    approval: Approval
    events: Sequence[Event] = ()


Update = Callable[[Approval, dt.datetime], ApprovalChange | None]
"""A pure function from an approval and the store's time to a change; None changes nothing."""


RecordKey = tuple[str, str]
"""The kind and the id of a governance record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A governance record as a store keeps it: an exception, a grant, a flag, an agent and the like.

    What `kind` and `state` mean, and what stands in `body` (plain JSON), is known in `agentguard.governance`
    and not here. `due` is when somebody has to look at it next: its expiry, its review. A `registered` record
    is part of the register, which every decision reads. `revision` is the store's: 1 when it is made, and
    one more with each change.
    """

    kind: str
    id: str
    state: str
    body: Mapping[str, Any]
    due: dt.datetime | None = None
    registered: bool = False
    revision: int = 0

    @property
    def key(self) -> RecordKey:
        """What it is found by."""
        return self.kind, self.id


@dataclass(frozen=True, slots=True)
class RecordsChange:
    """What an update wants: records as they will be, and the events that say so, in one transaction."""

    records: Sequence[Record]
    events: Sequence[Event] = ()


Known = Mapping[RecordKey, Record]
"""Those of the wanted records that there are."""

RecordsUpdate = Callable[[Known, dt.datetime], RecordsChange | None]
"""A pure function from records and the store's time to a change; None changes nothing."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount to take from a counter: refused when the counter would pass `limit` in the window."""

    key: str
    amount: int
    limit: int
    window_s: int | None = None


class Store(Protocol):
    """Durable decisions, approvals, payloads and counters; several tenants, isolated."""

    @property
    def url(self) -> str:
        """Where it is, such as `sqlite:///agentguard.db`, without secrets."""
        ...

    @property
    def epoch(self) -> str:
        """A random name of this store's life; an approval of another epoch cannot be claimed."""
        ...

    def renew_epoch(self, epoch: str) -> None:
        """Begin another life, with a new random name: nothing that is open now can be claimed any more.

        To be done after restoring a backup, which brings back approvals that were used since. Every register
        gets a version that nobody has seen, so that guards which run read it again.
        """
        ...

    def now(self) -> dt.datetime:
        """The store's time, with zone UTC."""
        ...

    def append(
        self,
        tenant: str,
        events: Sequence[Event],
        *,
        payloads: Mapping[str, Payload] | None = None,
        durable: bool = True,
        register: int | None = None,
    ) -> None:
        """Append events and the erasable payloads they refer to.

        `register` is the version of the register that a decision among them was made with.

        With `durable=False` and no payloads it waits for nothing, neither the disk nor a lock: the events are
        written with the next write of this store and within 20 ms at most, and this object's own reads see
        them at once. A process that is killed, or a machine that loses power, may lose them; it is for
        outcomes of calls whose decision is already durable, which then read as unknown.

        Raises:
            RegisterChanged: the register has another version than `register` now; nothing was appended.
        """
        ...

    def open_approval(
        self,
        approval: Approval,
        events: Sequence[Event],
        *,
        register: int | None = None,
        quota: int | None = None,
    ) -> Approval:
        """Insert, or return the one that exists for the same tenant, call id and digest.

        Code before a framework's interrupt runs again on resume, so opening twice is one opening: the events
        are appended only by the first. The same call id with another digest is another approval. `quota` is
        how many questions of one agent may wait under the same first rule.

        Raises:
            TooManyPending: as many wait already; nothing was opened.
            RegisterChanged: the register has another version than `register`; nothing was opened.
        """
        ...

    def approval(self, tenant: str, approval_id: str) -> Approval:
        """One approval.

        Raises:
            NotFound: there is none with this id in this tenant.
        """
        ...

    def approval_for_call(self, tenant: str, call_id: str, digest: str) -> Approval | None:
        """The approval opened for this call and digest, if any."""
        ...

    def approvals(
        self,
        tenant: str,
        *,
        states: Sequence[State] = (),
        due_by: dt.datetime | None = None,
        limit: int = 100,
        prefix: str = "",
    ) -> list[Approval]:
        """Approvals, oldest first; `prefix` matches the beginning of the id, as people type it, and `due_by`
        gives those to which something happens by itself until then (`Approval.due`)."""
        ...

    def update_approval(self, tenant: str, approval_id: str, update: Update) -> Approval:
        """Read, compute and write under one write lock; returns the approval as it is afterwards."""
        ...

    def claim(
        self,
        tenant: str,
        approval_id: str,
        digest: str,
        events: Sequence[Event],
        *,
        register: int | None = None,
    ) -> Approval:
        """Claim an approved call, once ever: state, digest, expiry and epoch checked in one statement.

        Raises:
            ClaimRefused: it is not approved, not this digest, expired, or from another epoch.
            NotFound: there is none with this id in this tenant.
            RegisterChanged: the register has another version than `register`; nothing was claimed.
        """
        ...

    def reserve(
        self, tenant: str, reservations: Sequence[Reservation], events: Sequence[Event] = ()
    ) -> str | None:
        """Take all amounts or none; returns the key that would pass its limit, or None when all are taken."""
        ...

    def payload(self, tenant: str, key: str) -> Payload | None:
        """An erasable payload by the keyed digest that events carry, or None when it was erased."""
        ...

    def payloads(
        self, tenant: str, keys: Collection[str], *, after: int = 0, upto: int | None = None
    ) -> Mapping[str, Payload]:
        """Those of these payloads that are there, read together; erased ones are missing.

        Of what a store keeps beside its events, only that of the events after `after` up to `upto` has to be
        looked at: arguments come with their event, or with one of the 1,024 before it.
        """
        ...

    def erase(self, tenant: str, subject: str) -> int:
        """Erase every payload of a subject; returns how many. The ledger stays valid."""
        ...

    def record(self, tenant: str, kind: str, id: str) -> Record:
        """One governance record.

        Raises:
            NotFound: there is none of this kind and id in this tenant.
        """
        ...

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
        """Records of a kind by id, from after one; `due_by` gives those that are due then."""
        ...

    def change_records(
        self, tenant: str, keys: Collection[RecordKey], update: RecordsUpdate
    ) -> tuple[Record, ...]:
        """Read these records, compute and write under one lock of the tenant; returns what was written.

        Only records of `keys` can be written. Where one of them is or was registered the register gets its
        next version, and a decision that was made with the one before can no longer be recorded.

        Raises:
            StoreError: the change is about another record, or not plain JSON.
        """
        ...

    def register(self, tenant: str) -> tuple[int, Sequence[Record]]:
        """The version of the register, and the registered records by kind and id."""
        ...

    def register_version(self, tenant: str) -> int:
        """The version alone: cheap enough to be asked often."""
        ...

    def changes_since(self, tenant: str, version: int) -> tuple[int, frozenset[str]]:
        """A cheap poll: the newest version, and the ids of the approvals that changed after `version`."""
        ...

    def listen(self, wake: Callable[[], None]) -> bool:
        """Call `wake`, from any thread, soon after an approval changes in any process; whether that works.

        It is a hint: one may be lost, and more may come than there are changes. `changes_since` is the truth.
        """
        ...

    def unlisten(self, wake: Callable[[], None]) -> None:
        """Call it no more."""
        ...

    def events(
        self, tenant: str, *, after: int = 0, limit: int | None = None, types: Sequence[str] = ()
    ) -> Iterator[StoredEvent]:
        """The ledger in order, from after a number."""
        ...

    def rows(
        self, tenant: str, *, after: int = 0, limit: int = 1000, types: Sequence[str] = ()
    ) -> Sequence[EventRow]:
        """The next events in order, as few pieces as possible, for reading a million of them.

        A payload that is kept beside its event comes with it; any other is found by `payloads`.
        """
        ...

    def head(self, tenant: str) -> tuple[int, bytes]:
        """Size and root of the tenant's tree; a head that contradicts itself has an empty root.

        Where the store keeps a head beside the events, this is what it promises, whatever events are left.
        """
        ...

    def tenants(self) -> list[str]:
        """Every tenant that has an event."""
        ...

    def strays(self) -> int:
        """Events and approvals of no tenant: more than none where somebody took a tenant away."""
        ...

    def flush(self) -> None:
        """Write what `append(durable=False)` left waiting, before this returns.

        Raises:
            StoreUnavailable: it could not be written and waits on.
        """
        ...

    def close(self) -> None:
        """Write what waits, and release files and connections; the store cannot be used afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Payload:
    """Erasable content: canonical argument bytes and the subject whose data it is."""

    subject: str
    content: bytes
