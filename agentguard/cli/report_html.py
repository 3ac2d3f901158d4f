"""A report as one static page with charts, to be read, printed and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentguard.cli.html_page import render
from agentguard.cli.report_text import last_line, ledger_text, span

if TYPE_CHECKING:
    from agentguard.governance.report import Report

__all__ = ["page"]

_EFFECTS: Final = ("allow", "constrain", "flag", "step_up", "deny")
_DAYS: Final = 120
_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class _Bar:
    """A stacked bar: a name, the whole, and for each part its kind, count and percent of the scale."""

    name: str
    total: int
    parts: tuple[tuple[str, int, float], ...]


def page(report: Report) -> str:
    """The page as text."""
    most = max((sum(day.effects.values()) for day in report.days), default=0)
    deviations = max((day.deviations for day in report.days), default=0)
    asked = max((one.asked for one in report.questions), default=0)
    return render(
        "report.html.jinja",
        {"span": span},
        report=report,
        kinds=_EFFECTS,
        total=_bar("all", report.effects, sum(report.effects.values())),
        days=[_bar(day.day, day.effects, most) for day in report.days[-_DAYS:]],
        deviating=[
            (day.day, day.deviations, 100 * day.deviations / (deviations or 1))
            for day in report.days[-_DAYS:]
        ],
        questions=[_asked(one, asked) for one in report.questions[:_ROWS]],
        unused=[one for one in report.rules if one.in_force and not one.fired and not one.observed],
        ledger=ledger_text(report.ledger),
        rows=_ROWS,
        last=last_line(report),
    )


def _bar(name: str, effects: Mapping[str, int], most: int) -> _Bar:
    parts = [(kind, effects.get(kind, 0)) for kind in _EFFECTS]
    return _Bar(
        name, sum(effects.values()), tuple((kind, n, 100 * n / (most or 1)) for kind, n in parts if n)
    )


def _asked(one: object, most: int) -> tuple[object, _Bar]:
    """A rule's questions with their answers as a bar."""
    ends = {name: getattr(one, name) for name in ("approved", "denied", "expired", "withdrawn", "waiting")}
    parts = tuple((name, n, 100 * n / (most or 1)) for name, n in ends.items() if n)
    return one, _Bar(str(getattr(one, "rule", "")), sum(ends.values()), parts)
