"""A ledger held to signed checkpoints: whatever was done to the file is found, hashes recomputed or not
(T64), and so is an old copy that was put back (T18)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agentguard.ledger.checkpoint_file import CheckpointFile
from agentguard.ledger.checkpointing import Checkpointer
from agentguard.ledger.findings import Finding
from agentguard.ledger.kept import Kept, read_kept
from agentguard.ledger.notes import Signer, VerifierKey
from agentguard.ledger.verify import Report, verify
from agentguard.store import open_store
from tests.ledger.attacker import (
    COLUMNS,
    SHIFT,
    Leaves,
    edited,
    fill,
    opened,
    rewrite,
    run,
    sign,
    signer,
)
from tests.store.support import answer, ask, take

KEY = signer()
FIRST, SECOND, SIZE = 8, 14, 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Twenty events, with checkpoints after 8, 14 and 20 of them."""
    file = tmp_path / "store.db"
    for pairs in (4, 3, 3):
        fill(file, pairs)
        sign(file, KEY, log(file))
    return file


def log(path: Path) -> Path:
    return path.with_name("checkpoints.log")


def check(path: Path, key: VerifierKey = KEY.verifier, tenant: str | None = None) -> Report:
    kept = read_kept([log(path)], [key], tenant)
    with opened(path) as store:
        return verify(store, tenant, checkpoints=kept)


def findings(path: Path) -> list[Finding]:
    return [one for one in check(path).tenants[0].findings if one.kind != "story"]


def test_a_whole_ledger_agrees_with_every_checkpoint(path: Path) -> None:
    """Not only with the newest one."""
    report = check(path)
    assert report.ok
    (tenant,) = report.tenants
    assert (tenant.checkpoints, tenant.covered, tenant.size) == (3, SIZE, SIZE)


def test_events_that_came_since_need_no_checkpoint(path: Path) -> None:
    """They are checked against the head, and are not vouched for."""
    fill(path, 2)
    (tenant,) = check(path).tenants
    assert (tenant.findings, tenant.covered, tenant.size) == ((), SIZE, SIZE + 4)


# Somebody edits the file and leaves the hashes alone: the leaf is named exactly


@pytest.mark.parametrize("seq", [1, 9, SIZE])
def test_an_edited_leaf_is_named_T64(path: Path, seq: int) -> None:
    run(path, f"UPDATE event SET leaf = CAST(replace(leaf, 'ben', 'eve') AS BLOB) WHERE key & 255 = {seq}")
    found = findings(path)[0]
    assert (found.kind, found.seq, found.upto) == ("edited", seq, None)


def test_a_number_that_is_left_out_is_named_although_every_hash_fits_T64(path: Path) -> None:
    """An event was deleted, the rest hashed again and not renumbered."""
    rewrite(path, change_delete, gap=9)
    found = findings(path)[0]
    assert (found.kind, found.seq) == ("deleted", 9)


# Somebody edits the file and makes every hash in it fit: only the checkpoints show it


def change_edit(rows: Leaves) -> Leaves:
    return [edited(row) if number == 10 else row for number, row in enumerate(rows, 1)]


def change_delete(rows: Leaves) -> Leaves:
    return [row for number, row in enumerate(rows, 1) if number not in (9, 10)]


def change_insert(rows: Leaves) -> Leaves:
    return [*rows[:10], rows[0], *rows[10:]]


def change_swap(rows: Leaves) -> Leaves:
    return [*rows[:8], rows[10], rows[9], rows[8], *rows[11:]]


@pytest.mark.parametrize("change", [change_edit, change_delete, change_insert, change_swap])
def test_a_rewritten_ledger_is_found_and_the_stretch_is_named_T64(
    path: Path, change: Callable[[Leaves], Leaves]
) -> None:
    """By the first checkpoint that does not agree; the one before it bounds the stretch."""
    rewrite(path, change)
    with opened(path) as store:
        alone = verify(store).tenants[0]
    assert not [one for one in alone.findings if one.kind != "story"], "the store by itself looks whole"
    found = findings(path)
    assert (found[0].kind, found[0].seq, found[0].upto) == ("rewritten", FIRST + 1, SECOND)
    assert "checkpoint 2 was signed for another log of 14 events" in found[0].message
    assert check(path).tenants[0].covered == FIRST


def test_every_checkpoint_of_the_file_counts_and_not_only_the_last_T64(path: Path) -> None:
    """Somebody who can sign rewrites the ledger and appends a checkpoint of it: the older ones disagree."""
    rewrite(path, change_edit)
    with opened(path) as store:
        size, root = store.head("default")
        forged = Checkpointer(store, "default", KEY, file=None).make()
    assert forged is not None
    assert (forged.size, forged.root) == (size, root)
    with CheckpointFile(log(path)).opened() as file:
        file.append(forged)
    kinds = [one.kind for one in findings(path)]
    assert "rewritten" in kinds
    assert "fork" in kinds, "two checkpoints of twenty events with two roots"


def test_one_event_between_two_checkpoints_is_named_exactly_T64(tmp_path: Path) -> None:
    """The closer the checkpoints, the closer the name."""
    path = tmp_path / "store.db"
    fill(path, 3)
    sign(path, KEY, log(path))
    with opened(path) as store:
        ask(store)
    with opened(path) as store:
        size = store.head("default")[0]
    sign(path, KEY, log(path))
    rewrite(path, lambda rows: [*rows[:-1], edited(rows[-1])])
    found = findings(path)[0]
    assert (found.kind, found.seq, found.upto) == ("rewritten", 7, size)


# The newest events are gone


def test_a_truncated_ledger_is_found_although_its_head_was_made_to_fit_T64(path: Path) -> None:
    """Only a checkpoint still says how many there were."""
    rewrite(path, lambda rows: rows[:17])
    with opened(path) as store:
        alone = verify(store).tenants[0]
    assert not [one for one in alone.findings if one.kind != "story"]
    found = findings(path)
    assert [(one.kind, one.seq, one.upto) for one in found] == [("rollback", 18, SIZE)]


def test_the_tail_behind_the_head_is_covered_by_a_checkpoint_T64(tmp_path: Path) -> None:
    """Up to 63 events may stand behind the head; without a checkpoint they can go without a trace."""
    path = tmp_path / "store.db"
    store = open_store(f"sqlite:///{path}")
    for _ in range(5):
        ask(store, call_id=f"call-{_}")
    store.append("default", [])
    Checkpointer(store, "default", KEY, file=log(path)).make()
    shutil.copy(path, tmp_path / "killed.db")
    shutil.copy(f"{path}-wal", tmp_path / "killed.db-wal")
    store.close()
    killed = tmp_path / "killed.db"
    run(killed, "DELETE FROM event WHERE key = (SELECT max(key) FROM event)")
    rewrite(killed, lambda rows: rows)
    kept = read_kept([log(path)], [KEY.verifier])
    with opened(killed) as found:
        kinds = [one.kind for one in verify(found, checkpoints=kept).tenants[0].findings]
    assert "rollback" in kinds


def test_a_restored_backup_is_found_T18(tmp_path: Path) -> None:
    """An old copy in which an approval that was used is open again: the copy itself looks whole."""
    path, backup = tmp_path / "store.db", tmp_path / "backup.db"
    with opened(path, create=True) as store:
        approval = answer(store, ask(store))
    sign(path, KEY, log(path))
    shutil.copy(path, backup)
    with opened(path) as store:
        take(store, approval)
    sign(path, KEY, log(path))
    shutil.copy(backup, path)
    for beside in ("-wal", "-shm"):
        Path(f"{path}{beside}").unlink(missing_ok=True)
    with opened(path) as store:
        assert verify(store).ok, "nothing inside the store says that it is old"
        assert store.approval("default", approval.id).state.value == "approved"
    (found,) = check(path).tenants[0].findings
    assert found.kind == "rollback"
    assert "an old copy of the store was put back" in found.message


def test_a_restored_backup_that_went_on_is_found_T18(path: Path, tmp_path: Path) -> None:
    """It may have grown past the checkpoint since: the events are not those that were signed."""
    backup = tmp_path / "backup.db"
    shutil.copy(path, backup)
    fill(path, 3)
    sign(path, KEY, log(path))
    shutil.copy(backup, path)
    fill(path, 5)
    found = findings(path)[0]
    assert (found.kind, found.seq, found.upto) == ("rewritten", SIZE + 1, SIZE + 6)


def test_a_tenant_that_was_taken_away_is_found_by_its_checkpoint_T64(path: Path) -> None:
    """With all its events."""
    fill(path, 1, "eu")
    run(path, f"DELETE FROM event WHERE key < {2 << SHIFT}", "DELETE FROM tenant WHERE name = 'default'")
    with opened(path) as store:
        assert verify(store).ok
    report = check(path)
    assert not report.ok
    assert [one.tenant for one in report.tenants] == ["eu", "default"]
    assert report.tenants[1].findings[0].kind == "rollback"


def test_an_emptied_store_is_found_by_its_checkpoint_T64(path: Path) -> None:
    """A new file in the place of the old one."""
    path.unlink()
    opened_new = open_store(f"sqlite:///{path}")
    opened_new.close()
    report = check(path)
    assert [one.findings[0].kind for one in report.tenants] == ["rollback"]


# Checkpoints that do not count


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(signer("eu"), id="tenant"),
        pytest.param(signer(deployment="example.com/elsewhere"), id="deployment"),
        pytest.param(signer(), id="key"),
    ],
)
def test_a_checkpoint_of_another_log_or_key_is_refused_T64(path: Path, other: Signer) -> None:
    """Somebody signs the rewritten ledger with a key of their own, under our name or another."""
    rewrite(path, change_edit)
    log(path).unlink()
    sign(path, other, log(path))
    report = check(path)
    assert not report.ok
    assert str(log(path)) in report.refused[0]
    assert "there is no checkpoint of `example.com/agents/default`" in report.refused[1]
    assert report.tenants[0].checkpoints == 0


def test_a_changed_checkpoint_is_refused_T64(path: Path) -> None:
    """Its signature is not over this text."""
    text = log(path).read_text()
    log(path).write_text(text.replace(f"\n{SIZE}\n", "\n18\n"))
    report = check(path)
    assert not report.ok
    assert "signature" in report.refused[0]
    assert report.tenants[0].checkpoints == 2


@pytest.mark.parametrize(
    "torn", ["example.com/agents/default\n22\n", "\u2014 x\n", "example.com/agents/default\n22\nAAA"]
)
def test_a_torn_checkpoint_is_told_and_the_others_count(path: Path, torn: str) -> None:
    """A crash in the middle of writing; the next one begins on a line of its own."""
    with open(log(path), "a", encoding="utf-8") as file:
        file.write(torn)
    fill(path, 1)
    sign(path, KEY, log(path))
    report = check(path)
    assert len(report.refused) == 1
    assert report.tenants[0].checkpoints == 4


def test_checkpoints_of_other_tenants_are_left_out_where_one_is_named(path: Path) -> None:
    """One file may hold those of every tenant of a deployment."""
    eu = signer("eu")
    fill(path, 2, "eu")
    sign(path, eu, log(path), "eu")
    report = check(path, tenant="default")
    assert report.ok
    assert read_kept([log(path)], [KEY.verifier], "default").others == 1
    assert not check(path).ok, "without a name every checkpoint has to count"
    both = read_kept([log(path)], [KEY.verifier, eu.verifier])
    with opened(path) as store:
        report = verify(store, checkpoints=both)
    assert [(one.tenant, one.checkpoints, one.ok) for one in report.tenants] == [
        ("default", 3, True),
        ("eu", 1, True),
    ]


def test_another_tenants_checkpoint_of_another_deployment_is_refused_T64(path: Path) -> None:
    """It has no business in the file."""
    fill(path, 1, "eu")
    sign(path, signer("eu", "example.com/elsewhere"), log(path), "eu")
    kept = read_kept([log(path)], [KEY.verifier], "default")
    assert (len(kept.refused), kept.others) == (1, 0)


def test_a_ledger_that_no_checkpoint_speaks_for_is_told(path: Path) -> None:
    """It is whole as far as the store says, and nobody vouches for it."""
    fill(path, 1, "eu")
    report = check(path)
    assert report.ok
    assert [one.covered for one in report.tenants] == [SIZE, 0]


def test_taking_every_checkpoint_of_a_log_away_is_found_T64(path: Path) -> None:
    """Those of other tenants are still there."""
    eu = signer("eu")
    fill(path, 1, "eu")
    log(path).unlink()
    sign(path, eu, log(path), "eu")
    for tenant in (None, "default"):
        kept = read_kept([log(path)], [KEY.verifier, eu.verifier], tenant)
        assert kept.refused == ("there is no checkpoint of `example.com/agents/default` that counts",)
    assert read_kept([log(path)], [KEY.verifier, eu.verifier], "eu").refused == ()


def test_two_files_can_be_given(path: Path, tmp_path: Path) -> None:
    """Such as the copy that an auditor kept, and the operator's."""
    other = tmp_path / "auditor.log"
    shutil.copy(log(path), other)
    kept = read_kept([log(path), other], [KEY.verifier])
    assert len(kept.checkpoints) == 6
    with opened(path) as store:
        report = verify(store, checkpoints=kept)
    assert report.tenants[0].checkpoints == 3, "the same word twice is one"


def test_a_report_with_checkpoints_is_plain_data(path: Path) -> None:
    """For programs."""
    rewrite(path, change_edit)
    data = check(path).to_json()
    assert (data["ok"], data["refused"]) == (False, [])
    (tenant,) = data["tenants"]
    assert (tenant["checkpoints"], tenant["covered"]) == (1, FIRST)
    assert tenant["findings"][0]["upto"] == SECOND


def test_no_checkpoint_at_all_is_what_it_was(path: Path) -> None:
    """Without any, the store's own word is all there is."""
    with opened(path) as store:
        assert verify(store, checkpoints=Kept()).ok
        assert len(COLUMNS.split(", ")) == 8
