"""Findings as text, JSON, GitHub annotations and SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from agentguard.policy.findings import EXPLANATIONS, Finding

__all__ = ["render_github", "render_json", "render_sarif", "render_text", "summary"]

_SARIF_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def _clean(text: str) -> str:
    """Text as one line that a terminal shows and does not obey."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def summary(findings: Sequence[Finding], *, files: int, rules: int, loaded: bool | None = None) -> str:
    """The last line: what was found where, and whether anything was loaded."""
    errors = sum(1 for finding in findings if finding.severity == "error")
    warnings = len(findings) - errors
    counts = [_counted(errors, "error")] if errors or not warnings else []
    if warnings:
        counts.append(_counted(warnings, "warning"))
    if loaded is None:
        loaded = not errors
    found = " and ".join(counts) if findings else "no problems"
    end = "" if loaded else " Nothing was loaded."
    return f"Found {found} in {_counted(files, 'file')} ({_counted(rules, 'rule')} read).{end}"


def render_text(
    findings: Iterable[Finding],
    *,
    files: int,
    rules: int,
    loaded: bool | None = None,
    width: int | None = None,
) -> str:
    """For people: each finding with its lines and a caret, then one line of counts.

    Where lines of the file are cut so that they fit into `width` columns, the caret stays under its word.
    """
    listed = list(findings)
    parts: list[str] = []
    for finding in listed:
        place = f"{_clean(finding.at)}: " if finding.at else ""
        warning = "warning: " if finding.severity == "warning" else ""
        head = f"{place}{finding.code} {warning}{_clean(finding.message)}"
        hint = _clean(finding.hint)
        if finding.frame:
            parts.append(head)
            parts.append(_fitted(finding.frame, width) + (f" {hint}" if hint else ""))
        else:
            parts.append(head + (f"; {hint}" if hint else ""))
    parts.append(summary(listed, files=files, rules=rules, loaded=loaded))
    return "\n".join(parts) + "\n"


def _fitted(frame: str, width: int | None) -> str:
    """The part of each line around the caret that has room; a wrapped line would be beside its caret."""
    lines = frame.split("\n")
    if width is None or all(len(line) <= width for line in lines):
        return frame
    begin = lines[-1].index("|") + 2
    room = max(width - begin, 10)
    start, end = lines[-1].index("^") - begin, len(lines[-1]) - begin
    left = max(0, min(start - room // 3, len(lines[-2]) - begin - room))
    shift = 0 if end <= room else left
    return "\n".join(f"{line[:begin]}{line[begin:][shift : shift + room]}".rstrip() for line in lines)


def render_json(findings: Iterable[Finding], *, files: int, rules: int, loaded: bool | None = None) -> str:
    """For programs."""
    listed = list(findings)
    errors = sum(1 for finding in listed if finding.severity == "error")
    data = {
        "findings": [finding.to_json() for finding in listed],
        "errors": errors,
        "warnings": len(listed) - errors,
        "files": files,
        "rules": rules,
        "loaded": not errors if loaded is None else loaded,
    }
    return json.dumps(data, indent=2) + "\n"


def _escape(text: str, *, value: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    # A log is read in a terminal too: what cannot be seen is shown.
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return text.replace(":", "%3A").replace(",", "%2C") if value else text


def render_github(findings: Iterable[Finding]) -> str:
    """Workflow commands that GitHub shows beside the line."""
    lines = []
    for finding in findings:
        places = [f"file={_escape(finding.file, value=True)}"] if finding.file else []
        if finding.line:
            places += [
                f"line={finding.line}",
                f"col={finding.col}",
                f"endColumn={finding.col + finding.length}",
            ]
        places.append(f"title={_escape(finding.code, value=True)}")
        hint = f"; {finding.hint}" if finding.hint else ""
        lines.append(f"::{finding.severity} {','.join(places)}::{_escape(finding.message + hint)}")
    return "".join(line + "\n" for line in lines)


def render_sarif(
    findings: Iterable[Finding], *, version: str = "", explanations: Mapping[str, str] = EXPLANATIONS
) -> str:
    """SARIF 2.1.0, as code scanning reads it: each result with a place, each rule with its help."""
    listed = list(findings)
    codes = sorted({finding.code for finding in listed})
    driver: dict[str, Any] = {
        "name": "agentguard check",
        "rules": [_rule(code, explanations.get(code, code)) for code in codes],
    }
    if version:
        driver["version"] = version
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, codes.index(finding.code)) for finding in listed],
    }
    data = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(data, indent=2) + "\n"


def _rule(code: str, text: str) -> dict[str, Any]:
    return {
        "id": code,
        "shortDescription": {"text": text.split(". ")[0].split(": ")[0]},
        "fullDescription": {"text": text},
        "help": {"text": text},
    }


def _uri(file: str) -> str:
    """A file as a URI reference: relative as it is written, or a `file:` URI."""
    path = file.replace("\\", "/")
    if path.startswith("/"):
        return f"file://{quote(path)}"
    # A first segment with a colon would be a scheme; `quote` writes it out.
    return quote(path)


def _result(finding: Finding, index: int) -> dict[str, Any]:
    hint = f"; {finding.hint}" if finding.hint else ""
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": finding.message + hint},
    }
    line, col = max(finding.line, 1), max(finding.col, 1)
    region = {"startLine": line, "startColumn": col, "endLine": line, "endColumn": col + finding.length}
    place = {"artifactLocation": {"uri": _uri(finding.file or ".")}, "region": region}
    result["locations"] = [{"physicalLocation": place}]
    return result
