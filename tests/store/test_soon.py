"""What may wait a moment before it is written: outcomes, whose decisions are on the disk already."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentguard.errors import StoreUnavailable
from agentguard.ledger.verify import verify
from agentguard.store import Store, open_store
from agentguard.store.protocol import Event
from agentguard.store.soon import LIMIT
from tests.store.postgres_support import until
from tests.store.support import decided, ended, types


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{path}")
    made.append("default", [decided()])
    yield made
    made.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written just because time passes."""
    monkeypatch.setattr("agentguard.store.soon.SECONDS", 600)


def written(path: Path) -> int:
    """How many events another process sees."""
    other = sqlite3.connect(path)
    try:
        return int(other.execute("SELECT count(*) FROM event").fetchone()[0])
    finally:
        other.close()


def outcomes(store: Store, count: int) -> list[Event]:
    """Outcomes that can be appended, as their decisions are there already."""
    made = [decided() for _ in range(count)]
    store.append("default", made)
    return [ended(event) for event in made]


def comes_to(path: Path, count: int) -> bool:
    until(lambda: written(path) >= count)
    return written(path) == count


@pytest.mark.usefixtures("patient")
def test_it_goes_with_the_next_write_before_it_and_in_one_transaction(store: Store, path: Path) -> None:
    """The order is the order in which things happened."""
    for waiting in (1, 2, 3, 4, 5, 40):
        ends = outcomes(store, waiting)
        before = written(path)
        expected = types(store)
        for end in ends:
            store.append("default", [end], durable=False)
        assert written(path) == before
        store.append("default", [decided()])
        assert written(path) == before + waiting + 1
        assert types(store) == [*expected, *["outcome"] * waiting, "decision"]
    assert verify(store).ok


@pytest.mark.usefixtures("patient")
def test_our_own_reads_see_it(store: Store, path: Path) -> None:
    """Within a process nobody notices that something waits."""
    store.append("default", [ended(decided())], durable=False)
    assert types(store) == ["decision", "outcome"]
    store.append("default", [ended(decided())], durable=False)
    assert store.head("default")[0] == 3
    store.append("new", [decided("new")], durable=False)
    assert store.tenants() == ["default", "new"]
    assert written(path) == 4


def test_it_is_written_soon_by_itself(store: Store, path: Path) -> None:
    """Other processes see it although nothing else is written, now and after a pause."""
    for count in (2, 3):
        store.append("default", [ended(decided())], durable=False)
        assert comes_to(path, count)


def test_the_writer_ends_when_nothing_is_left(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle store keeps no thread, and writes again when there is something."""
    monkeypatch.setattr("agentguard.store.soon._LINGER", 0.01)
    for count in (2, 3):
        store.append("default", [ended(decided())], durable=False)
        assert comes_to(path, count)
        thread = store._soon._thread  # type: ignore[attr-defined]
        if thread is not None:
            thread.join(120)
        assert store._soon._thread is None  # type: ignore[attr-defined]


def test_it_waits_for_nobody_T41(store: Store, path: Path) -> None:
    """While another process holds the lock it waits, bounded in number, and is written afterwards.

    The lock is given back only behind all of it: whoever waited for it would wait for ever.
    """
    ends = outcomes(store, LIMIT)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for end in ends:
        store.append("default", [end], durable=False)
    with pytest.raises(StoreUnavailable, match="wait already"):
        store.append("default", [ended(decided())], durable=False)
    other.execute("ROLLBACK")
    other.close()
    store.flush()
    assert written(path) == 2 * LIMIT + 1
    assert verify(store).ok


@pytest.mark.usefixtures("patient")
def test_what_fails_waits_on(store: Store, path: Path) -> None:
    """A flush that cannot write says so and loses nothing, and neither does a decision that fails."""
    store.append("default", [ended(decided())], durable=False)
    moved = path.with_name("moved.db")
    path.rename(moved)
    with pytest.raises(StoreUnavailable, match="gone"):
        store.flush()
    with pytest.raises(StoreUnavailable, match="gone"):
        store.append("default", [decided()])
    moved.rename(path)
    store.append("default", [decided()])
    assert types(store) == ["decision", "outcome", "decision"]


@pytest.mark.usefixtures("patient")
def test_two_stores_on_one_file_keep_one_chain(store: Store, path: Path) -> None:
    """What waits gets its number when it is written, behind what others appended meanwhile."""
    other = open_store(store.url)
    ends = outcomes(store, 10)
    for _ in range(5):
        store.append("default", [ends.pop()], durable=False)
        other.append("default", [decided()])
        other.append("default", [ends.pop()], durable=False)
        store.append("default", [decided()])
    other.close()
    assert len(types(store)) == 1 + 10 + 5 * 4
    assert verify(store).ok


@pytest.mark.usefixtures("patient")
def test_tenants_wait_beside_each_other(store: Store) -> None:
    """One tenant's write does not carry another's events into its ledger."""
    for _ in range(3):
        store.append("a", [decided("a")], durable=False)
        store.append("b", [decided("b"), decided("b")], durable=False)
        store.append("a", [decided("a")])
    assert store.head("a")[0] == 6
    assert store.head("b")[0] == 6
    assert verify(store).ok


def test_many_threads_lose_nothing(store: Store) -> None:
    """Waiting, merged and timed writes from eight threads: each event once."""

    def work() -> None:
        for _ in range(100):
            first = decided()
            store.append("default", [first])
            store.append("default", [ended(first)], durable=False)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [event.id for event in store.events("default")]
    assert len(ids) == len(set(ids)) == 1 + 8 * 200
    assert verify(store).ok


_RUN = """
import os, signal, sys
sys.path.insert(0, {root!r})
from agentguard.store import open_store, soon
soon.SECONDS = 600  # nothing is written just because time passes
from tests.store.support import decided, ended
store = open_store({url!r}, timeout_s=60)
first = decided()
store.append("default", [first])
store.append("default", [ended(first)], durable=False)
{end}
"""


@pytest.mark.parametrize(
    ("end", "left"),
    [("", 3), ("sys.exit(3)", 3), ("raise RuntimeError", 3), ("os.kill(os.getpid(), signal.SIGKILL)", 2)],
    ids=["end", "exit", "error", "killed"],
)
def test_the_end_of_the_process_T38(store: Store, path: Path, end: str, left: int) -> None:
    """A process that ends writes what waits although nobody closed the store; one that is killed cannot."""
    root = str(Path(__file__).parents[2])
    script = _RUN.format(root=root, url=store.url, end=end)
    subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=300)
    assert written(path) == left
    assert verify(store).ok


def _worker(url: str) -> None:
    made = open_store(url)
    made.append("default", [ended(decided())], durable=False)


def test_a_forked_worker_writes_what_waits_T43(store: Store, path: Path) -> None:
    """`multiprocessing` ends its workers without the interpreter's own end."""
    worker = multiprocessing.get_context("fork").Process(target=_worker, args=(store.url,))
    worker.start()
    worker.join(300)
    assert worker.exitcode == 0
    assert written(path) == 2


@pytest.mark.usefixtures("patient")
def test_a_forked_child_leaves_its_parents_events_alone_T43(store: Store, path: Path) -> None:
    """What waits at the fork is written once, by the parent."""
    store.append("default", outcomes(store, 1), durable=False)
    child = os.fork()
    if child == 0:
        try:
            store.append("default", [decided()])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert written(path) == 3
    store.flush()
    assert types(store) == ["decision", "decision", "decision", "outcome"]
    assert verify(store).ok


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("waiting", [1, 5])
def test_an_interrupt_just_after_the_commit_writes_nothing_twice(store: Store, waiting: int) -> None:
    """It is in the file, and whoever writes next looks."""

    class Interrupted:
        def __init__(self, real: sqlite3.Connection) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def execute(self, sql: str, *values: Any) -> Any:
            found = self.real.execute(sql, *values)
            if sql == "COMMIT" or (sql.startswith("INSERT") and not self.real.in_transaction):
                raise KeyboardInterrupt
            return found

    database = store._database  # type: ignore[attr-defined]
    for lost in (False, True):
        for end in outcomes(store, waiting):
            store.append("default", [end], durable=False)
        real = database.current()
        database._connection = Interrupted(real)
        with pytest.raises(KeyboardInterrupt):
            store.append("default", [decided()])
        database._connection = real
        if lost:
            real.execute("DELETE FROM event WHERE key > (SELECT max(key) FROM event) - ?", (waiting + 1,))
        store.append("default", [decided()])
    assert types(store).count("outcome") == 2 * waiting
    assert verify(store).ok


def test_a_closed_store_takes_nothing(store: Store) -> None:
    """Refused at once, not lost later."""
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.append("default", [ended(decided())], durable=False)
