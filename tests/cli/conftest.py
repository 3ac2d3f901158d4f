"""A working folder of its own for every test of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.support import folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working folder, with a home folder of its own."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for name in ("AGENTGUARD_CONFIG", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    place = tmp_path / "work"
    place.mkdir(mode=0o755)
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def project(work: Path) -> Path:
    """The same with a configuration, a policy, tool facts and a directory."""
    return folder(work)
