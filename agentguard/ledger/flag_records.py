"""The events of flag items, read back."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agentguard.decision import Effect
from agentguard.ledger.governance_records import WordRecord

__all__ = ["FlagMoved"]


class FlagMoved(BaseModel):
    """`flag.opened`, `.reopened`, `.acknowledged`, `.escalated`, `.breached` or `.resolved`.

    `raised` is the `flag.raised` that opened or reopened it, `to` who has it now, `due` when its review was
    due. `rest` is an item of all that has none of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1]
    id: str
    tenant: str = ""
    at: dt.datetime
    type: Literal[
        "flag.opened",
        "flag.reopened",
        "flag.acknowledged",
        "flag.escalated",
        "flag.breached",
        "flag.resolved",
    ]
    flag: str
    rule: str
    agent: str | None = None
    tool: str | None = None
    owner: str = ""
    stake: Effect
    count: int
    level: int = 0
    due: dt.datetime
    rest: bool = False
    to: str | None = None
    raised: str | None = None
    resolution: str | None = None
    until: dt.datetime | None = None
    exception: str | None = None
    word: WordRecord | None = None
