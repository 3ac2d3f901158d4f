"""The pages about tool facts and packs say what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from agentguard import ToolFacts
from agentguard.tools import Action, Role
from agentguard_policies import packs

DOCS = Path(__file__).parents[2] / "docs"
FACTS = (DOCS / "tool-facts.md").read_text(encoding="utf-8")
PACKS = (DOCS / "packs.md").read_text(encoding="utf-8")


def test_every_fact_action_and_role_is_on_the_page() -> None:
    """By its name."""
    for name in (*ToolFacts.model_fields, *get_args(Action), *get_args(Role)):
        assert f"`{name}`" in FACTS, name


@pytest.mark.parametrize("page", [FACTS, PACKS], ids=["tool-facts", "packs"])
def test_the_code_of_the_pages_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    found = re.findall(r"```python\n(.*?)```", page, re.S)
    assert found
    for code in found:
        space: dict[str, object] = {}
        exec(compile(code, "page.md", "exec", dont_inherit=True), space)  # noqa: S102
        space["guard"].close()  # type: ignore[attr-defined]


def test_every_pack_is_on_the_page_with_what_it_needs() -> None:
    """Its name, its line and each fact."""
    for pack in packs().values():
        assert f"`{pack.name}`" in PACKS, pack.name
        assert pack.title in PACKS, pack.title
