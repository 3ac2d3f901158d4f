"""`agentguard init`: what it writes is right, works, and replaces nothing."""

from __future__ import annotations

import datetime as dt
import json
import runpy
from pathlib import Path

import pytest

from agentguard.cli.templates import EXAMPLE
from agentguard.config import load_config, load_tool_facts
from agentguard.decision import Effect
from tests.cli.support import run

FILES = [
    ".agentguard.schema.json",
    ".tools.schema.json",
    "agentguard.yaml",
    "directory.yaml",
    "policies/.policy.schema.json",
    "policies/.test.schema.json",
    "policies/starter.yaml",
    "policies/starter_test.yaml",
    "tools.yaml",
]


def test_what_it_writes_passes_check(work: Path) -> None:
    out = run("init").stdout
    assert sorted(str(p.relative_to(work)) for p in work.rglob("*") if p.is_file()) == FILES
    assert "agentguard check" in out
    assert run("check").stdout == "Found no problems in 5 files (6 rules read).\n"
    assert load_config("agentguard.yaml").default.effect is Effect.DENY
    assert "agentguard test" in out
    tested = run("test", "--coverage").stdout
    assert "Coverage: 100.0 %" in tested
    assert "Tests: 9 passed in 1 file (6 rules" in tested
    assert set(load_tool_facts("tools.yaml")) == {"notes.read", "notes.write", "mail.send", "files.delete"}


def test_every_file_says_what_it_is(work: Path) -> None:
    """Comments at the top, and the editor's header for the policy, whose schema is there."""
    run("init")
    for name in [name for name in FILES if name.endswith(".yaml")]:
        assert (work / name).read_text().startswith("# ")
    header = (work / "policies/starter.yaml").read_text().splitlines()[0]
    assert header == "# yaml-language-server: $schema=.policy.schema.json"
    schema = json.loads((work / "policies/.policy.schema.json").read_text())
    assert set(schema["required"]) >= {"policy"}
    assert "efect" not in schema["$defs"]["RuleDocument"]["properties"]


def test_the_printed_example_runs(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run("init").stdout
    assert "".join(f"      {line}\n" if line else "\n" for line in EXAMPLE.splitlines()) in out
    (work / "guarded.py").write_text(EXAMPLE)
    runpy.run_path("guarded.py")["guard"].close()
    printed = capsys.readouterr().out
    assert "the note shopping" in printed
    assert "`files.delete` was denied by `starter/never-delete`" in printed
    assert "no problems" in run("ledger", "verify").stdout


def test_nothing_is_written_over_without_force(work: Path) -> None:
    (work / "tools.yaml").write_text("mine: {}\n")
    failed = run("init", code=2)
    assert "`tools.yaml`: already there, so nothing was written; `--force` replaces" in failed.stderr
    assert [p.name for p in work.iterdir()] == ["tools.yaml"]
    run("init", "--force")
    assert "mine" not in (work / "tools.yaml").read_text()


def test_a_link_is_not_written_through(work: Path) -> None:
    target = work.parent / "precious"
    target.write_text("precious")
    (work / "tools.yaml").symlink_to(target)
    run("init", "--force", code=2)
    assert target.read_text() == "precious"


def test_observing_has_an_owner_and_an_end(work: Path) -> None:
    """`--observe` begins with a default of flag, two weeks long, owned by whoever ran it."""
    run("init", "a", "--observe", LOGNAME="ana", USER="ana")
    default = load_config("a/agentguard.yaml").default
    assert (default.effect, default.owner) == (Effect.FLAG, "ana")
    assert default.until is not None
    assert 13 <= (default.until - dt.datetime.now(dt.UTC)).days <= 14
    assert "Found no problems" in run("check", "--config", "a/agentguard.yaml").stdout
    run("init", "b", "--observe", "--owner", 'o"brien', "--until", "2099-01-31")
    other = load_config("b/agentguard.yaml").default
    assert (other.owner, other.until) == ('o"brien', dt.datetime(2099, 1, 31, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--observe", "--until", "soon"], "is not a date"),
        (["--observe", "--until", "2020-01-01"], "has passed"),
        (["--owner", "ana"], "add `--observe`"),
    ],
)
def test_T48_options_that_mean_nothing_are_refused(work: Path, args: list[str], words: str) -> None:
    assert words in run("init", *args, code=2).stderr
    assert list(work.iterdir()) == []
