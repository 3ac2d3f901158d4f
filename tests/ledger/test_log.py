"""The Merkle tree against the published vectors of RFC 6962, whose tree RFC 9162 has, and against itself."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentguard.ledger.log import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

# The test vectors of google/certificate-transparency (merkletree/merkle_tree_test.cc).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def naive_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(naive_root(hashes[:k]), naive_root(hashes[k:]))


def test_the_empty_tree() -> None:
    """SHA-256 of nothing."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Frontier().root() == tree_root([]) == EMPTY_ROOT


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots(size: int) -> None:
    """Every size from one to eight, added one by one."""
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.add(leaf)
    assert frontier.root().hex() == ROOTS[size - 1]
    assert Frontier.from_bytes(size, frontier.to_bytes()).root() == frontier.root()


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_published_inclusion_proofs(index: int, size: int) -> None:
    """Made as published, and accepted."""
    proof = inclusion_proof(HASHES[:size], index)
    assert [part.hex() for part in proof] == INCLUSION[index, size]
    assert verify_inclusion(HASHES[index], index, size, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("earlier", "size"), CONSISTENCY)
def test_the_published_consistency_proofs(earlier: int, size: int) -> None:
    """Made as published, and accepted."""
    proof = consistency_proof(HASHES[:size], earlier)
    assert [part.hex() for part in proof] == CONSISTENCY[earlier, size]
    roots = bytes.fromhex(ROOTS[earlier - 1]), bytes.fromhex(ROOTS[size - 1])
    assert verify_consistency(earlier, roots[0], size, roots[1], proof)


@settings(max_examples=60)
@given(st.integers(1, 70), st.data())
def test_every_proof_holds_and_no_other(size: int, data: st.DataObject) -> None:
    """For any tree: the right proof is accepted; a changed one, and one for another place, is not."""
    hashes = [leaf_hash(bytes([n])) for n in range(size)]
    root = tree_root(hashes)
    assert root == naive_root(hashes)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(hashes, index)
    assert verify_inclusion(hashes[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(hashes[index], index, size, [*proof, root], root)
    other = data.draw(st.integers(0, size - 1))
    assert verify_inclusion(hashes[index], other, size, proof, root) == (other == index)
    if proof:
        assert not verify_inclusion(hashes[index], index, size, proof[:-1], root)
    earlier = data.draw(st.integers(1, size))
    before, grown = tree_root(hashes[:earlier]), consistency_proof(hashes, earlier)
    assert verify_consistency(earlier, before, size, root, grown)
    assert not verify_consistency(earlier, leaf_hash(b"other"), size, root, grown)
    assert not verify_consistency(earlier, before, size, leaf_hash(b"other"), grown)
    if earlier < size:
        assert not verify_consistency(earlier, before, size, root, grown[:-1])
        assert not verify_consistency(earlier, before, size, root, [*grown, root])


def test_what_is_out_of_range_is_refused() -> None:
    """No such leaf, no such tree, peaks of another size."""
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(HASHES, 8)
    for earlier in (0, 9):
        with pytest.raises(ValueError, match="no earlier tree"):
            consistency_proof(HASHES, earlier)
    for size, packed in ((1, b""), (3, b"x" * 32), (1, b"x" * 31)):
        with pytest.raises(ValueError, match="peaks"):
            Frontier.from_bytes(size, packed)
    assert not verify_inclusion(HASHES[0], 8, 8, [], EMPTY_ROOT)
    assert not verify_inclusion(HASHES[0], -1, 8, [], EMPTY_ROOT)
    assert not verify_consistency(0, EMPTY_ROOT, 8, EMPTY_ROOT, [])


def test_the_edge_commits_to_size_and_leaves() -> None:
    """Two trees have the same edge only when they are the same."""
    edges = set()
    for leaves in (LEAVES[:n] for n in range(9)):
        frontier = Frontier()
        for leaf in leaves:
            frontier.add(leaf)
        edges.add(frontier.edge())
    swapped = Frontier()
    for leaf in (LEAVES[1], LEAVES[0]):
        swapped.add(leaf)
    assert len(edges | {swapped.edge()}) == 10
