"""Making checkpoints of one tenant's ledger: computed from the stored leaves, signed, kept elsewhere.

INVARIANT: nothing is signed that contradicts the newest checkpoint in the file. A store that has fewer events
than that, or others, was cut, rewritten or put back from a backup, and says so here before anybody verifies.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentguard.errors import CheckpointRefused, ConfigurationError
from agentguard.ledger.checkpoint_file import CheckpointFile
from agentguard.ledger.checkpoints import Checkpoint, checkpoint_of
from agentguard.ledger.log import Frontier
from agentguard.ledger.notes import Signer

if TYPE_CHECKING:
    from agentguard.store.protocol import Store

__all__ = ["COMMAND_S", "Checkpointer", "hand_over"]

COMMAND_S: Final = 10.0
"""Seconds that a command has to take a checkpoint."""

_BATCH: Final = 256
_TOLD: Final = 300
log = logging.getLogger("agentguard")


class Checkpointer:
    """Makes checkpoints of one tenant, each from what it read before and the events that came since.

    They go to `file`, to `command` (on its standard input), or only to the caller. `pause` is called between
    batches of events, so that a running guard is not held up by the first reading of a long ledger.
    """

    def __init__(
        self,
        store: Store,
        tenant: str,
        signer: Signer,
        *,
        file: Path | None = None,
        command: Sequence[str] = (),
        timeout_s: float = COMMAND_S,
        pause: Callable[[], object] = lambda: None,
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._signer = signer
        self._file = None if file is None else CheckpointFile(file)
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._pause = pause
        self._frontier = Frontier()
        self._promised: Checkpoint | None = None
        self._making = threading.Lock()
        self.last: Checkpoint | None = None

    def make(self) -> Checkpoint | None:
        """A checkpoint of the ledger as it is now, delivered; None where there is nothing new.

        Raises:
            CheckpointRefused: the ledger is not what was signed before, or contradicts itself.
            ConfigurationError, OSError: it could not be delivered. StoreError: the ledger could not be read.
        """
        with self._making:
            if self._file is not None:  # before the head: another process may sign more meanwhile
                with self._file.opened() as opened:
                    self._promise(opened.last(self._signer.verifier))
            size, root = self._store.head(self._tenant)
            self._grow(size, root)  # not under the file's lock: it may take seconds the first time
            made, new = self._kept(size)
            if self._command and made != self.last:
                hand_over(self._command, made.note, self._timeout_s)
                new = True
            self.last = made
            return made if new else None

    def _kept(self, size: int) -> tuple[Checkpoint, bool]:
        """The checkpoint that covers so many events, in the file if there is one, and whether it is new."""
        if self._file is None:
            if self.last is not None and self.last.size == size:
                return self.last, False
            return checkpoint_of(self._signer, size, self._frontier.root()), True
        with self._file.opened() as opened:
            newest = opened.last(self._signer.verifier)
            self._promise(newest)
            if newest is not None and newest.size >= size:
                return newest, False
            if self.last is not None and (newest is None or newest.size < self.last.size):
                log.warning("`%s` no longer holds the checkpoints that were written there", self._file.path)
            made = checkpoint_of(self._signer, size, self._frontier.root())
            opened.append(made)
            return made, True

    def _promise(self, newest: Checkpoint | None) -> None:
        """Hold the ledger to what was signed."""
        known = self._frontier.size
        if newest is None or newest == self._promised:
            return
        if newest.size == known and newest.root != self._frontier.root():
            raise self._contradicted(newest)
        if newest.size > known:
            self._promised = newest

    def _grow(self, size: int, root: bytes) -> None:
        """Read the events up to `size` and check what they make."""
        frontier, promised = self._frontier.copy(), self._promised
        least = max(frontier.size, promised.size if promised is not None else 0)
        if size < least:
            raise CheckpointRefused(
                f"the ledger of tenant `{self._tenant}` has {size:,} events, and a checkpoint of {least:,} "
                "was signed: the newest were cut off, or an old copy of the store was put back, in which "
                "approvals that were used since are open again; stop the agents, and run "
                "`agentguard ledger verify`"
            )
        while frontier.size < size:
            rows = self._store.rows(
                self._tenant, after=frontier.size, limit=min(_BATCH, size - frontier.size)
            )
            for row in rows:
                if row[0] != frontier.size + 1 or type(row[3]) is not bytes:
                    raise self._missing(frontier.size + 1)
                frontier.add(row[3])
                if promised is not None and frontier.size == promised.size:
                    if frontier.root() != promised.root:
                        raise self._contradicted(promised)
                    promised = None
            if not rows:
                raise self._missing(frontier.size + 1)
            self._pause()
        if frontier.root() != root:
            raise CheckpointRefused(
                f"the head of tenant `{self._tenant}` is not the root of its {size:,} events; "
                "run `agentguard ledger verify`"
            )
        self._frontier, self._promised = frontier, promised

    def _missing(self, seq: int) -> CheckpointRefused:
        return CheckpointRefused(
            f"event {seq:,} of tenant `{self._tenant}` is missing or damaged; run `agentguard ledger verify`"
        )

    def _contradicted(self, promised: Checkpoint) -> CheckpointRefused:
        return CheckpointRefused(
            f"the first {promised.size:,} events of tenant `{self._tenant}` are not those that a checkpoint "
            "was signed for: the ledger was rewritten, or another store was put in its place; stop the "
            "agents, and run `agentguard ledger verify`"
        )


def hand_over(command: Sequence[str], note: str, timeout_s: float = COMMAND_S) -> None:
    """Give a checkpoint to a command on its standard input, and wait until it has taken it.

    It gets no variable of ours, and is killed with what it started when it takes longer than `timeout_s`.

    Raises:
        ConfigurationError: it cannot be started, takes too long, or ends with anything but 0.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AGENTGUARD_")}
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=environ,
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            raise ConfigurationError(f"`{command[0]}` cannot be started: {error.strerror}") from error
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(note.encode())  # shorter than a pipe holds, so it waits for nobody
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ConfigurationError(f"`{command[0]}` did not take it within {timeout_s:g} s") from None
        finally:
            _kill(process)
        if code != 0:
            said.seek(0)
            told = said.read(4096).decode("utf-8", "replace").strip().splitlines()
            last = f": {told[-1][:_TOLD]}" if told else ""
            raise ConfigurationError(f"`{command[0]}` refused it with code {code}{last}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
