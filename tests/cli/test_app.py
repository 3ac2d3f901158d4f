"""The command as a whole: help, exit codes, errors, pipes, and that every option is documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from agentguard.cli.app import app
from tests.cli.support import HOSTILE, RAW, folder, open_question, run

ROOT = Path(__file__).parents[2]
COMMANDS = typer.main.get_command(app)


def leaves(command: Any = COMMANDS, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its path."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from leaves(one, (*path, name))


LEAVES = dict(leaves())


def process(*args: str, cwd: Path, input: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentguard", *args],
        cwd=cwd, input=input, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    out = run(*path, "--help").stdout
    assert "Example" in out
    assert f"agentguard {path[0]}" in out
    assert run(*path, "-h").stdout == out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_and_option_is_documented(path: tuple[str, ...]) -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert f"agentguard {' '.join(path)}" in text
    for option in LEAVES[path].params:
        for name in option.opts:
            assert not name.startswith("--") or name in text, name


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_an_unknown_option_is_a_usage_error(path: tuple[str, ...]) -> None:
    found = run(*path, "--nope", code=None)
    assert found.exit_code == 2
    assert "no such option: --nope" in found.output.lower()


def test_groups_without_a_command_show_help() -> None:
    for name in ((), ("approvals",), ("reviewers",), ("ledger",)):
        assert "Commands:" in run(*name, code=None).output


def test_the_module_and_the_version(work: Path) -> None:
    assert process("--version", cwd=work).stdout.startswith("agentguard ")
    found = process("check", cwd=work)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("agentguard: name a policy file")


def test_a_pipe_and_no_color_get_plain_text(work: Path) -> None:
    folder(work)
    open_question(work)
    for env in ({}, {"NO_COLOR": "1"}, {"COLUMNS": "80"}, {"COLUMNS": "120"}):
        found = process("approvals", "list", cwd=work, **env)
        assert found.returncode == 0
        assert "\x1b" not in found.stdout
        limit = int(env.get("COLUMNS", 100))
        assert max(map(len, found.stdout.splitlines())) <= limit


def test_T57_errors_are_made_visible(project: Path) -> None:
    found = run("approvals", "list", "--state", HOSTILE, code=2)
    assert not any(raw in found.output for raw in RAW)


def test_output_that_cannot_be_encoded_is_escaped(work: Path) -> None:
    folder(work)
    open_question(work, agent="zoë日本")
    found = process("approvals", "list", cwd=work, PYTHONIOENCODING="ascii")
    assert found.returncode == 0
    assert "zo\\xeb" in found.stdout


def test_a_reader_that_goes_away_is_no_traceback(work: Path) -> None:
    folder(work)
    found = subprocess.run(
        f"{sys.executable} -m agentguard check --help | head -1",
        shell=True, cwd=work, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "Traceback" not in found.stderr


def test_what_nobody_foresaw_is_two_lines(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import agentguard.cli.app as module

    def broken() -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(module, "app", broken)
    with pytest.raises(SystemExit) as ended:
        module.run()
    assert ended.value.code == 2
    assert "this should not happen: KeyError: 'surprise'" in capsys.readouterr().err
    monkeypatch.setenv("AGENTGUARD_TRACEBACK", "1")
    with pytest.raises(KeyError):
        module.run()


def test_the_demo_gets_its_options(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    module = types.ModuleType("agentguard.cli.demo")
    module.demo = lambda *args: seen.append(args)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "agentguard.cli.demo", module)
    run("demo")
    run("demo", "--approve", "no", "--json", "--model", "gpt-x", "--keep", "here")
    assert seen == [(None, False, None, None), ("no", True, "gpt-x", Path("here"))]
    run("demo", "--approve", "perhaps", code=2)


def test_a_demo_without_its_frameworks_says_what_to_install(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "agentguard.cli.demo", None)
    assert "pip install 'agentguard[all]'" in run("demo", code=2).stderr


def test_help_loads_no_framework_and_no_policy_language_of_its_own() -> None:
    """What the commands need is imported when one runs."""
    code = "import sys; sys.modules['agentguard'] = __import__('types').ModuleType('agentguard'); "
    code += (
        f"sys.modules['agentguard'].__path__ = [{str(ROOT / 'agentguard')!r}]; import agentguard.cli.app; "
    )
    heavy = "agentguard.(policy|store|cel|ledger)|pydantic$|rich$"
    code += f"print([m for m in sys.modules if re.match({heavy!r}, m)])"
    found = subprocess.run(
        [sys.executable, "-c", f"import re; {code}"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout == "[]\n"


def test_every_example_of_the_documentation_names_real_options() -> None:
    """`agentguard ...` lines in docs/commands.md use commands and options that exist."""
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for line in re.findall(r"^(?:echo .*\| )?agentguard (.+)$", text, re.M):
        words = line.split(" #")[0].split("|")[0].split()
        path = tuple(words[:2]) if tuple(words[:2]) in LEAVES else (words[0],)
        if path not in LEAVES:
            continue
        known = {name for option in LEAVES[path].params for name in option.opts} | {"--help"}
        for word in words:
            assert not word.startswith("--") or word.split("=")[0] in known, line
