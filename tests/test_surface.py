"""The public surface: what is exported, what an import loads, what the wheel holds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import agentguard

ROOT = Path(__file__).resolve().parent.parent


def test_the_public_names_are_sorted_and_there():
    """`__all__` is sorted, and every name in it can be imported."""
    assert list(agentguard.__all__) == sorted(agentguard.__all__)
    assert all(getattr(agentguard, name) is not None for name in agentguard.__all__)


def test_importing_agentguard_loads_no_framework():
    """Frameworks, servers and faces are loaded by those who use them."""
    code = (
        "import sys, agentguard;"
        "heavy = {'langchain', 'langchain_core', 'langgraph', 'openai', 'typer', 'rich', 'joserfc'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_the_wheel_holds_every_package(tmp_path):
    """Each import package of the repository, with each of its files, is in the wheel."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted: set[str] = set()
    for base, folder in (
        (ROOT, "agentguard"),
        *((ROOT / top, "") for top in ("adapters", "policies", "evals")),
    ):
        for path in (base / folder).rglob("*"):
            parts = path.relative_to(base).parts
            if (
                path.is_file()
                and "__pycache__" not in parts
                and path.suffix in (".py", ".yaml", ".typed", ".md", ".toml")
            ):
                wanted.add("/".join(parts))
    assert wanted
    assert wanted <= held
