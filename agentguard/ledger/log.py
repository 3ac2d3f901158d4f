"""The Merkle tree of RFC 9162 (section 2.1): hashes, the growing edge, and proofs.

A leaf hashes as SHA-256(0x00 || leaf) and a node as SHA-256(0x01 || left || right); the empty tree hashes as
SHA-256 of nothing. Sizes and indexes are as in the RFC: a tree of size `n` has the leaves `0` to `n - 1`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

__all__ = [
    "EMPTY_ROOT",
    "Frontier",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
]

_sha256 = hashlib.sha256

EMPTY_ROOT: Final = _sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf."""
    return _sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return _sha256(b"\x01" + left + right).digest()


class Frontier:
    """The growing edge of a tree: the roots of its largest perfect subtrees, widest first.

    `size` has one bit set for each of the `peaks`. Adding a leaf costs one hash for the leaf and on average
    one for nodes; a root costs one hash less than there are peaks.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if size.bit_count() != len(peaks) or any(len(peak) != 32 for peak in peaks):
            raise ValueError(f"a tree of size {size} has {size.bit_count()} peaks, not {len(peaks)}")
        self.size = size
        self.peaks = list(peaks)

    def add(self, leaf: bytes) -> None:
        """Append a leaf."""
        self.add_hash(_sha256(b"\x00" + leaf).digest())

    def add_hash(self, hashed: bytes) -> None:
        """Append a leaf by its hash."""
        size, peaks = self.size, self.peaks
        while size & 1:
            hashed = _sha256(b"\x01" + peaks.pop() + hashed).digest()
            size >>= 1
        peaks.append(hashed)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        peaks = self.peaks
        if not peaks:
            return EMPTY_ROOT
        found = peaks[-1]
        for index in range(len(peaks) - 2, -1, -1):
            found = _sha256(b"\x01" + peaks[index] + found).digest()
        return found

    def edge(self) -> bytes:
        """One hash over size and peaks: SHA-256(0x02 || size as 8 bytes || peaks).

        It commits to the whole tree as the root does, at the price of one hash whatever the size, so that
        every event can be kept with it. It is ours and not in the RFC.
        """
        return _sha256(b"\x02" + self.size.to_bytes(8, "big") + b"".join(self.peaks)).digest()

    def copy(self) -> Frontier:
        """An independent copy."""
        twin = Frontier.__new__(Frontier)
        twin.size = self.size
        twin.peaks = self.peaks.copy()
        return twin

    def to_bytes(self) -> bytes:
        """The peaks in a row, 32 bytes each."""
        return b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, size: int, packed: bytes) -> Frontier:
        """Read back; `ValueError` when the bytes do not belong to a tree of this size."""
        if len(packed) % 32:
            raise ValueError("peaks are 32 bytes each")
        return cls(size, [packed[start : start + 32] for start in range(0, len(packed), 32)])


def tree_root(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, as the RFC defines it."""
    frontier = Frontier()
    for hashed in hashes:
        frontier.add_hash(hashed)
    return frontier.root()


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree over these leaf hashes (RFC 9162, 2.1.3.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(hashes):
        raise ValueError(f"a tree of size {len(hashes)} has no leaf {index}")
    path: list[bytes] = []
    low, high = 0, len(hashes)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(tree_root(hashes[middle:high]))
            high = middle
        else:
            path.append(tree_root(hashes[low:middle]))
            low = middle
    path.reverse()
    return path


def consistency_proof(hashes: Sequence[bytes], earlier: int) -> list[bytes]:
    """That the tree of size `earlier` is the beginning of this one (RFC 9162, 2.1.4.1).

    Raises:
        ValueError: the earlier tree is empty or larger.
    """
    if not 0 < earlier <= len(hashes):
        raise ValueError(f"a tree of size {len(hashes)} has no earlier tree of size {earlier}")
    path: list[bytes] = []
    low, high, whole = 0, len(hashes), True
    while earlier != high:
        middle = low + _split(high - low)
        if earlier <= middle:
            path.append(tree_root(hashes[middle:high]))
            high = middle
        else:
            path.append(tree_root(hashes[low:middle]))
            low, whole = middle, False
    if not whole:
        path.append(tree_root(hashes[low:high]))
    path.reverse()
    return path


def verify_inclusion(hashed: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf hash is leaf `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, found = index, size - 1, hashed
    for part in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            found = node_hash(part, found)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            found = node_hash(found, part)
        fn >>= 1
        sn >>= 1
    return sn == 0 and found == root


def verify_consistency(
    earlier: int, earlier_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the earlier tree is the beginning of the later one (RFC 9162, 2.1.4.2)."""
    if not 0 < earlier <= size:
        return False
    if earlier == size:
        return not proof and earlier_root == root
    parts = list(proof)
    if earlier & (earlier - 1) == 0:
        parts.insert(0, earlier_root)
    if not parts:
        return False
    fn, sn = earlier - 1, size - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    first = second = parts[0]
    for part in parts[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first = node_hash(part, first)
            second = node_hash(part, second)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            second = node_hash(second, part)
        fn >>= 1
        sn >>= 1
    return sn == 0 and first == earlier_root and second == root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
