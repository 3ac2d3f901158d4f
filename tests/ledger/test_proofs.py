"""Proofs for people without the store: made from it, checked without it, refused when anything is changed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentguard.errors import CheckpointRefused, ConfigurationError, NotFound
from agentguard.ledger.checkpoints import Checkpoint, checkpoint_of
from agentguard.ledger.log import consistency_proof, inclusion_proof, leaf_hash, tree_root
from agentguard.ledger.proofs import MAX_PROOF, Consistency, Inclusion, read_proof
from agentguard.ledger.proving import find_event, prove_consistency, prove_inclusion
from agentguard.ledger.spans import consistency_spans, inclusion_spans, roots_of
from agentguard.store import Store
from tests.ledger.attacker import edited, fill, opened, rewrite, run, signer
from tests.store.support import answer, ask, decided, settled, take

KEY = signer()
SIZE = 13


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Thirteen events: six calls, and one decision more."""
    file = tmp_path / "store.db"
    fill(file, 6)
    with opened(file) as store:
        store.append("default", [decided(runs=False)])
    return file


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with opened(path) as found:
        yield found


def signed(store: Store, size: int = SIZE) -> Checkpoint:
    """A checkpoint of the first events."""
    leaves = [row.leaf for row in store.events("default", limit=size)]
    return checkpoint_of(KEY, size, tree_root([leaf_hash(leaf) for leaf in leaves]))


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_the_stretches_of_a_path_give_the_proofs_of_the_rfc(found: tuple[int, int]) -> None:
    """Read in one pass, the same parts in the same order as from all hashes at once."""
    size, index = found
    leaves = [b"%d" % number for number in range(size)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    for spans, whole in (
        (inclusion_spans(index, size), inclusion_proof(hashes, index)),
        (consistency_spans(index + 1, size), consistency_proof(hashes, index + 1)),
    ):
        roots = dict(roots_of(spans, leaves))
        assert [roots[span] for span in spans] == whole


@pytest.mark.parametrize("spans", [lambda: inclusion_spans(3, 3), lambda: consistency_spans(0, 3)])
def test_a_leaf_that_is_not_there_has_no_path(spans: object) -> None:
    """Nor has an empty tree, or a larger one."""
    with pytest.raises(ValueError, match="a tree of size 3 has no"):
        spans()  # type: ignore[operator]
    with pytest.raises(ValueError, match="a tree of size 3 has no"):
        consistency_spans(4, 3)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 12, SIZE])
def test_every_event_can_be_proven_in_every_checkpoint(store: Store, size: int) -> None:
    """By its leaf, the hashes beside its way to the root, and the checkpoint."""
    checkpoint = signed(store, size)
    leaves = [row.leaf for row in store.events("default")]
    for seq in range(1, size + 1):
        proof = prove_inclusion(store, "default", seq, checkpoint)
        assert (proof.leaf, proof.index) == (leaves[seq - 1], seq - 1)
        assert proof.check([KEY.verifier]) == checkpoint


@pytest.mark.parametrize("form", ["json", "tlog"])
def test_a_proof_is_read_back_as_it_was_written(store: Store, form: str) -> None:
    """As JSON with every field named, or as C2SP has it."""
    proof = prove_inclusion(store, "default", 5, signed(store))
    data = proof.to_json()
    assert set(data) == {"v", "kind", "leaf", "index", "path", "checkpoint"}
    text = json.dumps(data) if form == "json" else proof.to_tlog()
    assert read_proof(text) == proof
    if form == "tlog":
        lines = text.split("\n")
        assert lines[0] == "c2sp.org/tlog-proof@v1"
        assert base64.b64decode(lines[1].removeprefix("extra ")) == proof.leaf
        assert lines[2] == "index 4"
        assert len(lines[3 : lines.index("")]) == len(proof.path)
        assert text.endswith(f"\n\n{proof.checkpoint}")


def test_a_changed_proof_proves_nothing_T64(store: Store) -> None:
    """Another leaf, index, path, checkpoint or key."""
    proof = prove_inclusion(store, "default", 5, signed(store))
    other = prove_inclusion(store, "default", 6, signed(store))
    changed = [
        replace(proof, leaf=proof.leaf.replace(b"billing", b"someone")),
        replace(proof, leaf=other.leaf),
        replace(proof, index=5),
        replace(proof, index=-1),
        replace(proof, index=SIZE),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=(*proof.path, bytes(32))),
        replace(proof, path=proof.path[::-1]),
        replace(proof, path=()),
        replace(proof, checkpoint=signed(store, 12).note),
        replace(proof, checkpoint=proof.checkpoint.replace(f"\n{SIZE}\n", "\n14\n")),
    ]
    for one in changed:
        with pytest.raises(CheckpointRefused):
            one.check([KEY.verifier])
    with pytest.raises(CheckpointRefused, match="keys that count"):
        proof.check([signer().verifier])
    with pytest.raises(CheckpointRefused):
        proof.check([])


def test_an_inner_node_is_no_event_T64(store: Store) -> None:
    """Two hashes in a row are no leaf: leaves and nodes are hashed apart."""
    proof = prove_inclusion(store, "default", 1, signed(store))
    leaf = leaf_hash(proof.leaf)
    with pytest.raises(CheckpointRefused):
        replace(proof, leaf=leaf + proof.path[0], index=0, path=proof.path[1:]).check([KEY.verifier])


def test_an_event_of_another_tenant_is_not_vouched_for_T62(tmp_path: Path) -> None:
    """Although somebody signed a log that holds it."""
    path = tmp_path / "store.db"
    fill(path, 1, "eu")
    with opened(path) as store:
        leaves = [row.leaf for row in store.events("eu")]
        forged = checkpoint_of(KEY, 2, tree_root([leaf_hash(leaf) for leaf in leaves]))
        proof = Inclusion(leaves[0], 0, (leaf_hash(leaves[1]),), forged.note)
    with pytest.raises(CheckpointRefused, match="another tenant's"):
        proof.check([KEY.verifier])
    nothing = checkpoint_of(KEY, 1, tree_root([leaf_hash(b"[]")]))
    with pytest.raises(CheckpointRefused, match="no event"):
        Inclusion(b"[]", 0, (), nothing.note).check([KEY.verifier])


def test_a_ledger_that_is_not_the_checkpoints_proves_nothing_T64(path: Path) -> None:
    """Rewritten, cut or damaged since."""
    with opened(path) as store:
        checkpoint, earlier = signed(store), signed(store, 5)
    rewrite(path, lambda rows: [edited(row) for row in rows])
    with opened(path) as store:
        with pytest.raises(CheckpointRefused, match="is not the one that the checkpoint was signed for"):
            prove_inclusion(store, "default", 5, checkpoint)
        with pytest.raises(CheckpointRefused, match="is not the one that the checkpoint was signed for"):
            prove_consistency(store, "default", earlier, checkpoint)
    rewrite(path, lambda rows: rows[:9])
    with opened(path) as store, pytest.raises(CheckpointRefused, match="9 events in order"):
        prove_inclusion(store, "default", 5, checkpoint)
    run(path, "UPDATE event SET leaf = 'text' WHERE key & 255 = 3")
    with opened(path) as store, pytest.raises(CheckpointRefused, match="2 events in order"):
        prove_inclusion(store, "default", 1, checkpoint)


def test_an_event_behind_the_checkpoint_is_not_covered(store: Store) -> None:
    """The message says what to do."""
    with pytest.raises(CheckpointRefused, match="agentguard ledger checkpoint"):
        prove_inclusion(store, "default", 9, signed(store, 8))


@pytest.mark.parametrize("earlier", [1, 4, 8, 12, SIZE])
def test_one_checkpoint_goes_on_from_another(store: Store, earlier: int) -> None:
    """And is read back as it was written."""
    first, second = signed(store, earlier), signed(store)
    proof = prove_consistency(store, "default", first, second)
    assert proof.check([KEY.verifier]) == (first, second)
    assert read_proof(json.dumps(proof.to_json())) == proof


def test_a_fork_cannot_be_proven_to_go_on_T64(path: Path) -> None:
    """Two histories with the same beginning, each signed."""
    with opened(path) as store:
        first = signed(store, 8)
    rewrite(path, lambda rows: [edited(rows[0]), *rows[1:]])
    with opened(path) as store:
        second = signed(store)
        proof = prove_consistency(store, "default", second, second)
        honest = prove_consistency(store, "default", signed(store, 8), second)
    for path_ in (proof.path, honest.path):
        with pytest.raises(CheckpointRefused, match="is not the beginning"):
            Consistency(first.note, path_, second.note).check([KEY.verifier])
    with pytest.raises(CheckpointRefused, match="is not the beginning"):
        Consistency(second.note, (), first.note).check([KEY.verifier])
    eu = signer("eu")
    other = checkpoint_of(eu, 8, bytes(32))
    with pytest.raises(CheckpointRefused, match="two logs"):
        Consistency(other.note, (), second.note).check([KEY.verifier, eu.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"v": 1}',
        '{"v": 1, "v": 1}',
        '{"v": 2, "kind": "inclusion"}',
        '{"v": true, "kind": "inclusion", "leaf": "", "index": 0, "path": [], "checkpoint": ""}',
        '{"v": 1, "kind": "other", "leaf": "", "index": 0, "path": [], "checkpoint": ""}',
        '{"v": 1, "kind": "inclusion", "leaf": "", "index": true, "path": [], "checkpoint": ""}',
        '{"v": 1, "kind": "inclusion", "leaf": "", "index": "0", "path": [], "checkpoint": ""}',
        '{"v": 1, "kind": "inclusion", "leaf": 5, "index": 0, "path": [], "checkpoint": ""}',
        '{"v": 1, "kind": "inclusion", "leaf": "\\ud800", "index": 0, "path": [], "checkpoint": ""}',
        '{"v": 1, "kind": "inclusion", "leaf": "", "index": 0, "path": ["AA=="], "checkpoint": ""}',
        '{"v": 1, "kind": "inclusion", "leaf": "", "index": 0, "path": ["!"], "checkpoint": ""}',
        '{"v": 1, "kind": "inclusion", "leaf": "", "index": 0, "path": [], "checkpoint": "", "x": 1}',
        '{"v": 1, "kind": "consistency", "earlier": "", "index": 0, "path": [], "checkpoint": ""}',
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\nextra AA==\nindex 00\n\n",
        "c2sp.org/tlog-proof@v1\nextra AA==\nindex -1\n\n",
        "c2sp.org/tlog-proof@v1\nextra AA==\n\n",
        "c2sp.org/tlog-proof@v1\nextra AA==\nindex 0\nAA==\n\n",
        "[" * 100_000,
        " " * (MAX_PROOF + 1),
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    """Never an error of the program's."""
    with pytest.raises(CheckpointRefused, match="it is no proof"):
        read_proof(text)


# Finding the event


def test_an_event_is_found_by_number_id_call_or_approval(path: Path) -> None:
    """Or by the beginning of an id."""
    with opened(path) as store:
        rows = list(store.events("default"))
        assert find_event(store, "default", "5").seq == 5
        assert find_event(store, "default", "#5").id == rows[4].id
        assert find_event(store, "default", rows[4].id) == find_event(store, "default", "5")
        approval = ask(store, call_id="call-9")
        assert find_event(store, "default", "call-9").type == "approval.opened"
        found = find_event(store, "default", approval.id[:12])
        assert (found.seq, found.type) == (15, "approval.opened")


def test_a_name_of_several_events_lists_them(path: Path) -> None:
    """With their numbers, by which one can be named."""
    with opened(path) as store:
        approval = settled(store, take(store, answer(store, ask(store, call_id="call-9"))))
        with pytest.raises(ConfigurationError, match="names several events") as listed:
            find_event(store, "default", approval.id)
        for kind in ("approval.opened", "vote", "claimed", "outcome"):
            assert kind in str(listed.value)
        assert "#15 approval.opened" in str(listed.value)
        with pytest.raises(ConfigurationError, match="and 2 more"):
            find_event(store, "default", "call-1")


@pytest.mark.parametrize("typed", ["14", "99999999", "no-such-event"])
def test_what_is_not_there_is_not_found(store: Store, typed: str) -> None:
    """Nor is it an error of the program's."""
    with pytest.raises(NotFound):
        find_event(store, "default", typed)


@pytest.mark.parametrize("typed", ["", "0", "abc", "-1"])
def test_too_little_is_refused(store: Store, typed: str) -> None:
    """It would name anything."""
    with pytest.raises(ConfigurationError, match="at least 6"):
        find_event(store, "default", typed)


def test_a_quoted_call_id_is_found(path: Path) -> None:
    """Whatever a framework calls its calls."""
    name = 'call "quoted" \\ \u00fc'
    with opened(path) as store:
        ask(store, call_id=name)
        assert find_event(store, "default", name).type == "approval.opened"
