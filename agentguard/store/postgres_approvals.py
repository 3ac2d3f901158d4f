"""Approvals in a PostgreSQL store: their rows, inside the caller's transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from agentguard.canonical import encode
from agentguard.stepup.model import Approval, State
from agentguard.store import codec
from agentguard.store.clock import BEHIND_US, to_micros
from agentguard.store.postgres_connections import SERVER_TIME
from agentguard.store.postgres_schema import Connection, whole

__all__ = ["changed_since", "claim", "erase", "find", "insert", "next_version", "pending", "query", "save"]

_COLUMNS: Final = ", ".join(codec.COLUMNS)
_INSERT: Final = (
    f"INSERT INTO approval (tenant, version, {_COLUMNS})"
    f" VALUES (%(tenant)s, 0, {', '.join(f'%({name})s' for name in codec.COLUMNS)})"
    " ON CONFLICT (tenant, call_id, digest) DO NOTHING RETURNING no"
)
_UPDATE: Final = (
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
_ERASE: Final = """
    UPDATE approval SET arguments = NULL, shown = %s, request = %s, proposal = NULL, erased = 1
    WHERE tenant = %s AND erased = 0 AND coalesce(principal, agent) = %s"""


def find(db: Connection, tenant: int, where: str, *values: object) -> codec.Row | None:
    """The one approval of which a condition of ours is true."""
    found = db.execute((_FIND + where).encode(), (tenant, *values)).fetchone()
    return None if found is None else _named(found)


def query(
    db: Connection,
    tenant: int,
    *,
    states: Sequence[State],
    due_by: dt.datetime | None,
    prefix: str,
    limit: int,
) -> list[codec.Row]:
    """Approvals, oldest first."""
    sql = f"{_FIND} starts_with(id, %s)"
    values: list[Any] = [tenant, prefix]
    if states:
        sql += " AND state = ANY(%s)"
        values.append([state.value for state in states])
    if due_by is not None:
        sql += " AND due <= %s"
        values.append(to_micros(due_by))
    found = db.execute(f"{sql} ORDER BY opened_at, no LIMIT %s".encode(), (*values, limit)).fetchall()
    return [_named(row) for row in found]


def insert(db: Connection, tenant: int, approval: Approval) -> bool:
    """Keep a new one; False where there is one of this call and digest already."""
    return db.execute(_INSERT, {**codec.dump(approval), "tenant": tenant}).fetchone() is not None


def save(db: Connection, tenant: int, approval: Approval) -> None:
    """Write what may change of one."""
    record = codec.dump(approval)
    values = {name: record[name] for name in codec.MUTABLE}
    db.execute(_UPDATE, {**values, "tenant": tenant, "id": approval.id})


def claim(
    db: Connection,
    tenant: int,
    approval_id: str,
    digest: str,
    now: dt.datetime,
    *,
    given: bool,
    last: str | None,
) -> tuple[codec.Row, str | None] | None:
    """Claim it where it may be, in one statement; the row and the event before, or None.

    `given` says that the caller brings the clock; otherwise a wait for the row counts as well. `last` is the
    id of the event that the claim ends with.
    """
    values = {
        "tenant": tenant,
        "id": approval_id,
        "digest": digest,
        "now": to_micros(now),
        "given": given,
        "behind": BEHIND_US,
        "last": last,
    }
    row = db.execute(_CLAIM, values).fetchone()
    if row is None:
        return None
    return _named(row[:-1]), None if row[-1] is None else str(row[-1])


def pending(db: Connection, tenant: int, agent: str, lane: str, now: dt.datetime) -> int:
    """How many questions of an agent wait under the same rules."""
    return whole(db.execute(_LANE, (tenant, agent, lane, to_micros(now))).fetchone())


def next_version(db: Connection, tenant: int, approval_id: str) -> None:
    """The approval has changed; holds the tenant's row until the end of the transaction."""
    db.execute(_VERSION, {"tenant": tenant, "id": approval_id})


def changed_since(db: Connection, tenant: str, version: int) -> tuple[int, frozenset[str]]:
    """The version of the tenant's approvals, and the ids of those that changed after another one."""
    found: Any = db.execute("SELECT no, version FROM tenant WHERE name = %s", (tenant,)).fetchone()
    if found is None:
        return 0, frozenset()
    if found[1] <= version:
        return found[1], frozenset()
    ids = db.execute(
        "SELECT id FROM approval WHERE tenant = %s AND version > %s", (found[0], version)
    ).fetchall()
    return found[1], frozenset(str(row[0]) for row in ids)


def erase(db: Connection, tenant: int, subject: str) -> int:
    """Erase the arguments of every approval of a subject; returns of how many."""
    return db.execute(_ERASE, (encode({}), encode({}), tenant, subject)).rowcount


def _named(row: Sequence[object]) -> codec.Row:
    return dict(zip(codec.COLUMNS, row, strict=True))
