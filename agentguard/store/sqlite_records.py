"""Governance records in an SQLite store, and the version of those that every decision reads."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, Final

from agentguard.errors import RegisterChanged
from agentguard.store import records
from agentguard.store.clock import to_micros
from agentguard.store.protocol import Record, RecordKey

__all__ = ["check_register", "find", "find_registered", "next_register", "query", "register_version", "save"]

_COLUMNS: Final = ", ".join(records.COLUMNS)
_FIND: Final = f"SELECT {_COLUMNS} FROM record WHERE tenant = ? AND kind = ? AND id = ?"
_SAVE: Final = f"INSERT OR REPLACE INTO record (tenant, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def find(db: sqlite3.Connection, tenant: int, keys: Collection[RecordKey]) -> dict[RecordKey, Record]:
    """Those of these records that there are."""
    found: dict[RecordKey, Record] = {}
    for key in keys:
        row = db.execute(_FIND, (tenant, *key)).fetchone()
        if row is not None:
            found[key] = records.load(row)
    return found


def query(
    db: sqlite3.Connection,
    tenant: int,
    kind: str,
    *,
    states: Sequence[str],
    due_by: dt.datetime | None,
    prefix: str,
    after: str,
    limit: int | None,
) -> list[Record]:
    """Records of a kind, by id.

    Few of many are due, so these are found by the index on `due`; the plus keeps SQLite from reading all of
    the kind in the order of ids instead.
    """
    id_ = "id" if due_by is None else "+id"
    sql = f"SELECT {_COLUMNS} FROM record WHERE tenant = ? AND kind = ? AND {id_} > ?"
    values: list[Any] = [tenant, kind, after]
    if states:
        sql += f" AND state IN ({', '.join('?' * len(states))})"
        values += states
    if due_by is not None:
        sql += " AND due IS NOT NULL AND due <= ?"
        values.append(to_micros(due_by))
    if prefix:
        sql += " AND substr(id, 1, ?) = ?"
        values += [len(prefix), prefix]
    rows = db.execute(f"{sql} ORDER BY {id_} LIMIT ?", (*values, -1 if limit is None else limit))
    return [records.load(row) for row in rows]


def find_registered(db: sqlite3.Connection, tenant: int) -> list[Record]:
    """The records of the register."""
    sql = f"SELECT {_COLUMNS} FROM record WHERE tenant = ? AND registered = 1 ORDER BY kind, id"
    return [records.load(row) for row in db.execute(sql, (tenant,))]


def save(db: sqlite3.Connection, tenant: int, changed: Sequence[Record]) -> None:
    """Write records, inside the caller's transaction."""
    db.executemany(_SAVE, [(tenant, *records.dump(record)) for record in changed])


def register_version(db: sqlite3.Connection, tenant: str) -> int:
    """The version of the register; 0 where there is none yet."""
    found = db.execute("SELECT register FROM tenant WHERE name = ?", (tenant,)).fetchone()
    return 0 if found is None else int(found[0])


def next_register(db: sqlite3.Connection, tenant: int) -> None:
    """The register has changed."""
    db.execute("UPDATE tenant SET register = register + 1 WHERE no = ?", (tenant,))


def check_register(db: sqlite3.Connection, tenant: int, register: int | None) -> None:
    """Refuse what was decided with another register, inside the caller's transaction.

    Raises:
        RegisterChanged: it has another version.
    """
    if register is None:
        return
    (found,) = db.execute("SELECT register FROM tenant WHERE no = ?", (tenant,)).fetchone()
    if found != register:
        raise RegisterChanged(f"the register has version {found} now, not {register}; decide again")
