"""A payments database: one account, its transfers, and a transfer that moves money or fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["ACCOUNT", "Payments", "Transfer"]

ACCOUNT: Final = "operations"
_START: Final = 20_000
_EARLIER: Final = (("Acme Office Supplies", 180, "1007"), ("Hansa Properties", 4_800, "rent November"))
_SCHEMA: Final = """
CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0)) STRICT;
CREATE TABLE transfers (id INTEGER PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts (name),
    payee TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0), note TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One row of the table `transfers`."""

    id: int
    payee: str
    amount: int
    note: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Payments:
    """The database in a file; every method is one short transaction on a connection of its own."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def create(cls, file: Path) -> Payments:
        """A new database with a balance and two earlier transfers; one that is there is replaced."""
        file.unlink(missing_ok=True)
        payments = cls(file)
        with payments._open() as db:
            db.executescript(_SCHEMA)
            db.execute("INSERT INTO accounts VALUES (?, ?)", (ACCOUNT, _START))
            for payee, amount, note in _EARLIER:
                _insert(db, payee, amount, note)
        return payments

    def balance(self, account: str = ACCOUNT) -> int:
        """What is on an account.

        Raises:
            ValueError: there is no such account.
        """
        with self._open() as db:
            row = db.execute("SELECT balance FROM accounts WHERE name = ?", (account,)).fetchone()
        if row is None:
            raise ValueError("there is no such account")
        return int(row[0])

    def transfer(self, payee: str, amount: int, note: str) -> Transfer:
        """Move money, or nothing at all.

        Raises:
            ValueError: the amount is not positive, or more than there is.
        """
        with self._open() as db:
            taken = db.execute(
                "UPDATE accounts SET balance = balance - ? WHERE name = ? AND ? BETWEEN 1 AND balance",
                (amount, ACCOUNT, amount),
            )
            if taken.rowcount != 1:
                raise ValueError("the amount is not positive, or more than there is")
            return Transfer(_insert(db, payee, amount, note), payee, amount, note)

    def knows(self, payee: str) -> bool:
        """Whether anything was ever paid to this payee."""
        with self._open() as db:
            return db.execute("SELECT 1 FROM transfers WHERE payee = ?", (payee,)).fetchone() is not None

    def transfers(self) -> list[Transfer]:
        """Every row, oldest first."""
        with self._open() as db:
            rows = db.execute("SELECT id, payee, amount, note FROM transfers ORDER BY id")
            return [Transfer(*row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file, timeout=5)) as db, db:
            yield db


def _insert(db: sqlite3.Connection, payee: str, amount: int, note: str) -> int:
    values = (ACCOUNT, payee, amount, note)
    added = db.execute("INSERT INTO transfers (account, payee, amount, note) VALUES (?, ?, ?, ?)", values)
    return int(added.lastrowid or 0)
