"""What the tests of policy tests have in common: policies, cases over them, and running both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentguard.policy import Files, Finding, Source, read
from agentguard.policy.testing import Mutation, Result, Suites, mutate, run, suites_of

PAY = """\
policy: pay
owner: finance
tools: [pay]
rules:
  - id: small
    effect: allow
    when: agent.role == "billing" && args.amount <= 100
  - id: large
    effect: step_up
    when: args.amount > 100
    reason: more than 100
    approval: {reviewers: ["group:finance"], quorum: 2, expires_in: 10m}
  - id: cap
    effect: constrain
    when: has(args.note) && size(args.note) > 3
    set: {args.note: 'args.note.substring(0, 3)'}
  - id: night
    effect: flag
    when: '!within("Mon-Fri 07:00-20:00 UTC")'
    flag: {owner: ops, review_in: 3d}
"""
HEAD = """\
now: 2026-11-20T10:00:00Z
requests:
  base: {tool: pay, agent: {id: a, role: billing}, principal: ben, args: {amount: 5}}
"""


def source(text: str, file: str) -> Source:
    """A file that was read without a finding."""
    found, findings = read(text, file)
    assert findings == []
    assert found is not None
    return found


def suites(tests: str, *policies: str) -> Suites:
    """Test and policy files that lie in one folder, none of them on the disk."""
    documents = [source(text, f"p{i or ''}.yaml") for i, text in enumerate(policies or (PAY,))]
    read_tests = source(tests, "p_test.yaml")
    return suites_of(
        Files((read_tests,), (), (read_tests.file,)),
        Files(tuple(documents), (), tuple(one.file for one in documents)),
    )


def results(cases: str, *policies: str, head: str = HEAD) -> list[Result]:
    """What became of cases, given as the list that stands below `cases:`."""
    found = suites(f"{head}cases:\n{cases}", *policies)
    assert [f"{one.at} {one.code} {one.message}" for one in found.findings] == []
    return list(run(found.cases))


def findings(tests: str, *policies: str) -> list[Finding]:
    """What is wrong with a test file; then there are no cases."""
    found = suites(tests, *policies)
    assert found.suites == () or not found.findings
    return list(found.findings)


def told(cases: str, *policies: str, head: str = HEAD) -> list[tuple[str, str, str, str]]:
    """The differences of one case: what about, how, wanted, found."""
    (result,) = results(cases, *policies, head=head)
    return [(one.about, one.sign, one.wanted, one.found) for one in result.differences]


def mutated(cases: str, *policies: str, head: str = HEAD, **options: Any) -> Mutation:
    """What became of every mutant of the policies, with cases that pass."""
    found = suites(f"{head}cases:\n{cases}", *policies)
    assert found.findings == ()
    assert all(result.passed for result in run(found.cases))
    values: dict[str, Any] = {"most": 10_000, "seconds": 600.0, **options}
    return mutate(found.suites, cases=[case for _, case in found.cases], **values)


def write(folder: Path, **files: str) -> Path:
    """Files as a user has them; `a__b` is `a/b.yaml`."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    return folder


def data(output: str) -> Any:
    return json.loads(output)
