"""Governance records in a PostgreSQL store, and the version of those that every decision reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from agentguard.errors import RegisterChanged
from agentguard.store import records
from agentguard.store.clock import to_micros
from agentguard.store.postgres_schema import Connection, whole
from agentguard.store.protocol import Record, RecordKey

__all__ = ["check_register", "find", "find_registered", "next_register", "query", "register_version", "save"]

_COLUMNS: Final = ", ".join(records.COLUMNS)
_FIND: Final = f"""SELECT {_COLUMNS} FROM record WHERE tenant = %s
    AND (kind, id) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"""
_SAVE: Final = (
    f"INSERT INTO record (tenant, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (tenant, kind, id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ("state", "due", "registered", "revision", "body"))
)
_REGISTERED: Final = f"SELECT {_COLUMNS} FROM record WHERE tenant = %s AND registered = 1 ORDER BY kind, id"


def find(db: Connection, tenant: int, keys: Sequence[RecordKey]) -> dict[RecordKey, Record]:
    """Those of these records that there are."""
    columns = [key[0] for key in keys], [key[1] for key in keys]
    rows = db.execute(_FIND.encode(), (tenant, *columns)).fetchall()
    return {record.key: record for record in map(records.load, rows)}


def query(
    db: Connection,
    tenant: int,
    kind: str,
    *,
    states: Sequence[str],
    due_by: dt.datetime | None,
    prefix: str,
    after: str,
    limit: int | None,
) -> list[tuple[object, ...]]:
    """Records of a kind, by id, as `records.load` reads them."""
    sql = f"SELECT {_COLUMNS} FROM record WHERE tenant = %s AND kind = %s AND id > %s"
    sql += " AND starts_with(id, %s)"
    values: list[Any] = [tenant, kind, after, prefix]
    if states:
        sql += " AND state = ANY(%s)"
        values.append(list(states))
    if due_by is not None:
        sql += " AND due <= %s"
        values.append(to_micros(due_by))
    return db.execute(f"{sql} ORDER BY id LIMIT %s".encode(), (*values, limit)).fetchall()


def find_registered(db: Connection, tenant: int) -> list[Record]:
    """The records of the register."""
    return [records.load(row) for row in db.execute(_REGISTERED.encode(), (tenant,)).fetchall()]


def save(db: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Write records, as `records.dump` has them after the number of their tenant."""
    for row in rows:
        db.execute(_SAVE, row)


def register_version(db: Connection, tenant: int | str) -> int:
    """The version of the register of a tenant, by its number or its name; 0 where there is none yet."""
    column = "name" if isinstance(tenant, str) else "no"
    found = db.execute(f"SELECT register FROM tenant WHERE {column} = %s".encode(), (tenant,))
    return whole(found.fetchone())


def next_register(db: Connection, tenant: int) -> None:
    """The register has changed."""
    db.execute("UPDATE tenant SET register = register + 1 WHERE no = %s", (tenant,))


def check_register(db: Connection, tenant: int, register: int) -> None:
    """Refuse what was decided with another register; the caller shares its lock.

    Raises:
        RegisterChanged: it has another version.
    """
    found = register_version(db, tenant)
    if found != register:
        raise RegisterChanged(f"the register has version {found} now, not {register}; decide again")
