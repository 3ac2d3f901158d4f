"""The report of an evaluation on a terminal: what went wrong first, the figures, what they do not cover."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from agentguard.cli.eval_live import model_words, told
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import columns, say

if TYPE_CHECKING:
    from agentguard_evals.metrics import Metric
    from agentguard_evals.report import Report, SuiteReport

__all__ = ["again", "counted", "figure", "interval", "kept_aside", "last_line", "result", "show"]

_SHOWN: Final = 8
_PARTS: Final = (
    ("attack success", "reachable_attack_success"),
    ("no question", "uninterrupted"),
    ("approvals", "approvals_per_task"),
    ("false denials", "false_denials"),
    ("utility", "utility"),
)


def show(report: Report, files: Sequence[str]) -> None:
    """Print the report; `files` are where it was written."""
    for suite in report.suites:
        _head(suite)
        _failures(report, suite)
        _metrics(suite)
        _parts(suite)
        _uncovered(suite)
    _with(report)
    _checks(report)
    say(last_line(report, files), "bold" if report.exit_code == 0 else "bold red")


def _head(suite: SuiteReport) -> None:
    counts = suite.counts
    say(f"{visible(suite.name)}  {visible(suite.title)}", "bold")
    reach = f" ({counts.reachable:,} with a tool call)" if counts.reachable != counts.attacked else ""
    say(
        f"  {counted(counts.honest, 'honest task')}, {counted(counts.attacked, 'attacked case')}{reach}; "
        f"{counted(counts.calls, 'call')}, {counted(counts.attack_calls, 'of the attacks')}; "
        f"{counted(counts.questions, 'question')}, {counted(counts.errors, 'error')}"
        + ("; only some of the cases" if suite.selected else "")
    )
    version = f"{visible(suite.version)}, " if suite.version else ""
    say(f"  {version}data {suite.data[:19]}; judged by {visible(suite.judged)}", "dim")
    if suite.model is not None:
        say(f"  {told(suite.model)}", "dim")
    say("")


def _failures(report: Report, suite: SuiteReport) -> None:
    from agentguard_evals.wrong import what_went_wrong

    if not suite.failures:
        return
    known = {case.id: case for case in suite.cases}
    say(f"went wrong: {counted(len(suite.failures), 'case')}", "bold red")
    if kept_aside(suite):
        say("not listed: rules that are built with what went wrong here are not measured by it", "dim")
        say("")
        return
    rows = [(name, what_went_wrong(known[name])) for name in suite.failures[:_SHOWN]]
    columns(("case", "what"), rows)
    if len(suite.failures) > _SHOWN:
        say(f"… and {len(suite.failures) - _SHOWN:,} more; `--out report.jsonl` lists every case")
    say(f"one of them again: {visible(again(report, suite, suite.failures[0]))}", "dim")
    say("")


def kept_aside(suite: SuiteReport) -> bool:
    """Whether what went wrong is not to be looked at; a case that is asked for by name is."""
    return suite.split == "held_out" and not suite.selected


def _metrics(suite: SuiteReport) -> None:
    rows = [
        (name, figure(name, metric), result(metric), interval(metric))
        for name, metric in suite.metrics.items()
        if metric.value is not None
    ]
    columns(("metric", "value", "n", "95 % interval"), rows)
    missing = [name for name, metric in suite.metrics.items() if metric.value is None]
    if missing:
        say(f"not measured here: {', '.join(missing)}", "dim")
    say("")


def _parts(suite: SuiteReport) -> None:
    if not suite.groups:
        return
    names = [(head, name) for head, name in _PARTS if suite.metrics[name].value is not None]
    rows = [
        (part, *(figure(name, metrics[name]) for _, name in names)) for part, metrics in suite.groups.items()
    ]
    columns(("part", *(head for head, _ in names)), rows)
    say("")


def _uncovered(suite: SuiteReport) -> None:
    for one in suite.broken[:_SHOWN]:
        say(f"broken: {visible(one.where)}: {visible(one.reason)}", "red")
    if len(suite.broken) > _SHOWN:
        say(f"… and {len(suite.broken) - _SHOWN:,} more broken rows", "red")
    for gap in suite.gaps:
        say(f"not covered: {visible(gap.what)} ({gap.n:,}): {visible(gap.reason)}", "yellow")
    for rule in suite.rules:
        if rule.errors:
            say(
                f"not evaluable: {rule.rule} in {counted(rule.errors, 'decision')} of {rule.fired:,}",
                "yellow",
            )
    quiet = suite.never_fired
    if quiet:
        listed = ", ".join(rule.rule for rule in quiet[:_SHOWN])
        more = f" and {len(quiet) - _SHOWN} more" if len(quiet) > _SHOWN else ""
        say(f"never fired: {listed}{more} ({len(quiet)} of {counted(len(suite.rules), 'rule')})", "yellow")
    say("")


def _with(report: Report) -> None:
    policy, known = report.policy, ", ".join(f"{name} {found}" for name, found in report.versions.items())
    facts = visible(report.tool_facts) + (
        f" ({report.tool_facts_digest[:19]})" if report.tool_facts_digest else ""
    )
    paths = ", ".join(visible(path) for path in policy.paths)
    say(f"policy {policy.digest[:19]}, {counted(policy.rules, 'rule')} of {paths}", "dim")
    say(f"tool facts: {facts}; approver: {report.approver}; {known}; {report.seconds:.1f} s", "dim")


def _checks(report: Report) -> None:
    for check in report.checks:
        where = f"{check.suite}: " if check.suite else ""
        detail = f": {check.detail}" if check.detail else ""
        word = "met" if check.passed else "missed"
        name = "--fail-under" if check.kind == "fail_under" else "--baseline"
        say(
            f"{name} {word}: {visible(where + check.text + detail)}",
            "" if check.passed else "bold red",
        )


def figure(name: str, metric: Metric) -> str:
    """A metric's value as people read it; a dash where there is none."""
    from agentguard_evals.metrics import METRICS

    if metric.value is None:
        return "-"
    match METRICS[name].unit:
        case "share":
            return f"{100 * metric.value:.1f} %"
        case "mean":
            return f"{metric.value:.2f}"
        case "ms":
            return f"{metric.value:.2f} ms"


def result(metric: Metric) -> str:
    """How many of how many."""
    return f"{metric.k:,} of {metric.n:,}" if metric.k is not None else f"{metric.n:,}"


def interval(metric: Metric) -> str:
    """The 95 % interval."""
    if metric.low is None or metric.high is None:
        return ""
    if metric.k is None:
        return f"{metric.low:.2f} to {metric.high:.2f}"
    return f"{100 * metric.low:.1f} to {100 * metric.high:.1f} %"


def again(report: Report, suite: SuiteReport, case: str) -> str:
    """The command that runs one case again; of a live model's case, one run."""
    live = next((one.live for one in suite.cases if one.id == case), None)
    words = ["agentguard", "eval", "run", suite.reread]
    words += ["--split", suite.split] if suite.split is not None else []
    words += [word for path in report.policy.paths for word in ("--policy", path)]
    from agentguard_evals.facts import OTHERS

    if report.tool_facts != "none" and not report.tool_facts.endswith(OTHERS):
        words += ["--tool-facts", report.tool_facts]
    if report.data_folder is not None:
        words += ["--data", report.data_folder]
    if report.environment is not None:
        words += ["--environment", report.environment]
    words += model_words(suite.model) if live is not None else []
    words += ["--approver", report.approver, "--case", case if live is None else live.case]
    return shlex.join(words)


def last_line(report: Report, files: Sequence[str]) -> str:
    """Counts, where the report is, the exit code."""
    return "Eval: " + ", ".join(_parts_of_last_line(report)) + _written(files) + f"; exit {report.exit_code}."


def _parts_of_last_line(report: Report) -> Iterator[str]:
    def total(values: Iterable[int]) -> int:
        return sum(values)

    yield counted(len(report.suites), "suite")
    yield counted(total(suite.counts.cases for suite in report.suites), "case")
    yield f"{total(len(suite.failures) for suite in report.suites):,} went wrong"
    yield counted(total(suite.counts.errors for suite in report.suites), "error")
    yield counted(total(suite.counts.broken for suite in report.suites), "broken row")
    missed = total(not check.passed for check in report.checks)
    if report.checks:
        yield f"{missed} of {counted(len(report.checks), 'check')} missed"


def _written(files: Sequence[str]) -> str:
    return (
        f"; report in {', '.join(visible(file) for file in files)}" if files else "; no report (`--out FILE`)"
    )


def counted(n: int, word: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{n:,} {word}" if n == 1 or word.startswith("of ") else f"{n:,} {word}s"
