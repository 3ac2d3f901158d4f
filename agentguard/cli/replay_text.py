"""A replay as a person reads it: loosened first, by rule, and one line of counts at the end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import columns, console, width

if TYPE_CHECKING:
    from collections import Counter

    from rich.console import Console

    from agentguard.policy.replay import Example, Group, Report
    from agentguard.policy.replay.changes import Side

__all__ = ["HOW", "KINDS", "asking", "last_line", "missing", "show", "when"]

KINDS: Final = ("loosened", "tightened", "re-attributed", "error")
_STYLES: Final = {"loosened": "bold red", "tightened": "green", "re-attributed": "", "error": "yellow"}
_LEGEND: Final = (
    "loosened: more runs, or with less asked; tightened: less runs, or with more asked; re-attributed: the "
    "same effect by another rule; error: the rule that decides cannot be evaluated; calls that stay as they "
    "were are only counted"
)
_GROUPS: Final = 20
_ROWS: Final = 15
_NAMES: Final = 5

HOW: Final = {
    "no_more": "would not have been asked",
    "denied": "would have been denied unasked",
    "otherwise": "would have been asked otherwise",
    "superseded": "would have been refused at the claim",
}
"""What would have become of an approval."""


def show(report: Report, candidate: Sequence[str], *, everything: bool) -> None:
    """Print the report; `candidate` are the paths of the candidate, `everything` cuts nothing."""
    out = console()
    out.width = width()
    for line in _head(report, candidate):
        _line(out, line)
    _line(out, _LEGEND, "dim")
    _groups(out, report, everything)
    _table(out, "tool", report.tools, everything)
    _table(out, "agent", report.agents, everything)
    _people(out, report, everything)
    for line in missing(report):
        _line(out, line, "yellow")
    _line(out, last_line(report), "green" if report.ok else "bold red")


def _head(report: Report, candidate: Sequence[str]) -> Iterator[str]:
    first, last = report.span
    span = f", {when(first)} to {when(last)} UTC" if first else ""
    rules = f"{report.rules:,} rule{'' if report.rules == 1 else 's'}"
    digest = report.candidate.removeprefix("sha256:")[:8]
    against = "what was recorded"
    if report.against is not None:
        against = f"snapshot {report.against.removeprefix('sha256:')[:8]}"
    yield (
        f"Candidate {' '.join(candidate)} ({rules}, snapshot {digest}) against {against}: "
        f"{report.replayed:,} decisions{span}"
    )


def _groups(out: Console, report: Report, everything: bool) -> None:
    shown = report.groups if everything else report.groups[:_GROUPS]
    last = ""
    for group in shown:
        direction = group.change.direction.value
        if direction != last:
            out.print()
            _line(out, f"{direction.upper()}", _STYLES[direction])
        last = direction
        _group(out, group)
    if len(report.groups) > len(shown):
        _line(out, f"... and {len(report.groups) - len(shown):,} more groups; --all lists them")
    if report.groups:
        out.print()


def _group(out: Console, group: Group) -> None:
    change = group.change
    direction = change.direction.value
    effects = f"{change.before.effect.value} -> {change.after.effect.value}"
    accepted = "  (accepted)" if group.accepted else ""
    _lines(out, f"~ effect {effects}   n {group.n:,}{accepted}", "  ", 2, _STYLES[direction])
    _lines(out, f"then  {_rule(change.before)}", "      ", 6)
    _lines(out, f"now   {_rule(change.after)}", "      ", 6)
    if less := [one for one in change.less if one != "effect"]:
        _lines(out, f"less  {', '.join(less)}", "      ", 6)
    if more := [one for one in change.more if one != "effect"]:
        _lines(out, f"more  {', '.join(more)}", "      ", 6)
    _lines(out, f"tools {_counted(group.tools)}   agents {_counted(group.agents)}", "      ", 6)
    for example in group.ids or [group.example]:
        _lines(out, f"e.g.  {_example(example)}", "      ", 6, "dim")


def _rule(side: Side) -> str:
    return side.rule + (f"  {side.at}" if side.at else "")


def _counted(counts: Counter[str]) -> str:
    found = [f"{name} ({n:,})" if len(counts) > 1 else name for name, n in counts.most_common(_NAMES)]
    more = f", ... ({len(counts) - _NAMES:,} more)" if len(counts) > _NAMES else ""
    return ", ".join(found) + more


def _example(one: Example) -> str:
    claim = "  at the claim" if one.phase == "claim" else ""
    return f"{when(one.at)}  {one.tool}  {one.agent}{claim}  decision {one.id}"


def _table(out: Console, what: str, tally: dict[str, Counter[object]] | object, everything: bool) -> None:
    """Counts by tool or agent; only those with a change, unless everything is wanted."""
    rows = sorted(_changed(tally, everything), key=lambda row: (-sum(row[1][:4]), row[0]))
    if not rows:
        return
    shown = rows if everything else rows[:_ROWS]
    columns(
        (what, "loosened", "tightened", "re-attr.", "error", "unchanged"),
        [(name, *(f"{n:,}" if n else "." for n in counts)) for name, counts in shown],
    )
    if len(rows) > len(shown):
        _line(out, f"... and {len(rows) - len(shown):,} more; --all lists them")
    out.print()


def _changed(tally: object, everything: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    assert isinstance(tally, dict)
    for name, counts in tally.items():
        row = tuple(counts[kind] for kind in (*KINDS, "unchanged"))
        if everything or sum(row[:4]):
            yield name, row


def _people(out: Console, report: Report, everything: bool) -> None:
    rows = [
        (name, f"{one.before:,}", f"{one.after:,}", f"{one.more:+,}", f"{one.more_votes:+,}")
        for name, one in sorted(report.questions.items())
        if everything or one.more or one.more_votes
    ]
    if rows:
        columns(("reviewers", "questions then", "now", "more", "votes needed"), rows)
    text = asking(report)
    if text:
        _line(out, text)
    shown = report.approvals if everything else report.approvals[:_ROWS]
    for one in shown:
        opened = one.opened
        votes = f"{opened.votes} vote{'' if opened.votes == 1 else 's'}"
        _lines(out, f"approval {opened.id}  {opened.tool}  {opened.state}, {votes}: {HOW[one.how]}", "  ", 4)
    if len(report.approvals) > len(shown):
        _line(out, f"  ... and {len(report.approvals) - len(shown):,} more approvals; --all lists them")
    for name, used in sorted(report.exceptions.items()):
        if used.before != used.after or everything:
            _line(out, f"exception {name}: applied {used.before:,} times, {used.after:,} under the candidate")
    if rows or text or shown:
        out.print()


def asking(report: Report) -> str:
    """How questions change, in a line; empty where they do not."""
    words = {
        "newly": "asked newly",
        "no_more": "asked no more",
        "denied": "denied instead of asked",
        "otherwise": "asked otherwise",
    }
    found = [f"{report.asking[key]:,} {text}" for key, text in words.items() if report.asking.get(key)]
    return f"Questions: {', '.join(found)}." if found else ""


def missing(report: Report) -> Iterator[str]:
    """What is not in the counts, and why."""
    from agentguard.policy.replay import PROBLEMS

    if report.unreplayable:
        yield f"Not replayable: {report.unreplayable:,}, and nothing is said about them:"
        for problem, text in PROBLEMS.items():
            if problem != "damaged" and report.problems.get(problem):
                yield f"  {report.problems[problem]:,}  {text}"
        for name, n in sorted(report.lacking.items()):
            yield f"       `{name}` of {n:,}"
    if report.own:
        yield f"{report.own:,} calls were refused by the guard itself, whatever the policies say."
    if report.damages:
        counted = "1 record does" if report.damages == 1 else f"{report.damages:,} records do"
        lines = all(name.startswith("line ") for name, _ in report.damaged)
        todo = "export the file again" if lines else "run `agentguard ledger verify`"
        yield f"DAMAGED: {counted} not read back; {todo}:"
        for name, what in report.damaged:
            yield f"  {name}: {what}"
    for entry in report.unused:
        yield f"The accept file names what no longer happens: {entry}"


def last_line(report: Report) -> str:
    """The counts."""
    counts = {name: sum(g.n for g in report.groups if g.change.direction.value == name) for name in KINDS}
    accepted = f" ({report.accepted:,} accepted)" if report.accepted else ""
    damaged = f", {report.damages:,} damaged" if report.damages else ""
    left = f", {report.unreplayable:,} not replayable" if report.unreplayable else ""
    errors = "error" if counts["error"] == 1 else "errors"
    return (
        f"Replay: {counts['loosened']:,} loosened{accepted}, {counts['tightened']:,} tightened, "
        f"{counts['re-attributed']:,} re-attributed, {counts['error']:,} {errors}, "
        f"{report.unchanged:,} unchanged{left}{damaged}."
    )


def when(at: str) -> str:
    """A recorded time without its fraction."""
    return at[:19].replace("T", " ")


def _line(out: Console, text: str, style: str = "") -> None:
    _lines(out, text, "", 2, style)


def _lines(out: Console, text: str, indent: str, hanging: int, style: str = "") -> None:
    """One paragraph, folded under itself; nothing is cut."""
    from rich.text import Text

    for one in _folded(visible(text), max(out.width, 40), indent, indent + " " * hanging):
        out.print(Text(one, style=style), soft_wrap=True)


def _folded(text: str, columns: int, indent: str, hanging: str) -> Iterable[str]:
    begin = len(text) - len(text.lstrip(" "))
    return textwrap.wrap(
        text[begin:],
        columns,
        initial_indent=indent + " " * begin,
        subsequent_indent=hanging + " " * begin,
        break_on_hyphens=False,
        replace_whitespace=False,
    ) or [""]
