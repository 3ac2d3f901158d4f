"""The page about Inspect AI says what is so, and its example runs."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("inspect_ai", reason="Inspect AI is not installed: pip install 'agentguard[inspect]'")

from agentguard.errors import ConfigurationError
from agentguard_inspect import guard

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Inspect leaves streams open at the end of an evaluation."""

TEXT = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there, with Inspect's own fake model."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o700)
    (code,) = blocks("python")
    scope: dict[str, object] = {"__name__": "example"}
    exec(compile(code, "inspect.md", "exec"), scope)  # noqa: S102
    gc.collect()
    assert scope["sent"] == ["bo@example.org"]


def test_the_approval_policy_names_arguments_of_the_approver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key is one that it takes: what is missing here is the file that one of them names."""
    monkeypatch.chdir(tmp_path)
    (text,) = blocks("yaml")
    first, _ = yaml.safe_load(text)["approvers"]
    assert first.pop("name") == "agentguard/guard"
    assert first.pop("tools") == "*"
    with pytest.raises(ConfigurationError, match=r"agentguard\.yaml"):
        guard(**first)
    for name in ("config", "agent", "owner", "principal"):
        assert f"`{name}`" in TEXT
