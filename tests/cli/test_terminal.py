"""The prompt in a real terminal: a pseudo-terminal with a person at its other end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentguard.stepup.model import State
from tests.cli.support import HOSTILE, RAW, open_question, stored

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals of POSIX")

ROOT = Path(__file__).parents[2]

ASK = """\
import sys
from agentguard.cli.prompt import TerminalChannel
from agentguard.stepup.ballot import cast
from agentguard.stepup.channels import Question
from agentguard.stepup.directory import StaticDirectory
from agentguard.store.opening import open_store

store = open_store("sqlite:///records.db", create=False)
asked = store.approval("default", sys.argv[1])
sys.stdout.write("READY\\n"); sys.stdout.flush()
with open(int(sys.argv[2]), "rb") as gate:
    gate.read(1)
question = Question(
    approval=asked,
    current=lambda: store.approval("default", asked.id),
    cast=lambda answer: cast(store, StaticDirectory(), "default", asked.id, answer),
)
TerminalChannel().notify(question)
sys.stdout.write("DONE\\n"); sys.stdout.flush()
"""


class Terminal:
    """A program in a pseudo-terminal, and what it has shown."""

    def __init__(self, work: Path, approval_id: str, columns: int) -> None:
        import fcntl
        import struct
        import termios

        self.side, inner = os.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        gate, self.gate = os.pipe()
        self.program = subprocess.Popen(
            [sys.executable, "-c", ASK, approval_id, str(gate)],
            stdin=inner, stdout=inner, stderr=inner, cwd=work, pass_fds=(gate,), start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a terminal's, however we run
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        )  # fmt: skip
        os.close(inner)
        os.close(gate)
        self.shown = ""

    def until(self, words: str, seconds: float = 120) -> str:
        """Read until something is shown."""
        ends = time.monotonic() + seconds
        while words not in self.shown:
            ready, _, _ = select.select([self.side], [], [], max(0, ends - time.monotonic()))
            assert ready, f"{words!r} never came: {self.shown}"
            try:
                self.shown += os.read(self.side, 65_536).decode("utf-8", "replace")
            except OSError:
                break
        assert words in self.shown
        return self.shown

    def type(self, text: str) -> None:
        os.write(self.side, text.encode())

    def begin(self) -> None:
        os.write(self.gate, b"x")

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.send_signal(signal.SIGKILL)
        self.program.wait()
        os.close(self.side)
        os.close(self.gate)


@pytest.fixture(params=[80, 120])
def terminal(request: pytest.FixtureRequest, work: Path) -> Iterator[tuple[Terminal, Path, str]]:
    asked = open_question(work, local=True, args={"amount": 5000, "note": HOSTILE * 20 + "x" * 10_240})
    one = Terminal(work, asked.id, request.param)
    yield one, work, asked.id
    one.close()


def state(work: Path, approval_id: str) -> State:
    asked = open_question(work, local=True, args={"amount": 5000, "note": HOSTILE * 20 + "x" * 10_240})
    assert asked.id == approval_id
    return stored(work, asked).state


Case = tuple[Terminal, Path, str]


def test_approving_in_a_terminal(terminal: Case) -> None:
    one, work, approval_id = terminal
    one.begin()
    one.until("Enter = reject]")
    one.type("v\n")
    one.until("all arguments in full")
    one.type("a\n")
    shown = one.until("DONE")
    assert "Approved once" in shown
    assert state(work, approval_id) is State.APPROVED
    assert not any(raw in shown.replace("\r\n", "\n") for raw in RAW if raw not in ("\x1b", "\r"))
    assert "\x1b]8" not in shown
    assert "\x1b[31mred" not in shown
    assert r"\x1b[31m\x1b]8;;http://x\x07" in shown


def test_T56_what_was_typed_before_the_question_does_not_answer_it(terminal: Case) -> None:
    one, work, approval_id = terminal
    one.until("READY")
    one.type("a\na\na\n")
    one.until("a\r\na\r\na")
    one.begin()
    one.until("Enter = reject]")
    one.type("\n\n")
    one.until("DONE")
    assert state(work, approval_id) is State.DENIED


def test_the_end_of_input_is_no(terminal: Case) -> None:
    one, work, approval_id = terminal
    one.begin()
    one.until("Enter = reject]")
    one.type("\x04")
    assert "End of input: rejected." in one.until("DONE")
    assert state(work, approval_id) is State.DENIED


def test_interrupting_is_no(terminal: Case) -> None:
    one, work, approval_id = terminal
    one.begin()
    one.until("Enter = reject]")
    one.program.send_signal(signal.SIGINT)
    one.until("DONE")
    assert "Traceback" not in one.shown
    assert state(work, approval_id) is State.DENIED
