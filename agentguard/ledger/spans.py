"""Proofs about a log that is too long to hold: which stretches of leaves they are made of, read in one pass.

Each part of a proof is the root over a stretch of leaves, and the stretches of one proof lie beside each
other, so that one growing edge at a time is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agentguard.ledger.log import Frontier

__all__ = ["Span", "consistency_spans", "inclusion_spans", "roots_of"]

Span = tuple[int, int]
"""The leaves from a first index to before another."""


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The stretches of the audit path of a leaf, in the order of the path (RFC 9162, 2.1.3.1).

    Raises:
        ValueError: a tree of this size has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of size {size} has no leaf {index}")
    spans: list[Span] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    spans.reverse()
    return spans


def consistency_spans(earlier: int, size: int) -> list[Span]:
    """The stretches of the proof that a tree begins with an earlier one (RFC 9162, 2.1.4.1).

    Raises:
        ValueError: the earlier tree is empty or larger.
    """
    if not 0 < earlier <= size:
        raise ValueError(f"a tree of size {size} has no earlier tree of size {earlier}")
    spans: list[Span] = []
    low, high, whole = 0, size, True
    while earlier != high:
        middle = low + _split(high - low)
        if earlier <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low, whole = middle, False
    if not whole:
        spans.append((low, high))
    spans.reverse()
    return spans


def roots_of(spans: Sequence[Span], leaves: Iterable[bytes]) -> Iterator[tuple[Span, bytes]]:
    """The root over each stretch, as the leaves go by; `leaves` are the tree's, from the first on.

    Stretches may not overlap. Every leaf is taken, so that whoever passes them can count and hash them too.
    """
    waiting = sorted(spans, reverse=True)
    frontier = Frontier()
    for index, leaf in enumerate(leaves):
        if not waiting or index < waiting[-1][0]:
            continue
        frontier.add(leaf)
        if index + 1 == waiting[-1][1]:
            yield waiting.pop(), frontier.root()
            frontier = Frontier()


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
