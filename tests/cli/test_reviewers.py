"""`agentguard reviewers`: keys and people."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from agentguard.cli.signing_keys import default_key
from agentguard.stepup.directory import FileDirectory
from agentguard.stepup.enrolment import load_private_key
from tests.cli.support import run


def test_enrolling_writes_the_public_key_into_the_directory_and_the_private_one_elsewhere(
    project: Path,
) -> None:
    out = run("reviewers", "enroll", "cai", "--group", "finance", "--group", "leads").stdout
    path = default_key("cai")
    private = load_private_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    directory = FileDirectory(project / "directory.yaml")
    assert [key["x"] for key in directory.keys("cai")] == [private["x"]]
    assert "cai" in directory.members("leads")
    assert private["d"] not in out
    assert private["d"] not in (project / "directory.yaml").read_text()
    assert "approvals approve ID --as cai" in out


def test_the_key_goes_where_it_is_told_and_over_nothing(project: Path) -> None:
    run("reviewers", "enroll", "ana", "--key", "keys/ana.jwk", "--directory", "directory.yaml")
    assert stat.S_IMODE((project / "keys").stat().st_mode) == 0o700
    before = (project / "keys/ana.jwk").read_bytes()
    assert "never written over" in run("reviewers", "enroll", "ana", "--key", "keys/ana.jwk", code=2).stderr
    assert (project / "keys/ana.jwk").read_bytes() == before


@pytest.mark.parametrize("name", ["../../evil", "a/b", "..", "x\\y"])
def test_T46_a_name_cannot_lead_the_key_elsewhere(work: Path, name: str) -> None:
    assert default_key(name).parent == default_key("ana").parent
    assert default_key(name).name not in ("..", ".")


def test_the_list_shows_people_groups_and_keys(project: Path) -> None:
    run("reviewers", "enroll", "ana")
    out = run("reviewers", "list").stdout
    kid = load_private_key(default_key("ana"))["kid"]
    assert kid[:12] in out
    assert "none: cannot sign" in out
    data = json.loads(run("reviewers", "list", "--json").stdout)
    assert data["people"]["ana"]["keys"][0]["kid"] == kid
    assert "d" not in data["people"]["ana"]["keys"][0]


def test_without_a_directory_it_says_what_to_do(work: Path) -> None:
    assert "--directory" in run("reviewers", "list", code=2).stderr
    assert "cannot be read" in run("reviewers", "list", "--directory", "no.yaml", code=2).stderr
    (work / "people.yaml").write_text("people: {}\n")
    (work / "people.yaml").chmod(0o644)
    assert "Nobody is in people.yaml" in run("reviewers", "list", "--directory", "people.yaml").stdout


def test_T47_a_directory_that_anybody_may_change_takes_no_key(project: Path) -> None:
    (project / "directory.yaml").chmod(0o666)
    assert "anybody may change" in run("reviewers", "enroll", "ana", code=2).stderr
