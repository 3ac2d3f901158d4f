"""Asking a live model: any callable that takes a conversation and answers with one turn, awaited or not.

The form is that of Chat Completions, so `functools.partial(client.chat.completions.create, model="…")` is a
model, and so is a function that plays one. What it returns to await is awaited on one event loop, which lives
as long as the `Asker`; the guard's calls stay outside of it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import threading
import time
import weakref
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from agentguard.errors import ConfigurationError
from agentguard_evals.turns import ModelError

__all__ = ["Asker", "Live", "Model"]

log = logging.getLogger("agentguard")

_GRACE_S: Final = 5.0
"""How long closing may take."""


class Model(Protocol):
    """Answers a conversation with a Chat Completions response or the assistant's message, or with something
    to await that does."""

    def __call__(self, *, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A model and how far it may go: turns of one case, and seconds of one case."""

    asker: Asker
    max_turns: int = 10
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        if self.max_turns < 1 or not self.timeout_s > 0:
            raise ConfigurationError("`max_turns` and `timeout_s` have to be more than nothing")


class Asker:
    """Asks one model; `close` it, or leave that to its end."""

    def __init__(self, model: Model) -> None:
        self.model: Final = model
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: weakref.finalize[Any, Any] | None = None

    def ask(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], deadline: float
    ) -> Any:
        """One answer, before `deadline` (monotonic seconds); a function that does not await is not stopped.

        Raises:
            ModelError: it failed, or came too late.
        """
        try:
            found = self.model(messages=[dict(one) for one in messages], tools=[dict(one) for one in tools])
            if inspect.isawaitable(found):
                found = self._await(found, deadline - time.monotonic())
        except ModelError:
            raise
        except TimeoutError:
            raise _late() from None
        except Exception as error:
            # The words of a client's error may hold its key; a report is no place for them.
            log.debug("the model failed", exc_info=error)
            raise ModelError(
                f"the model failed ({type(error).__name__}); the cause is in the log `agentguard`, at debug"
            ) from None
        if time.monotonic() > deadline:
            raise _late()
        return found

    def close(self) -> None:
        """Close the model, where it can be, and end its event loop."""
        if self._end is not None:
            self._end()

    def _await(self, found: Awaitable[Any], seconds: float) -> Any:
        async def awaited() -> Any:
            return await found

        future = asyncio.run_coroutine_threadsafe(awaited(), self._running())
        try:
            return future.result(max(seconds, 0))
        except concurrent.futures.CancelledError:
            raise ModelError("the model's answer was cancelled") from None
        finally:
            future.cancel()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            thread = threading.Thread(target=self._loop.run_forever, name="agentguard-model", daemon=True)
            thread.start()
            self._end = weakref.finalize(self, _end, self._loop, thread, self.model)
        return self._loop


def _late() -> ModelError:
    return ModelError("the model has not answered in time; allow more (`--timeout`), or try it again")


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, model: Any) -> None:
    async def closing() -> None:
        close = getattr(model, "aclose", None)
        if close is not None:
            await close()
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()

    if threading.current_thread() is thread:  # collected by the loop itself, which cannot wait for its end
        loop.stop()
        return
    try:
        asyncio.run_coroutine_threadsafe(closing(), loop).result(_GRACE_S)
    except Exception:  # what does not close in time ends with the process
        pass
    loop.call_soon_threadsafe(loop.stop)
    thread.join(_GRACE_S)
    if not thread.is_alive():
        loop.close()
