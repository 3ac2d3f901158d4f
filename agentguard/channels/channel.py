"""What a channel is to the outbox: it hears of a notice, and either took it or says why not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentguard.channels.told import Interest
from agentguard.stepup.model import Approval

__all__ = ["Notice", "OutboxChannel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to be told: `id` is the same at every attempt, so that a receiver can tell repetitions.

    `approval` is the question as it is now, where it is about one. `memory` is what the channel wanted kept
    about the subject, such as where its message stands. `dropped` is how many were left out before it.
    """

    id: str
    type: str
    at: str
    tenant: str
    family: str
    subject: str
    said: Mapping[str, Any]
    now: dt.datetime
    approval: Approval | None = field(default=None, repr=False)
    memory: Mapping[str, Any] = field(default_factory=dict)
    dropped: int = 0


class OutboxChannel(Protocol):
    """A channel that is told from the outbox: at least once, one thing of a subject after the other."""

    @property
    def name(self) -> str:
        """As it stands in the configuration and in the outbox."""
        ...

    @property
    def interest(self) -> Interest:
        """What it wants to hear."""
        ...

    @property
    def lane_limit(self) -> int:
        """How many things of one lane it is told singly in ten minutes."""
        ...

    @property
    def attempts(self) -> int:
        """After how many attempts a delivery is dead."""
        ...

    def send(self, notice: Notice) -> Mapping[str, Any]:
        """Tell it; returns what is to be kept about the subject.

        Raises:
            Undelivered: it was not told.
        """
        ...
