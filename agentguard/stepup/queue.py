"""What waits for an answer, in an order in which a flood of one agent buries nothing."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from agentguard.stepup.model import Approval, State

if TYPE_CHECKING:
    from agentguard.store.protocol import Store

__all__ = ["MOST", "fairly", "waiting"]

MOST: Final = 10_000
"""Questions that are read at once."""
_TURN: Final = 10
"""Questions of one agent under one rule that stand together before others have their turn."""


def waiting(store: Store, tenant: str, now: dt.datetime) -> list[Approval]:
    """Questions whose time is not over, oldest first: all, or `MOST` at least.

    Those that are over and that no sweep has ended yet do not take the place of the others.

    Raises:
        StoreError: the store could not do it.
    """
    limit = MOST
    while True:
        found = store.approvals(tenant, states=[State.REQUESTED], limit=limit)
        live = [one for one in found if one.expires_at > now]
        if len(found) < limit or len(live) >= MOST:
            return live
        limit *= 4


def fairly(groups: Iterable[list[Approval]]) -> list[list[Approval]]:
    """Oldest first, ten of each agent and rule at a time."""
    seen: Counter[tuple[str, tuple[str, ...]]] = Counter()
    turns: list[tuple[int, list[Approval]]] = []
    for group in groups:
        lane = (group[0].agent, group[0].requirement.rules)
        turns.append((seen[lane] // _TURN, group))
        seen[lane] += 1
    return [group for _, group in sorted(turns, key=lambda turn: turn[0])]
