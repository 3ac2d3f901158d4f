"""Making checkpoints: from the stored leaves, into a file or to a command, never against an earlier one."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agentguard.errors import CheckpointRefused, ConfigurationError
from agentguard.ledger import checkpoint_file
from agentguard.ledger.checkpoint_file import CheckpointFile, read_notes
from agentguard.ledger.checkpointing import Checkpointer, hand_over
from agentguard.ledger.checkpoints import Checkpoint, checkpoint_of, notes_in, read_checkpoint
from agentguard.store import Store, open_store
from tests.ledger.attacker import edited, fill, opened, rewrite, signer
from tests.store.postgres_support import until
from tests.store.support import decided

KEY = signer()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "store.db"
    fill(file, 4)
    return file


def log(path: Path) -> Path:
    return path.with_name("checkpoints.log")


def kept(path: Path) -> list[Checkpoint]:
    return [read_checkpoint(note, [KEY.verifier]) for _, note in read_notes([log(path)])]


def maker(store: Store, path: Path, **more: object) -> Checkpointer:
    return Checkpointer(store, "default", KEY, file=log(path), **more)  # type: ignore[arg-type]


def test_a_checkpoint_is_of_the_leaves_and_stands_in_the_file(path: Path) -> None:
    """What is signed is what the stored leaves make, and the same as the head."""
    with opened(path) as store:
        made = maker(store, path).make()
        assert made is not None
        assert (made.size, made.root) == store.head("default")
    assert kept(path) == [made]
    assert log(path).read_text() == f"{made.note}\n"


def test_nothing_new_is_nothing_to_sign(path: Path) -> None:
    """The same maker, or another one, writes no second checkpoint of the same events."""
    with opened(path) as store:
        first = maker(store, path)
        assert first.make() is not None
        assert first.make() is None
        maker(store, path).make()
        assert len(kept(path)) == 1
        store.append("default", [decided()])
        assert first.make() is not None
    assert [one.size for one in kept(path)] == [8, 9]


def test_each_goes_on_from_the_one_before(path: Path) -> None:
    """Events are read once by one maker, also those that another one signed meanwhile."""
    with opened(path) as store:
        first, second = maker(store, path), maker(store, path)
        first.make()
        for _ in range(3):
            store.append("default", [decided()])
            second.make()
            store.append("default", [decided()])
            first.make()
    assert [one.size for one in kept(path)] == [8, 9, 10, 11, 12, 13, 14]


def test_any_store_will_do() -> None:
    """It reads through the protocol alone."""
    store = open_store("memory:")
    store.append("default", [decided(), decided()])
    made = Checkpointer(store, "default", KEY).make()
    assert made is not None
    assert (made.size, made.root) == store.head("default")
    store.close()


@pytest.mark.parametrize("again", ["same maker", "another one"])
def test_a_rewritten_ledger_is_not_signed_T64(path: Path, again: str) -> None:
    """Whoever made the hashes fit meets the checkpoint that stands in the file."""
    with opened(path) as store:
        maker(store, path).make()
    rewrite(path, lambda rows: [edited(rows[0]), *rows[1:]])
    fill(path, 1)
    with opened(path) as store:
        making = maker(store, path)
        for _ in range(2 if again == "same maker" else 1):
            with pytest.raises(CheckpointRefused, match="was rewritten, or another store was put"):
                making.make()
    assert len(kept(path)) == 1


def test_a_rewrite_behind_the_makers_back_is_not_signed_T64(path: Path) -> None:
    """What it has read already is what it builds on: a head of other events does not fit."""
    store = open_store(f"sqlite:///{path}")
    making = maker(store, path)
    making.make()
    store.close()
    rewrite(path, lambda rows: [edited(rows[0]), *rows[1:]])
    fill(path, 1)
    making._store = store = open_store(f"sqlite:///{path}")
    with pytest.raises(CheckpointRefused, match="is not the root of its"):
        making.make()
    store.close()


def test_another_history_of_the_same_length_in_the_file_is_an_alarm_T64(path: Path) -> None:
    """Somebody has the key: nothing more is signed beside it."""
    with opened(path) as store:
        making = maker(store, path)
        making.make()
        with CheckpointFile(log(path)).opened() as file:
            file.append(checkpoint_of(KEY, 8, bytes(32)))
        with pytest.raises(CheckpointRefused, match="was rewritten"):
            making.make()


def test_a_restored_backup_is_not_signed_T18(path: Path, tmp_path: Path) -> None:
    """It has fewer events than were signed: an alarm before anybody verifies."""
    shutil.copy(path, tmp_path / "backup.db")
    fill(path, 2)
    with opened(path) as store:
        maker(store, path).make()
    shutil.copy(tmp_path / "backup.db", path)
    with (
        opened(path) as store,
        pytest.raises(CheckpointRefused, match="an old copy of the store was put back"),
    ):
        maker(store, path).make()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM event WHERE key & 255 = 3",
        "UPDATE event SET leaf = 'text' WHERE key & 255 = 3",
        "UPDATE event SET leaf = x'00' WHERE key & 255 = 3",
        "DELETE FROM event WHERE key & 255 = 8",
    ],
)
def test_a_damaged_ledger_is_not_signed_T64(path: Path, damage: str) -> None:
    """The head says another root than its leaves make, or a leaf is missing."""
    db = sqlite3.connect(path)
    db.execute(damage)
    db.commit()
    db.close()
    with opened(path) as store, pytest.raises(CheckpointRefused, match="ledger verify"):
        maker(store, path).make()
    assert log(path).read_text() == ""


def test_a_checkpoint_that_another_process_made_meanwhile_is_no_alarm(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It signs more than we have read, of the same events."""
    with opened(path) as store, opened(path) as other:
        making, theirs = maker(store, path), maker(other, path)
        grow = making._grow

        def overtaken(size: int, root: bytes) -> None:
            grow(size, root)
            other.append("default", [decided()])
            theirs.make()

        monkeypatch.setattr(making, "_grow", overtaken)
        making.make()
        monkeypatch.undo()
        assert [one.size for one in kept(path)] == [9]
        assert making.last == kept(path)[-1]
        store.append("default", [decided()])
        making.make()
    assert [one.size for one in kept(path)] == [9, 10]


# The file


def test_a_file_that_anybody_may_change_is_refused(path: Path) -> None:
    """What stands in it would be worth nothing."""
    log(path).touch()
    log(path).chmod(0o666)
    with opened(path) as store, pytest.raises(ConfigurationError, match="chmod o-w"):
        maker(store, path).make()


def test_a_file_that_cannot_be_written_is_an_error(path: Path, tmp_path: Path) -> None:
    """A folder that is not there, a folder in its place."""
    with opened(path) as store:
        for place in (tmp_path / "none" / "checkpoints.log", tmp_path):
            with pytest.raises(ConfigurationError, match="cannot be opened"):
                Checkpointer(store, "default", KEY, file=place).make()


def test_a_lost_file_is_written_again_and_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody rotated it, or took it away: the next checkpoint begins a new one."""
    with opened(path) as store:
        making = maker(store, path)
        making.make()
        log(path).unlink()
        store.append("default", [decided()])
        with caplog.at_level(logging.WARNING):
            making.make()
    assert "no longer holds" in caplog.text
    assert [one.size for one in kept(path)] == [9]


def test_the_lock_of_another_process_is_waited_for_and_not_forever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that hangs with the file locked does not hang us."""
    monkeypatch.setattr(checkpoint_file, "LOCK_S", 0.0)
    file = CheckpointFile(log(path))
    with file.opened(), pytest.raises(ConfigurationError, match="locked by another process"), file.opened():
        pass


def test_only_what_our_key_signed_counts_as_the_newest(path: Path) -> None:
    """After a change of keys the file goes on, and a forged line does not stop us."""
    with opened(path) as store:
        Checkpointer(store, "default", signer(), file=log(path)).make()
        made = maker(store, path).make()
    assert made is not None
    assert len(list(notes_in(log(path).read_text()))) == 2


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"])
def test_a_file_without_checkpoints_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty one vouches for nothing, and a verification with it must not pass for one."""
    (tmp_path / "c.log").write_bytes(content)
    with pytest.raises(ConfigurationError):
        list(read_notes([tmp_path / "c.log"]))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        list(read_notes([tmp_path / "none.log"]))


# A command


def script(tmp_path: Path, body: str) -> list[str]:
    file = tmp_path / "take.py"
    file.write_text(body)
    return [sys.executable, str(file), str(tmp_path / "taken")]


TAKE = "import sys, os\nopen(sys.argv[1], 'ab').write(sys.stdin.buffer.read())\n"


def test_a_command_gets_the_checkpoint_and_nothing_of_ours(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its standard input; the ledger's key, say, is not in its environment."""
    monkeypatch.setenv("AGENTGUARD_LEDGER_KEY", "k" * 64)
    command = script(tmp_path, TAKE + "assert not [n for n in os.environ if n.startswith('AGENTGUARD')]\n")
    with opened(path) as store:
        made = Checkpointer(store, "default", KEY, command=command).make()
        assert made is not None
        assert (tmp_path / "taken").read_text() == made.note
        both = maker(store, path, command=command)
        assert both.make() is not None
        assert both.make() is None, "the file has it, and the command got it"
    assert len(list(notes_in((tmp_path / "taken").read_text()))) == 2


def test_a_command_that_refuses_is_an_error_and_asked_again(path: Path, tmp_path: Path) -> None:
    """With its last words; what stands in the file already is handed over the next time."""
    refuse = script(tmp_path, "import sys\nprint('no room', file=sys.stderr)\nsys.exit(3)\n")
    with opened(path) as store:
        making = maker(store, path, command=refuse)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="with code 3: no room"):
                making.make()
        assert len(kept(path)) == 1
        script(tmp_path, TAKE)
        assert making.make() is not None
    assert (tmp_path / "taken").exists()


def test_a_command_that_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """And one that does not read, or does not exist, is an error too."""
    slow = script(
        tmp_path,
        "import signal, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\nsignal.pause()\n",
    )
    taken = tmp_path / "taken"
    for seconds in (1, 5, 25, 125):  # as long as it takes until the child is there
        with pytest.raises(ConfigurationError, match=f"within {seconds} s"):
            hand_over(slow, "note\n", seconds)
        if taken.exists() and taken.read_text():
            break
    pid = taken.read_text()

    def state() -> str:
        found = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False)
        return found.stdout.strip()[:1]

    until(lambda: state() in ("", "Z"))
    hand_over([sys.executable, "-c", "pass"], "note\n")
    with pytest.raises(ConfigurationError, match="cannot be started"):
        hand_over([str(tmp_path / "none")], "note\n")
