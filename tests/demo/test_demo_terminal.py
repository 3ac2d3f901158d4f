"""The demo with a person at the terminal: a real pseudo-terminal, and somebody who types."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.demo.support import SECONDS, Env, command, environment, one, run

if sys.platform == "win32":
    pytest.skip("no pseudo-terminals", allow_module_level=True)

import fcntl
import pty
import struct
import termios

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROMPT = "Enter = reject]"


class Terminal:
    """A process on a terminal of its own, and what it wrote there."""

    def __init__(
        self, arguments: list[str], columns: int, *, pipe: bool = False, changes: Env = None
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        env = environment({"TERM": "xterm-256color", **(changes or {})})
        self.process = subprocess.Popen(
            command(*arguments),
            env=env,
            stdin=slave,
            stdout=subprocess.PIPE if pipe else slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a terminal's, however we run
        )
        os.close(slave)
        self.raw = ""

    @property
    def text(self) -> str:
        return _CODES.sub("", self.raw).replace("\r\n", "\n")

    def until(self, words: str | None) -> None:
        """Read until these words are there, or, without any, to the end."""
        ends = time.monotonic() + SECONDS
        while words is None or words not in self.text:
            assert time.monotonic() < ends, self.text
            if not select.select([self.master], [], [], 0.2)[0]:
                continue
            try:
                found = os.read(self.master, 65_536)
            except OSError:
                found = b""
            if not found:
                assert words is None, self.text
                return
            self.raw += found.decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        self.until(None)
        return self.process.wait(SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self.master)


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    with closing(Terminal(["demo"], getattr(request, "param", 80))) as found:
        yield found


@pytest.mark.parametrize("terminal", [80, 120], indirect=True)
def test_an_approval_typed_at_the_prompt_counts(terminal: Terminal) -> None:
    """The exact call is shown with the rule that asks; `approve` runs it, once, and the row is there."""
    terminal.until(PROMPT)
    assert 'payments.transfer(amount=4800, note="rent December", payee="Hansa Properties")' in terminal.text
    assert "policies/payments.yaml:" in terminal.text
    terminal.type("approve\n")
    assert terminal.end() == 0
    assert "approved by local, an unverified answer from this machine" in terminal.text
    assert "4,800 to Hansa Properties" in terminal.text
    assert "\x1b[" in terminal.raw


@pytest.mark.parametrize("typed", ["\n", "reject\n\n", "\x04"])
def test_everything_else_is_a_no(terminal: Terminal, typed: str) -> None:
    """Enter, `reject` and the end of input reject; the call does not run."""
    terminal.until(PROMPT)
    terminal.type(typed)
    if typed == "\n":
        terminal.until("Reason")
        terminal.type("\n")
    assert terminal.end() == 0
    assert "rejected by local" in terminal.text
    assert "4,800 to Hansa Properties" not in terminal.text


def test_an_answer_is_said_before_the_story_goes_on(terminal: Terminal) -> None:
    """The prompt's own last word stands above what the demo tells next, never inside it."""
    terminal.until(PROMPT)
    terminal.type("a\n")
    assert terminal.end() == 0
    said = terminal.text.index("Approved once")
    assert said < terminal.text.index("asked      principal (ben)")


def test_interrupting_ends_it_cleanly(tmp_path: Path) -> None:
    """Ctrl-C at the prompt: no traceback, nothing left behind, and the exit code of an interrupt."""
    with closing(Terminal(["demo"], 80, changes={"TMPDIR": str(tmp_path)})) as terminal:
        terminal.until(PROMPT)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert "interrupted" in terminal.text
        assert "Traceback" not in terminal.text
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_question_is_withdrawn(tmp_path: Path) -> None:
    """What nobody answered before Ctrl-C is recorded as withdrawn, did not run, and the ledger is intact."""
    folder = tmp_path / "here"
    with closing(Terminal(["demo", "--keep", str(folder)], 80)) as terminal:
        terminal.until(PROMPT)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
    (asked,) = json.loads(run("approvals", "list", "--all", "--json", cwd=folder).stdout)
    assert asked["state"] == "withdrawn"
    assert run("ledger", "verify", cwd=folder).returncode == 0


def test_json_keeps_the_question_apart() -> None:
    """With `--json` the question is asked on standard error, so that standard output is one document."""
    with closing(Terminal(["demo", "--json"], 80, pipe=True)) as terminal:
        terminal.until(PROMPT)
        terminal.type("approve\n")
        terminal.until("Approved once")
        assert terminal.process.stdout is not None
        found = json.load(terminal.process.stdout)
        assert terminal.process.wait(SECONDS) == 0
    assert found["verdicts"]["step_up"] == 1
    assert one(found, "step_up")["approval"]["state"] == "approved"


def test_no_colour_is_honoured() -> None:
    """`NO_COLOR` on a terminal: words only in the demo's own style codes of weight, never of colour."""
    with closing(Terminal(["demo", "--approve", "yes"], 80, changes={"NO_COLOR": "1"})) as terminal:
        assert terminal.end() == 0
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.raw)
