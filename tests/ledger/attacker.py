"""What somebody with write access to the SQLite file can do: change it, and make every hash fit again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agentguard.ledger.checkpointing import Checkpointer
from agentguard.ledger.checkpoints import Checkpoint, origin_of
from agentguard.ledger.log import Frontier
from agentguard.ledger.notes import Signer
from agentguard.stepup.signing import generate_key
from agentguard.store import Store, open_store
from tests.store.support import decided, ended

SHIFT = 40
COLUMNS = "id, type, at, edge, payload_key, subject, leaf, content"
Leaves = list[tuple[object, ...]]


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def opened(path: Path, *, create: bool = False) -> Iterator[Store]:
    store = open_store(url(path), create=create)
    try:
        yield store
    finally:
        store.close()


def fill(path: Path, pairs: int, tenant: str = "default") -> None:
    """Decisions and their outcomes."""
    with opened(path, create=True) as store:
        for _ in range(pairs):
            event = decided(tenant)
            store.append(tenant, [event, ended(event, tenant)])


def signer(tenant: str = "default", deployment: str = "example.com/agents") -> Signer:
    return Signer.from_jwk(origin_of(deployment, tenant), generate_key().private)


def sign(path: Path, by: Signer, file: Path, tenant: str = "default") -> Checkpoint:
    """A checkpoint as an operator makes it."""
    with opened(path) as store:
        made = Checkpointer(store, tenant, by, file=file).make()
    assert made is not None
    return made


def rewrite(
    path: Path, change: Callable[[Leaves], Leaves], tenant: str = "default", *, gap: int | None = None
) -> None:
    """Change the rows of a tenant's ledger, number them again, and recompute every edge and the head.

    With `gap` this number is left out.
    """
    db = sqlite3.connect(path)
    no = db.execute("SELECT no FROM tenant WHERE name = ?", (tenant,)).fetchone()[0]
    first, last = no << SHIFT, (no + 1) << SHIFT
    rows = db.execute(
        f"SELECT {COLUMNS} FROM event WHERE key > ? AND key < ? ORDER BY key", (first, last)
    ).fetchall()
    db.execute("DELETE FROM event WHERE key > ? AND key < ?", (first, last))
    frontier = Frontier()
    for row in change(rows):
        leaf = row[6]
        assert isinstance(leaf, bytes)
        frontier.add(leaf)
        number = frontier.size + (gap is not None and frontier.size >= gap)
        db.execute(
            f"INSERT INTO event (key, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (first + number, *row[:3], frontier.edge(), *row[4:]),
        )
    head = (frontier.size, frontier.to_bytes(), frontier.root(), no)
    db.execute("UPDATE tenant SET size = ?, peaks = ?, root = ? WHERE no = ?", head)
    db.commit()
    db.close()


def edited(row: tuple[object, ...]) -> tuple[object, ...]:
    """A leaf that says another agent did it."""
    leaf = row[6]
    assert isinstance(leaf, bytes)
    return (*row[:6], leaf.replace(b'"agent":"billing"', b'"agent":"someone"'), row[7])


def run(path: Path, *statements: str) -> None:
    """Statements as they are, hashes left alone."""
    db = sqlite3.connect(path)
    for statement in statements:
        assert db.execute(statement).rowcount != 0
    db.commit()
    db.close()
