"""A report as JUnit XML: one test suite per suite, one test per case, and one per check."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Final

from agentguard_evals.report import Report, SuiteReport, failures
from agentguard_evals.results import CaseResult
from agentguard_evals.wrong import what_went_wrong

__all__ = ["render_junit"]

_UNPRINTABLE: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(report: Report) -> str:
    """The XML as text; what XML cannot hold is replaced."""
    root = ET.Element("testsuites", name="agentguard eval", time=f"{report.seconds:.3f}")
    for suite in report.suites:
        _suite(root, suite)
    if report.checks:
        _checks(root, report)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ET.Element, suite: SuiteReport) -> None:
    wrong = {case.id for case in failures(suite.cases)}
    errors = [case for case in suite.cases if case.error is not None]
    node = ET.SubElement(
        root,
        "testsuite",
        name=_text(suite.name),
        tests=str(len(suite.cases) + len(suite.broken)),
        failures=str(len(wrong) - len(errors)),
        errors=str(len(errors) + len(suite.broken)),
        skipped="0",
    )
    properties = ET.SubElement(node, "properties")
    for name, metric in suite.metrics.items():
        value = "not measured" if metric.value is None else f"{metric.value:.6g} (n={metric.n})"
        ET.SubElement(properties, "property", name=name, value=value)
    for case in suite.cases:
        _case(node, suite, case, case.id in wrong)
    for broken in suite.broken:
        test = ET.SubElement(node, "testcase", classname=_text(suite.name), name=_text(broken.where))
        ET.SubElement(test, "error", message=_text(broken.reason))


def _case(node: ET.Element, suite: SuiteReport, case: CaseResult, wrong: bool) -> None:
    test = ET.SubElement(node, "testcase", classname=_text(f"{suite.name}.{case.group}"), name=_text(case.id))
    if case.error is not None:
        ET.SubElement(test, "error", message=_text(case.error))
    elif wrong:
        ET.SubElement(test, "failure", message=_text(what_went_wrong(case)))


def _checks(root: ET.Element, report: Report) -> None:
    failed = sum(not check.passed for check in report.checks)
    node = ET.SubElement(
        root, "testsuite", name="checks", tests=str(len(report.checks)), failures=str(failed), errors="0"
    )
    for check in report.checks:
        name = f"{check.suite}: {check.text}" if check.suite else check.text
        test = ET.SubElement(node, "testcase", classname=check.kind, name=_text(name))
        if not check.passed:
            ET.SubElement(test, "failure", message=_text(check.detail))


def _text(text: str) -> str:
    return _UNPRINTABLE.sub("�", text)
