"""How people hear of a question, and how their answer comes back.

A channel is told of every approval that the guard opens; it is called in a thread of its own, one question
after the other, so it may ask and wait. What it does with it is its own affair: an answer counts only
through `Question.answer`, which is the same door as the command line's (`agentguard.stepup.ballot`).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from agentguard.stepup.ballot import Answer
from agentguard.stepup.model import Approval, Assurance, Verdict

__all__ = ["CallbackChannel", "Channel", "Question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One approval to be answered; `approval.shown` and `approval.arguments` say what would run.

    `current()` reads it again (somebody else may have answered); `cast` counts an answer.
    """

    approval: Approval
    current: Callable[[], Approval]
    cast: Callable[[Answer], Approval]

    def answer(
        self,
        verdict: Verdict,
        *,
        subject: str = "local",
        reason: str = "",
        assurance: Assurance = "local",
        signature: str | None = None,
    ) -> Approval:
        """Vote on exactly what this question shows.

        Raises:
            VoteRefused: the vote does not count; the message says why and who could vote.
        """
        return self.cast(
            Answer(
                subject=subject,
                verdict=verdict,
                reason=reason,
                assurance=assurance,
                digest=self.approval.digest,
                signature=signature,
            )
        )


class Channel(Protocol):
    """Somewhere people are told of questions. A plain function of one question is one too."""

    def notify(self, question: Question) -> None:
        """Tell of a question; runs in the channel's own thread. What it raises is logged, and no answer."""
        ...


@dataclass(frozen=True, slots=True)
class CallbackChannel:
    """Asks a function of the operator's, which returns an answer, or None for no answer.

    The `assurance` of its answer says how the function knows who answered: `resolver` or `login` where it
    vouches for the subject it names, `signed` with that person's signature; `local`, the default, is nobody's
    word. Write it so that the agent cannot reach it.
    """

    ask: Callable[[Approval], Answer | Awaitable[Answer | None] | None]

    def notify(self, question: Question) -> None:
        found: Any = self.ask(question.approval)
        if inspect.isawaitable(found):
            import asyncio

            async def wait() -> Answer | None:
                result: Answer | None = await found
                return result

            found = asyncio.run(wait())
        if found is not None:
            question.cast(found)
