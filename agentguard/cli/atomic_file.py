"""Changing a file of the user's: whole or not at all, and only if it is still what was looked at."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from agentguard.errors import ConfigurationError

__all__ = ["replace_file"]


def replace_file(path: Path, before: bytes, after: bytes) -> None:
    """Put other content into a file, which keeps its mode and owner; a link is followed.

    Raises:
        ConfigurationError: it does not hold `before` any more; nothing was written.
        OSError: it could not be written; it is as it was.
    """
    real = Path(os.path.realpath(path))
    _unchanged(path, real, before)
    known = real.stat()
    # Beside it, under a name that is no policy's: a watch does not take it for one.
    number, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".new", dir=real.parent)
    beside = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(after)
            file.flush()
            os.fchmod(file.fileno(), known.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):
                os.fchown(file.fileno(), known.st_uid, known.st_gid)
            os.fsync(file.fileno())
        _unchanged(path, real, before)
        os.replace(beside, real)
    finally:
        beside.unlink(missing_ok=True)
    _sync(real.parent)


def _unchanged(path: Path, real: Path, before: bytes) -> None:
    if real.read_bytes() != before:
        raise ConfigurationError(f"`{path}` changed meanwhile; nothing was written, look at it again")


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
