"""What is named on the command line: policies, and the tests that lie beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentguard.policy import Files, Finding

__all__ = ["Named", "named_in", "test_findings"]


@dataclass(frozen=True, slots=True)
class Named:
    """Files and folders of policies, and of tests."""

    policies: tuple[str, ...]
    tests: tuple[str, ...]


def named_in(paths: Iterable[str]) -> Named:
    """A folder brings its policies and its tests, a policy file the tests beside it, a test file the policies
    of its folder where nothing else is named."""
    from agentguard.policy.files import is_test

    policies: list[str] = []
    tests: list[str] = []
    for name in paths:
        if is_test(name) and not os.path.isdir(name):
            tests.append(name)
            continue
        policies.append(name)
        tests += _beside(name) if os.path.isfile(name) else [name]
    return Named(
        tuple(policies or dict.fromkeys(os.path.dirname(test) or "." for test in tests)), tuple(tests)
    )


def _beside(policy: str) -> list[str]:
    stem, suffix = os.path.splitext(policy)
    return [name for name in (f"{stem}_test{suffix}",) if os.path.exists(name)]


def test_findings(tests: Iterable[str], policies: Files) -> tuple[list[Finding], tuple[str, ...]]:
    """What is wrong with the tests of policies that were read, and the names of their files."""
    from agentguard.policy import read_files
    from agentguard.policy.testing import suites_of

    files = read_files([name for name in tests if os.path.exists(name)], tests=True)
    if not files.names:
        return [], ()
    named = set(files.names)
    found = [one for one in suites_of(files, policies).findings if one.file in named]
    return found, files.names
