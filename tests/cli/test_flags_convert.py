"""`agentguard flags convert`: what enforcing would have done, and the rule so changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import run
from tests.cli.test_flags_commands import POLICY, calls, listed, place

__all__ = ["place"]
SIGNED = ("--as", "ana", "--key", "ana.jwk", "--reason", "quiet for weeks")
CHANGED = POLICY.replace(
    "    effect: flag\n    when: args.amount > 10\n    flag: {owner: ana, review_in: 3d, escalate_to: bob}\n",
    "    effect: deny\n    when: args.amount > 10\n",
)


def only(rule: str = "f") -> str:
    (item,) = listed("--all", "--rule", rule)
    return str(item["id"])


def text(place: Path) -> str:
    return (place / "policies/p.yaml").read_text(encoding="utf-8")


def test_a_dry_run_shows_it_and_writes_nothing(place: Path) -> None:
    """How often it was flagged, what a replay gives, and the change."""
    calls(place, 5, 50, 60)
    out = run("flags", "convert", only(), "--dry-run").stdout
    assert "flagged 2 calls by billing with pay" in out
    assert "Replay: 0 loosened, 2 tightened, 0 re-attributed, 0 errors, 1 unchanged." in out
    assert "-    flag: {owner: ana" in out
    assert "+    effect: deny" in out
    assert text(place) == POLICY


def test_the_rule_is_written_and_the_flag_resolved(place: Path) -> None:
    """Only that rule; from then on the call is denied."""
    from agentguard import ToolCallDenied

    calls(place, 50)
    id = only()
    out = run("flags", "convert", id, "--yes", *SIGNED).stdout
    assert text(place) == CHANGED
    assert "is `deny` now" in out
    (item,) = listed("--all")
    assert (item["resolution"], item["history"][-1]["reason"]) == ("converted", "quiet for weeks")
    with pytest.raises(ToolCallDenied):
        calls(place, 50)
    calls(place, 5)


def test_programs_get_the_same(place: Path) -> None:
    """As data, with whether it was written."""
    calls(place, 5, 50)
    found: dict[str, Any] = json.loads(run("flags", "convert", only(), "--dry-run", "--json").stdout)
    assert (found["rule"], found["before"], found["after"]) == ("p/f", "flag", "deny")
    assert found["flagged"]["calls"] == 1
    assert found["replay"]["counts"]["tightened"] == 1
    assert (found["written"], found["resolved"]) == (False, False)
    done = json.loads(run("flags", "convert", only(), "--yes", "--json", *SIGNED).stdout)
    assert (done["written"], done["resolved"]) == (True, True)
    assert "+    effect: deny" in done["diff"]


def test_an_observed_rule_is_enforced(place: Path) -> None:
    """With the effect that it has."""
    calls(place, 5000)
    out = run("flags", "convert", only("watched"), "--yes", *SIGNED).stdout
    assert "observed now: it flagged 1 call by" in out
    assert "observe" not in text(place)


def test_without_anybody_to_answer_for_it_the_flag_stays_open(place: Path) -> None:
    """The rule is written: whoever may write the file may do that; the flag says what is to be done."""
    calls(place, 50)
    found = run("flags", "convert", only(), "--yes")
    assert "stays open" in found.stderr
    assert text(place) == CHANGED
    assert listed()[0]["state"] == "open"


def test_nobody_at_the_terminal_is_no(place: Path) -> None:
    """Neither an empty line nor the end of input writes anything."""
    calls(place, 50)
    for typed in ("", "\n", "convert\n"):
        found = run("flags", "convert", only(), input=typed, code=2)
        assert "--yes" in found.stderr
    run("flags", "convert", only(), "--json", code=2)
    assert text(place) == POLICY


def test_a_file_that_changed_meanwhile_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown is what is written, or nothing is."""
    from agentguard.cli import flag_convert

    calls(place, 50)
    theirs = POLICY + "# somebody else was here\n"

    def meanwhile(*_: object) -> None:
        (place / "policies/p.yaml").write_text(theirs, encoding="utf-8")

    monkeypatch.setattr(flag_convert, "_confirm", meanwhile)
    assert "changed meanwhile" in run("flags", "convert", only(), "--yes", *SIGNED, code=1).stderr
    assert text(place) == theirs
    assert listed()[0]["state"] == "open"
    assert [path.name for path in (place / "policies").iterdir()] == ["p.yaml"]


def test_the_file_keeps_its_mode_and_its_link(place: Path) -> None:
    """A link stays one, and what it leads to is changed."""
    calls(place, 50)
    real = place / "policies/real.txt"
    (place / "policies/p.yaml").rename(real)
    (place / "policies/p.yaml").symlink_to("real.txt")
    real.chmod(0o640)
    run("flags", "convert", only(), "--yes", *SIGNED)
    assert (place / "policies/p.yaml").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_text(encoding="utf-8") == CHANGED


def test_a_change_that_would_not_load_is_not_written(place: Path) -> None:
    """All policies are compiled with it before."""
    calls(place, 50)
    assert "no `approval`" in run("flags", "convert", only(), "--to", "step_up", "--yes", code=2).stderr
    broken = POLICY.replace("    when: args.amount > 1000\n", "    when: args.amunt >\n")
    (place / "policies/p.yaml").write_text(broken, encoding="utf-8")
    run("flags", "convert", only(), "--yes", code=2)
    assert text(place) == broken


def test_a_rule_that_is_enforced_already_is_said(place: Path) -> None:
    """The flag is then resolved by hand."""
    calls(place, 50)
    (place / "policies/p.yaml").write_text(CHANGED, encoding="utf-8")
    assert "is no flag: it is `deny`" in run("flags", "convert", only(), "--yes", code=2).stderr


def test_the_policies_of_a_bundle_are_not_changed_here(place: Path) -> None:
    """What runs was signed elsewhere."""
    calls(place, 50)
    id = only()
    (place / "agentguard.yaml").write_text(
        "policies: policies/\nstore: sqlite:///records.db\nbundle: p.bundle\ntrust: trusted.jwk\n",
        encoding="utf-8",
    )
    for name in ("p.bundle", "trusted.jwk"):
        (place / name).write_text("{}", encoding="utf-8")
    assert "signed bundle" in run("flags", "convert", id, "--yes", code=2).stderr
    assert text(place) == POLICY


def test_files_that_anybody_may_change_are_refused_T47(place: Path) -> None:
    """As everywhere."""
    calls(place, 50)
    id = only()
    (place / "policies/p.yaml").chmod(0o666)
    assert "AG301" in run("flags", "convert", id, "--yes", code=2).stderr
    assert text(place) == POLICY


def test_a_ledger_without_what_a_replay_needs_still_says_how_often(place: Path) -> None:
    """From the flags themselves."""
    config = place / "agentguard.yaml"
    config.write_text(config.read_text().replace("replayable: true\n", ""), encoding="utf-8")
    calls(place, 50, 60)
    out = run("flags", "convert", only(), "--dry-run").stdout
    assert "flagged 2 calls" in out
    assert "`replayable: true`" in out
