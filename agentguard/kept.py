"""The copy of a fetched bundle that is kept beside the store: what a guard starts with when nothing answers.

It is trusted for its signature and its version, never for where it lies.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from pathlib import Path

from agentguard.access import check_access
from agentguard.errors import PolicyError

__all__ = ["KeptBundle"]


class KeptBundle:
    """One file; its time of change is when its server last answered."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def read(self, limit: int) -> bytes | None:
        """Its bytes, at most one more than `limit`; None where nothing was kept.

        Raises:
            PolicyError: it cannot be read, or anybody on the machine may change it.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PolicyError(f"the kept copy `{self.path}` cannot be read: {error.strerror}") from None
        for loose in check_access([self.path]):
            raise PolicyError(f"{loose.file}: {loose.code} {loose.message}; {loose.hint}", [loose])
        return content

    def write(self, content: bytes, at: dt.datetime) -> None:
        """Keep these bytes, whole or not at all, readable by nobody else.

        Raises:
            OSError: there is no room or no right to.
        """
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        self.touch(at)

    def touch(self, at: dt.datetime) -> None:
        """Note that the server answered at this time.

        Raises:
            OSError: there is nothing to note it on.
        """
        os.utime(self.path, (at.timestamp(), at.timestamp()))

    def confirmed_at(self) -> dt.datetime | None:
        """When the server last answered; None where nothing was kept."""
        try:
            return dt.datetime.fromtimestamp(self.path.stat().st_mtime, dt.UTC)
        except (OSError, ValueError, OverflowError):
            return None
