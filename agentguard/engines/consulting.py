"""Asking several engines at once, each within its time; what is no answer is a deny."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from typing import Any

from agentguard.call import ContextRequest
from agentguard.engines.model import Engine
from agentguard.opinion import Opinion
from agentguard.providers import ask

__all__ = ["checked", "consult_sync", "facts_of"]

log = logging.getLogger("agentguard")


def consult_sync(engines: Sequence[Engine], request: ContextRequest) -> dict[str, Opinion]:
    """What each of them says, from this thread; those that may block are asked side by side."""
    started = time.monotonic()
    remote = [(engine, ask(engine.decide, request)) for engine in engines if not engine.local]
    found: dict[str, Opinion] = {}
    for engine in engines:
        if engine.local:
            try:
                found[engine.name] = checked(engine, engine.decide(request))
            except Exception as error:
                found[engine.name] = failed(engine, error)
    for engine, answer in remote:
        try:
            left = started + engine.timeout_s - time.monotonic()
            found[engine.name] = checked(engine, answer.result(timeout=max(0.0, left)))
        except FutureTimeout as error:
            answer.cancel()
            found[engine.name] = failed(engine, error)
        except Exception as error:
            found[engine.name] = failed(engine, error)
    return found


def checked(engine: Engine, answer: Any) -> Opinion:
    """An answer with what the configuration says of its permission; anything but an opinion is a deny."""
    if type(answer) is not Opinion:
        if hasattr(answer, "close"):
            answer.close()  # a coroutine of an engine that says it is local
        return failed(engine, TypeError(type(answer).__name__))
    return replace(answer, permits=engine.permits is True and answer.effect is not None)


def failed(engine: Engine, error: BaseException) -> Opinion:
    """No answer. What was raised may hold what was asked, so only its class is told."""
    log.error("engine `%s` did not answer: %s", engine.name, type(error).__name__)
    return Opinion.failed(f"engine failed: {type(error).__name__}")


def facts_of(opinions: dict[str, Opinion]) -> dict[str, Any]:
    """As the core and conditions read them, under `supplied.engines`."""
    return {name: opinion.to_fact() for name, opinion in sorted(opinions.items())}
