"""A replay as one static page: no script, no request to anywhere, every text escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentguard.cli.html_page import render
from agentguard.cli.replay_text import HOW, KINDS, asking, last_line, missing, when

if TYPE_CHECKING:
    from agentguard.policy.replay import Report

__all__ = ["page"]

_ROWS: Final = 40
_DAYS: Final = 120
_GROUPS: Final = 200
_SHADES: Final = (*KINDS, "unchanged")


@dataclass(frozen=True, slots=True)
class _Bar:
    """One stacked bar: a name, and for each kind its count and its share of the longest bar in percent."""

    name: str
    total: int
    parts: tuple[tuple[str, int, float], ...]


def page(report: Report, candidate: Sequence[str]) -> str:
    """The page as text; `candidate` are the paths of the candidate."""
    return render(
        "replay.html.jinja",
        {"when": when},
        report=report,
        candidate=" ".join(candidate),
        groups=report.groups[:_GROUPS],
        more_groups=max(0, len(report.groups) - _GROUPS),
        kinds=_SHADES,
        total=_bars({"all": _sum(report.tools)}),
        tools=_bars(report.tools, changed=True),
        agents=_bars(report.agents, changed=True),
        days=_columns(report.days),
        reviewers=[(name, one) for name, one in sorted(report.questions.items())][:_ROWS],
        most=max((max(one.before, one.after) for one in report.questions.values()), default=0) or 1,
        approvals=report.approvals[:_GROUPS],
        exceptions=sorted(report.exceptions.items())[:_ROWS],
        how=HOW,
        asking=asking(report),
        missing=list(missing(report)),
        last=last_line(report),
    )


def _sum(tally: Mapping[str, Counter[Any]]) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for counts in tally.values():
        found.update(counts)
    return found


def _bars(tally: Mapping[str, Counter[Any]], *, changed: bool = False) -> list[_Bar]:
    """The bars with most changes first; with `changed`, only those with a change, each by its own length."""
    rows = [(name, [counts[kind] for kind in _SHADES]) for name, counts in tally.items()]
    if changed:
        rows = [(name, counts) for name, counts in rows if sum(counts[:4])]
    rows.sort(key=lambda row: (-sum(row[1][:4]), row[0]))
    return [_bar(name, counts, sum(counts)) for name, counts in rows[:_ROWS]]


def _columns(tally: Mapping[str, Counter[Any]]) -> list[_Bar]:
    """The newest days, oldest first, all on one scale."""
    rows = [(day, [tally[day][kind] for kind in _SHADES]) for day in sorted(tally)[-_DAYS:]]
    most = max((sum(counts) for _, counts in rows), default=0)
    return [_bar(day, counts, most) for day, counts in rows]


def _bar(name: str, counts: Sequence[int], most: int) -> _Bar:
    parts = [(kind, n, 100 * n / (most or 1)) for kind, n in zip(_SHADES, counts, strict=True) if n]
    return _Bar(name, sum(counts), tuple(parts))
