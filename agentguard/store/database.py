"""One SQLite file: opened safely, used from any thread, one short transaction at a time.

Durable transactions run with `synchronous=FULL`: the write-ahead log is on the disk when they return. Others
run with `synchronous=NORMAL`: visible to every process at once, on the disk with the next durable one. Both
go through one connection, whose mode is switched between transactions, so that its page cache stays warm.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import time
import urllib.parse
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Final

from agentguard.errors import StoreError, StoreUnavailable
from agentguard.forks import let_go_in_child
from agentguard.store import migrations

__all__ = ["Database", "Read", "Write"]

_PRAGMAS: Final = (
    "PRAGMA secure_delete = ON",  # what is erased is overwritten
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA fullfsync = ON",  # macOS: a sync that reaches the disk
    "PRAGMA temp_store = MEMORY",
    "PRAGMA synchronous = FULL",
)

_MEANINGS: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full or a limit is reached",
    sqlite3.SQLITE_READONLY: "is read-only",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is damaged, or not a database",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
    sqlite3.SQLITE_PERM: "may not be used: permission denied",
}

_open: Final[weakref.WeakSet[Database]] = weakref.WeakSet()
_orphans: Final[list[sqlite3.Connection]] = []


class Database:
    """A file and its connection.

    `read` and `write` are context managers that give the connection under the lock; inside `write` is one
    transaction that is committed at the end or, after any exception, rolled back.
    """

    def __init__(self, path: str, *, create: bool, timeout_s: float) -> None:
        if sqlite3.sqlite_version_info < (3, 35):
            raise StoreUnavailable(f"SQLite 3.35 or newer is needed, this is {sqlite3.sqlite_version}")
        self.path = path
        self.timeout_s = timeout_s
        self._absolute = os.path.abspath(path)
        self._lock = threading.Lock()
        self._closed = False
        self._full = True
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self.on_rollback: Callable[[], object] = lambda: None
        self.on_commit: Callable[[], object] = lambda: None
        if create:
            self._create()
        self._connect()
        self.read = Read(self)
        self.write = Write(self, full=True)
        self.write_fast = Write(self, full=False)
        _open.add(self)

    @property
    def closed(self) -> bool:
        """Whether anything is refused from now on."""
        return self._closed

    def close(self) -> None:
        """Close the connection; anything later is refused."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None:
            with contextlib.suppress(Exception):  # at the end of the interpreter anything may be gone
                connection.close()

    def enter(self) -> sqlite3.Connection:
        """Take the lock and a usable connection.

        Raises:
            StoreUnavailable: the wait took too long, or the store was closed or its file is gone.
        """
        if not self._lock.acquire(timeout=self.timeout_s):
            raise StoreUnavailable(f"`{self.path}` is busy: no turn in {self.timeout_s:g} s")
        try:
            connection = self._connection
            if connection is None:
                if self._closed:
                    raise StoreUnavailable(f"`{self.path}` was closed")
                connection = self._connect()  # in a child process after a fork
            status = os.stat(self._absolute)
            if (status.st_ino, status.st_dev) != self._identity:
                raise StoreUnavailable(f"`{self.path}` was replaced while it was open; open it again")
            return connection
        except OSError as error:
            self._lock.release()
            raise StoreUnavailable(f"`{self.path}` is gone: {error.strerror}") from error
        except sqlite3.Error as error:
            self._lock.release()
            raise self.unavailable(error) from error
        except BaseException:
            self._lock.release()
            raise

    def current(self) -> sqlite3.Connection:
        """The connection, for whoever holds the lock."""
        assert self._connection is not None
        return self._connection

    def leave(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def set_full(self, connection: sqlite3.Connection, full: bool) -> None:
        """Make the following transactions durable at their end, or not."""
        if full is not self._full:
            # `executescript` compiles each time: this pragma takes effect when it is compiled, and a cached
            # statement would be stepped again without effect.
            connection.executescript("PRAGMA synchronous = FULL" if full else "PRAGMA synchronous = NORMAL")
            self._full = full

    def unavailable(self, error: sqlite3.Error) -> StoreError:
        """Our error for one of SQLite's."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        meaning = _MEANINGS.get(code, "cannot be used")
        return StoreUnavailable(f"`{self.path}` {meaning}: {error}")

    def _create(self) -> None:
        try:
            os.close(os.open(self._absolute, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise StoreUnavailable(f"`{self.path}` cannot be created: {error.strerror}") from error

    def _connect(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        try:
            status = os.stat(self._absolute)
            if os.name == "posix" and status.st_mode & stat.S_IWOTH:
                raise StoreUnavailable(
                    f"anybody on this machine may change `{self.path}`; run `chmod o-w {self.path}`"
                )
            reading = self._only_readable()
            connection = sqlite3.connect(
                f"file:{urllib.parse.quote(self._absolute)}?{reading or 'mode=rw'}",
                uri=True,
                timeout=self.timeout_s,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            reached = migrations.check(connection, self.path)
            if not reading:
                self._use_wal(connection)
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            if not reading or reached != len(migrations.MIGRATIONS):
                migrations.migrate(connection, self.path)
        except OSError as error:
            raise StoreUnavailable(f"`{self.path}` cannot be opened: {error.strerror}") from error
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise self.unavailable(error) from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        self._identity = (status.st_ino, status.st_dev)
        self._full = True
        self._connection = connection
        return connection

    def _only_readable(self) -> str:
        """How to open a file, or a file in a folder, that may only be read: as an auditor does, or nothing.

        Without a write-ahead log nobody has it open, and nothing stands beside the file.
        """
        if os.access(self._absolute, os.W_OK) and os.access(os.path.dirname(self._absolute), os.W_OK):
            return ""
        return "mode=ro" if os.path.exists(f"{self._absolute}-wal") else "mode=ro&immutable=1"

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        # The switch needs the file to itself for a moment, and SQLite does not wait for that by itself.
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
                continue
            if mode != "wal":
                raise StoreUnavailable(
                    f"`{self.path}` cannot have a write-ahead log here ({mode}); put it on a local disk"
                )
            return

    def orphan(self) -> None:
        """In a forked child: the parent's connection is left alone, even by the garbage collector."""
        self._lock = threading.Lock()
        if self._connection is not None:
            _orphans.append(self._connection)
            self._connection = None


class Read:
    """Statements that each see the newest state."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        return self._database.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.leave()
        if isinstance(error, sqlite3.Error):
            raise self._database.unavailable(error) from error


class Write:
    """One transaction, with the write lock from its beginning."""

    __slots__ = ("_database", "_full")

    def __init__(self, database: Database, *, full: bool) -> None:
        self._database = database
        self._full = full

    def __enter__(self) -> sqlite3.Connection:
        database = self._database
        connection = database.enter()
        try:
            database.set_full(connection, self._full)
            connection.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._undo(connection)
            database.leave()
            if isinstance(error, sqlite3.Error):
                raise database.unavailable(error) from error
            raise
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        database = self._database
        connection = database.current()
        try:
            if error is None:
                connection.execute("COMMIT")
                database.on_commit()
                return
            self._undo(connection)
        except sqlite3.Error as failed:
            self._undo(connection)
            raise database.unavailable(failed) from failed
        except BaseException:
            self._undo(connection)
            raise
        finally:
            database.leave()
        if isinstance(error, sqlite3.Error):
            raise database.unavailable(error) from error
        if isinstance(error, OverflowError):
            raise StoreError(f"a number is too large to be kept: {error}") from error

    def _undo(self, connection: sqlite3.Connection) -> None:
        self._database.on_rollback()
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:  # SQLite has rolled back by itself
            pass


def _after_fork() -> None:
    for database in list(_open):
        database.orphan()


let_go_in_child(_after_fork)
