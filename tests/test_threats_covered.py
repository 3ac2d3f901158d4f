"""Every threat that the call path has to survive is named by a test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
THREATS = TESTS.parent.parent / "shared" / "THREATS.md"
REQUIRED = frozenset(range(1, 67)) - {
    53, 54,  # a console in the browser
    63,  # plugins
}  # fmt: skip


@cache
def named() -> frozenset[int]:
    """The numbers in the names of tests."""
    found: set[int] = set()
    for path in (*TESTS.rglob("test_*.py"), *TESTS.rglob("conformance.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                found.update(int(number) for number in re.findall(r"_T(\d+)(?=_|$)", node.name))
    return frozenset(found)


@pytest.mark.parametrize("number", sorted(REQUIRED))
def test_a_required_threat_has_a_test(number: int) -> None:
    """Named `..._T19` and the like."""
    assert number in named()


def test_the_list_of_threats_and_the_tests_speak_of_the_same_numbers() -> None:
    """No test names a threat that is not in the list."""
    if not THREATS.exists():
        pytest.skip("the list of threats is not part of this checkout")
    listed = {int(number) for number in re.findall(r"^- \*\*T(\d+)\*\*", THREATS.read_text(), re.MULTILINE)}
    assert listed >= REQUIRED
    assert named() <= listed
