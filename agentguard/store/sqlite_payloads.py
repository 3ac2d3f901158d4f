"""Erasable payloads in an SQLite store: beside their event, or in a table of their own.

A payload is appended with every call and read by people now and then. So it has no index of its own, which
would cost each call a page in a random place; it is found by going back through the newest events.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from agentguard.store.protocol import Payload
from agentguard.store.sqlite_ledger import SHIFT

__all__ = ["erase_payloads", "find_payload", "find_payloads"]

_AT_ONCE: Final = 500
_BESIDE: Final = """
    SELECT payload_key, subject, content FROM event
    WHERE key > ? AND key <= ? AND payload_key IS NOT NULL"""
_FIND_BESIDE: Final = """
    SELECT subject, content FROM event
    WHERE key > ? AND key < ? AND payload_key = ? ORDER BY key DESC LIMIT 1"""


def find_payload(db: sqlite3.Connection, tenant: int, key: str) -> Payload | None:
    """A payload by its key; about a second per million events when it is old or not there."""
    found = db.execute(
        "SELECT subject, content FROM payload WHERE tenant = ? AND key = ? LIMIT 1", (tenant, key)
    ).fetchone()
    if found is None:
        found = db.execute(_FIND_BESIDE, (tenant << SHIFT, tenant + 1 << SHIFT, key)).fetchone()
    return None if found is None else Payload(*found)


def find_payloads(
    db: sqlite3.Connection, tenant: int, keys: Collection[str], after: int, upto: int | None
) -> dict[str, Payload]:
    """Payloads by their keys: beside the events after one number up to another, else in their table."""
    base = tenant << SHIFT
    last = (tenant + 1 << SHIFT) - 1 if upto is None else base + upto
    wanted = frozenset(keys)
    found = {
        key: Payload(subject, content)
        for key, subject, content in db.execute(_BESIDE, (base + max(0, after), last))
        if key in wanted
    }
    missing = [key for key in wanted if key not in found]
    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        for key, subject, content in db.execute(
            f"SELECT key, subject, content FROM payload WHERE tenant = ? AND key IN ({marks})",
            (tenant, *some),
        ):
            found.setdefault(key, Payload(subject, content))
    return found


def erase_payloads(db: sqlite3.Connection, tenant: int, subject: str) -> int:
    """Erase every payload of a subject, inside the caller's transaction; returns how many."""
    erased = db.execute("DELETE FROM payload WHERE tenant = ? AND subject = ?", (tenant, subject)).rowcount
    erased += db.execute(
        "UPDATE event SET payload_key = NULL, subject = NULL, content = NULL"
        " WHERE key > ? AND key < ? AND subject = ?",
        (tenant << SHIFT, tenant + 1 << SHIFT, subject),
    ).rowcount
    return erased
