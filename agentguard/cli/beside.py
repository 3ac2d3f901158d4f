"""What is named on the command line: policies, and the tests and proofs that lie beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentguard.policy import Files, Finding

__all__ = ["Named", "named_in", "proof_findings", "test_findings"]


@dataclass(frozen=True, slots=True)
class Named:
    """Files and folders of policies, of tests, and of proofs."""

    policies: tuple[str, ...]
    tests: tuple[str, ...]
    proofs: tuple[str, ...]


def named_in(paths: Iterable[str]) -> Named:
    """A folder brings its policies, tests and proofs, a policy file the tests and proofs beside it.

    A file of tests or proofs brings the policies of its folder where nothing else is named.
    """
    from agentguard.packs import located
    from agentguard.policy.files import is_proofs, is_test

    policies: list[str] = []
    tests: list[str] = []
    proofs: list[str] = []
    for name in (os.fspath(path) for path in located(paths)):
        if is_test(name) and not os.path.isdir(name):
            tests.append(name)
        elif is_proofs(name) and not os.path.isdir(name):
            proofs.append(name)
        else:
            policies.append(name)
            tests += _beside(name, "test") if os.path.isfile(name) else [name]
            proofs += _beside(name, "proofs") if os.path.isfile(name) else [name]
    folders = dict.fromkeys(os.path.dirname(file) or "." for file in (*tests, *proofs))
    return Named(tuple(policies or folders), tuple(tests), tuple(proofs))


def _beside(policy: str, kind: str) -> list[str]:
    stem, suffix = os.path.splitext(policy)
    return [name for name in (f"{stem}_{kind}{suffix}",) if os.path.exists(name)]


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


def proof_findings(proofs: Iterable[str], policies: Files) -> tuple[list[Finding], tuple[str, ...]]:
    """What is wrong with the proofs about policies that were read, and the names of their files."""
    from agentguard.policy import read_files
    from agentguard.policy.prepare import prepare
    from agentguard.policy.proving.document import read_proofs

    files = read_files([name for name in proofs if os.path.exists(name)], kind="proofs")
    if not files.names:
        return [], ()
    prepared = prepare(policies.sources)
    rules = frozenset(rule.name for rule in prepared.rules)
    found = [one for source in files.sources for one in read_proofs(source, rules)[1]]
    if policies.findings or prepared.findings:  # a rule that is not known may be one that cannot be read
        found = [one for one in found if one.code != "AG403"]
    return [*files.findings, *found], files.names
