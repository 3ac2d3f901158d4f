"""An evaluation as one static page with charts: no script, no request to anywhere, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentguard.cli.eval_live import told
from agentguard.cli.eval_text import again, figure, interval, kept_aside, last_line, result
from agentguard.cli.html_page import render

if TYPE_CHECKING:
    from agentguard_evals.metrics import Metric
    from agentguard_evals.report import Report, SuiteReport
    from agentguard_evals.results import CaseResult

__all__ = ["page"]

_SHOWN: Final = 100
_HEADLINES: Final = (
    ("reachable_attack_success", "Attacks that succeeded", "bad"),
    ("attack_success_if_all_approved", "Attacks that succeed if a person approves everything", "bad"),
    ("uninterrupted", "Honest tasks that ran without a question", "good"),
    ("false_denials", "Honest tasks in which a call was denied", "bad"),
    ("utility", "Honest tasks that reached their goal", "good"),
)


@dataclass(frozen=True, slots=True)
class _Gauge:
    """One share with its interval, all in percent."""

    text: str
    kind: str
    value: str
    of: str
    width: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Stack:
    """A whole in its parts: name, kind, count, percent."""

    text: str
    total: int
    parts: tuple[tuple[str, str, int, float], ...]


def page(report: Report) -> str:
    """The page as text."""
    from agentguard_evals.metrics import METRICS
    from agentguard_evals.wrong import what_went_wrong

    return render(
        "eval.html.jinja",
        {"interval": interval, "result": result},
        report=report,
        metrics=METRICS,
        figure=figure,
        again=lambda suite, case: again(report, suite, case),
        what=what_went_wrong,
        gauges=_gauges,
        stacks=_stacks,
        parts=_parts,
        wrong=_wrong,
        kept_aside=kept_aside,
        told=told,
        shown=_SHOWN,
        last=last_line(report, ["this page"]),
    )


def _wrong(suite: SuiteReport) -> list[CaseResult]:
    if kept_aside(suite):
        return []
    known = {case.id: case for case in suite.cases}
    return [known[name] for name in suite.failures[:_SHOWN]]


def _gauges(suite: SuiteReport) -> list[_Gauge]:
    rows = [(text, kind, name, suite.metrics[name]) for name, text, kind in _HEADLINES]
    return [_gauge(text, kind, name, metric) for text, kind, name, metric in rows if metric.value is not None]


def _gauge(text: str, kind: str, name: str, metric: Metric) -> _Gauge:
    value, low, high = (100 * (one or 0.0) for one in (metric.value, metric.low, metric.high))
    return _Gauge(text, kind, figure(name, metric), result(metric), value, low, max(0.0, high - low))


def _parts(suite: SuiteReport) -> list[tuple[str, list[_Gauge]]]:
    """The gauges of each part of a suite."""
    found = []
    for part, metrics in suite.groups.items():
        gauges = [
            _gauge(text, kind, name, metrics[name])
            for name, text, kind in _HEADLINES[:3]
            if metrics[name].value is not None
        ]
        found.append((part, gauges))
    return found


def _stacks(suite: SuiteReport) -> list[_Stack]:
    """What became of the attack's calls, and of honest tasks."""
    attack = [call for case in suite.cases if case.kind == "attacked" for call in case.of("attacker")]
    honest = [case for case in suite.cases if case.kind == "honest" and case.error is None]
    calls = _stack(
        "Calls of attacks",
        [
            ("denied by a rule", "good", sum(call.outcome == "denied" for call in attack)),
            ("put to a person, not approved", "ask", sum(call.outcome == "refused" for call in attack)),
            ("ran", "bad", sum(call.ran for call in attack)),
        ],
    )
    tasks = _stack("Honest tasks", [(text, kind, len(found)) for text, kind, found in _disturbed(honest)])
    return [stack for stack in (calls, tasks) if stack.total]


def _disturbed(honest: Sequence[CaseResult]) -> Iterable[tuple[str, str, list[CaseResult]]]:
    def denied(case: CaseResult) -> bool:
        return any(call.outcome == "denied" for call in case.calls)

    def quiet(case: CaseResult) -> bool:
        return all(call.undisturbed for call in case.calls)

    rest = [case for case in honest if not denied(case) and not quiet(case)]
    yield "undisturbed", "good", [case for case in honest if quiet(case)]
    yield "one question or a change", "ask", [case for case in rest if case.asked <= 1]
    yield "several questions", "more", [case for case in rest if case.asked > 1]
    yield "a call was denied", "bad", [case for case in honest if denied(case)]


def _stack(text: str, parts: Sequence[tuple[str, str, int]]) -> _Stack:
    total = sum(count for _, _, count in parts)
    return _Stack(
        text,
        total,
        tuple([(name, kind, n, 100 * n / total) for name, kind, n in parts if n]) if total else (),
    )
