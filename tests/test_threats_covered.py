"""Every threat that is said to be covered has a test that carries its number in its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
THREATS = TESTS.parent.parent / "shared" / "THREATS.md"
COVERED = re.findall(
    r"T\d\d",
    """
    T01 T02 T03 T04 T05 T06 T07 T08 T09 T10 T11 T12 T13 T14 T19 T20 T21 T22 T23 T24 T25 T26 T28 T29
    T32 T33 T34 T35 T36 T37 T38 T39 T41 T43 T45 T46 T47 T48 T49 T56 T57 T59 T64
    """,
)


def numbers() -> set[str]:
    """The threat numbers in the names of test functions."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test"):
                found.update(re.findall(r"(?<![A-Za-z0-9])T\d\d(?![0-9])", node.name.replace("_", " ")))
    return found


def test_each_covered_threat_has_a_test() -> None:
    """A number without a test of its name is a promise without a defence."""
    assert sorted(set(COVERED) - numbers()) == []


def test_the_numbers_are_those_of_the_list() -> None:
    """No test carries a number that the list of threats does not have."""
    if not THREATS.is_file():
        pytest.skip("the list of threats is not part of the repository")
    known = set(re.findall(r"\*\*(T\d\d)\*\*", THREATS.read_text(encoding="utf-8")))
    assert numbers() <= known
