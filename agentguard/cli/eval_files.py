"""Writing the report of an evaluation: the ending of the file's name says how."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard_evals.report import Report

__all__ = ["ENDINGS", "check_out", "render", "render_json"]


def render_json(report: Report) -> str:
    """The whole report; ASCII, so that nothing in it reaches a terminal as a command."""
    return json.dumps(report.model_dump(mode="json"), indent=1, ensure_ascii=True) + "\n"


def _jsonl(report: Report) -> str:
    """One case a line, with the name of its suite."""
    lines = [
        json.dumps({"suite": suite.name, **case.model_dump(mode="json")}, ensure_ascii=True)
        for suite in report.suites
        for case in suite.cases
    ]
    return "\n".join(lines) + "\n"


def _html(report: Report) -> str:
    from agentguard.cli.eval_html import page

    return page(report)


def _junit(report: Report) -> str:
    from agentguard_evals.junit import render_junit

    return render_junit(report)


ENDINGS: Final[Mapping[str, Callable[[Report], str]]] = {
    ".json": render_json,
    ".jsonl": _jsonl,
    ".html": _html,
    ".xml": _junit,
}


def check_out(path: Path) -> None:
    """Refuse a name before anything runs.

    Raises:
        ConfigurationError: nothing is written under such an ending, or its folder is not there.
    """
    if path.suffix not in ENDINGS:
        raise ConfigurationError(f"`{path}`: a report ends in {', '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"`{path}`: there is no folder `{path.parent}`")


def render(report: Report, path: Path) -> str:
    """The report as the text of this file."""
    return ENDINGS[path.suffix](report)
