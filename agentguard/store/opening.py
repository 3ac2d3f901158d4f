"""From a URL to a store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard.store.protocol import Store

__all__ = ["open_store"]


def open_store(
    url: str,
    *,
    clock: Callable[[], dt.datetime] | None = None,
    create: bool = True,
    timeout_s: float = 5.0,
) -> Store:
    """Open a store.

    `memory:` lives and dies with this process. `sqlite:///file.db` is relative to the working directory,
    `sqlite:////var/lib/file.db` absolute. `postgresql://user@host/database` takes every parameter of libpq's,
    and `agentguard_schema=name` for other tables than those of the schema `agentguard`. `clock` replaces the
    store's time (UTC) in tests. With `create=False` a store that is not there is an error. `timeout_s`
    bounds, in seconds, every wait for another thread or process.

    Raises:
        ConfigurationError: the URL names no store.
        StoreUnavailable: the store cannot be opened.
        SchemaMismatch: it is not ours, or was written by a newer agentguard.
    """
    if url in ("memory:", "memory://"):
        from agentguard.store.memory import MemoryStore

        return MemoryStore(clock=clock)
    if url.startswith("sqlite:///"):
        from agentguard.store.sqlite import SQLiteStore

        return SQLiteStore(url.removeprefix("sqlite:///"), clock=clock, create=create, timeout_s=timeout_s)
    if url.startswith(("postgresql://", "postgres://")):
        try:
            from agentguard.store.postgres import PostgresStore
        except ImportError as error:
            raise ConfigurationError(
                f"a PostgreSQL store needs {error.name}: pip install 'agentguard[postgres]'"
            ) from error

        return PostgresStore(url, clock=clock, create=create, timeout_s=timeout_s)
    shown = url.rpartition("@")[2].partition("?")[0]
    raise ConfigurationError(
        f"`{shown[:80]}` names no store; use `sqlite:///file.db`, `sqlite:////absolute/file.db`, "
        "`postgresql://user@host/database` or `memory:`"
    )
