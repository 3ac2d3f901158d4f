"""Making proofs from a store: finding the event, and the parts of its path, in one reading of the ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from agentguard.errors import CheckpointRefused, ConfigurationError, NotFound
from agentguard.ledger.checkpoints import Checkpoint
from agentguard.ledger.log import Frontier
from agentguard.ledger.proofs import Consistency, Inclusion
from agentguard.ledger.spans import Span, consistency_spans, inclusion_spans, roots_of
from agentguard.store.protocol import Store

__all__ = ["Named", "find_event", "prove_consistency", "prove_inclusion"]

PREFIX: Final = 6
"""Characters of an event's or approval's id that have to be typed at least."""

_BATCH: Final = 1000
_LISTED: Final = 12
_NUMBER: Final = re.compile(r"#?([1-9][0-9]{0,11})")


@dataclass(frozen=True, slots=True)
class Named:
    """One event: its number from 1, its id and its type."""

    seq: int
    id: str
    type: str


def find_event(store: Store, tenant: str, typed: str) -> Named:
    """The event of a number, an id or its beginning, or the only one of a call or approval.

    Raises:
        NotFound: there is none. ConfigurationError: too little was typed, or there are several.
    """
    number = _NUMBER.fullmatch(typed)
    if number:
        seq = int(number[1])
        for row in store.rows(tenant, after=seq - 1, limit=1):
            if row[0] == seq:
                return Named(seq, row[1], row[2])
        raise NotFound(f"tenant `{tenant}` has no event {seq:,}")
    if len(typed) < PREFIX:
        raise ConfigurationError(f"type a number, or at least {PREFIX} characters of an id")
    found = list(_matching(store, tenant, typed))
    exact = [one for one in found if one.id == typed]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise NotFound(f"no event of tenant `{tenant}` is named `{typed}`, nor its call or approval")
    listed = "".join(f"\n#{one.seq} {one.type} {one.id}" for one in found[:_LISTED])
    more = f"\nand {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
    raise ConfigurationError(f"`{typed}` names several events; type the number of one:{listed}{more}")


def prove_inclusion(store: Store, tenant: str, seq: int, checkpoint: Checkpoint) -> Inclusion:
    """That event number `seq` is in the log that a checkpoint was signed for.

    Raises:
        CheckpointRefused: the checkpoint does not cover it, or was signed for another log.
    """
    if seq > checkpoint.size:
        raise CheckpointRefused(
            f"event {seq:,} came after the newest checkpoint, which covers {checkpoint.size:,}; "
            "run `agentguard ledger checkpoint` first"
        )
    reading = _Reading(store, tenant, checkpoint.size, keep=seq)
    path = reading.path(inclusion_spans(seq - 1, checkpoint.size))
    _agree(reading.frontier, checkpoint)
    try:
        reading.leaf.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckpointRefused(f"event {seq:,} is no text") from None
    return Inclusion(reading.leaf, seq - 1, path, checkpoint.note)


def prove_consistency(store: Store, tenant: str, earlier: Checkpoint, later: Checkpoint) -> Consistency:
    """That the log of one checkpoint goes on from another's.

    Raises:
        CheckpointRefused: it does not, or the ledger is neither.
    """
    if not 0 < earlier.size <= later.size:
        raise CheckpointRefused(
            f"a log of {later.size:,} events cannot go on from one of {earlier.size:,} that is not empty"
        )
    reading = _Reading(store, tenant, later.size)
    path = reading.path(consistency_spans(earlier.size, later.size))
    _agree(reading.frontier, later)
    return Consistency(earlier.note, path, later.note)


class _Reading:
    """The first `size` leaves of a ledger, once; `leaf` is number `keep` of them."""

    def __init__(self, store: Store, tenant: str, size: int, *, keep: int = 0) -> None:
        self._store = store
        self._tenant = tenant
        self._size = size
        self._keep = keep
        self.frontier = Frontier()
        self.leaf = b""

    def path(self, spans: list[Span]) -> tuple[bytes, ...]:
        roots = dict(roots_of(spans, self._leaves()))
        if self.frontier.size != self._size:
            raise CheckpointRefused(
                f"the ledger of tenant `{self._tenant}` has {self.frontier.size:,} events in order, and the "
                f"checkpoint {self._size:,}; run `agentguard ledger verify`"
            )
        return tuple([roots[span] for span in spans])

    def _leaves(self) -> Iterator[bytes]:
        frontier = self.frontier
        while frontier.size < self._size:
            limit = min(_BATCH, self._size - frontier.size)
            rows = self._store.rows(self._tenant, after=frontier.size, limit=limit)
            for row in rows:
                if row[0] != frontier.size + 1 or type(row[3]) is not bytes:
                    return
                frontier.add(row[3])
                if row[0] == self._keep:
                    self.leaf = row[3]
                yield row[3]
            if not rows:
                return


def _agree(frontier: Frontier, checkpoint: Checkpoint) -> None:
    if frontier.root() != checkpoint.root:
        raise CheckpointRefused(
            f"the ledger is not the one that the checkpoint was signed for at {checkpoint.size:,} events; "
            "run `agentguard ledger verify` with it"
        )


def _matching(store: Store, tenant: str, typed: str) -> Iterator[Named]:
    """Events whose id begins like this, or whose call or approval it is."""
    needle = json.dumps(typed, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    after = 0
    while rows := store.rows(tenant, after=after, limit=_BATCH):
        for seq, id_, kind, leaf, _, _ in rows:
            if type(leaf) is not bytes or type(id_) is not str:
                continue  # `agentguard ledger verify` names it
            if id_.startswith(typed) or (needle in leaf and _is_about(leaf, typed)):
                yield Named(seq, id_, kind)
        after = rows[-1][0]


def _is_about(leaf: bytes, typed: str) -> bool:
    try:
        event: Any = json.loads(leaf)
        return event.get("call_id") == typed or str(event.get("approval", "")).startswith(typed)
    except (ValueError, AttributeError):
        return False
