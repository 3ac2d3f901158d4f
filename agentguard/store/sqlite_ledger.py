"""The ledger's tables in an SQLite store: appending to each tenant's Merkle tree, and reading it.

The edge of each tree is kept in memory. Appending inserts at the number that follows it, in one statement
where it can; a clash with another process's insert (the number is the primary key) is the sign to catch up.

The head (`tenant.size`, `.peaks`, `.root`) is written with every change of an approval, every `MAX_TAIL`
events and when the store is closed, and not with each event: a second page in each commit would cost a
seventh of it. So whoever deletes the newest events is noticed by the head only behind it; every event that
stands after the head is nevertheless bound to all before it by its own `edge`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from agentguard.errors import StoreError, StoreUnavailable
from agentguard.ledger.log import EMPTY_ROOT, Frontier
from agentguard.store import rules
from agentguard.store.database import Database
from agentguard.store.protocol import EventRow, Payload, StoredEvent
from agentguard.store.soon import Soon
from agentguard.store.sqlite_records import check_register

__all__ = ["MAX_TAIL", "SHIFT", "SQLiteLedger", "Tree"]

MAX_TAIL: Final = 64
"""Events of a tenant that may stand after its head."""

SHIFT: Final = 40
"""Bits of an event's number; above them stands the tenant's."""
_CHUNK: Final = 1000

_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT: Final = f"INSERT INTO event VALUES {_ROW}"
_INSERTS: Final = tuple(f"INSERT INTO event VALUES {', '.join([_ROW] * count)}" for count in range(5))
_CHECKED: Final = tuple(
    f"INSERT INTO event SELECT * FROM (VALUES {', '.join([_ROW] * max(1, count))})"
    " WHERE (SELECT register FROM tenant WHERE no = ?) = ?"
    for count in range(5)
)
_NOTHING: Final = (None, None, None)
_BATCH: Final = 256
_PROMISE: Final = "UPDATE tenant SET size = ?, peaks = ?, root = ? WHERE no = ? AND size < ?"
_HEAD: Final = "SELECT no, size, peaks, root FROM tenant WHERE name = ?"
_TAIL: Final = "SELECT leaf, edge FROM event WHERE key > ? AND key < ? ORDER BY key"
_WRITTEN: Final = "SELECT 1 FROM event WHERE key >= ? AND key < ? AND id = ?"
_NEXT_VERSION: Final = "UPDATE tenant SET version = version + 1 WHERE no = ? RETURNING version"


class Tree:
    """The edge of one tenant's tree as this process knows it; `promised` is the size of its head."""

    __slots__ = ("frontier", "no", "promised")

    def __init__(self, no: int, frontier: Frontier, promised: int) -> None:
        self.no = no
        self.frontier = frontier
        self.promised = promised


class SQLiteLedger:
    """Used by `SQLiteStore` under the database's lock."""

    def __init__(self, database: Database, soon: Soon) -> None:
        self._database = database
        self._trees: dict[str, Tree] = {}
        self.soon = soon
        # The first number and the count of what a write takes along, until it is known to be committed.
        self._taking: tuple[int, int] | None = None
        # INVARIANT: after a transaction that failed nothing is remembered of what it would have appended.
        database.on_rollback = self._trees.clear
        database.on_commit = self._committed

    def append_one(
        self,
        tenant: str,
        leaf: rules.Leaf,
        beside: tuple[str, Payload] | None,
        durable: bool,
        register: int | None,
    ) -> bool:
        """One event and its payload, with what waits for it, in one statement; False when it needs more.

        Raises:
            RegisterChanged: the register has another version than `register`.
        """
        with self._database.read as db:
            tree = self._trees.get(tenant)
            owner, waiting = self.soon.first(len(_INSERTS)) if self.soon else (tenant, [])
            leaves = [*waiting, leaf]
            count = len(leaves)
            if (
                tree is None
                or owner != tenant
                or count >= len(_INSERTS)
                or tree.frontier.size + count - tree.promised > MAX_TAIL - 1
            ):
                return False
            frontier, rows = _rows(tree, leaves, beside, count - 1)
            self._database.set_full(db, durable)
            if waiting:
                self._taking = rows[0][0], count - 1
            values: list[object] = [value for row in rows for value in row]
            try:
                if register is None:
                    db.execute(_INSERTS[count], values)
                elif db.execute(_CHECKED[count], (*values, tree.no, register)).rowcount == 0:
                    self._taking = None
                    check_register(db, tree.no, register)  # says which it is
                    return False
            except sqlite3.IntegrityError:
                return False
            self._committed()
            tree.frontier = frontier  # last: an interrupt before makes the next number clash, and look
        return True

    def flush(self) -> None:
        """Write what waits, in transactions of its own that do not wait for the disk.

        Raises:
            StoreUnavailable: what could not be written waits on.
        """
        while self.soon:
            with self._database.write_fast as db:
                tenant, _ = self.soon.first(1)
                if tenant:
                    tree = self.add(db, tenant, ())
                    if tree.frontier.size - tree.promised >= MAX_TAIL - 1:
                        self.promise(db, tree)

    def settle(self) -> None:
        """The same before a read; a store that cannot be written can still be read."""
        if self.soon:
            with contextlib.suppress(StoreError):
                self.flush()

    def _committed(self) -> None:
        if self._taking is not None:
            self.soon.drop(self._taking[1])
            self._taking = None

    def _resolve(self, db: sqlite3.Connection) -> None:
        """After an interrupted write: forget what it took along and stands in the file."""
        assert self._taking is not None
        first, _ = self._taking
        end = ((first >> SHIFT) + 1) << SHIFT
        while waiting := self.soon.first(1)[1]:
            if db.execute(_WRITTEN, (first, end, waiting[0][0])).fetchone() is None:
                break
            self.soon.drop(1)
        self._taking = None

    def tree(self, db: sqlite3.Connection, tenant: str) -> Tree:
        """The tenant's edge, read when we have none; in a transaction a new tenant is made."""
        known = self._trees.get(tenant)
        if known is not None:
            return known
        rules.check_tenant(tenant)
        found: tuple[int, int, bytes, bytes] | None = db.execute(_HEAD, (tenant,)).fetchone()
        if found is None:
            no = db.execute(
                "INSERT INTO tenant (name, size, peaks, root, version) VALUES (?, 0, x'', ?, 0) RETURNING no",
                (tenant, EMPTY_ROOT),
            ).fetchone()[0]
            found = (no, 0, b"", EMPTY_ROOT)
        frontier = _head(*found[1:])
        if frontier is None:
            raise StoreUnavailable(f"the ledger's head of `{tenant}` is damaged; `ledger verify` says more")
        tree = Tree(found[0], frontier, frontier.size)
        self._catch_up(db, tree)
        self._trees[tenant] = tree
        return tree

    def add(
        self,
        db: sqlite3.Connection,
        tenant: str,
        leaves: Sequence[rules.Leaf],
        beside: tuple[str, Payload] | None = None,
    ) -> Tree:
        """Insert events inside a transaction, a payload with the first; if that fails, forget the edge.

        What waits for the tenant goes before them, and is dropped when the transaction is committed. To be
        called once in a transaction.
        """
        tree = self.tree(db, tenant)
        if self._taking is not None:
            self._resolve(db)
        owner, waiting = self.soon.first(_BATCH) if self.soon else ("", [])
        first = len(waiting) if owner == tenant else 0
        if first:
            leaves = [*waiting, *leaves]
        for attempt in (1, 2, 3):
            frontier, rows = _rows(tree, leaves, beside, first)
            if first:
                self._taking = rows[0][0], first
            try:
                if len(rows) == 1:
                    db.execute(_INSERT, rows[0])
                elif rows:
                    db.executemany(_INSERT, rows)
                break
            except sqlite3.IntegrityError:
                # Others appended. Their first number is our first, so nothing of ours is there yet.
                if attempt == 3:
                    raise
                if attempt == 2 or not self._catch_up(db, tree):
                    self._trees.clear()
                    tree = self.tree(db, tenant)
        if rows:
            tree.frontier = frontier
        return tree

    def _catch_up(self, db: sqlite3.Connection, tree: Tree) -> bool:
        """Take in what others appended; False when it does not follow from what we know."""
        base = tree.no << SHIFT
        edge: bytes | None = None
        frontier = tree.frontier.copy()
        for leaf, after in db.execute(_TAIL, (base + frontier.size, base + (1 << SHIFT))):
            frontier.add(leaf)
            edge = after
        if edge is None:
            return False
        tree.frontier = frontier
        return frontier.edge() == edge

    @staticmethod
    def number(db: sqlite3.Connection, tenant: str) -> int | None:
        """The number of a tenant; None when it has nothing."""
        found = db.execute(_HEAD, (tenant,)).fetchone()
        return None if found is None else int(found[0])

    def promise(self, db: sqlite3.Connection, tree: Tree) -> None:
        """Move the head to the end of what was added."""
        frontier = tree.frontier
        db.execute(_PROMISE, (frontier.size, frontier.to_bytes(), frontier.root(), tree.no, frontier.size))
        tree.promised = frontier.size

    def finish(self) -> None:
        """Move every head to the end of its tree; for closing."""
        if any(tree.frontier.size > tree.promised for tree in list(self._trees.values())):
            with self._database.write as db:
                for tree in self._trees.values():
                    self.promise(db, tree)

    def next_version(self, db: sqlite3.Connection, tree: Tree) -> int:
        """The version of a change to one of the tenant's approvals."""
        return int(db.execute(_NEXT_VERSION, (tree.no,)).fetchone()[0])

    def events(
        self, tenant: str, *, after: int = 0, limit: int | None = None, types: Sequence[str] = ()
    ) -> Iterator[StoredEvent]:
        self.settle()
        with self._database.read as db:
            number = self.number(db, tenant)
        if number is None:
            return
        base = number << SHIFT
        sql = "SELECT key, id, type, at, leaf, edge FROM event WHERE key > ? AND key < ?"
        if types:
            sql += f" AND type IN ({', '.join('?' * len(types))})"
        last, left = base + max(0, after), limit
        while left is None or left > 0:
            chunk = _CHUNK if left is None else min(_CHUNK, left)
            with self._database.read as db:
                rows = db.execute(
                    f"{sql} ORDER BY key LIMIT ?", (last, base + (1 << SHIFT), *types, chunk)
                ).fetchall()
            for key, id_, type_, at, leaf, edge in rows:
                yield StoredEvent(
                    key - base, str(id_), str(type_), rules.damaged_instant(at), _bytes(leaf), _bytes(edge)
                )
            if len(rows) < chunk:
                return
            last = rows[-1][0]
            left = None if left is None else left - len(rows)

    def rows(self, tenant: str, after: int, limit: int, types: Sequence[str]) -> list[EventRow]:
        """Events as they are stored, with the payload beside each."""
        self.settle()
        with self._database.read as db:
            number = self.number(db, tenant)
            if number is None:
                return []
            base = number << SHIFT
            sql = "SELECT key - ?, id, type, leaf, payload_key, content FROM event WHERE key > ? AND key < ?"
            if types:
                sql += f" AND type IN ({', '.join('?' * len(types))})"
            bounds = (base, base + max(0, after), base + (1 << SHIFT))
            return db.execute(f"{sql} ORDER BY key LIMIT ?", (*bounds, *types, limit)).fetchall()

    def head(self, tenant: str) -> tuple[int, bytes]:
        self.settle()
        with self._database.read as db:
            found = db.execute(_HEAD, (tenant,)).fetchone()
            if found is None:
                return 0, EMPTY_ROOT
            frontier = _head(*found[1:])
            if frontier is None:
                return found[1], b""
            base = found[0] << SHIFT
            for leaf, _ in db.execute(_TAIL, (base + frontier.size, base + (1 << SHIFT))):
                frontier.add(leaf)
        return frontier.size, frontier.root()


_Row = tuple[int, str, str, str, bytes, str | None, str | None, bytes, bytes | None]


def _rows(
    tree: Tree, leaves: Sequence[rules.Leaf], beside: tuple[str, Payload] | None, at: int
) -> tuple[Frontier, list[_Row]]:
    """The tree's edge behind these leaves, and their rows; the payload stands beside leaf number `at`."""
    base, frontier = tree.no << SHIFT, tree.frontier.copy()
    found: list[_Row] = []
    for number, (id_, type_, when, leaf) in enumerate(leaves):
        frontier.add(leaf)
        key, subject, content = _NOTHING
        if beside is not None and number == at:
            key, subject, content = beside[0], beside[1].subject, beside[1].content
        found.append((base + frontier.size, id_, type_, when, frontier.edge(), key, subject, leaf, content))
    return frontier, found


def _head(size: int, peaks: bytes, root: bytes) -> Frontier | None:
    """The tree that a head describes; None when it contradicts itself."""
    try:
        frontier = Frontier.from_bytes(size, peaks)
    except (ValueError, TypeError, AttributeError):
        return None
    return frontier if frontier.root() == root else None


def _bytes(value: object) -> bytes:
    """What stands in a column of bytes; something else there was put there by somebody."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "backslashreplace")
