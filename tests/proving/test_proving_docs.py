"""The page on proofs says what is so: its policy, its claims, its commands and its code."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from agentguard.policy.proving import ASSUMPTIONS, OUTCOMES
from agentguard.policy.proving.calls import MODELLED, SIGNATURES
from agentguard.policy.proving.document import ProofDocument
from tests.cli.support import run

PAGE = (Path(__file__).parents[2] / "docs" / "proofs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
POLICY, CLAIMS = (text for language, text in BLOCKS if language == "yaml")
LINES = [
    line
    for language, text in BLOCKS
    if language == "sh"
    for line in text.splitlines()
    if line.startswith("agentguard ")
]


@pytest.fixture
def here(work: Path) -> Path:
    """The two files of the page, where it says that they are."""
    folder = work / "policies"
    folder.mkdir(mode=0o755)
    for name, text in (("payments", POLICY), ("payments_proofs", CLAIMS)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        (folder / f"{name}.yaml").chmod(0o644)
    return work


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_page_ends_as_it_says(here: Path, line: str) -> None:
    """Each line names its exit code."""
    command, _, code = line.partition("  # exit ")
    assert run(*shlex.split(command)[1:], code=None).exit_code == int(code)


def test_the_code_of_the_page_runs(here: Path) -> None:
    """The one Python block."""
    (code,) = [text for language, text in BLOCKS if language == "python"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "docs/proofs.md", "exec", dont_inherit=True), {})  # noqa: S102 - the page's own code
    assert "'payments.transfer'" in said.getvalue()


def test_outcomes_keys_and_functions_are_on_the_page() -> None:
    """Every outcome, every key of a claim, every function whose type is known."""
    assert all(f"| `{outcome}` |" in PAGE for outcome in OUTCOMES)
    assert all(f"{key}:" in CLAIMS for key in ProofDocument.model_fields if key != "description")
    outside = {"charAt", "substring", "replace", "indexOf", "lastIndexOf"}  # "other functions"
    assert all(f"`{name}`" in PAGE for name in {*MODELLED, *SIGNATURES} - outside)


def test_every_assumption_is_on_the_page() -> None:
    """What an answer takes for granted is what the page lists."""
    assert len(ASSUMPTIONS) + 1 == len(re.findall(r"^- (?!Can|Does)", PAGE, re.M))
