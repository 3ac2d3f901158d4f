"""Erasable payloads in a PostgreSQL store: a table of their own, by key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from agentguard.store.postgres_schema import Connection
from agentguard.store.protocol import Payload

__all__ = ["erase", "find", "insert"]

_INSERT: Final = """
    INSERT INTO payload (tenant, key, subject, content)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bytea[])
    WHERE %s::bigint IS NULL OR (SELECT register FROM tenant WHERE no = %s) = %s
    ON CONFLICT DO NOTHING"""


def insert(db: Connection, tenant: int, payloads: Mapping[str, Payload], register: int | None) -> None:
    """Keep payloads, inside the caller's transaction; with `register` only if that is its version."""
    # In one order, so that two who write the same ones do not wait for each other.
    listed = sorted(payloads.items())
    columns = (
        [key for key, _ in listed],
        [payload.subject for _, payload in listed],
        [payload.content for _, payload in listed],
    )
    db.execute(_INSERT, (tenant, *columns, register, tenant, register))


def find(db: Connection, tenant: int, keys: Collection[str]) -> dict[str, Payload]:
    """Those of these payloads that there are."""
    rows: list[Any] = db.execute(
        "SELECT key, subject, content FROM payload WHERE tenant = %s AND key = ANY(%s)",
        (tenant, list(keys)),
    ).fetchall()
    return {key: Payload(subject, bytes(content)) for key, subject, content in rows}


def erase(db: Connection, tenant: int, subject: str) -> int:
    """Erase every payload of a subject; returns how many."""
    gone = db.execute("DELETE FROM payload WHERE tenant = %s AND subject = %s", (tenant, subject))
    return gone.rowcount
