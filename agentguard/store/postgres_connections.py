"""Connections to PostgreSQL: a pool of them, short transactions, our errors, and forks."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from agentguard.errors import StoreError, StoreUnavailable
from agentguard.forks import let_go_in_child
from agentguard.store.postgres_clock import ServerClock
from agentguard.store.postgres_schema import Connection
from agentguard.store.postgres_url import Place

__all__ = ["SERVER_TIME", "Connections", "connect"]

SERVER_TIME: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The server's time in microseconds since 1970, as SQL."""

_SIZE: Final = 8
_IDLE_S: Final = 5.0
_SYNC_S: Final = 30.0
_SHORT_S: Final = 0.1
_MEANINGS: Final[tuple[tuple[type[psycopg.Error], str], ...]] = (
    (pg.DiskFull, "cannot grow: the disk is full"),
    (pg.ReadOnlySqlTransaction, "is read-only"),
    (pg.InsufficientPrivilege, "may not be used like this: permission denied"),
    (pg.LockNotAvailable, "is busy"),
    (pg.QueryCanceled, "is busy"),
    (pg.DeadlockDetected, "is busy"),
    (pg.UndefinedTable, "has lost its tables"),
    (pg.UndefinedColumn, "has other tables than ours"),
    (pg.TooManyConnections, "takes no more connections"),
    (psycopg.OperationalError, "cannot be reached"),
)

_open: Final[weakref.WeakSet[Connections]] = weakref.WeakSet()
_orphans: Final[list[object]] = []


def connect(place: Place, timeout_s: float) -> Connection:
    """One connection of its own, for listening and for the schema.

    Raises:
        StoreUnavailable: there is none to be had.
    """
    try:
        return psycopg.connect(place.conninfo, **_options(place, timeout_s))
    except psycopg.Error as error:
        raise _unavailable(place, error) from error


def _options(place: Place, timeout_s: float) -> dict[str, Any]:
    bound = max(1, int(timeout_s * 1000))
    settings = {
        "search_path": place.schema,
        "statement_timeout": bound,
        "lock_timeout": bound,
        "idle_in_transaction_session_timeout": 2 * bound,
        "synchronous_commit": "on",
        "default_transaction_isolation": "read\\ committed",
    }
    given = conninfo_to_dict(place.conninfo)
    ours = {
        "connect_timeout": max(2, int(timeout_s)),
        "application_name": "agentguard",
        "keepalives_idle": 30,
        "tcp_user_timeout": bound,
    }
    words = [str(given.get("options") or ""), *(f"-c {name}={value}" for name, value in settings.items())]
    return {
        **{name: value for name, value in ours.items() if name not in given},
        "options": " ".join(words).strip(),
        "autocommit": True,
    }


class Connections:
    """A pool of connections, made when they are needed, and the server's time."""

    def __init__(self, place: Place, timeout_s: float) -> None:
        self.place = place
        self.timeout_s = timeout_s
        self.closed = False
        self._clock = ServerClock()
        self._reset()
        _open.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._pool: ConnectionPool[Connection] | None = None
        self._used: weakref.WeakKeyDictionary[Connection, float] = weakref.WeakKeyDictionary()
        self._synced = float("-inf")
        self._failing = False

    @contextlib.contextmanager
    def use(self) -> Iterator[Connection]:
        """A connection, in autocommit; whatever goes wrong becomes a `StoreError`."""
        with self.errors(), self._opened().connection(timeout=self._patience()) as connection:
            self._failing = False
            try:
                if time.monotonic() - self._synced > _SYNC_S:
                    self.ask_time(connection)
                yield connection
            finally:
                if connection.closed:
                    self._used.clear()  # the others are tried before they are used
            self._used[connection] = time.monotonic()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the driver raises into our errors."""
        try:
            yield
        except PoolTimeout as error:
            self._failing = True
            raise StoreUnavailable(
                f"`{self.place.shown}` is busy or cannot be reached: no connection to be had"
            ) from error
        except PoolClosed as error:
            raise StoreUnavailable(f"`{self.place.shown}` was closed") from error
        except psycopg.Error as error:
            raise _unavailable(self.place, error) from error
        except UnicodeEncodeError as error:
            raise StoreError(f"a text cannot be kept: it is not valid Unicode ({error.reason})") from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end or, after any exception, rolled back."""
        with self.use() as connection, connection.transaction():
            yield connection

    @contextlib.contextmanager
    def pipelined(self) -> Iterator[Connection]:
        """The same in one round trip, the commit included; nothing can be fetched before its end.

        To fetch in the middle would be worse than another round trip: in a pipeline the server does not see
        that it waits for us, and would never end the transaction of a process that was stopped there.
        """
        with self.use() as connection, connection.pipeline(), connection.transaction():
            yield connection

    def now(self) -> dt.datetime:
        """The server's time as far as we know it: asked every half minute at least."""
        return self._clock()

    def ask_time(self, connection: Connection) -> dt.datetime:
        """The server's time, from the server."""
        asked = self._clock.elapsed()
        (said,) = connection.execute(f"SELECT {SERVER_TIME}".encode()).fetchone() or (0,)
        self._synced = time.monotonic()
        return self._clock.hear(int(str(said)), asked)

    def close(self) -> None:
        """Give all connections back; anything later is refused."""
        self.closed = True
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=self.timeout_s)

    def orphan(self) -> None:
        """In a forked child: the parent's connections are left alone, even by the garbage collector."""
        if self._pool is not None:
            _orphans.append(self._pool)
        self._reset()

    def _opened(self) -> ConnectionPool[Connection]:
        with self._lock:
            if self.closed:
                raise StoreUnavailable(f"`{self.place.shown}` was closed")
            if self._pool is None:
                self._pool = ConnectionPool(
                    self.place.conninfo,
                    kwargs=_options(self.place, self.timeout_s),
                    min_size=1,
                    max_size=_SIZE,
                    timeout=self.timeout_s,
                    reconnect_timeout=self.timeout_s,
                    check=self._check,
                    open=True,
                    name="agentguard",
                )
            return self._pool

    def _check(self, connection: Connection) -> None:
        """Try a connection that was not used for a while: the server may have gone away meanwhile."""
        if time.monotonic() - self._used.get(connection, 0.0) > _IDLE_S:
            ConnectionPool.check_connection(connection)

    def _patience(self) -> float:
        """How long to wait for a connection: after a wait that was in vain not as long again, so that a queue
        of callers is not one long wait for the last of them. The pool goes on trying meanwhile."""
        return min(_SHORT_S, self.timeout_s) if self._failing else self.timeout_s


def _unavailable(place: Place, error: psycopg.Error) -> StoreError:
    if isinstance(error, (pg.DataError, pg.NumericValueOutOfRange)):
        return StoreError(f"a value cannot be kept: {_first(error)}")
    meaning = next((text for kind, text in _MEANINGS if isinstance(error, kind)), "cannot be used")
    return StoreUnavailable(f"`{place.shown}` {meaning}: {_first(error)}")


def _first(error: psycopg.Error) -> str:
    """One line, without the values of a statement."""
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0][:200]


def _after_fork() -> None:
    for connections in list(_open):
        connections.orphan()


let_go_in_child(_after_fork)
