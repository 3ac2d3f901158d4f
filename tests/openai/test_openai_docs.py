"""The page and the examples run, and the surface is what they say."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import agentguard_openai
from agentguard_openai import guard_runner_tools, run_tool_calls, run_tool_calls_sync

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "openai.md").read_text(encoding="utf-8")


def test_the_page_runs_from_top_to_bottom() -> None:
    """Each Python block does what it says, one after the other."""
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    space: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/openai.md", "exec"), space)  # noqa: S102 - the page's own code is tested
    space["guard"].close()


def test_every_name_and_option_is_on_the_page() -> None:
    """What is exported is documented, and so is each option of the loop."""
    for name in agentguard_openai.__all__:
        if name != "PendingCall":
            assert f"`{name}" in TEXT, name
    options = list(inspect.signature(run_tool_calls).parameters)[3:]
    assert options == list(inspect.signature(run_tool_calls_sync).parameters)[3:]
    for option in options:
        assert f"| `{option}` |" in TEXT
    assert "names" in inspect.signature(guard_runner_tools).parameters


def test_the_surface_is_sorted_and_real() -> None:
    """``__all__`` is sorted and holds names that exist."""
    assert agentguard_openai.__all__ == sorted(agentguard_openai.__all__)
    assert all(hasattr(agentguard_openai, name) for name in agentguard_openai.__all__)
    assert dataclasses.is_dataclass(agentguard_openai.PendingCall)


def test_a_missing_sdk_is_named() -> None:
    """Without the SDK the import says what to install."""
    code = "import sys; sys.modules['openai'] = None; import agentguard_openai"
    found = run("-c", code, check=False)
    assert found.returncode == 1
    assert "pip install 'agentguard[openai]'" in found.stderr


def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, offline."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        check=check,
        cwd=ROOT,
        timeout=300,
        env={**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'adapters'}"},
    )


def test_the_loop_example_keeps_the_mail_inside() -> None:
    """The poisoned mail's order is refused, its sibling call and the loop go on."""
    found = run("examples/openai_loop.py").stdout
    assert '"rule": "mail/outside"' in found
    assert "send_mail: sent to ana@example.com" in found
    assert found.splitlines()[-1] == (
        "mail that left: [('ana@example.com', 'The invoice is due on Friday.')]"
    )


def test_the_decorator_example_shows_each_effect() -> None:
    """Allow, constrain, step up and deny."""
    found = run("examples/decorator.py").stdout
    assert "sent 500 to ACME" in found
    assert "sent 700 to ACME (rent for November an)" in found
    assert "asked:  may `payments.transfer` run for ben? yes\n  ran:    sent 5000 to ACME" in found
    assert "denied: never above 100000 (`payments/far-too-large`)" in found
