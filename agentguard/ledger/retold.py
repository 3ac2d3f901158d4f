"""An approval as its events tell it, and its row in the table of approvals: do they say the same?

The row is told again by the functions that write the events (`agentguard.ledger.approvals`), and of both
sides a digest is compared, so that remembering a hundred thousand approvals stays cheap. What no event says
cannot be compared: what the reviewer was shown, the frozen request, the stage, and the instant of the claim.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.canonical import encode
from agentguard.ledger import approvals as written
from agentguard.ledger.events import instant
from agentguard.ledger.keys import args_hmac
from agentguard.stepup.model import Approval, State

__all__ = ["Retold"]

_BYTES: Final = 16
# Who wrote an event when, and the session, which an erased row no longer has.
_APART: Final = ("v", "id", "prev", "session")
_ENDED: Final = frozenset(
    {State.APPROVED, State.DENIED, State.EXPIRED, State.WITHDRAWN, State.SUPERSEDED, State.REVOKED}
)


@dataclass(slots=True)
class Retold:
    """Digests of what the events of one approval said, each side of it by itself."""

    asked: bytes = b""
    votes: bytes = b""
    ended: bytes = b""
    claimed: bytes = b""
    outcome: bytes = b""

    def tell(self, kind: str, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        if kind == "approval.opened":
            self.asked = _digest(_told(event, "at"))
        elif kind == "vote":
            if event.get("counted") is True:
                self.votes = _digest([self.votes.hex(), _told(event)])
        elif kind == "claimed":
            self.claimed = _digest([event.get("digest"), event.get("epoch", "")])
        elif kind == "outcome":
            self.outcome = _digest(_told(event, "decision_id"))
        elif kind.removeprefix("approval.") in _ENDED:
            self.ended = _digest([event.get("at"), event.get("reason", "")])

    def differences(self, row: Approval, key: bytes | None) -> Iterator[str]:
        """What the row says otherwise; with the ledger's key its arguments are compared with their digest."""
        if self.asked != _digest(_told(written.opened(row, id="", at=row.opened_at), "at")):
            yield "is not what was asked"
            return  # every other event repeats some of it
        votes = b""
        for vote in row.votes:
            event = written.voted(row, vote, id="", at=vote.at, counted=True)
            votes = _digest([votes.hex(), _told(event)])
        if self.votes != votes:
            yield "has other votes"
        if self.ended != _ended(row):
            yield "ended at another time, or for another reason"
        if self.claimed != (_digest([row.digest, row.epoch]) if row.claimed_at is not None else b""):
            yield "was claimed otherwise"
        if self.outcome != _outcome(row):
            yield "has another outcome"
        if key is not None and row.arguments is not None and args_hmac(key, row.arguments) != row.args_hmac:
            yield "holds other arguments"


def _ended(row: Approval) -> bytes:
    return b"" if row.decided_at is None else _digest([instant(row.decided_at), row.note])


def _outcome(row: Approval) -> bytes:
    if row.outcome is None or row.settled_at is None:
        return b""
    details: dict[str, Any] = dict(row.outcome)
    return _digest(_told(written.settled(row, id="", at=row.settled_at, **details), "decision_id"))


def _told(event: Mapping[str, Any], *apart: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in _APART and key not in apart}


def _digest(value: object) -> bytes:
    return hashlib.sha256(encode(value)).digest()[:_BYTES]
