"""The ledger's tables in a PostgreSQL store: appending without a queue, numbering by one at a time, reading.

Events are written in the transaction of what they tell, without a number: many connections append at once
and wait for nobody. Whoever holds the row of a tenant's head gives the events that are committed their
numbers, in the order of insertion, and the edge of the tree after each. A thread of each store does that
soon after appending, and a read does it first, so a reader sees every committed event numbered.

INVARIANT: numbers have no gaps, and one event has one: they are given under the lock of the head's row, the
head moves with them in one transaction, and an index keeps two events from one number.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Final

from psycopg import errors as pg

from agentguard.errors import StoreError, StoreUnavailable
from agentguard.ledger.log import Frontier
from agentguard.store import rules
from agentguard.store.postgres_connections import Connections
from agentguard.store.postgres_schema import Connection
from agentguard.store.protocol import EventRow, StoredEvent

__all__ = ["PostgresLedger", "Sequencer", "insert"]

log = logging.getLogger("agentguard")


class DamagedHead(StoreUnavailable):
    """The ledger's head contradicts itself, or is gone."""


_BATCH: Final = 5000
_CHUNK: Final = 1000
_AWAIT_S: Final = 2.0
"""Seconds that a reader who cannot number waits for those who can."""
_EVENTS: Final = """
    INSERT INTO event (tenant, id, type, at, leaf)
    SELECT %s, e.id, e.type, e.at, e.leaf
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[]) WITH ORDINALITY e (id, type, at, leaf, nr)"""
_IN_FORCE: Final = " WHERE (SELECT register FROM tenant WHERE no = %s) = %s"
_WAITING: Final = "SELECT no, leaf FROM event WHERE tenant = %s AND seq IS NULL ORDER BY no LIMIT %s"
_NUMBER: Final = """
    UPDATE event SET seq = n.seq, edge = n.edge
    FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) n (no, seq, edge)
    WHERE event.no = n.no AND event.seq IS NULL"""
_MOVE: Final = "UPDATE head SET size = %s, peaks = %s, root = %s WHERE tenant = %s AND size = %s"
_PROMISE: Final = """
    SELECT size, peaks, root, (SELECT max(seq) FROM event WHERE tenant = %s AND seq IS NOT NULL)
    FROM head WHERE tenant = %s"""
_UNNUMBERED: Final = "SELECT min(no), max(no) FROM event WHERE tenant = %s AND seq IS NULL"
_ONLY_READ: Final = (pg.ReadOnlySqlTransaction, pg.InsufficientPrivilege)
_HEAD: Final = "SELECT size, peaks, root FROM head WHERE tenant = %s"


def insert(
    connection: Connection,
    tenant: int,
    leaves: Sequence[rules.Leaf],
    register: int | None = None,
    *,
    again: bool = False,
) -> Any:
    """Append events, inside the caller's transaction; with `register` only if that is its version.

    The returned cursor's `rowcount` is 0 where it is not. With `again` those are left out that are there.
    """
    query, values = _EVENTS, [tenant, *([list(column) for column in zip(*leaves, strict=True)])]
    if register is not None:
        query += _IN_FORCE
        values += [tenant, register]
    query += " ORDER BY e.nr" + (" ON CONFLICT (tenant, id) DO NOTHING" if again else "")
    return connection.execute(query.encode(), values)


class PostgresLedger:
    """Used by `PostgresStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def number(self, connection: Connection, tenant: int, *, wait: bool = True) -> int | None:
        """Give the tenant's events their numbers, in one transaction; how many there were.

        Without `wait` it leaves them to somebody who is at it already: then it is None.

        Raises:
            DamagedHead: the head is damaged, or gone.
        """
        with connection.transaction():
            lock = f"{_HEAD} FOR UPDATE" + ("" if wait else " SKIP LOCKED")
            found: Any = connection.execute(lock.encode(), (tenant,)).fetchone()
            if found is None and not wait:
                return None
            rows: list[Any] = connection.execute(_WAITING, (tenant, _BATCH)).fetchall()
            if not rows:
                return 0
            frontier = None if found is None else _frontier(*found)
            if frontier is None:
                raise DamagedHead("the ledger's head is damaged; `ledger verify` says more")
            before, numbers, edges = frontier.size, [], []
            for _, leaf in rows:
                frontier.add(bytes(leaf))
                numbers.append(frontier.size)
                edges.append(frontier.edge())
            try:
                given = connection.execute(_NUMBER, ([row[0] for row in rows], numbers, edges))
            except pg.UniqueViolation as error:
                raise DamagedHead("the ledger's head lies behind its events") from error
            if given.rowcount != len(rows):
                raise StoreUnavailable("events that wait for their numbers were changed by somebody else")
            head = (frontier.size, frontier.to_bytes(), frontier.root(), tenant, before)
            if connection.execute(_MOVE, head).rowcount != 1:
                raise StoreUnavailable("the ledger's head moved while it was locked")
            return len(rows)

    def settle(self, tenant: int) -> None:
        """Number what is committed, before a read. Who may only read waits for a moment for those who write.

        Raises:
            StoreUnavailable: there may be events that a reader would not see.
        """
        try:
            with self._connections.use() as connection:
                while self.number(connection, tenant) == _BATCH:
                    pass
        except DamagedHead:
            pass  # what is numbered is read, and verifying tells of the head
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, _ONLY_READ):
                raise
            self._await_numbers(tenant)

    def _await_numbers(self, tenant: int) -> None:
        """Until what is committed now has its numbers, or nobody seems to be there to give them."""
        ends = time.monotonic() + _AWAIT_S
        newest: Any = None
        while time.monotonic() < ends:
            with self._connections.use() as connection:
                (oldest, last) = connection.execute(_UNNUMBERED, (tenant,)).fetchone() or (None, None)
            newest = last if newest is None else newest
            if oldest is None or int(str(oldest)) > newest:
                return
            time.sleep(Sequencer.PAUSE_S / 5)

    def events(
        self, tenant: int, after: int, limit: int | None, types: Sequence[str]
    ) -> Iterator[StoredEvent]:
        """The numbered events in order."""
        sql = "SELECT seq, id, type, at, leaf, edge FROM event WHERE tenant = %s AND seq > %s"
        sql += (" AND type = ANY(%s)" if types else "") + " ORDER BY seq LIMIT %s"
        last, left = max(0, after), limit
        while left is None or left > 0:
            chunk = _CHUNK if left is None else min(_CHUNK, left)
            with self._connections.use() as connection:
                values = (tenant, last, *([list(types)] if types else []), chunk)
                rows: list[Any] = connection.execute(sql.encode(), values).fetchall()
            for seq, id_, type_, at, leaf, edge in rows:
                yield StoredEvent(seq, id_, type_, rules.damaged_instant(at), bytes(leaf), bytes(edge or b""))
            if len(rows) < chunk:
                return
            last = rows[-1][0]
            left = None if left is None else left - len(rows)

    def rows(self, tenant: int, after: int, limit: int, types: Sequence[str]) -> list[EventRow]:
        """Events as they are stored; their payloads stand elsewhere."""
        sql = "SELECT seq, id, type, leaf FROM event WHERE tenant = %s AND seq > %s"
        sql += (" AND type = ANY(%s)" if types else "") + " ORDER BY seq LIMIT %s"
        with self._connections.use() as connection:
            values = (tenant, max(0, after), *([list(types)] if types else []), limit)
            found: list[Any] = connection.execute(sql.encode(), values).fetchall()
        return [(seq, id_, type_, bytes(leaf), None, None) for seq, id_, type_, leaf in found]

    def head(self, tenant: int) -> tuple[int, bytes]:
        """The head as it is kept; an empty root where it contradicts itself or the events, or is gone."""
        with self._connections.use() as connection:
            found: Any = connection.execute(_PROMISE, (tenant, tenant)).fetchone()
            if found is None:
                return 0, b""
        frontier, newest = _frontier(*found[:3]), found[3] or 0
        # Numbers are given together with the head: there are none behind it.
        damaged = frontier is None or newest > frontier.size
        return (found[0], b"") if frontier is None or damaged else (frontier.size, frontier.root())


class Sequencer:
    """Numbers what this store appends, soon after, on a thread that lives while there is something."""

    PAUSE_S: Final = 0.25
    _LINGER: Final = 20
    _LONGEST_PAUSE_S: Final = 8.0

    def __init__(self, ledger: PostgresLedger, connections: Connections) -> None:
        self._ledger = ledger
        self._connections = weakref.ref(connections)
        self.reset()

    def reset(self) -> None:
        """Also in a forked child, which has none of its parent's threads."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._tenants: set[int] = set()
        self._thread: threading.Thread | None = None

    def touch(self, tenant: int) -> None:
        """Something of this tenant was appended."""
        if tenant in self._tenants:
            return
        with self._lock:
            self._tenants.add(tenant)
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._work, name="agentguard-sequencer", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is ending: a later reader numbers
                    self._thread = None

    def stop(self) -> None:
        """Number no more; what is left is numbered by the next reader."""
        self._stopped.set()

    def _work(self) -> None:
        idle, pause = 0, self.PAUSE_S
        while not self._stopped.wait(pause):
            with self._lock:
                tenants, self._tenants = self._tenants, set()
                idle = 0 if tenants else idle + 1
                if idle > self._LINGER or self._connections() is None:
                    self._thread = None
                    return
            left = {tenant for tenant in tenants if not self._number(tenant, quiet=pause > self.PAUSE_S)}
            with self._lock:
                self._tenants |= left
            pause = min(self._LONGEST_PAUSE_S, 2 * pause) if left else self.PAUSE_S

    def _number(self, tenant: int, *, quiet: bool) -> bool:
        """False where it has to be tried again: it failed, or somebody is at it who may not see all."""
        connections = self._connections()
        if connections is None:
            return True
        try:
            with connections.use() as connection:
                while (count := self._ledger.number(connection, tenant, wait=False)) == _BATCH:
                    pass
        except StoreError as error:
            if not quiet and not self._stopped.is_set():
                log.warning("events wait for their numbers: %s", error)
            return isinstance(error.__cause__, _ONLY_READ)
        return count is not None


def _frontier(size: int, peaks: bytes, root: bytes) -> Frontier | None:
    """The tree that a head describes; None when it contradicts itself."""
    try:
        frontier = Frontier.from_bytes(size, bytes(peaks))
    except (ValueError, TypeError, AttributeError):
        return None
    return frontier if frontier.root() == bytes(root) else None
