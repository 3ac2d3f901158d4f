"""Whether each leaf stands where it was appended: the tree is built again, and compared on the way.

Every leaf is hashed, the tree's edge after it compared with the one that was kept beside it, and the root
compared at every size for which somebody promised one: the head of the store, and signed checkpoints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentguard.ledger.findings import Finding, Kind
from agentguard.ledger.log import Frontier
from agentguard.store.protocol import StoredEvent

__all__ = ["LOOKAHEAD", "Placing", "Promise"]

LOOKAHEAD: Final = 256
"""Leaves behind a bad one among which its right place is looked for."""

_sha256 = hashlib.sha256


@dataclass(frozen=True, slots=True)
class Promise:
    """At `size` events the root is `root`: the word of the store's own head (`where` is empty) or of a
    checkpoint."""

    size: int
    root: bytes
    where: str = ""


class Placing:
    """Takes the rows of one ledger in order.

    After the first leaf that does not belong where it stands nothing behind it can be judged (`broken`).
    `agreed` counts checkpoints whose root was found, and `covered` is the size of the largest of them.
    """

    def __init__(self, promises: Iterable[Promise], found: Callable[[Finding], object]) -> None:
        self.frontier = Frontier()
        self.broken = False
        self.agreed = 0
        self.covered = 0
        self._found = found
        self._open = sorted(promises, key=lambda promise: promise.size, reverse=True)
        self._rewritten = False
        self._settle()

    def take(self, rows: Sequence[StoredEvent], more: Callable[[], Sequence[StoredEvent]]) -> None:
        """The next rows; `more` gives some of those that follow them, for telling what happened to one."""
        index = 0
        while index < len(rows) and not self.broken:
            stop = self._open[-1].size - self.frontier.size if self._open else len(rows)
            end = min(len(rows), index + stop)
            index = self._follow(rows, index, end)
            self._settle()
            if index < end:
                index += self._misplaced(rows, index, more)

    def finish(self, seen: int) -> None:
        """All rows were taken: what is promised beyond them is missing."""
        # The head's word first: where it promises more itself, nobody put an old copy back.
        for promise in sorted(self._open, key=lambda one: (bool(one.where), one.size)):
            if promise.size <= seen:
                continue  # behind a broken leaf
            if not promise.where:
                message = f"the head promises {promise.size} events and there are {seen}: the newest are gone"
                self._found(Finding("truncated", message, seen + 1))
            else:
                message = (
                    f"{promise.where} was signed for {promise.size:,} events and there are {seen:,}: the "
                    "newest were cut off, or an old copy of the store was put back, in which approvals that "
                    "were used since are open again"
                )
                self._found(Finding("rollback", message, seen + 1, None, promise.size))

    def _follow(self, rows: Sequence[StoredEvent], index: int, end: int) -> int:
        """Take rows as long as they belong where they stand; returns the first that does not, or the end."""
        frontier, sha256 = self.frontier, _sha256
        size, packed = frontier.size, frontier.to_bytes()  # as `Frontier.add` and `edge`, in half the time
        while index < end:
            row = rows[index]
            if row.seq != size + 1:
                break
            hashed, level, kept = sha256(b"\x00" + row.leaf).digest(), size, packed
            while level & 1:
                hashed = sha256(b"\x01" + kept[-32:] + hashed).digest()
                kept = kept[:-32]
                level >>= 1
            kept += hashed
            if sha256(b"\x02" + (size + 1).to_bytes(8, "big") + kept).digest() != row.edge:
                break
            size, packed = size + 1, kept
            index += 1
        self.frontier = Frontier.from_bytes(size, packed)
        return index

    def _settle(self) -> None:
        """Compare what is promised for the size that was reached."""
        while self._open and self._open[-1].size == self.frontier.size:
            promise = self._open.pop()
            same = self.frontier.root() == promise.root
            if not promise.where:
                if not same:
                    message = f"the head promises another root at {promise.size} events than they have"
                    self._found(Finding("head", message))
            elif same:
                self.agreed += 1
                self.covered = promise.size
            elif not self._rewritten and promise.size > self.covered:
                self._rewritten = True  # every later one says the same
                self._found(_rewritten(promise, self.covered))

    def _misplaced(
        self, rows: Sequence[StoredEvent], index: int, more: Callable[[], Sequence[StoredEvent]]
    ) -> int:
        """Say what happened to a row; returns how many were taken all the same."""
        row, expected = rows[index], self.frontier.size + 1
        if row.seq != expected:
            self.broken = True
            message = f"event {expected} is missing; the next one is {row.seq}"
            self._found(Finding("deleted", message, expected))
            return 0
        following = [*rows[index : index + LOOKAHEAD]]
        if len(following) < LOOKAHEAD:
            following += more()
        kind, message = _diagnose(self.frontier, following[:LOOKAHEAD])
        self._found(Finding(kind, message, row.seq, row.id))
        self.broken = kind != "edge"
        if self.broken:
            return 0
        self.frontier.add(row.leaf)
        self._settle()
        return 1


def _rewritten(promise: Promise, covered: int) -> Finding:
    first, last = covered + 1, promise.size
    which = f"event {first:,}" if first == last else f"an event from {first:,} to {last:,}"
    agreed = f"; the first {covered:,} are as another checkpoint says" if covered else ""
    message = (
        f"{promise.where} was signed for another log of {last:,} events: {which} is not what it was, and all "
        f"hashes were made to fit{agreed}"
    )
    return Finding("rewritten", message, first, None, last)


def _diagnose(before: Frontier, rows: Sequence[StoredEvent]) -> tuple[Kind, str]:
    """What was done to the first of these rows, by trying what would put it right."""
    first, later = rows[0], rows[1:]
    if later and _edge(before, first, later[0]) == later[0].edge:
        return "edge", "the edge kept with the leaf was changed; the leaf itself is what was appended"
    for distance, row in enumerate(later, 1):
        moved = _edge(before, row)
        if moved == first.edge:
            return "swapped", f"the leaf was swapped with that of event {row.seq}"
        if moved != row.edge:
            continue
        if distance == 1:
            if _edge(before, row, first) == first.edge:
                return "swapped", f"the event was swapped with event {row.seq}"
        elif _edge(before, row, later[0]) == later[0].edge:
            return "swapped", f"the event was swapped with event {row.seq}"
        return "inserted", f"{'the event was' if distance == 1 else f'{distance} events were'} inserted here"
    return "edited", "the leaf is not what was appended here: it was edited, or others around it deleted"


def _edge(before: Frontier, *rows: StoredEvent) -> bytes:
    frontier = before.copy()
    for row in rows:
        frontier.add(row.leaf)
    return frontier.edge()
