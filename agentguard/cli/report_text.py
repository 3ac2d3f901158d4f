"""A report on one page of a terminal: of each list the first lines, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import columns, console, fields, say

if TYPE_CHECKING:
    from agentguard.governance.report import Report
    from agentguard.governance.report.model import LedgerState

__all__ = ["last_line", "ledger_text", "screen", "span"]

_ROWS: Final = 5
_FINDINGS: Final = 15
_ORDER: Final = ("allow", "flag", "constrain", "step_up", "deny")
_UNITS: Final = ((90, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h"), (float("inf"), 86_400, "days"))


def screen(report: Report) -> None:
    """The page."""
    of = f" of agent {visible(report.agent)}" if report.agent is not None else ""
    period = f"{report.begin:%Y-%m-%d %H:%M}Z to {report.end:%Y-%m-%d %H:%M}Z"
    say(f"Report{of}: {period}, tenant {visible(report.tenant)}", "bold")
    flags, exceptions, agents = report.flags, report.exceptions, report.agents
    fields(
        console(),
        [
            ("events", f"{report.events:,}", ""),
            ("decided", _effects(report), ""),
            ("deviated", f"{report.deviating_calls:,} calls", "yellow" if report.deviating_calls else ""),
            ("flags", f"{flags.open:,} open, {flags.overdue:,} overdue, {flags.breaches:,} breaches",
             "red" if flags.breaches else ""),
            ("exceptions", f"{exceptions.active:,} in force, {exceptions.requested:,} asked for"
             + "".join(f", {count} {age}" for age, count in exceptions.ages.items() if count)
             + (f"; {len(exceptions.ended)} expired" if exceptions.ended else ""), ""),
            ("agents", f"{agents.known:,} known, {len(agents.suspended):,} suspended, "
             f"{agents.offboarded:,} offboarded", ""),
            ("ledger", ledger_text(report.ledger), "bold red" if report.ledger.problems else ""),
        ],
    )  # fmt: skip
    _deviations(report)
    _questions(report)
    _reviewers(report)
    _rules(report)
    _ended(report)
    _controls(report)
    _changes(report)
    _findings(report)
    say(last_line(report), "bold")


def last_line(report: Report) -> str:
    """The one thing to know."""
    count = len(report.findings)
    return (
        "Nothing to look into." if not count else f"{count} finding{'' if count == 1 else 's'} to look into."
    )


def ledger_text(ledger: LedgerState) -> str:
    """How far the ledger was verified, and vouched for."""
    if ledger.verified is None:
        return f"{ledger.size:,} events, not verified"
    parts = [f"verified up to event {ledger.verified:,} of {ledger.size:,}"]
    if ledger.problems:
        parts.append("NOT INTACT")
    if ledger.covered:
        age = "" if ledger.checkpoint_age_s is None else f", {span(ledger.checkpoint_age_s)} old"
        parts.append(f"a checkpoint vouches for the first {ledger.covered:,}{age}")
    else:
        parts.append("no checkpoint vouches for it")
    return "; ".join(parts)


def span(seconds: float | None) -> str:
    """`5 min`."""
    if seconds is None:
        return ""
    unit, name = next((unit, name) for limit, unit, name in _UNITS if seconds < limit)
    return f"{seconds / unit:.1f} {name}" if unit == 1 and seconds < 10 else f"{round(seconds / unit)} {name}"


def _effects(report: Report) -> str:
    known = [f"{report.effects[name]:,} {name}" for name in _ORDER if report.effects.get(name)]
    return ", ".join(known) or "nothing"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> None:
    if rows:
        say("")
        say(title, "bold")
        columns(head, rows)
        if total > len(rows):
            say(f"… and {total - len(rows):,} more (--json, --html)", "dim")


def _deviations(report: Report) -> None:
    rows = [
        [one.agent, one.rule, one.tool, one.effect, f"{one.calls:,}", f"{one.last:%m-%d %H:%M}"]
        for one in report.deviations[:_ROWS]
    ]
    head = ("agent", "rule", "tool", "effect", "calls", "last")
    _table("What deviated", head, rows, len(report.deviations))


def _questions(report: Report) -> None:
    rows = [
        [one.rule, f"{one.asked:,}", f"{one.approved:,}", f"{one.denied:,}", f"{one.expired:,}",
         "" if one.share is None else f"{100 * one.share:.0f} %", span(one.median_s), span(one.p95_s)]
        for one in report.questions[:_ROWS]
    ]  # fmt: skip
    head = ("rule", "asked", "yes", "no", "expired", "yes of answers", "median", "p95")
    _table("What people were asked", head, rows, len(report.questions))


def _reviewers(report: Report) -> None:
    rows = [
        [one.name, f"{one.asked:,}", f"{one.answers:,}", f"{one.approved:,}", f"{one.denied:,}",
         f"{max(one.busiest_asked, one.busiest_answers):,}", f"{one.approved_in_60s:,}"]
        for one in report.reviewers[:_ROWS]
    ]  # fmt: skip
    head = ("person", "asked", "answers", "yes", "no", "in an hour", "yes in 60 s")
    _table("Who was asked", head, rows, len(report.reviewers))


def _rules(report: Report) -> None:
    unused = [one for one in report.rules if one.in_force and not one.fired and not one.observed]
    rows = [
        [one.rule, one.effect, f"{one.fired:,}", f"{one.observed:,}", f"{one.errors:,}"]
        for one in report.rules[:_ROWS]
        if one.fired or one.observed
    ]
    fired = sum(bool(one.fired or one.observed) for one in report.rules)
    _table("Rules", ("rule", "effect", "fired", "observed", "errors"), rows, fired)
    if unused:
        names = ", ".join(one.rule for one in unused[:_ROWS])
        more = f" and {len(unused) - _ROWS} more" if len(unused) > _ROWS else ""
        say(visible(f"{len(unused)} of {len(report.rules)} never fired: {names}{more}"), "yellow")


def _ended(report: Report) -> None:
    ended = report.exceptions.ended
    rows = [
        [one.id, one.agent, ", ".join(one.rules), f"{one.expired:%m-%d %H:%M}", f"{one.uses:,}",
         f"{one.matching:,}" + (f" (+{one.unclear:,} unclear)" if one.unclear else "")]
        for one in ended[:_ROWS]
    ]  # fmt: skip
    head = ("exception", "agent", "waived", "expired", "uses", "calls since that need it")
    _table("Exceptions that expired", head, rows, len(ended))


def _controls(report: Report) -> None:
    rows = [
        [one.id, one.title or "(not in a catalogue)", str(len(one.rules)), f"{one.decisions:,}",
         f"{one.flags:,}", f"{one.approvals:,}", str(len(one.exceptions))]
        for one in report.controls[:_ROWS]
    ]  # fmt: skip
    head = ("control", "title", "rules", "decisions", "flags", "asked", "exceptions")
    _table("Evidence by control", head, rows, len(report.controls))


def _changes(report: Report) -> None:
    newest = list(report.changes)[::-1]
    rows = [
        [f"{one.at:%m-%d %H:%M}", one.kind, one.text + (" (loosens)" if one.loosens else "")]
        for one in newest[:_ROWS]
    ]
    _table("What changed, newest first", ("at", "event", "what"), rows, len(newest))


def _findings(report: Report) -> None:
    rows = [[one.kind, one.about, one.message] for one in report.findings[:_FINDINGS]]
    _table("To look into", ("finding", "about", "what"), rows, len(report.findings))
    say("")
