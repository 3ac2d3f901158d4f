"""An item of flagged calls as its record keeps it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from agentguard.decision import Effect
from agentguard.errors import RecordRefused
from agentguard.governance.flag_fingerprint import Kinds
from agentguard.governance.flag_policy import FlagPolicy
from agentguard.governance.vouching import content_digest
from agentguard.store.protocol import Record

__all__ = ["KIND", "FlagState", "Item", "Resolution", "tell"]

KIND: Final = "flag"


class FlagState(StrEnum):
    """Where an item stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Resolution(StrEnum):
    """What became of it: lived with until a date, no violation, enforced from now on, or excepted."""

    ACCEPTED = "accepted"
    FALSE_POSITIVE = "false-positive"
    CONVERTED = "converted"
    EXCEPTION = "exception"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One kind of flagged call: who answers for it, since when, how often.

    `agent` is None for the rest of all agents. `due` is when its review was due, `level` how often it was
    passed on since. `acked` is the level that acknowledged it last, -1 where none did. `episode` counts how
    often it was opened. What comes until `until` belongs to its resolution.
    """

    record: Record
    rule: str
    agent: str | None
    tool: str | None
    kinds: Kinds | None
    rest: bool
    policy: FlagPolicy
    state: FlagState
    stake: Effect
    count: int
    first: dt.datetime
    last: dt.datetime
    due: dt.datetime
    level: int
    acked: int
    episode: int
    breached: dt.datetime | None
    resolution: Resolution | None
    until: dt.datetime | None
    exception: str | None
    history: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def unresolved(self) -> bool:
        """Whether somebody still has to say something about it."""
        return self.state is not FlagState.RESOLVED

    @property
    def holder(self) -> str:
        """Who has it now."""
        return self.policy.holder(self.level)

    @property
    def step(self) -> dt.datetime:
        """When it goes to the next level, or is a breach."""
        return self.policy.step(self.level, self.due)

    def overdue(self, now: dt.datetime) -> bool:
        """Whether its review was due and nobody resolved it."""
        return self.unresolved and now >= self.due

    def digest(self, tenant: str, resolution: Mapping[str, Any] | None = None) -> str:
        """What a word on it is about: this item as often as it was opened, what was at stake when it was
        looked at, and how it is resolved. It keeps counting meanwhile, so the count is no part of it."""
        return content_digest(
            {
                "v": 1,
                "kind": KIND,
                "tenant": tenant,
                "id": self.id,
                "rule": self.rule,
                "episode": self.episode,
                "stake": self.stake.value,
                **({} if resolution is None else {"resolution": dict(resolution)}),
            }
        )


def tell(record: Record) -> Item:
    """Read an item.

    Raises:
        RecordRefused: it is damaged.
    """
    try:
        return _read(record, record.body)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise RecordRefused(f"flag `{record.id}` is damaged; its next occurrence opens it anew") from None


def _read(record: Record, body: Mapping[str, Any]) -> Item:
    kinds, resolution = body.get("kinds"), body.get("resolution")
    return Item(
        record=record,
        rule=_text(body["rule"]),
        agent=_maybe(body.get("agent")),
        tool=_maybe(body.get("tool")),
        kinds=None
        if kinds is None
        else tuple((str(name), str(kind)) for name, kind in sorted(kinds.items())),
        rest=body.get("rest") is True,
        policy=FlagPolicy.from_json(body["policy"]),
        state=FlagState(record.state),
        stake=Effect(body["stake"]),
        count=_whole(body["count"]),
        first=_instant(body["first"]),
        last=_instant(body["last"]),
        due=_instant(body["due"]),
        level=_whole(body["level"]),
        acked=_whole(body.get("acked", -1)),
        episode=_whole(body["episode"]),
        breached=None if body.get("breached") is None else _instant(body["breached"]),
        resolution=None if resolution is None else Resolution(resolution),
        until=None if body.get("until") is None else _instant(body["until"]),
        exception=_maybe(body.get("exception")),
        history=tuple(body.get("history", ())),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _maybe(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value


def _instant(value: object) -> dt.datetime:
    found = dt.datetime.fromisoformat(_text(value))
    return found.astimezone(dt.UTC)
