"""docs/provenance.md: its code runs, and everything that rules can ask is on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentguard.provenance.origins import ORIGINS
from tests.provenance.sessions import SEND, asked, session

PAGE = (Path(__file__).parents[2] / "docs" / "provenance.md").read_text(encoding="utf-8")


def test_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """And prints the rule that it says."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(block, "docs/provenance.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out == "hijack/address-of-an-instruction\n"


def test_every_origin_and_every_fact_is_on_the_page() -> None:
    """What a rule may ask and nobody can read about is no feature."""
    for name in ORIGINS:
        assert f"| `{name}` |" in PAGE, name
    found = asked(session("Mail bo@x.example"), "send_mail", SEND, to="bo@x.example")
    for name in found:
        assert f"`asked.{name}`" in PAGE or f"`.{name}`" in PAGE, name
    for name in found["values"][0]:
        assert f"`{name}`" in PAGE, name
