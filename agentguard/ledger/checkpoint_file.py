"""A file of checkpoints outside the database, to which is only ever appended.

It is worth what its place is worth: whoever may write to the database should not be able to write here.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from agentguard.access import near
from agentguard.errors import CheckpointRefused, ConfigurationError
from agentguard.ledger.checkpoints import Checkpoint, notes_in, read_checkpoint
from agentguard.ledger.notes import MAX_NOTE, VerifierKey

try:
    import fcntl
except ImportError:  # pragma: no cover - not on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["MAX_FILE", "CheckpointFile", "read_notes"]

MAX_FILE: Final = 256 * 1024 * 1024
"""Bytes of a file of checkpoints that are read: about a million."""
LOCK_S: Final = 5.0
"""Seconds to wait for another process that writes."""
_TAIL: Final = 4 * MAX_NOTE


class CheckpointFile:
    """Appends to the file, one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def opened(self) -> Iterator[_Opened]:
        """The file with its lock; made when there is none.

        Raises:
            ConfigurationError: it cannot be opened, is no plain file, or anybody may change it.
        """
        try:
            new = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigurationError(f"`{self.path}` cannot be opened: {error.strerror}") from error
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"`{self.path}` is no file that can be appended to")
            if os.name == "posix" and status.st_mode & stat.S_IWOTH:
                raise ConfigurationError(f"anybody may change `{self.path}`; run `chmod o-w {self.path}`")
            _lock(handle, self.path)
            try:
                yield _Opened(self.path, handle, new)
            finally:
                _unlock(handle)
        finally:
            os.close(handle)


class _Opened:
    """The locked file."""

    def __init__(self, path: Path, handle: int, new: bool) -> None:
        self._path = path
        self._handle = handle
        self._new = new

    def last(self, key: VerifierKey) -> Checkpoint | None:
        """The newest checkpoint that the key signed, looked for at the end of the file.

        Raises:
            OSError: the file cannot be read.
        """
        tail = self._end(_TAIL)
        for note in reversed(list(notes_in(tail.decode("utf-8", "replace")))):
            with contextlib.suppress(CheckpointRefused):
                return read_checkpoint(note, [key])
        return None

    def _end(self, count: int) -> bytes:
        """The last bytes of the file."""
        size = os.fstat(self._handle).st_size
        os.lseek(self._handle, max(0, size - count), os.SEEK_SET)
        found = b""
        while part := os.read(self._handle, count - len(found)):
            found += part
        return found

    def append(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint behind the others, and wait until it is on the disk.

        Raises:
            OSError: it could not be written whole.
        """
        ends = self._end(2)
        # Behind a piece that a crash tore off, the next one begins on a line of its own.
        before = "" if ends in (b"", b"\n\n") else "\n" if ends.endswith(b"\n") else "\n\n"
        content = f"{before}{checkpoint.note}\n".encode()
        while content:
            content = content[os.write(self._handle, content) :]
        os.fsync(self._handle)
        if self._new and os.name == "posix":
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # so that the new name is on the disk too
            finally:
                os.close(folder)
            self._new = False


def _lock(handle: int, path: Path) -> None:
    """Wait for whoever else writes; a process that ends gives its lock back."""
    deadline = time.monotonic() + LOCK_S
    while fcntl is not None:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > deadline:
                raise ConfigurationError(f"`{path}` is locked by another process") from error
        time.sleep(0.01)


def _unlock(handle: int) -> None:
    # Not left to closing: a child that was forked meanwhile has the same lock, and would keep it.
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_UN)


def read_notes(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Every note of these files with its place, such as `checkpoints.log, checkpoint 3`.

    Raises:
        ConfigurationError: a file cannot be read, is too long, holds nothing, or is no text.
    """
    for path in paths:
        number = 0
        for number, note in enumerate(notes_in(_text(path)), 1):
            yield f"{near(path)}, checkpoint {number}", note
        if not number:
            raise ConfigurationError(f"`{path}` holds no checkpoint")


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise ConfigurationError(f"`{path}` has more than {MAX_FILE:,} bytes")
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"`{path}` cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"`{path}` is no file of checkpoints: it is not UTF-8") from None


_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
