"""A test run as a person reads it: failures first, then coverage, survivors, and one line of counts."""

from __future__ import annotations

import io
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import console, width

if TYPE_CHECKING:
    from rich.console import Console

    from agentguard.policy.explain import Considered
    from agentguard.policy.testing import Coverage, Difference, Mutation, Report, Result

__all__ = ["plain", "show"]

_MOST: Final = 50
_ROWS: Final = 200
_STYLES: Final = {"FAIL": "bold red", "-": "red", "+": "green", "again": "dim"}
_SIGNS: Final = {"missing": "-", "unexpected": "+", "different": "~"}
_TOLD: Final = {"-": "red", "+": "yellow", "~": ""}


def show(report: Report, typed: Sequence[str]) -> None:
    """Print the report; `typed` are the paths of the command line, for the command that runs a case again."""
    out = console()
    out.width = width()
    _print(out, report, typed)


def plain(report: Report, typed: Sequence[str]) -> str:
    """The same without colours, 100 columns wide."""
    from rich.console import Console

    file = io.StringIO()
    _print(Console(file=file, width=100, markup=False, emoji=False, highlight=False), report, typed)
    return file.getvalue()


def _print(out: Console, report: Report, typed: Sequence[str]) -> None:
    if report.findings:
        from agentguard.policy import render_text

        text = render_text(report.findings, files=report.files, rules=report.rules, loaded=True).rstrip()
        out.print(text, soft_wrap=True, style=None)
        _line(out, "No case was run.", "bold red")
        return
    failed = report.failed
    for result in failed[:_MOST]:
        _failure(out, result, typed)
    if len(failed) > _MOST:
        _line(out, f"... and {len(failed) - _MOST:,} more failures; --json lists all")
    if report.coverage is not None:
        _coverage(out, report.coverage)
    elif report.unmatched and not report.partial:
        names = ", ".join(report.unmatched[:5]) + (", ..." if len(report.unmatched) > 5 else "")
        text = f"{len(report.unmatched)} of {report.rules} rules matched in no case: {names} (see --coverage)"
        _lines(out, text, "", 2, "yellow")
    if report.mutation is not None:
        _mutation(out, report.mutation)
    _line(out, _summary(report), "bold red" if failed else "green")


def _summary(report: Report) -> str:
    failed, every = len(report.failed), len(report.results)
    files = len({result.suite.file.name for result in report.results})
    digests = sorted({result.decision.snapshot for result in report.results})
    snapshot = f"snapshot {digests[0].removeprefix('sha256:')[:8]}"
    if len(digests) > 1:
        snapshot = f"{len(digests)} snapshots"
    counts = f"{failed:,} failed, " if failed else ""
    where = f"{files} file{'' if files == 1 else 's'}"
    return (
        f"Tests: {counts}{every - failed:,} passed in {where} "
        f"({report.rules:,} rules, {snapshot}, {report.seconds:.2f} s)."
    )


def _failure(out: Console, result: Result, typed: Sequence[str]) -> None:
    from rich.text import Text

    case = result.case
    label = f"{case.name}[{case.row}]" if case.row else case.name
    _lines(out, f"FAIL  {label}  {case.at}", "", 6, _STYLES["FAIL"])
    for one in result.differences:
        _difference(out, one, result)
    for rule in result.considered:
        _considered(out, rule)
    command = shlex.join(["agentguard", "test", *typed, "--case", case.id])
    # On one line however long it is, so that it can be copied.
    out.print(Text(f"  again  {visible(command)}", style=_STYLES["again"]), soft_wrap=True)
    out.print()


def _difference(out: Console, one: Difference, result: Result) -> None:
    sign = _SIGNS[one.sign]
    style = _TOLD[sign]
    if one.about == "effect":
        deciding = result.decision.deciding
        by = f"  by {deciding.name}" + (f"  {deciding.at}" if deciding.at else "") if deciding else ""
        reason = f'  "{deciding.reason}"' if deciding and deciding.reason else ""
        _lines(out, f"effect  wanted {one.wanted}, found {one.found}{by}{reason}", "  ", 8)
        return
    if one.about == "errors" and one.sign == "unexpected":
        text = f"errors  + {one.rule}: {one.found}"
        _lines(out, f"{text}  (if this is what the case is about: errors: [{one.rule}])", "  ", 10, style)
        return
    rule = f"{one.rule}: " if one.about == "errors" else ""
    told = {
        "missing": f"{one.wanted}  wanted, not there",
        "unexpected": f"{one.found}  there, not wanted",
        "different": f"wanted {one.wanted}, found {one.found}",
    }[one.sign]
    _lines(out, f"{one.about}  {sign} {rule}{told}", "  ", len(one.about) + 4, style)
    if one.about == "obligations" and one.sign == "missing" and one.found:
        _lines(out, f"nearest: {one.found}", " " * (len(one.about) + 6), 9)


def _considered(out: Console, rule: Considered) -> None:
    """A rule that the failure is about, with the values on which its condition rests."""
    from agentguard.policy.explain_text import under

    became = f" -> {rule.became}" if rule.became else ""
    at = f"  {rule.at}" if rule.at else ""
    _lines(out, f"{rule.name}{at}  {rule.outcome}{became}", "    ", 4)
    _lines(out, f"{rule.effect.value} when {rule.condition}", "        ", 4)
    if rule.error:
        _lines(out, f"error: {rule.error}", "        ", 4)
    for text in under(rule):
        _lines(out, text, "        ", 13)


def _coverage(out: Console, found: Coverage) -> None:
    parts = sum(len(rule.parts) for rule in found.rules)
    head = (
        f"Coverage: {found.percent:.1f} %, {found.seen} of {found.outcomes} outcomes "
        f"of {len(found.rules)} rules and {parts} sub-conditions"
    )
    _line(out, head)
    _table(out, ("rule, sub-condition", "at", "true", "false", "error"), _rows(found))
    missing = list(_missing(found))
    if missing:
        _line(out, "Never seen:")
        for text in missing[:_ROWS]:
            _lines(out, text, "  ", 4, "yellow")
    for count in (len(list(_rows(found))), len(missing)):
        if count > _ROWS:
            _line(out, f"... and {count - _ROWS:,} more; --json lists all")
    out.print()


def _rows(found: Coverage) -> Iterator[tuple[str, ...]]:
    for rule in found.rules:
        tally = rule.tally
        counts = (str(tally.true), str(tally.false) if rule.conditional else "", str(tally.error or ""))
        yield (rule.name, f"{rule.file}:{rule.line}", *counts)
        for part in rule.parts:
            tally = part.tally
            counts = (str(tally.true), str(tally.false), str(tally.error or ""))
            yield (f"  {part.text}", f"{part.line}:{part.col}", *counts)


def _missing(found: Coverage) -> Iterator[str]:
    for rule in found.rules:
        if rule.missing:
            yield f"{rule.file}:{rule.line}  {rule.name}: never {', never '.join(rule.missing)}"
        for part in rule.parts:
            if part.missing:
                told = ", never ".join(part.missing)
                yield f"{rule.file}:{part.line}:{part.col}  {part.text}: never {told}"


def _table(out: Console, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, overflow="fold", no_wrap=index > 1, justify="right" if index > 1 else "left")
    for _, row in zip(range(_ROWS), rows, strict=False):
        table.add_row(*(Text(visible(cell), overflow="fold") for cell in row))
    out.print(table)


def _mutation(out: Console, found: Mutation) -> None:
    score = "no score" if found.score is None else f"score {found.score:.1f} %"
    sample = f", a sample of {found.made:,} (seed {found.seed})" if found.chosen < found.made else ""
    left = f", {found.left:,} not run for lack of time" if found.left else ""
    head = (
        f"Mutants: {score}, {found.killed:,} noticed, {len(found.survivors):,} survived{sample}{left} "
        f"({found.seconds:.1f} s)"
    )
    _lines(out, head, "", 2)
    for one in found.survivors[:_MOST]:
        mutant = one.mutant
        why = "  no case calls its tools" if one.fate == "uncalled" else ""
        name = f"  {mutant.rule}" if mutant.rule else ""
        _lines(out, f"{mutant.at}{name}{why}", "  ", 4)
        _lines(out, f"- {mutant.before}", "      ", 2, _STYLES["-"])
        _lines(out, f"+ {mutant.after}", "      ", 2, _STYLES["+"])
    if len(found.survivors) > _MOST:
        _line(out, f"  ... and {len(found.survivors) - _MOST:,} more; --json lists all")
    if found.survivors:
        note = (
            "A survivor is a case that is missing, or a change that makes no difference (an equivalent "
            "mutant): nobody can tell the two apart but a reader."
        )
        _lines(out, note, "  ", 0, "dim")
    out.print()


def _line(out: Console, text: str, style: str = "") -> None:
    _lines(out, text, "", 2, style)


def _lines(out: Console, text: str, indent: str, hanging: int, style: str = "") -> None:
    """One paragraph, folded under itself; nothing is cut."""
    from rich.text import Text

    wrapped = textwrap.wrap(
        visible(" ".join(text.splitlines()) if "\n" in text else text),
        max(out.width, 40),
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    for one in wrapped or [""]:
        out.print(Text(one, style=style), soft_wrap=True)
