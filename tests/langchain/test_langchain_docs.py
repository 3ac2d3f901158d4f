"""The page on LangChain: its blocks run, and every option stands in it."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import agentguard_langchain
from agentguard_langchain import GuardMiddleware, guard_tools
from tests.langchain.drive import ROOT

TEXT = (ROOT / "docs" / "langchain.md").read_text(encoding="utf-8")


def test_the_blocks_run() -> None:
    """In order, as one program."""
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    space: dict[str, Any] = {"__name__": "docs"}
    try:
        for block in blocks:
            exec(compile(block, "docs/langchain.md", "exec"), space)  # noqa: S102 - the page's own code
    finally:
        space["guard"].close()


@pytest.mark.parametrize("of", [GuardMiddleware.__init__, guard_tools])
def test_every_option_is_described(of: Any) -> None:
    """And every public name."""
    for name, parameter in inspect.signature(of).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"`{name}`" in TEXT or f"{name}," in TEXT, name
    for name in set(agentguard_langchain.__all__) - {"PrincipalOf", "Resolver"}:
        assert name in TEXT
    assert agentguard_langchain.__all__ == sorted(agentguard_langchain.__all__)
