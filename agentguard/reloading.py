"""Policy files that change while the guard runs: looked for, compiled aside, swapped whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentguard.errors import ConfigurationError
from agentguard.outbound import is_url
from agentguard.watching import Look, Watch

if TYPE_CHECKING:
    from agentguard.guard import Guard
    from agentguard.policy import Snapshot

__all__ = ["PolicyWatch"]

_SHORTEST_S: Final = 0.05


class PolicyWatch(Watch):
    """Looks at policy files.

    A set is loaded once two looks in a row saw the same files, so that one that is being written is not taken
    for finished (write beside and rename, to be sure). One that does not load leaves the old one in force:
    that is logged and recorded, and tried again when the files change again.
    """

    def __init__(
        self,
        guard: Guard,
        paths: Iterable[str | os.PathLike[str]],
        load: Callable[[], Snapshot],
        every_s: float,
    ) -> None:
        listed = [os.fspath(path) for path in paths]
        if any(is_url(path) for path in listed):
            message = (
                "a URL is watched as a signed bundle: pass a `RemoteBundle` with the keys that you trust"
            )
            raise ConfigurationError(message)
        self._paths = tuple(Path(path) for path in listed)
        self._load = load
        self._known: tuple[object, ...] | None = None  # so that nothing is missed since the first loading
        self._seen: tuple[object, ...] | None = None
        super().__init__(guard, every_s, shortest_s=_SHORTEST_S)

    def _look(self, guard: Guard) -> Look:
        found = self._fingerprint()
        if found == self._known:
            self._seen = found
            return "unchanged"
        if found != self._seen:
            self._seen = found
            return "changing"
        try:
            snapshot = self._load()
            guard.check_version(snapshot)
        except Exception as error:
            if self._fingerprint() != found:
                return "changing"
            self._refused(guard, error)
            self._known = found
            return "refused"
        if self._fingerprint() != found:
            return "changing"
        self._put_in_force(guard, snapshot)
        self._known = found
        return "loaded"

    def _fingerprint(self) -> tuple[object, ...]:
        """What the file system says of every policy file; a file that comes or goes changes it."""
        found: list[object] = []
        for path in self._paths:
            files = sorted(path.rglob("*.y*ml")) if path.is_dir() else [path]
            for file in (path, *files):
                try:
                    status = file.stat()
                except OSError as error:
                    found.append((str(file), type(error).__name__))
                else:
                    folder = file.is_dir()
                    found.append(
                        (
                            str(file),
                            status.st_ino,
                            status.st_mode,
                            status.st_uid,
                            *(() if folder else (status.st_size, status.st_mtime_ns, status.st_ctime_ns)),
                        )
                    )
        return tuple(found)
