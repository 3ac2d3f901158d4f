"""`agentguard init --pack`: copies of packs to begin with, owned by somebody, right as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentguard import Guard
from tests.cli.support import run


def test_packs_are_copied_with_their_tests_and_an_owner(work: Path) -> None:
    """Check and test find nothing; the owner stands in every policy, quoted."""
    run("init", "--pack", "least-privilege,destructive", "--pack", "nhi", "--owner", "an: a")
    assert not (work / "policies" / "starter.yaml").exists()
    for name in ("least-privilege", "destructive", "nhi"):
        assert 'owner: "an: a"' in (work / "policies" / name / f"{name}.yaml").read_text(encoding="utf-8")
        assert (work / "policies" / name / "README.md").exists()
    run("check")
    assert "failed" not in run("test").output


def test_a_guard_runs_with_what_was_written(work: Path) -> None:
    """Facts are inferred, so that the packs know the tools at once."""
    run("init", "--pack", "least-privilege", "--owner", "ana")
    with Guard.from_config("agentguard.yaml") as guard:
        assert guard.register("remove_file").facts["action"] == "delete"


def test_it_says_when_nothing_permits_yet(work: Path) -> None:
    """Packs that only ask and deny."""
    assert "Nothing permits" in run("init", "a", "--pack", "spend", "--owner", "ana").output
    assert "Nothing permits" not in run("init", "b", "--pack", "spend,permit", "--owner", "ana").output


@pytest.mark.parametrize("named", ["nope", ",", "../permit", "spendd"])
def test_a_pack_that_is_not_there_writes_nothing(work: Path, named: str) -> None:
    """And the message says what there is."""
    assert "pack" in run("init", "--pack", named, "--owner", "ana", code=2).output
    assert list(work.iterdir()) == []


def test_nothing_is_written_over(work: Path) -> None:
    """A changed copy stays."""
    run("init", "--pack", "spend", "--owner", "ana")
    file = work / "policies" / "spend" / "spend.yaml"
    file.write_text("# mine\n", encoding="utf-8")
    run("init", "--pack", "spend", "--owner", "ana", code=2)
    assert file.read_text(encoding="utf-8") == "# mine\n"


def test_packs_are_named_in_commands(work: Path) -> None:
    """Where a path of policies is: checked, tested, explained."""
    run("check", "pack:spend", "pack:permit")
    run("test", "pack:spend")
    request = work / "call.json"
    request.write_text('{"tool": "t", "agent": {"id": "a"}, "now": "2026-11-20T10:00:00Z"}', encoding="utf-8")
    assert "permit/everything" in run("explain", "call.json", "--policies", "pack:permit", code=None).output
    assert "did you mean `spend`" in run("check", "pack:spent", code=None).output
