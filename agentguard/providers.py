"""Asking the fact providers, in bounded time: what they do not know, or do not say in time, is absent."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from agentguard.canonical import freeze
from agentguard.operations import Fetch

if TYPE_CHECKING:
    from agentguard.guard import Guard

__all__ = ["FACTS_SECONDS", "MAX_PROVIDERS", "FactProvider", "ask", "fetch_sync", "merge"]

FACTS_SECONDS: Final = 2.0
"""How long the fact providers of one call may take together; what is missing then is absent."""

MAX_PROVIDERS: Final = 64
"""Fact providers and engines that may be asked at one time in this process; one that never answers takes a
place."""

log = logging.getLogger("agentguard")
_turns: Final = threading.BoundedSemaphore(MAX_PROVIDERS)


class FactProvider(Protocol):
    """Knows facts about a request: any function, synchronous or not.

    It is given the names that the tool's rules read (`secret`, `history`, `context`, ...) and answers a
    mapping from such names to mappings, merged into the request. It has two seconds; what fails is absent.
    """

    def __call__(
        self, request: Any, names: frozenset[str]
    ) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        """What it knows."""
        ...


def merge(into: dict[str, Any], found: object) -> None:
    if not isinstance(found, Mapping):
        log.warning("a fact provider returned a %s instead of a mapping", type(found).__name__)
        return
    for name, value in list(islice(found.items(), 64)):
        if name == "engines":
            log.warning("a fact provider spoke for other decision points; that is not counted")
        elif isinstance(name, str) and isinstance(value, Mapping):
            into[name] = {**into.get(name, {}), **freeze(value).view}  # bounded, whatever it is


def ask(function: Callable[..., Any], *given: Any) -> Future[Any]:
    """Ask somebody in a thread of its own, for it may never answer; how many may hang is bounded."""
    answer: Future[Any] = Future()

    async def wait(found: Any) -> Any:
        return await found

    def work() -> None:
        found: Any = None
        outcome: BaseException | None = None
        try:
            found = function(*given)
            if inspect.isawaitable(found):
                import asyncio

                found = asyncio.run(wait(found))
        except BaseException as error:
            outcome = error
        finally:
            _turns.release()
        if not answer.set_running_or_notify_cancel():
            return
        if outcome is None:
            answer.set_result(found)
        else:
            answer.set_exception(outcome)

    if not _turns.acquire(blocking=False):
        answer.set_exception(TimeoutError("too many that were asked do not answer"))
        return answer
    threading.Thread(target=work, name="agentguard-facts", daemon=True).start()
    return answer


def fetch_sync(guard: Guard, op: Fetch) -> Mapping[str, Any]:
    known: dict[str, Any] = {}
    deadline = time.monotonic() + FACTS_SECONDS
    for answer in [ask(provider, op.request, op.names) for provider in guard.providers]:
        try:
            merge(known, answer.result(timeout=max(0.0, deadline - time.monotonic())))
        except FutureTimeout:
            answer.cancel()
            log.warning("a fact provider took longer than %s s", FACTS_SECONDS)
        except Exception as error:
            log.warning("a fact provider failed: %s", type(error).__name__)
    return known
