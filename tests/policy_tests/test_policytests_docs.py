"""The page on testing says what is so: its files pass, its output is what is printed, its keys are all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from agentguard.policy import read
from agentguard.policy.testing.document import (
    ApproveWanted,
    CaseDocument,
    FlagWanted,
    RedactWanted,
    RequestDocument,
    ReserveWanted,
    SetWanted,
    SuppliedDocument,
    TestDocument,
    WantDocument,
)
from tests.cli.support import run as command

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
POLICY, TESTS, HEADER = (text for language, text in BLOCKS if language == "yaml")
FAILURE, SURVIVOR = (text for language, text in BLOCKS if not language)
LINES = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]


@pytest.fixture
def here(work: Path) -> Path:
    """The two files of the page, where it says that they are."""
    folder = work / "policies"
    folder.mkdir(mode=0o755)
    for name, text in (("payments", POLICY), ("payments_test", TESTS)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        (folder / f"{name}.yaml").chmod(0o644)
    return work


def test_the_files_of_the_page_pass(here: Path) -> None:
    """What a reader copies works, and every rule of it is tested."""
    assert "Tests: 6 passed in 1 file (4 rules" in command("test", "policies/").stdout
    assert read(HEADER + TESTS, "x_test.yaml")[1] == []
    names = {name for _, name in re.findall(r"(policies/(\w+)_test.yaml)", PAGE)}
    assert names == {"payments"}


def test_the_failure_is_what_is_printed(here: Path) -> None:
    """To the last character."""
    test = here / "policies" / "payments_test.yaml"
    test.write_text(TESTS.replace("amount: 500}", "amount: 1001}"), encoding="utf-8")
    assert FAILURE in command("test", "policies/", code=1).stdout


def test_the_survivor_is_what_is_printed(here: Path) -> None:
    """So that the page speaks of a change that really survives."""
    assert SURVIVOR in command("test", "policies/", "--mutate").stdout


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_page_runs(here: Path, line: str) -> None:
    """With the files of the page; a percentage may be missed."""
    assert command(*line.split()[1:], code=None).exit_code in (0, 1)


@pytest.mark.parametrize(
    "model",
    [
        TestDocument,
        RequestDocument,
        SuppliedDocument,
        CaseDocument,
        WantDocument,
        SetWanted,
        FlagWanted,
        ApproveWanted,
        ReserveWanted,
        RedactWanted,
    ],
)
def test_every_key_is_on_the_page(model: type[BaseModel]) -> None:
    """A key that nobody can read about is not a feature."""
    for key in model.model_fields:
        assert f"`{key}`" in PAGE, key
