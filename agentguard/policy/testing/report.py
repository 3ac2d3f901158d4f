"""A test run for programs: JSON, and JUnit's XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as xml

from agentguard.policy.findings import Finding
from agentguard.policy.testing.coverage import Coverage
from agentguard.policy.testing.mutating import Mutation
from agentguard.policy.testing.run import Result

__all__ = ["Report", "render_json", "render_junit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run: what became of the cases, or why none was run; `partial` where only some were chosen."""

    results: tuple[Result, ...] = ()
    findings: tuple[Finding, ...] = ()
    files: int = 0
    rules: int = 0
    partial: bool = False
    coverage: Coverage | None = None
    mutation: Mutation | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[Result, ...]:
        """The cases that did not pass."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Rules that matched in no case."""
        seen = {
            match.name
            for result in self.results
            for match in (*result.decision.matched, *result.decision.observed)
        }
        seen |= {
            name
            for result in self.results
            for applied in result.decision.exceptions
            for name in applied.waived
        }
        suites = {id(result.suite.snapshot): result.suite for result in self.results}
        rules = {rule.name for suite in suites.values() for rule in suite.snapshot.rules}
        return tuple(sorted(rules - seen))

    def to_json(self) -> dict[str, Any]:
        failed = len(self.failed)
        data: dict[str, Any] = {
            "passed": len(self.results) - failed,
            "failed": failed,
            "cases": [result.to_json() for result in self.results],
            "findings": [finding.to_json() for finding in self.findings],
            "files": self.files,
            "rules": self.rules,
            "unmatched": list(self.unmatched),
            "seconds": round(self.seconds, 3),
        }
        if self.coverage is not None:
            data["coverage"] = self.coverage.to_json()
        if self.mutation is not None:
            data["mutation"] = self.mutation.to_json()
        return data


def render_json(report: Report) -> str:
    """The report as data; ASCII, so that nothing in it reaches a terminal as a command."""
    return json.dumps(report.to_json(), indent=2, ensure_ascii=True) + "\n"


def render_junit(report: Report) -> str:
    """The report as JUnit's XML: a suite for each test file; an error for each file that cannot be read."""
    root = xml.Element("testsuites", name="agentguard test")
    files: dict[str, list[Result]] = {}
    for result in report.results:
        files.setdefault(result.suite.file.name, []).append(result)
    for name, results in files.items():
        _suite(root, name, results)
    if report.findings:
        _unread(root, report.findings)
    totals = [int(suite.attrib["tests"]) for suite in root]
    root.set("tests", str(sum(totals)))
    root.set("failures", str(len(report.failed)))
    root.set("errors", str(len(report.findings)))
    root.set("time", f"{report.seconds:.3f}")
    xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _suite(root: xml.Element, name: str, results: Sequence[Result]) -> None:
    failures = sum(1 for result in results if not result.passed)
    seconds = sum(result.seconds for result in results)
    suite = xml.SubElement(root, "testsuite", name=_fit(name), tests=str(len(results)))
    suite.set("failures", str(failures))
    suite.set("errors", "0")
    suite.set("time", f"{seconds:.6f}")
    for result in results:
        case = result.case
        label = f"{case.name}[{case.row}]" if case.row else case.name
        element = xml.SubElement(suite, "testcase", classname=_fit(name), name=_fit(label))
        element.set("file", _fit(name))
        element.set("line", case.at.rpartition(":")[2] if ":" in case.at else "0")
        element.set("time", f"{result.seconds:.6f}")
        if not result.passed:
            failure = xml.SubElement(element, "failure", type="policy", message=_fit(_message(result)))
            failure.text = _fit("\n".join([f"id: {case.id}", *map(_line, result.differences)]))


def _unread(root: xml.Element, findings: Sequence[Finding]) -> None:
    """What kept the cases from running: an error each, so that the run is not taken for a good one."""
    suite = xml.SubElement(root, "testsuite", name="files", tests=str(len(findings)))
    suite.set("failures", "0")
    suite.set("errors", str(len(findings)))
    for finding in findings:
        element = xml.SubElement(
            suite, "testcase", classname=_fit(finding.file or "run"), name=_fit(finding.at)
        )
        error = xml.SubElement(element, "error", type=finding.code, message=_fit(finding.message))
        error.text = _fit(f"{finding.hint}\n{finding.frame}".strip())


def _message(result: Result) -> str:
    want, found = result.case.want.effect, result.decision.effect.value
    return f"wanted {want}, found {found}" if want != found else _line(result.differences[0])


def _line(one: Any) -> str:
    parts = [f"{one.about} {one.sign}:"]
    parts += [one.rule] if one.rule and one.rule not in (one.wanted, one.found) else []
    parts += [f"wanted {one.wanted}"] if one.wanted else []
    parts += [f"found {one.found}"] if one.found else []
    return " ".join(parts)


def _fit(text: str) -> str:
    """Text that XML can hold, without what would turn or break the lines of whoever prints it."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)
