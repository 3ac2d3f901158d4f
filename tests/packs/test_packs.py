"""Every pack is right, tested, described, and permits nothing that its name does not say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentguard import ConfigurationError, Guard, Snapshot
from agentguard.packs import located
from agentguard.policy import check_files, read_files
from agentguard.policy.testing import cover, load_suites, run
from agentguard_policies import Pack, PackError, open_pack, packs
from agentguard_policies.pack import OWNER

PACKS = packs()
PERMITTING = {"permit", "least-privilege", "hijack"}
"""Packs with an allow rule: their names and first lines say so."""
NON_WAIVABLE = {
    "change-window/freeze",
    "exfiltration/metadata-service",
    "least-privilege/changed-tool",
    "secrets/sent-in-arguments",
}
each = pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)


def documents(pack: Pack) -> list[Mapping[str, Any]]:
    """The policies of a pack as data."""
    return [source.data for source in read_files([str(pack.folder)]).sources]


@each
def test_a_pack_has_no_findings(pack: Pack) -> None:
    """As `agentguard check pack:NAME` says."""
    assert check_files(read_files([f"pack:{pack.name}"])).findings == ()


@each
def test_every_case_passes_and_every_outcome_is_seen(pack: Pack) -> None:
    """Each rule and each part of its condition was true once and false once."""
    loaded = load_suites([str(pack.folder)], [str(pack.folder)])
    assert loaded.findings == ()
    assert [result.case.id for result in run(loaded.cases) if not result.passed] == []
    assert cover(loaded.cases).percent == 100.0


@each
def test_a_pack_is_owned_described_and_says_why(pack: Pack) -> None:
    """An owner to fill in, controls, a reason for each rule that stops something, a line about each rule."""
    text = (pack.folder / "README.md").read_text(encoding="utf-8")
    assert pack.title
    assert pack.version
    for document in documents(pack):
        assert document["owner"] == OWNER
        assert document["description"]
        for rule in document["rules"]:
            assert f"`{rule['id']}`" in text, rule["id"]
            if rule["effect"] != "allow":
                assert rule["reason"], rule["id"]
                assert document["controls"], "a control that it serves"


@each
def test_only_packs_that_say_so_permit_anything(pack: Pack) -> None:
    """So any other one can be added to policies and lets nothing more run without a person."""
    effects = {rule["effect"] for document in documents(pack) for rule in document["rules"]}
    assert ("allow" in effects) == (pack.name in PERMITTING)


def test_what_no_exception_may_waive_is_a_short_list() -> None:
    """Each of them would give everything away, or is the operator's own stop."""
    found = {
        f"{document['policy']}/{rule['id']}"
        for pack in PACKS.values()
        if pack.name != "hijack"
        for document in documents(pack)
        for rule in document["rules"]
        if rule.get("non_waivable")
    }
    assert found == NON_WAIVABLE


def test_all_packs_together_are_one_policy_set() -> None:
    """No two rules or counters have one name."""
    snapshot = Snapshot.load([f"pack:{name}" for name in PACKS])
    assert {rule.name.split("/")[0] for rule in snapshot.rules} >= set(PACKS) - {"hijack"}


def test_packs_are_named_where_paths_are() -> None:
    """Beside files, for a guard."""
    with Guard(["pack:permit", "pack:spend"], store="memory:", sweep_s=None) as guard:
        assert len({rule.name.split("/")[0] for rule in guard.snapshot.rules}) == 2
    assert located(["a.yaml", "pack:permit"]) == ["a.yaml", str(open_pack("permit").folder)]


@pytest.mark.parametrize("name", ["permitt", "../permit", "", "permit/", "permit\x00"])
def test_a_pack_that_is_not_there_is_refused_with_what_is(name: str) -> None:
    """Names are compared with those of the packs; nothing is looked up as a path."""
    with pytest.raises(PackError, match=r"there is no pack|null"):
        open_pack(name)
    with pytest.raises(ConfigurationError, match="no pack"):
        Guard(f"pack:{name}", store="memory:")


def test_metadata_that_is_not_right_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which pack, and what is wrong."""
    from agentguard_policies import pack as module

    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "pack.toml").write_text("title = 3 3", encoding="utf-8")
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    with pytest.raises(PackError, match="`odd`"):
        module.packs()


def test_the_cases_of_each_pack_pass_whatever_stands_beside_it() -> None:
    """They name the policy that they are about."""
    folders = [str(pack.folder) for pack in PACKS.values()]
    loaded = load_suites(folders, folders)
    assert [result.case.id for result in run(loaded.cases) if not result.passed] == []
