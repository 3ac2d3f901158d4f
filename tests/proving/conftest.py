"""A working folder of its own for the tests of the command."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working folder."""
    for name in ("AGENTGUARD_CONFIG", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "work"
    place.mkdir(mode=0o755)
    monkeypatch.chdir(place)
    return place
