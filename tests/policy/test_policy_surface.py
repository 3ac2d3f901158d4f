"""The public surface of the package is a list that somebody decided on."""

from __future__ import annotations

import ast
from pathlib import Path

from agentguard import policy


def test_every_public_name_exists_and_the_list_is_sorted() -> None:
    """Constants, classes, functions, each in the order of the alphabet."""
    assert all(hasattr(policy, name) for name in policy.__all__)
    kinds = [0 if name.isupper() else 1 if name[0].isupper() else 2 for name in policy.__all__]
    assert kinds == sorted(kinds)
    for kind in range(3):
        names = [name for name, k in zip(policy.__all__, kinds, strict=True) if k == kind]
        assert names == sorted(names)


def test_policies_import_no_store_server_or_face() -> None:
    """Imports run downwards: the ground floor, the expression language, and nothing else of ours."""
    folder = Path(policy.__file__).parent
    below = {"access", "call", "canonical", "cel", "decision", "errors", "opinion", "packs", "policy"}
    below |= {"signatures"}
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("agentguard"):
                names = (
                    [alias.name for alias in node.names]
                    if node.module == "agentguard"
                    else [node.module or ""]
                )
                for name in names:
                    assert name.removeprefix("agentguard.").split(".")[0] in below, (file.name, name)
