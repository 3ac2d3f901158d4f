"""One logic for synchronous and asynchronous calls: a generator says what to do, two drivers do it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

from agentguard import AgentGuardError
from agentguard_langchain.denial import Refused

__all__ = ["AHEAD", "Steps", "awalk", "walk"]

AHEAD: Final = object()
"""The step in which the call itself goes on: what comes back is its result."""

Steps = Generator[Any, Any, Any]
"""Yields `AHEAD`, or a function without arguments that may block; answers the result of the whole.

Errors of the guard are thrown in where they happen. What a tool raises, a pause of the graph and a
cancellation are nobody's business here: they end the generator and go on as they are.
"""


def walk(steps: Steps, ahead: Callable[[], Any]) -> Any:
    """Take the steps on this thread."""
    value: Any = None
    error: Exception | None = None
    while True:
        try:
            step = steps.send(value) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value
        value, error = None, None
        try:
            value = ahead() if step is AHEAD else step()
        except (AgentGuardError, Refused) as raised:
            error = raised
        except BaseException:
            steps.close()
            raise


async def awalk(steps: Steps, ahead: Callable[[], Awaitable[Any]]) -> Any:
    """The same on an event loop; what may block is done in a thread."""
    value: Any = None
    error: Exception | None = None
    while True:
        try:
            step = steps.send(value) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value
        value, error = None, None
        try:
            value = await (ahead() if step is AHEAD else asyncio.to_thread(step))
        except (AgentGuardError, Refused) as raised:
            error = raised
        except BaseException:
            steps.close()
            raise
