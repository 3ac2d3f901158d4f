"""The documentation of the language runs, and lists all there is."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from agentguard import cel
from agentguard.cel import compiler, forms, library, native
from agentguard.cel.kinds import TYPES
from tests.cel.suite import ROOT

TEXT = (ROOT / "docs" / "cel.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str) -> None:
    """Every Python block of the page does what it says."""
    scope: dict[str, object] = {}
    exec(compile(code, "docs/cel.md", "exec"), scope)  # noqa: S102 - the page's own code is what is tested
    assert "\nassert " in code, "a block that asserts nothing shows nothing"
    assert isinstance(scope["program"], cel.Program)


@pytest.mark.parametrize("source", [line for block in blocks("cel") for line in block.splitlines()])
def test_conditions_compile(source: str) -> None:
    """Every condition shown is one."""
    environment = cel.Environment(["agent", "args", "workload", "now", "session"], closed=True)
    assert cel.compile(source, environment=environment).names


def test_every_function_type_and_bound_is_documented() -> None:
    """The page names each function, macro, type and limit, and no function that does not exist."""
    listed = set(re.findall(r"`([A-Za-z_.0-9]+)`", TEXT))
    assert listed >= library.NAMES
    assert TYPES.keys() <= listed
    assert {field.name for field in fields(cel.Limits)} <= listed
    section = TEXT.partition("## Functions")[2].partition("## Conformance")[0]
    assert set(re.findall(r"`([A-Za-z_.0-9]+)`", section)) <= library.NAMES | TYPES.keys()


def test_defaults_are_documented() -> None:
    """The page states the default of each bound."""
    for field in fields(cel.Limits):
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{field.name}` |"))
        assert f"{getattr(cel.Limits(), field.name):,}" in row


def test_the_bounds_of_compiled_code_are_documented() -> None:
    """The page states from where on the interpreter takes over, and what is kept."""
    section = TEXT.partition("## Compiled code")[2].partition("## Left out")[0]
    kept = (compiler.SHAPES, forms.FORMS, forms.LONGEST, forms.LAYOUTS)
    for bound in (native.WIDE, native.LISTED, *kept):
        assert f"{bound:,}" in section


def test_the_surface_is_sorted_and_real() -> None:
    """``__all__`` is sorted and holds names that exist."""
    assert cel.__all__ == sorted(cel.__all__)
    assert all(hasattr(cel, name) for name in cel.__all__)


def test_the_package_imports_nothing_else_of_the_project() -> None:
    """The language stands alone."""
    for path in (ROOT / "agentguard" / "cel").glob("*.py"):
        assert not re.search(
            r"^\s*(from|import) (agentguard|\.\.)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
