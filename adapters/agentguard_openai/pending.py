"""What remains of a turn whose calls wait for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentguard import AgentGuardError

__all__ = ["PendingCall", "ToolCallsPending"]


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that waits: its id in the turn, and the approval that will let it run once."""

    call_id: str
    tool: str
    approval_id: str
    expires_at: str
    reason: str


class ToolCallsPending(AgentGuardError):
    """Some calls of a turn wait for a person; the others have been answered.

    Keep the turn and `messages` with the transcript. When `pending` is decided, in this or another process,
    pass the same turn again with `answered=messages`, in a session with the same id and the same agent.
    """

    def __init__(self, messages: Sequence[Any], pending: Sequence[PendingCall]) -> None:
        self.messages: list[Any] = list(messages)
        self.pending = tuple(pending)
        names = ", ".join(f"`{call.tool}` ({call.approval_id})" for call in self.pending)
        asked = len(self.messages) + len(self.pending)
        super().__init__(
            f"{len(self.pending)} of {asked} calls wait for approval: {names}; keep the turn and `messages`, "
            "and pass the turn again when they are decided"
        )
