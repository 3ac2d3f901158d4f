"""At most once: a call of a turn that was started is not started again when the turn is passed again.

A process remembers what it answered. Across processes the store does: each call takes a counter of its own
that goes up to one, in one statement, just before the tool runs.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import Any, Final

from agentguard import Guard, Session, Tool
from agentguard.canonical import encode
from agentguard.store import Reservation

__all__ = ["mark", "recall", "remember", "reservation"]

_KEPT: Final = 256
_GLOBAL_ID: Final = 16
"""Ids at least this long are taken for unique in the world; shorter ones only within their session."""

_answers: weakref.WeakKeyDictionary[Guard, OrderedDict[str, Any]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def mark(guard: Guard, session: Session, tool: Tool, call_id: str, digest: str) -> str:
    """The name under which this call is remembered: a keyed digest, for arguments are part of it."""
    principal = session.principal.id if session.principal is not None else None
    where = session.id if len(call_id) < _GLOBAL_ID else ""
    return guard.hmac(encode([session.agent.id, principal, where, call_id, tool.name, digest]))


def recall(guard: Guard, key: str) -> Any:
    """The content of the answer that was given in this process, or None."""
    with _lock:
        kept = _answers.get(guard)
        return None if kept is None else kept.get(key)


def remember(guard: Guard, key: str, content: Any) -> None:
    """Keep an answer; the newest 256 of each guard are kept."""
    with _lock:
        kept = _answers.setdefault(guard, OrderedDict())
        kept[key] = content
        while len(kept) > _KEPT:
            kept.popitem(last=False)


def reservation(key: str) -> Reservation:
    """What the call takes from the store before it runs."""
    return Reservation(f"agentguard/openai-call/{key}", 1, 1)
