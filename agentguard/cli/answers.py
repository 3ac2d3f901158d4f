"""Reading one line from a person, with a deadline: from a terminal, or from any stream.

Nothing a person typed before a question was shown can answer it.
"""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Literal, TextIO

__all__ = ["Line", "Lines", "StreamLines", "TerminalLines"]

Line = str | Literal[0, 1, 2]
"""A line without its end, or `END`, `LATE` or `STOPPED`."""
END: Final = 0
"""The input ended."""
LATE: Final = 1
"""The deadline came first."""
STOPPED: Final = 2
"""`stop` said that nobody needs the answer any more."""

TICK_S: Final = 0.25
"""Seconds between two looks at whether the answer is still needed."""
MAX_LINE: Final = 4096
"""Characters of a line that is read as an answer."""
UNCLEAR: Final = "?"
"""What a longer line is read as."""


class Lines(ABC):
    """Somewhere lines come from; `read` waits at most `seconds`, and asks `stop` now and then."""

    def read(self, seconds: float, stop: Callable[[], bool]) -> Line:
        ends = time.monotonic() + seconds
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                return LATE
            found = self._wait(min(left, TICK_S))
            if found is not None:
                return found
            if stop():
                return STOPPED

    @abstractmethod
    def fresh(self) -> None:
        """Forget what was typed so far: a new question begins."""

    @abstractmethod
    def _wait(self, seconds: float) -> Line | None:
        """A line, the end of input, or None when the time is up."""


class TerminalLines(Lines):
    """A POSIX terminal, read from its descriptor as soon as a line is there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = b""

    def fresh(self) -> None:
        import termios

        self._held = b""
        try:
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
        except termios.error:
            pass  # no longer a terminal: the next read says so

    def _wait(self, seconds: float) -> Line | None:
        try:
            ready, _, _ = select.select([self._descriptor], [], [], seconds)
            if not ready:
                return None
            content = os.read(self._descriptor, MAX_LINE)
        except OSError:
            return END
        if not content:
            return END
        self._held += content
        line, found, rest = self._held.partition(b"\n")
        if not found:
            return None
        self._held = rest
        return UNCLEAR if len(line) > MAX_LINE else line.decode("utf-8", "replace").rstrip("\r")


class StreamLines(Lines):
    """Any text stream, read by a thread of its own; one read for one question.

    A read that was still waiting when its question ended takes the next line with it: that line was meant for
    the old question.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._wanted: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._read: queue.SimpleQueue[tuple[int, Line]] = queue.SimpleQueue()
        self._turn = 0
        self._waiting = False
        self._thread: threading.Thread | None = None

    def fresh(self) -> None:
        self._waiting = False

    def _wait(self, seconds: float) -> Line | None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="agentguard-prompt", daemon=True)
            self._thread.start()
        if not self._waiting:
            self._turn += 1
            self._waiting = True
            self._wanted.put(self._turn)
        try:
            turn, line = self._read.get(timeout=max(seconds, 0.001))
        except queue.Empty:
            return None
        if turn != self._turn:
            return None
        self._waiting = False
        return line

    def _run(self) -> None:
        while True:
            turn = self._wanted.get()
            try:
                self._read.put((turn, self._line()))
            except (OSError, ValueError):
                self._read.put((turn, END))

    def _line(self) -> Line:
        """One whole line: half of one at the end of the input is no answer, a very long one is unclear."""
        text = self._stream.readline(MAX_LINE)
        long = False
        while text and not text.endswith("\n"):
            text = self._stream.readline(MAX_LINE)
            long = True
        return END if not text else UNCLEAR if long else text.rstrip("\r\n")


def standard_input() -> Lines | None:
    """The terminal that this process was started from; None when nobody sits there."""
    stream = sys.stdin
    try:
        if stream is None or not stream.isatty():
            return None
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    return StreamLines(stream) if os.name == "nt" else TerminalLines(descriptor)
