"""What the figures of a suite do not speak of, found when it was played."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from agentguard_evals.results import CaseResult, LiveUse, Model
from agentguard_evals.running import Played
from agentguard_evals.stage import Setup

__all__ = ["GapEntry", "found_gaps"]


class GapEntry(Model):
    """What the figures do not speak of."""

    what: str
    n: Annotated[int, Field(ge=0)]
    reason: str


def found_gaps(played: Played, setup: Setup) -> Iterable[GapEntry]:
    """Attacks that made no call, what live models left open, tools of which nothing is known."""
    yield from _unreachable(played.results)
    yield from _left_open([case.live for case in played.results if case.live is not None])
    yield from _factless(played, setup)


def _unreachable(results: Sequence[CaseResult]) -> Iterable[GapEntry]:
    n = sum(not case.reachable and case.live is None for case in results)
    if n:
        yield GapEntry(
            what="attacks without a tool call", n=n, reason="text only: no tool guard can see them"
        )
    n = sum(not case.reachable and case.live is not None for case in results)
    if n:
        yield GapEntry(
            what="attacks that the model did not try",
            n=n,
            reason="it made none of their calls, so they say nothing of the policies",
        )


def _left_open(uses: Sequence[LiveUse]) -> Iterable[GapEntry]:
    """What live models did and left out that no figure speaks of."""
    for what, n, reason in (
        (
            "wanted effects that were not tried",
            sum(use.untried for use in uses),
            "the model made no such call, so nothing was decided; `must` says that it has to",
        ),
        (
            "calls that no entry speaks of",
            sum(use.unspoken for use in uses),
            "they are counted, and no effect of theirs is wrong",
        ),
        (
            "calls that no answer fits",
            sum(use.unanswered for use in uses),
            "their tool failed; add an answer, the last one without `args`",
        ),
    ):
        if n:
            yield GapEntry(what=what, n=n, reason=reason)


def _factless(played: Played, setup: Setup) -> Iterable[GapEntry]:
    if setup.facts.source == "none":
        yield GapEntry(
            what="tool facts",
            n=len(played.factless),
            reason="none were given, so every call counts as consequential and no result as untrusted",
        )
    elif played.factless:
        listed = ", ".join(f"`{name}`" for name in sorted(played.factless)[:5])
        more = f" and {len(played.factless) - 5} more" if len(played.factless) > 5 else ""
        yield GapEntry(
            what="tools without facts",
            n=len(played.factless),
            reason=f"{setup.facts.source} says nothing about {listed}{more}; they count as consequential",
        )
