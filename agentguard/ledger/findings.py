"""What a check of the ledger can find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["MAX_FINDINGS", "Finding", "Kind"]

Kind = Literal[
    "edited", "deleted", "inserted", "swapped", "truncated", "head", "edge", "unreadable", "columns", "story",
    "rewritten", "rollback", "fork", "payload",
]  # fmt: skip
"""What seems to have happened: a leaf was edited, deleted, inserted or swapped with another; the newest were
cut off; the head, or the edge kept with a leaf, was changed; a leaf cannot be read, or says something else
than the columns beside it; the events, or the table of approvals, contradict each other. Against a
checkpoint: the log was rewritten with all its hashes; it is shorter than it was; somebody signed two
histories. A payload is not the one whose digest an event carries."""

MAX_FINDINGS: Final = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `seq` is the number of the leaf, from 1, where there is one.

    With `upto` it is one of the leaves from `seq` to `upto`, and which one cannot be told.
    """

    kind: Kind
    message: str
    seq: int | None = None
    id: str | None = None
    upto: int | None = None
