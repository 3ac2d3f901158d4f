"""Running `agentguard demo` as a user does: as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
EFFECTS: Final = ("ALLOW", "FLAG", "CONSTRAIN", "STEP UP", "DENY")
ATTACKER: Final = "collect.parcel-nord.example"
BOOKS: Final = "books.example.com"
Env = Mapping[str, str] | None

SECONDS: Final = 300
"""When a process is given up; the runs themselves are held to less."""


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """A plain environment: no colours asked for, no key, no configuration of the developer's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SYSTEMROOT") if name in os.environ}
    path = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    return {**kept, "PYTHONPATH": path, "PYTHONUTF8": "1", **(changes or {})}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agentguard", *arguments]


def demo(*arguments: str, cwd: Path | None = None, env: Env = None) -> subprocess.CompletedProcess[str]:
    """One run without a terminal, with empty input."""
    return run("demo", *arguments, cwd=cwd, env=env)


def run(*arguments: str, cwd: Path | None = None, env: Env = None) -> subprocess.CompletedProcess[str]:
    """Any command of agentguard."""
    return subprocess.run(
        command(*arguments),
        env=environment(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def data(*arguments: str, cwd: Path | None = None, code: int = 0, env: Env = None) -> dict[str, Any]:
    """The document that `--json` prints, and nothing else."""
    found = demo("--json", *arguments, cwd=cwd, env=env)
    assert found.returncode == code, found.stderr
    parsed: dict[str, Any] = json.loads(found.stdout)
    return parsed


def calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every call of both acts, in order."""
    return [call for act in document["acts"] for call in act["calls"]]


def one(document: dict[str, Any], effect: str) -> dict[str, Any]:
    """The only call with this effect."""
    (found,) = [call for call in calls(document) if call["effect"] == effect]
    return found
