"""The public surface of the package is a list that somebody decided on."""

from __future__ import annotations

import subprocess
import sys

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
    """Imports run downwards."""
    code = (
        "import sys, agentguard.policy; print(sorted(m for m in sys.modules if m.startswith('agentguard.')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for package in ("store", "server", "cli", "ledger", "stepup", "governance", "guard", "flow"):
        assert f"'agentguard.{package}" not in found
