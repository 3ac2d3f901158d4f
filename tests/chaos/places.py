"""Where a run happens: a file, a server of our own that may be restarted, or a server that somebody gave."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from agentguard.ledger.keys import VARIABLE
from agentguard.store import open_store
from agentguard.store.postgres_url import parse
from tests.postgres.proxy import CutProxy
from tests.postgres.server import Server, drop, fresh_url

__all__ = ["Place", "opened"]

NAME = "agentguard-chaos"
"""What our connections are called, so that nobody else's are ended."""


@dataclass(frozen=True, slots=True)
class Place:
    """`url` for who looks at the end, `through` for those who are disturbed, `folder` for what they note."""

    url: str
    through: str
    folder: Path
    server: Server | None = None
    proxy: CutProxy | None = None

    @property
    def kind(self) -> str:
        return self.url.partition(":")[0]

    def restart(self, mode: str) -> None:
        """Restart the server, if it is ours."""
        if self.server is not None:
            self.server.restart(mode)

    def terminate(self) -> int:
        """End the server's side of every connection of the run; how many there were."""
        with psycopg.connect(parse(self.url).conninfo, autocommit=True) as connection:
            found = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = %s AND pid <> pg_backend_pid()",
                (NAME,),
            ).fetchone()
        return 0 if found is None else int(found[0])


@contextlib.contextmanager
def opened(store: str) -> Iterator[Place]:
    """Make the place of `--store`: `sqlite`, `postgres` (a server of our own), or a URL."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = os.urandom(32).hex()  # for all processes of the run
    try:
        with (
            tempfile.TemporaryDirectory(prefix="agentguard-chaos-") as name,
            _found(store, Path(name)) as place,
        ):
            open_store(place.url).close()
            yield place
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


@contextlib.contextmanager
def _found(store: str, folder: Path) -> Iterator[Place]:
    if store == "sqlite" or store.startswith("sqlite:///"):
        url = f"sqlite:///{folder}/store.db" if store == "sqlite" else store
        yield Place(url, url, folder)
        return
    server = Server() if store == "postgres" else None
    url = fresh_url(server.dsn if server is not None else store)
    dsn = url.partition("?")[0]
    try:
        with CutProxy(dsn) as proxy:
            through = f"{proxy.dsn}?{url.partition('?')[2]}&application_name={NAME}"
            yield Place(url, through, folder, server, proxy)
    finally:
        if server is None:
            drop(url)
        else:
            server.remove()
