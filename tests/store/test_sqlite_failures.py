"""An SQLite store that cannot do it: a clear error, nothing half-done, nothing of ours in others' files."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentguard.errors import SchemaMismatch, StoreError, StoreUnavailable
from agentguard.ledger.verify import verify
from agentguard.store import Payload, Store, open_store
from agentguard.store.sqlite_ledger import MAX_TAIL
from tests.store.support import answer, ask, decided, ended, take, types


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{path}")
    yield store
    store.close()


@pytest.fixture
def hasty(store: Store) -> Iterator[Store]:
    """The same store for somebody who gives up soon: for what has to fail."""
    found = open_store(store.url, timeout_s=0.2)
    yield found
    found.close()


def connection(store: Store) -> sqlite3.Connection:
    return store._database.current()  # type: ignore[attr-defined, no-any-return]


def test_the_file_is_only_its_owners(store: Store, path: Path) -> None:
    """Created with mode 0600, and so is what SQLite puts beside it."""
    store.append("default", [decided()])
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_relative_and_absolute_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes are relative, four absolute; odd characters belong to the name."""
    monkeypatch.chdir(tmp_path)
    for name in ("a b?c=d#e%20.db", f"{tmp_path}/absolute.db"):
        store = open_store(f"sqlite:///{name}")
        assert store.url == f"sqlite:///{name}"
        store.close()
    assert (tmp_path / "a b?c=d#e%20.db").exists()
    assert (tmp_path / "absolute.db").exists()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """No folder is made."""
    with pytest.raises(StoreUnavailable, match="cannot be created"):
        open_store(f"sqlite:///{tmp_path}/nowhere/store.db")
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_file_is_refused_when_it_must_exist(path: Path) -> None:
    """A mistyped path is not an empty ledger."""
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        open_store(f"sqlite:///{path}", create=False)
    assert not path.exists()


def test_what_is_not_a_database_is_refused(path: Path) -> None:
    """And left as it is."""
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"hello" * 1000


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """It is no file."""
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{tmp_path}")


def test_another_programs_database_is_refused(path: Path) -> None:
    """Nothing is changed in it, not even its journal mode."""
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="another program"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_T13(store: Store, path: Path) -> None:
    """An older agentguard does not guess, and nothing is changed."""
    connection(store).execute("PRAGMA user_version = 99")
    store.close()
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="newer agentguard"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_locked_store_is_refused_in_bounded_time_T41_T42(store: Store, hasty: Store, path: Path) -> None:
    """Whoever holds the lock keeps it; nothing of ours is written, and later all is well."""
    store.append("default", [decided()])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for count in (1, 2):
        with pytest.raises(StoreUnavailable, match="locked"):
            hasty.append("default", [decided() for _ in range(count)])
    with pytest.raises(StoreUnavailable, match="locked"):
        ask(hasty)
    other.execute("ROLLBACK")
    other.close()
    hasty.append("default", [decided()])
    assert len(types(store)) == 2
    assert verify(store).ok


def test_a_thread_that_holds_the_store_is_waited_for_in_bounded_time_T42(hasty: Store) -> None:
    """An update that never ends does not hold everybody else."""
    approval = ask(hasty)
    inside, done = threading.Event(), threading.Event()

    def stuck(*_: object) -> None:
        inside.set()
        done.wait()

    thread = threading.Thread(target=hasty.update_approval, args=("default", approval.id, stuck))
    thread.start()
    inside.wait()
    try:
        with pytest.raises(StoreUnavailable, match="busy"):
            hasty.head("default")
    finally:
        done.set()
        thread.join()
    assert hasty.head("default")[0] == 2


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("durable", [True, False])
def test_a_full_store_is_refused_T16_T41(store: Store, count: int, durable: bool) -> None:
    """What fits is kept, what does not leaves nothing, and the chain goes on when there is room again."""
    store.append("default", [decided()])
    pages = connection(store).execute("PRAGMA page_count").fetchone()[0]
    connection(store).execute(f"PRAGMA max_page_count = {pages + 3}")

    def fill() -> None:
        for _ in range(500):
            store.append("default", [decided() for _ in range(count)], durable=durable)
            store.flush()

    with pytest.raises(StoreUnavailable, match="full"):
        fill()
    with pytest.raises(StoreUnavailable, match="full"):
        store.append("default", [], payloads={"k": Payload("ben", os.urandom(100_000))})
    size = store.head("default")[0]
    assert len(types(store)) == size
    assert verify(store).ok
    connection(store).execute("PRAGMA max_page_count = 100000")
    store.append("default", [decided()], durable=durable)
    waited = 0 if durable else count  # what could not be written has waited
    assert store.head("default")[0] == size + waited + 1
    assert verify(store).ok


_FILL = """
import resource, signal, sys
from agentguard.errors import StoreUnavailable
from agentguard.ledger.verify import verify
from agentguard.store import open_store
from tests.store.support import answer, ask, decided, take
store = open_store("sqlite:///" + sys.argv[1])
approval = answer(store, ask(store))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
written = 0
try:
    while True:
        store.append("default", [decided()])
        written += 1
except StoreUnavailable:
    pass
try:
    take(store, approval)
except StoreUnavailable:
    print("refused", written)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert store.approval("default", approval.id).state.value == "approved"
assert store.head("default")[0] == written + 4, (store.head("default"), written)
assert verify(store).ok
take(store, approval)
assert verify(store).ok
"""


def test_a_file_that_may_not_grow_is_refused_T16(path: Path) -> None:
    """The system refuses the write: the event is not there, the claim did not happen, and both can later."""
    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused")


def test_a_read_only_connection_is_refused_T16(store: Store) -> None:
    """Reading goes on."""
    approval = answer(store, ask(store))
    connection(store).execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable, match="read-only"):
        store.append("default", [decided()])
    with pytest.raises(StoreUnavailable, match="read-only"):
        take(store, approval)
    assert store.approval("default", approval.id) == approval
    connection(store).execute("PRAGMA query_only = OFF")
    take(store, approval)


_AS_NOBODY = """
import os, sys
from agentguard.errors import StoreUnavailable
from agentguard.store import open_store
open_store("memory:").close()
import agentguard.store.sqlite
from tests.store.support import decided
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    store = open_store("sqlite:///" + sys.argv[1])
    store.append("default", [decided()])
except StoreUnavailable as error:
    print("refused", error)
"""


@pytest.mark.parametrize(("mode", "why"), [(0o444, "read-only"), (0o000, "cannot be opened")])
def test_a_file_of_somebody_else_is_refused_T16(mode: int, why: str) -> None:
    """As another user the file is read-only, or not readable at all."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        store = open_store(f"sqlite:///{folder}/store.db")
        store.append("default", [decided()])
        store.close()
        os.chmod(f"{folder}/store.db", mode)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, f"{folder}/store.db"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.stdout.startswith("refused"), done.stderr
        assert why in done.stdout


_AUDITOR = """
import os, sys
from agentguard.errors import StoreUnavailable
from agentguard.ledger.verify import verify
from agentguard.store import open_store
import agentguard.store.sqlite
from tests.store.support import decided
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
store = open_store("sqlite:///" + sys.argv[1], create=False)
report = verify(store)
print(report.ok, report.size, sorted(os.listdir(os.path.dirname(sys.argv[1]))))
try:
    store.append("default", [decided()])
except StoreUnavailable as error:
    print("refused", error)
"""


@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_whoever_may_only_read_can_verify(open_elsewhere: bool) -> None:
    """An auditor's copy on a read-only medium, or the file while its owner writes; nothing is left beside."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/store.db")
        store.append("default", [decided()])
        if not open_elsewhere:
            store.close()
        os.chmod(folder, 0o755)
        for name in os.listdir(folder):
            os.chmod(f"{folder}/{name}", 0o644)
        before = sorted(os.listdir(folder))
        done = subprocess.run(
            [sys.executable, "-c", _AUDITOR, f"{folder}/store.db"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        first, second = done.stdout.splitlines()
        assert first == f"True 1 {before}", done.stderr
        assert second.startswith("refused")
        assert "read-only" in second
        store.close()


def test_a_deleted_file_is_refused(store: Store, path: Path) -> None:
    """A record written to a file that nobody can find is no record."""
    store.append("default", [decided()])
    path.unlink()
    with pytest.raises(StoreUnavailable, match="gone"):
        store.append("default", [decided()])
    with pytest.raises(StoreUnavailable, match="gone"):
        store.head("default")


def test_a_replaced_file_is_refused_T18(store: Store, path: Path, tmp_path: Path) -> None:
    """Whoever puts a backup in the place of an open store does not make us write to a ghost."""
    store.append("default", [decided()])
    shutil.copy(path, tmp_path / "backup.db")
    os.replace(tmp_path / "backup.db", path)
    with pytest.raises(StoreUnavailable, match="replaced"):
        store.append("default", [decided()])


def test_a_damaged_page_is_an_error_and_not_an_answer(store: Store, path: Path) -> None:
    """SQLite's own checks, as our error."""
    for number in range(40):
        ask(store, call_id=f"call-{number}")
    store.close()
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(content)

    def read() -> None:
        with contextlib.closing(open_store(f"sqlite:///{path}")) as broken:
            broken.approvals("default")

    with pytest.raises(StoreUnavailable, match="damaged"):
        read()


@pytest.mark.parametrize(
    "damage",
    [
        "state = 'granted'",
        "state = ''",
        "stage = 'x'",
        "body = x'7b7d'",
        "body = x'00'",
        "votes = '[{}]'",
        "votes = '{\"a\":1}'",
        "expires_at = 'soon'",
        "shown = x'5b5d'",
    ],
)
def test_a_record_that_makes_no_sense_is_an_error_T13(store: Store, damage: str) -> None:
    """An unknown state or missing metadata can neither be read, voted on nor claimed."""
    approval = answer(store, ask(store))
    connection(store).execute(f"UPDATE approval SET {damage}")
    for use in (
        lambda: store.approval("default", approval.id),
        lambda: answer(store, approval, "bob"),
        lambda: take(store, approval),
    ):
        with pytest.raises(StoreError):
            use()
    assert "claimed" not in types(store)


def test_a_deleted_record_is_an_error_T13(store: Store) -> None:
    """An approval whose row is gone is no approval, and the ledger notices."""
    approval = answer(store, ask(store))
    connection(store).execute("DELETE FROM approval")
    with pytest.raises(StoreError):
        take(store, approval)
    assert "missing" in verify(store).tenants[0].findings[0].message


def _in_child(work: object) -> int:
    context = multiprocessing.get_context("fork")
    child = context.Process(target=work)
    child.start()
    child.join(300)
    assert child.exitcode is not None
    return child.exitcode


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_a_connection_of_its_own_T43(store: Store) -> None:
    """Parent and child both write, and there is one chain."""
    approval = answer(store, ask(store))

    def child() -> None:
        for _ in range(20):
            store.append("default", [decided()])
        take(store, approval)
        os._exit(7)

    assert _in_child(child) == 7
    store.append("default", [decided()])
    assert types(store).count("claimed") == 1
    assert len(types(store)) == 4 + 20 + 1 + 1
    assert verify(store).ok


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_writes_does_not_hang_T43(store: Store, hasty: Store) -> None:
    """The child does not inherit a lock that nobody will release."""
    approval = ask(store)
    inside, done = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        inside.set()
        done.wait()

    thread = threading.Thread(target=hasty.update_approval, args=("default", approval.id, slow))
    thread.start()
    inside.wait()

    def child() -> None:
        try:
            hasty.append("default", [decided()])
        except StoreUnavailable as error:  # the parent holds the write lock
            os._exit(7 if "locked" in str(error) else 1)

    assert _in_child(child) == 7
    done.set()
    thread.join()
    store.append("default", [decided()])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_memory_store_refuses_in_a_forked_process_T43() -> None:
    """A copy that nobody sees is no record."""
    store = open_store("memory:")

    def child() -> None:
        try:
            store.append("default", [decided()])
        except StoreUnavailable:
            os._exit(7)

    assert _in_child(child) == 7
    store.append("default", [decided()])


def test_a_process_that_is_killed_leaves_whole_events_T16(path: Path) -> None:
    """What `append` returned for is there; the rest is not half there."""
    script = (
        "import sys\nfrom agentguard.store import open_store\nfrom tests.store.support import decided\n"
        "store = open_store('sqlite:///' + sys.argv[1])\n"
        "while True:\n    store.append('default', [decided()])\n    print('x', flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(100):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    acknowledged = 100 + len(child.stdout.read().splitlines())
    child.wait()
    child.stdout.close()
    store = open_store(f"sqlite:///{path}")
    assert store.head("default")[0] in (acknowledged, acknowledged + 1)
    assert verify(store).ok
    store.close()


def test_what_is_durable_waits_for_the_disk_every_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However durable and other writes alternate, each runs in the mode it asked for."""
    monkeypatch.setattr("agentguard.store.soon.SECONDS", 600)  # nobody else writes meanwhile
    store.append("default", [decided()])
    for number in range(30):
        durable = number % 3 == 0
        store.append("default", [decided()] * (1 + number % 2), durable=durable)
        store.flush()
        mode = connection(store).execute(f"PRAGMA synchronous -- {number}").fetchone()[0]
        assert mode == (2 if durable else 1)
        approval = ask(store, call_id=f"call-{number}")
        assert connection(store).execute(f"PRAGMA synchronous -- a{number}").fetchone()[0] == 2
        store.append("default", [decided()], durable=False)
        take(store, answer(store, approval))
        assert connection(store).execute(f"PRAGMA synchronous -- b{number}").fetchone()[0] == 2


def test_the_tail_behind_the_head_is_bounded(store: Store) -> None:
    """However events are appended, the head is never more than `MAX_TAIL` behind, and closing moves it."""
    for number in range(3 * MAX_TAIL):
        if number % 50 == 0:
            store.flush()
        first = decided()
        store.append("default", [first], durable=number % 2 == 0)
        store.append("default", [ended(first), decided()], durable=False)
        size, there = (
            connection(store).execute("SELECT size, (SELECT count(*) FROM event) FROM tenant").fetchone()
        )
        assert there - size < MAX_TAIL
    for _ in range(2 * MAX_TAIL):
        store.append("default", [decided()])
        size = connection(store).execute("SELECT size FROM tenant").fetchone()[0]
        assert store.head("default")[0] - size < MAX_TAIL
    store.close()
    reader = open_store(store.url)
    assert connection(reader).execute("SELECT size FROM tenant").fetchone()[0] == reader.head("default")[0]
    reader.close()


def test_an_erased_payload_is_not_in_the_file_any_more(store: Store, path: Path) -> None:
    """Neither in the database nor in its write-ahead log."""
    secret = b"canary-7e1c9a52"
    store.append("default", [decided()], payloads={"k": Payload("ben", secret * 20)})
    ask(store, arguments=secret * 300)
    assert any(secret in file.read_bytes() for file in path.parent.iterdir())
    assert store.erase("default", "ben") == 2
    assert not any(secret in file.read_bytes() for file in path.parent.iterdir())


def test_the_limits_of_the_process_are_as_they_were() -> None:
    """The tests that bound file sizes do it in processes of their own."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
