"""The schema of an SQLite store: numbered steps, forward only.

`PRAGMA application_id` says that the file is ours and `PRAGMA user_version` which step it has reached. A step
is never changed once released; a new one is added.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Final

from agentguard.errors import SchemaMismatch

__all__ = ["APPLICATION_ID", "MIGRATIONS", "check", "migrate"]

APPLICATION_ID: Final = 0x41475244
"""`AGRD`."""

_FIRST: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # `size`, `peaks` and `root` are the tree as it was promised to be durable; the tail may be longer.
    """CREATE TABLE tenant (
        no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, peaks BLOB NOT NULL,
        root BLOB NOT NULL, version INTEGER NOT NULL)""",
    # `key` is the tenant's number times 2^40 plus the event's number, so that one tree holds all ledgers,
    # each in order, and appending is one insertion at its end. `payload_key`, `subject` and `content` are the
    # erasable payload that came with the event, if it was one; it shares the event's page and so its commit.
    """CREATE TABLE event (
        key INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, at TEXT NOT NULL, edge BLOB NOT NULL,
        payload_key TEXT, subject TEXT, leaf BLOB NOT NULL, content BLOB)""",
    """CREATE TABLE approval (
        no INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, version INTEGER NOT NULL, id TEXT NOT NULL,
        call_id TEXT NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL, stage INTEGER NOT NULL,
        opened_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, decided_at INTEGER, claimed_at INTEGER,
        settled_at INTEGER, epoch TEXT NOT NULL, erased INTEGER NOT NULL, last_event TEXT, prev_event TEXT,
        agent TEXT NOT NULL, principal TEXT, arguments BLOB, shown BLOB NOT NULL, request BLOB NOT NULL,
        body BLOB NOT NULL, votes BLOB NOT NULL, outcome BLOB, note TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX approval_id ON approval (tenant, id)",
    "CREATE UNIQUE INDEX approval_call ON approval (tenant, call_id, digest)",
    "CREATE INDEX approval_state ON approval (tenant, state, opened_at)",
    "CREATE INDEX approval_version ON approval (tenant, version)",
    # Payloads that came several at a time.
    """CREATE TABLE payload (
        tenant INTEGER NOT NULL, key TEXT NOT NULL, subject TEXT NOT NULL, content BLOB NOT NULL,
        PRIMARY KEY (tenant, key, subject)) WITHOUT ROWID""",
    """CREATE TABLE counter (
        tenant INTEGER NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, amount INTEGER NOT NULL,
        PRIMARY KEY (tenant, key, at)) WITHOUT ROWID""",
)

_RECORDS: Final = (
    # Governance records; `register` is the version of those that every decision reads.
    "ALTER TABLE tenant ADD COLUMN register INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE record (
        tenant INTEGER NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, due INTEGER,
        registered INTEGER NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (tenant, kind, id)) WITHOUT ROWID""",
    "CREATE INDEX record_due ON record (tenant, kind, due) WHERE due IS NOT NULL",
    "CREATE INDEX record_register ON record (tenant, kind, id) WHERE registered = 1",
)

_EDITS: Final = (
    # What a quota of waiting questions counts together: an agent, and the first of the rules that ask.
    "ALTER TABLE approval ADD COLUMN lane TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX approval_lane ON approval (tenant, agent, lane) WHERE state = 'requested'",
    # What a reviewer wants to run instead.
    "ALTER TABLE approval ADD COLUMN proposal BLOB",
    # How many escalations were told, and when something happens next: an escalation, or the expiry.
    "ALTER TABLE approval ADD COLUMN level INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE approval ADD COLUMN due INTEGER",
    "UPDATE approval SET due = expires_at WHERE state IN ('requested', 'approved')",
    "CREATE INDEX approval_due ON approval (tenant, due) WHERE due IS NOT NULL",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _RECORDS, _EDITS)
"""The statements of step 1, 2 and so on."""


def check(connection: sqlite3.Connection, where: str) -> int:
    """The step a database has reached; 0 for an empty one.

    Raises:
        SchemaMismatch: it is another program's, or newer than we are.
    """
    # Tables first: they come in one commit with the marks, so where there are tables the marks are there too,
    # although another process may be making the schema right now.
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return 0
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise SchemaMismatch(f"`{where}` is a database of another program; name another file")
    if version > len(MIGRATIONS):
        raise SchemaMismatch(
            f"`{where}` has schema {version}, written by a newer agentguard; this one knows "
            f"{len(MIGRATIONS)}; upgrade agentguard, nothing was changed"
        )
    return version


def migrate(connection: sqlite3.Connection, where: str) -> None:
    """Bring a database to the newest step, all or nothing; several processes may do it at once.

    Raises:
        SchemaMismatch: as `check`.
    """
    if check(connection, where) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        reached = check(connection, where)  # another process may have been faster
        for number in range(reached + 1, len(MIGRATIONS) + 1):
            for statement in MIGRATIONS[number - 1]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number:d}")
        if reached == 0:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
            connection.execute("INSERT INTO meta VALUES ('epoch', ?)", (os.urandom(16).hex(),))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
