"""A disk that is really full: a small file system of its own in memory, filled to the last byte.

Making one needs the right to mount (root, as in a container of a CI). Elsewhere these tests are skipped; what
the databases say when they cannot grow is played in the tests of their failures.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentguard import ToolCallDenied
from agentguard.ledger.keys import VARIABLE
from agentguard.store import open_store
from tests.guard.support import AGENT, ANY, LARGE, bank, events, is_whole, make_guard
from tests.postgres.server import Server, fresh_url
from tests.store.postgres_support import until, works

Disk = Callable[[int], Path]


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Makes a file system of so many megabytes."""
    made: list[str] = []

    def make(size: int) -> Path:
        folder = tempfile.mkdtemp(prefix="agentguard-disk-")
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "none", folder]
        try:
            subprocess.run(mount, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.CalledProcessError):
            os.rmdir(folder)
            pytest.skip("no right to mount a small file system here; run as root to try a full disk")
        made.append(folder)
        return Path(folder)

    yield make
    for folder in made:
        subprocess.run(["umount", "-l", folder], check=True, timeout=20)
        os.rmdir(folder)


def fill(folder: Path) -> Path:
    """Take what is left; the file to be removed again."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass
    return ballast


def fails(transfer: Callable[..., object], tries: int = 20_000) -> None:
    """Call until a call is denied, which only the full disk does."""
    for _ in range(tries):
        try:
            transfer("ACME", 1, "x" * 2_000)
        except ToolCallDenied:
            return
    raise AssertionError("the disk never became full")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_on_a_full_disk_nothing_runs_unrecorded_and_with_room_it_goes_on_T16_T41(
    kind: str, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that ran is in the ledger, none that was denied ran, nothing has to be repaired."""
    monkeypatch.setenv(VARIABLE, "ab" * 32)
    place = disk(4 if kind == "sqlite" else 160)
    server = None
    if kind == "postgres":
        server = Server(data=place / "data")
        url = fresh_url(server.dsn)
    else:
        url = f"sqlite:///{place}/store.db"
    try:
        store = open_store(url)
        guard = make_guard(ANY, LARGE, store=store, replayable=True, pause="raise")
        transfer, ran = bank(guard)
        with guard.session(agent=AGENT):
            transfer("ACME", 1)
            ballast = fill(place)
            fails(transfer)
            count = len(ran)
            for amount in (1, 500):  # neither runs nor asks
                with pytest.raises(ToolCallDenied):
                    transfer("ACME", amount, "y" * 60_000)
            assert len(ran) == count
            ballast.unlink()
            if server is not None:
                until(lambda: works(store))
            transfer("ACME", 2)
        assert len(ran) == count + 1

        def recorded() -> int:
            """Without the event by which the server was tried."""
            found = events(guard, "decision")
            return sum(event["runs"] for event in found if event.get("session"))

        until(lambda: recorded() == len(ran))
        assert is_whole(guard)
        guard.close()
        store.close()
    finally:
        if server is not None:
            server.remove()
