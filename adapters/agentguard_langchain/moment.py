"""What LangGraph says about the run that a call is part of.

The keys are LangGraph's own and not documented; this is the only place that reads them, and a test fails when
one of them goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

__all__ = ["Moment", "answers_at_hand", "moment", "use_up_answers"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in which run a call happens; outside of a graph nothing is known.

    `durable` says that a checkpointer keeps the run, so that it can pause. `resuming` says that this task may
    have run before: after a pause, a crash or a failed attempt.
    """

    thread_id: str | None = None
    task_id: str | None = None
    durable: bool = False
    resuming: bool = False


def moment(config: Mapping[str, Any] | None = None) -> Moment:
    """The moment of this context, or of a config at hand."""
    found = _configurable(config)
    task = found.get("__pregel_task_id")
    if task is None:
        return Moment()
    thread = found.get("thread_id")
    return Moment(
        thread_id=None if thread is None or thread == "" else str(thread),
        task_id=str(task),
        durable=bool(found.get("__pregel_checkpointer")),
        resuming=bool(found.get("__pregel_resuming")),
    )


def answers_at_hand() -> int:
    """How many answers this task was given so far, to whoever asked."""
    pad = _configurable(None).get("__pregel_scratchpad")
    return 0 if pad is None else len(pad.resume)


def use_up_answers(taken: int) -> None:
    """Take the answers that wait for this task, after `taken` of them were, so that nobody else gets them."""
    pad = _configurable(None).get("__pregel_scratchpad")
    if pad is None:
        return
    try:
        for _ in range(taken, len(pad.resume)):
            interrupt(None)  # returns at once: its answer is there
    except GraphInterrupt:
        pass  # our own, once all are taken: somebody else asked in this task, and took some
    pad.get_null_resume(True)


def _configurable(config: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found = (config or {}).get("configurable") or {}
    if "__pregel_task_id" in found:
        return dict(found)
    try:
        return dict(get_config().get("configurable") or {})
    except RuntimeError:
        return {}
