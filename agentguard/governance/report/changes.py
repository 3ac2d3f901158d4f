"""Changes of what is enforced, in words: nobody switches anything off in silence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from agentguard.governance.report.model import Change

__all__ = ["change_of"]

_LOOSENS: Final = frozenset(
    {"agent.restored", "exception.approved", "exception.renewed", "baseline.revoked", "store.renewed"}
)
_NAMES: Final = 5
_DIFFERENCES: Final = (
    ("removed", "removed"),
    ("loosened", "loosened"),
    ("permits", "permit anew"),
    ("changed", "changed"),
    ("observing", "observed only"),
)


def change_of(event: Mapping[str, Any]) -> Change:
    """One event of the ledger as a change."""
    kind = str(event.get("type"))
    loosens = kind in _LOOSENS or any(event.get(key) for key in ("removed", "loosened", "permits"))
    return Change(
        at=dt.datetime.fromisoformat(str(event.get("at"))),
        event=str(event.get("id", "")),
        kind=kind,
        text=_text(kind, event),
        loosens=loosens,
    )


def _text(kind: str, event: Mapping[str, Any]) -> str:
    if kind == "policy.loaded":
        return _loaded(event)
    if kind == "policy.refused":
        return f"changed policies were refused: {str(event.get('reason', ''))[:200]}"
    if kind == "store.renewed":
        waiting = event.get("waiting", 0)
        return f"the store begins another life, {waiting} open approvals end: {event.get('reason', '')}"[:400]
    word = event.get("word")
    by = word.get("subject") if isinstance(word, Mapping) else None
    reason = word.get("reason") if isinstance(word, Mapping) else None
    about = event.get("exception") or event.get("baseline") or event.get("agent") or ""
    emergency = "break glass: " if event.get("emergency") else ""
    parts = [f"{emergency}{about}", f"by {by}" if by else "", str(reason or event.get("reason") or "")]
    return ", ".join(part for part in parts if part)[:400]


def _loaded(event: Mapping[str, Any]) -> str:
    parts = [f"{event.get('rules')} rules in force, {str(event.get('snapshot', ''))[:19]}"]
    for key, text in _DIFFERENCES:
        names = [str(one) for one in event.get(key, ())]
        if names:
            more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
            parts.append(f"{text}: {', '.join(names[:_NAMES])}{more}")
    return "; ".join(parts)
