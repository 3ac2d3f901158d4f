"""The prompt of the terminal: the default is no, nothing raw is printed, nothing a person types raises."""

from __future__ import annotations

import datetime as dt
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest
from rich.console import Console

from agentguard.cli.prompt import TerminalChannel
from agentguard.decision import Stage
from agentguard.errors import StoreUnavailable
from agentguard.stepup.ballot import Answer, cast
from agentguard.stepup.channels import Question
from agentguard.stepup.model import Approval, Requirement, State
from agentguard.store.protocol import Store
from tests.cli.support import HOSTILE, RAW, open_question, records
from tests.store.support import PEOPLE, answer


class Prompt:
    """A question in a real store, and what was printed about it."""

    def __init__(self, path: Path, width: int = 100, **changes: Any) -> None:
        self.asked = open_question(path, **{"local": True, **changes})
        self.store: Store = records(path)
        self.printed = io.StringIO()
        self.out = Console(file=self.printed, width=width, markup=False, emoji=False, highlight=False)

    def ask(self, typed: str | TextIO, clock: Callable[[], dt.datetime] | None = None) -> Approval:
        stream = io.StringIO(typed) if isinstance(typed, str) else typed
        TerminalChannel(self.out, stream, clock=clock).notify(self.question())
        return self.after()

    def question(self) -> Question:
        def count(given: Answer) -> Approval:
            return cast(self.store, PEOPLE, "default", self.asked.id, given)

        return Question(approval=self.asked, current=self.after, cast=count)

    def after(self) -> Approval:
        return self.store.approval("default", self.asked.id)

    @property
    def text(self) -> str:
        return " ".join(self.printed.getvalue().split())


@pytest.fixture
def prompt(work: Path) -> Any:
    made: list[Prompt] = []

    def make(**changes: Any) -> Prompt:
        made.append(Prompt(work, **changes))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


@pytest.mark.parametrize(
    "typed", ["a\n", "approve\n", "Approve\n", "APPROVE ONCE\n", "  a  \n", "v\na\n", "what\na\n"]
)
def test_full_words_approve(prompt: Any, typed: str) -> None:
    one = prompt()
    assert one.ask(typed).state is State.APPROVED
    assert "Approved once: exactly this call may run." in one.text
    assert f"event {one.after().last_event}" in one.text


@pytest.mark.parametrize(
    "typed",
    [
        "", "\n", " \n", "r\n", "reject\nbecause\n", "n\n", "no\n", "q\n", "quit\n", "yes\n",
        "y\n", "y\n" * 50,
        "ok\n", "approved?\n", "a b\n", "aa\n", "\x1b[A\n", "\x00\n", "а\n", "v\n", "v\n" * 50,
        "x" * 10_000 + "\n", "x" * 4096 + "a\n", "x" * 8192 + "approve\n", "approve", "a",
    ],
)  # fmt: skip
def test_T56_anything_but_a_clear_yes_is_no(prompt: Any, typed: str) -> None:
    """End of input, an empty line, `yes`, `q`, look-alikes and noise: rejected, and never raised."""
    one = prompt()
    assert one.ask(typed).state is State.DENIED


def test_the_reason_of_a_rejection_is_recorded(prompt: Any) -> None:
    one = prompt()
    after = one.ask("reject\nwrong payee\n")
    assert (after.state, after.votes[0].reason, after.votes[0].subject) == (
        State.DENIED,
        "wrong payee",
        "local",
    )
    assert "Reason, for the agent" in one.text
    assert "the agent is told not to retry" in one.text


def test_a_rule_may_ask_for_a_reason_with_every_answer(prompt: Any) -> None:
    needs = Requirement(
        stages=(Stage(("group:finance",), 1),),
        expires_in_s=600,
        rules=("pay/large",),
        local=True,
        reason_required=True,
    )
    one = prompt(requirement=needs)
    assert one.ask("a\nknown payee\n").votes[0].reason == "known payee"
    two = prompt(requirement=needs, call_id="2")
    assert two.ask("a\n\n").state is State.REQUESTED, "an approval without the reason is not counted"
    assert "was not counted" in two.text
    three = prompt(requirement=needs, call_id="3")
    assert three.ask("").state is State.DENIED


def test_everything_that_matters_is_shown(prompt: Any) -> None:
    one = prompt(args={"amount": 5000, "iban": "DE99SECRET", "note": "n" * 10_240 + "THE END"})
    one.ask("r\n")
    for words in (
        f"APPROVAL {one.asked.id[:9]} rule pay/large pay.yaml:7 expires",
        'pay(amount=5000, iban=*** <10 characters, masked>, note=<10,247 characters>)',
        "amount int 5000", 'THE END" <10,247 characters, sha256', "[v] view",
        "agent billing (owner owen) for ben", "why more than 100 (pay/large, pay.yaml:7)",
        "stakes UNTRUSTED content was read in this session; the tool writes; uses pay:write; environment",
        f"later agentguard approvals approve {one.asked.id[:9]}",
        "Approve once / Reject / View [a/r/v, Enter = reject] in 10 min:",
    ):  # fmt: skip
        assert words in one.text, words


def test_T59_a_sensitive_value_is_masked_until_it_is_viewed(prompt: Any) -> None:
    one = prompt()
    one.ask("r\n")
    assert "DE99SECRET" not in one.text
    two = prompt(call_id="2")
    two.ask("v\nr\n")
    assert '│ "DE99SECRET"' in two.text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_T56_a_long_argument_is_cut_in_the_middle_and_viewed_in_full(prompt: Any, width: int) -> None:
    body = "start\n" + "\n" * 10_000 + "Approve once / Reject\n" + "日" * 500 + "finish"
    one = prompt(args={"note": body}, width=width)
    one.ask("r\n")
    assert 'finish"' in one.text.replace(" ", "")
    assert len(one.printed.getvalue().splitlines()) < 60
    two = prompt(args={"note": body}, width=width, call_id="2")
    two.ask("v\nr\n")
    printed = two.printed.getvalue()
    assert "more empty lines>" in printed
    value = printed[printed.index("│ start") : printed.rindex("─" * width)]
    assert all(line.startswith(("  │ ", "  ┆ ")) or not line.strip() for line in ("  " + value).splitlines())
    lines = [line for line in printed.splitlines() if "Approve once / Reject / View" not in line]
    assert all(Console(width=999).measure(line).maximum <= width for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_T57_nothing_raw_is_printed(prompt: Any, width: int) -> None:
    shown = {
        "rules": [{"rule": HOSTILE, "reason": HOSTILE, "at": HOSTILE, "error": HOSTILE}],
        "agent": {"owner": HOSTILE}, "session": {"labels": [HOSTILE]}, "secrets": [HOSTILE],
        "facts": {"sensitive": ["x"]}, "environment": HOSTILE,
        "changed": [{"path": HOSTILE, "rule": HOSTILE}],
    }  # fmt: skip
    one = prompt(
        args={HOSTILE: HOSTILE, "x": HOSTILE, "y": [{HOSTILE: HOSTILE * 50}]}, shown=shown, agent=HOSTILE,
        principal=HOSTILE, tool=HOSTILE, excluded=frozenset({HOSTILE}), chain=(HOSTILE,), width=width,
    )  # fmt: skip
    one.ask(f"v\n{HOSTILE}\nr\n{HOSTILE}\n")
    assert not any(raw in one.printed.getvalue() for raw in RAW)


def test_where_a_local_answer_cannot_count_nobody_is_asked(prompt: Any) -> None:
    one = prompt(local=False)
    assert one.ask("a\n").state is State.REQUESTED
    assert f"agentguard approvals approve {one.asked.id[:9]} --as NAME" in one.text


def test_without_a_terminal_it_says_how_to_answer(prompt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Input that is no terminal is not read: what is piped into the agent answers nothing."""
    one = prompt()
    monkeypatch.setattr("sys.stdin", io.StringIO("a\n"))
    TerminalChannel(one.out).notify(one.question())
    assert one.after().state is State.REQUESTED
    assert "Nobody is at a terminal" in one.text
    assert f"agentguard approvals approve {one.asked.id[:9]}" in one.text


def silent() -> tuple[TextIO, TextIO]:
    """A stream on which nothing comes, and its other end."""
    read, write = os.pipe()
    return os.fdopen(read), os.fdopen(write, "w")


def test_T23_it_stops_at_the_deadline_without_an_answer(prompt: Any) -> None:
    one = prompt()
    stream, other = silent()
    one.ask(stream, clock=lambda: one.asked.expires_at - dt.timedelta(seconds=0.2))
    assert "No answer in time: the call is denied." in one.text
    assert one.after().votes == ()
    other.close()


def test_it_stops_when_somebody_else_answers(prompt: Any) -> None:
    one = prompt()
    stream, other = silent()
    thread = threading.Thread(target=one.ask, args=(stream,))
    thread.start()
    answer(one.store, one.asked, "ana")
    thread.join(120)
    assert not thread.is_alive()
    assert "Answered elsewhere by ana: approved." in one.text
    assert len(one.after().votes) == 1
    other.close()


def test_a_stored_reject_wins_over_an_answer_that_comes_later(prompt: Any) -> None:
    one = prompt()
    answer(one.store, one.asked, "ana", "deny")
    assert one.ask("a\n").state is State.DENIED
    assert "Too late: somebody denied it." in one.text


def test_an_answer_to_an_old_question_is_none_to_the_next(prompt: Any) -> None:
    """A line that comes after its question has ended belongs to that question."""
    one, two = prompt(), prompt(call_id="2")
    stream, other = silent()
    channel = TerminalChannel(one.out, stream, clock=lambda: one.asked.expires_at - dt.timedelta(seconds=0.2))
    channel.notify(one.question())
    other.write("a\n")
    other.flush()
    channel.notify(two.question())
    assert two.after().state is State.REQUESTED
    other.close()


def test_a_store_that_fails_is_said_and_not_raised(prompt: Any) -> None:
    one = prompt()

    def broken(*_: object) -> Approval:
        raise StoreUnavailable("`records.db` is locked")

    question = Question(approval=one.asked, current=broken, cast=broken)
    TerminalChannel(one.out, io.StringIO("a\n")).notify(question)
    assert "The answer was not counted: `records.db` is locked" in one.text


def test_arguments_that_cannot_be_read_are_not_approved(prompt: Any) -> None:
    from dataclasses import replace

    for broken in (b"[1]", b"{", b"\xff", b'{"a":' + b"[" * 5000):
        one = prompt(call_id=repr(broken)[:20])
        question = Question(
            approval=replace(one.asked, arguments=broken), current=one.after, cast=one.question().cast
        )
        TerminalChannel(one.out, io.StringIO("a\n")).notify(question)
        assert "cannot be answered here" in one.text
        assert one.after().state is State.REQUESTED


def test_interrupting_is_no(prompt: Any) -> None:
    from agentguard.cli.answers import Lines

    class Interrupted(Lines):
        def fresh(self) -> None:
            pass

        def _wait(self, seconds: float) -> Any:
            raise KeyboardInterrupt

    one = prompt()
    channel = TerminalChannel(one.out)
    channel._lines = Interrupted()
    channel.notify(one.question())
    assert one.after().state is State.DENIED
    assert one.after().votes[0].reason == "rejected at the terminal (interrupted)"
