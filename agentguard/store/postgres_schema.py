"""The schema of a PostgreSQL store: numbered steps, forward only, in a schema (namespace) of its own.

The table `meta` says that the schema is ours and which step it has reached. A step is never changed once
released; a new one is added.
"""

from __future__ import annotations

import os
from typing import Final

import psycopg
from psycopg import sql

from agentguard.errors import SchemaMismatch, StoreUnavailable

__all__ = ["MIGRATIONS", "Connection", "check", "epoch", "migrate", "whole"]

Connection = psycopg.Connection[tuple[object, ...]]

_FIRST: Final = (
    "CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL)",
    # `version` counts changes of approvals, `register` those of registered records.
    """CREATE TABLE tenant (
        no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
        version bigint NOT NULL DEFAULT 0, register bigint NOT NULL DEFAULT 0)""",
    # The edge of each tenant's tree; whoever numbers events holds its row.
    """CREATE TABLE head (
        tenant integer PRIMARY KEY, size bigint NOT NULL, peaks bytea NOT NULL, root bytea NOT NULL)""",
    # `no` is the order of insertion. `seq` and `edge` come later, from whoever numbers events.
    """CREATE TABLE event (
        no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant integer NOT NULL, seq bigint,
        id text NOT NULL, type text NOT NULL, at text NOT NULL, leaf bytea NOT NULL, edge bytea)""",
    "CREATE UNIQUE INDEX event_id ON event (tenant, id)",
    "CREATE UNIQUE INDEX event_seq ON event (tenant, seq) WHERE seq IS NOT NULL",
    "CREATE INDEX event_waiting ON event (tenant, no) WHERE seq IS NULL",
    """CREATE TABLE payload (
        tenant integer NOT NULL, key text NOT NULL, subject text NOT NULL, content bytea NOT NULL,
        PRIMARY KEY (tenant, key, subject))""",
    "CREATE INDEX payload_subject ON payload (tenant, subject)",
    """CREATE TABLE approval (
        no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant integer NOT NULL, version bigint NOT NULL,
        id text NOT NULL, call_id text NOT NULL, digest text NOT NULL, state text NOT NULL,
        stage integer NOT NULL, opened_at bigint NOT NULL, expires_at bigint NOT NULL, decided_at bigint,
        claimed_at bigint, settled_at bigint, epoch text NOT NULL, erased integer NOT NULL, last_event text,
        prev_event text, agent text NOT NULL, principal text, arguments bytea, shown bytea NOT NULL,
        request bytea NOT NULL, body bytea NOT NULL, votes bytea NOT NULL, outcome bytea,
        note text NOT NULL)""",
    "CREATE UNIQUE INDEX approval_id ON approval (tenant, id)",
    "CREATE UNIQUE INDEX approval_call ON approval (tenant, call_id, digest)",
    "CREATE INDEX approval_state ON approval (tenant, state, opened_at)",
    "CREATE INDEX approval_version ON approval (tenant, version)",
    """CREATE TABLE counter (
        tenant integer NOT NULL, key text NOT NULL, at bigint NOT NULL, amount bigint NOT NULL,
        PRIMARY KEY (tenant, key, at))""",
    """CREATE TABLE record (
        tenant integer NOT NULL, kind text NOT NULL, id text COLLATE "C" NOT NULL, state text NOT NULL,
        due bigint, registered integer NOT NULL, revision bigint NOT NULL, body bytea NOT NULL,
        PRIMARY KEY (tenant, kind, id))""",
    "CREATE INDEX record_due ON record (tenant, kind, due) WHERE due IS NOT NULL",
    "CREATE INDEX record_register ON record (tenant, kind, id) WHERE registered = 1",
)

_EDITS: Final = (
    # What a quota of waiting questions counts together: an agent, and the first of the rules that ask.
    "ALTER TABLE approval ADD COLUMN lane text NOT NULL DEFAULT ''",
    "CREATE INDEX approval_lane ON approval (tenant, agent, lane) WHERE state = 'requested'",
    # What a reviewer wants to run instead.
    "ALTER TABLE approval ADD COLUMN proposal bytea",
    # How many escalations were told, and when something happens next: an escalation, or the expiry.
    "ALTER TABLE approval ADD COLUMN level integer NOT NULL DEFAULT 0",
    "ALTER TABLE approval ADD COLUMN due bigint",
    "UPDATE approval SET due = expires_at WHERE state IN ('requested', 'approved')",
    "CREATE INDEX approval_due ON approval (tenant, due) WHERE due IS NOT NULL",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _EDITS)
"""The statements of step 1, 2 and so on."""

_EXISTS: Final = """
    SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = current_schema()),
           to_regclass(quote_ident(current_schema()) || '.meta') IS NOT NULL"""


def epoch(connection: Connection) -> str:
    """A random name of this store's life; it gets another one when it is restored."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    return "" if found is None else str(found[0])


def whole(row: tuple[object, ...] | None) -> int:
    """The number that a row of one column holds; 0 for no row."""
    return 0 if row is None else int(str(row[0]))


def check(connection: Connection, where: str) -> int:
    """The step a schema has reached; 0 for one that is empty or not there.

    Raises:
        SchemaMismatch: it is another program's, or newer than we are.
    """
    tables, ours = connection.execute(_EXISTS).fetchone() or (0, False)
    if not tables:
        return 0
    rows = connection.execute("SELECT key, value FROM meta").fetchall() if ours else []
    known = {str(key): str(value) for key, value in rows}
    if known.get("application") != "agentguard":
        raise SchemaMismatch(f"`{where}` has tables of another program; name another schema")
    version = int(known["schema"]) if known.get("schema", "").isdecimal() else 0
    if not version:
        raise SchemaMismatch(f"`{where}` has lost the mark of its schema; restore the table `meta`")
    if version > len(MIGRATIONS):
        raise SchemaMismatch(
            f"`{where}` has schema {version}, written by a newer agentguard; this one knows "
            f"{len(MIGRATIONS)}; upgrade agentguard, nothing was changed"
        )
    return version


def migrate(connection: Connection, where: str, schema: str, lock: int, *, create: bool = True) -> None:
    """Bring a schema to the newest step, all or nothing; several processes may do it at once.

    Raises:
        SchemaMismatch: as `check`.
        StoreUnavailable: there is no store and none may be made (`create=False`).
    """
    reached = check(connection, where)
    if reached == len(MIGRATIONS):
        return
    if reached == 0 and not create:
        raise StoreUnavailable(f"`{where}` cannot be opened: there is no store in it")
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
        # Asked first, since creating one needs a right that is not needed where it is there already.
        if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        reached = check(connection, where)  # another process may have been faster
        for number in range(reached + 1, len(MIGRATIONS) + 1):
            for statement in MIGRATIONS[number - 1]:
                connection.execute(statement.encode())
            connection.execute(
                "INSERT INTO meta VALUES ('schema', %s)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (str(number),),
            )
        if reached == 0:
            connection.execute(
                "INSERT INTO meta VALUES ('application', 'agentguard'), ('epoch', %s)",
                (os.urandom(16).hex(),),
            )
