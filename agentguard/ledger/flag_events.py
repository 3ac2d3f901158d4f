"""The events of flag items: opened, reopened, acknowledged, escalated, breached, resolved.

INVARIANT: no argument and no class of arguments is in an event; the item's id stands for it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from agentguard.ledger.events import VERSION, Event, instant, some

if TYPE_CHECKING:
    from agentguard.governance.vouching import Word

__all__ = ["Move", "flag_moved"]

Move = Literal["opened", "reopened", "acknowledged", "escalated", "breached", "resolved"]
_SAID: Final = ("rule", "agent", "tool", "stake", "count", "due", "level", "rest")


def flag_moved(
    move: Move,
    name: str,
    body: Mapping[str, Any],
    *,
    tenant: str,
    id: str,
    at: dt.datetime,
    word: Word | None = None,
    **more: Any,
) -> Event:
    """What became of an item. `body` is the item's; `more` is `to`, `raised`, `resolution` and the like."""
    policy = body.get("policy") or {}
    return some(
        v=VERSION,
        id=id,
        type=f"flag.{move}",
        tenant=tenant,
        at=instant(at),
        flag=name,
        owner=policy.get("owner"),
        **{key: body[key] for key in _SAID if body.get(key) is not None},
        **more,
        word=None if word is None else word.to_json(),
    )
