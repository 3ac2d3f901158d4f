"""Who answers the demo's questions: a person at this terminal, a fixed answer, or nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from agentguard import Channel, Question
from agentguard.stepup.model import Verdict

__all__ = ["ANSWERS", "UNANSWERED", "Announced", "Answering", "FixedAnswer"]

Answering = Literal["ask", "yes", "no", "none"]
"""Ask at the terminal, answer yes or no without asking, or leave it unanswered."""

ANSWERS: Final[Mapping[Answering, str]] = {
    "ask": "a step-up asks you, here",
    "yes": "a step-up is approved without asking",
    "no": "a step-up is rejected without asking",
    "none": "nobody answers a step-up; its deadline is cut to 2 s",
}
_SECONDS: Final = 10.0
UNANSWERED: Final = "2s"
"""The deadline where nobody will answer: the demo should not wait for minutes."""


@dataclass(frozen=True, slots=True)
class FixedAnswer:
    """A channel that answers every question alike, as unverified local answer."""

    verdict: Verdict

    def notify(self, question: Question) -> None:
        word = "yes" if self.verdict == "approve" else "no"
        question.answer(self.verdict, reason=f"--approve {word}")


class Announced:
    """Another channel, with a word before each question; `wait` returns when it has had its last word."""

    def __init__(self, channel: Channel, announce: Callable[[], None]) -> None:
        self._channel = channel
        self._announce = announce
        self._quiet = threading.Event()
        self._quiet.set()

    def notify(self, question: Question) -> None:
        self._quiet.clear()
        try:
            self._announce()
            self._channel.notify(question)
        finally:
            self._quiet.set()

    def wait(self) -> None:
        self._quiet.wait(_SECONDS)
