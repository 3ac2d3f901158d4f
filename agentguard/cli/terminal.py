"""Writing to the terminal: consoles, tables, JSON and errors, all of it safe to show."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer

from agentguard.cli.safe_text import visible, visible_lines

if TYPE_CHECKING:
    import datetime as dt

    from rich.console import Console

__all__ = ["ago", "columns", "complain", "console", "fail", "fields", "print_json", "say", "width"]

_LABEL: Final = 8
_UNITS: Final = (
    (90, 1, "s"),
    (5_400, 60, "min"),
    (129_600, 3_600, "h"),
    (float("inf"), 86_400, "days"),
)


def console(*, stderr: bool = False) -> Console:
    """A console that takes text as text: no markup, no emoji codes, no guessed colours."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def width() -> int:
    """Columns of the terminal; 100 in a pipe, unless `COLUMNS` says otherwise."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return 100
    return console().width


def say(text: str, style: str = "") -> None:
    """One paragraph on standard output."""
    from rich.text import Text

    console().print(Text(text, style=style), soft_wrap=not sys.stdout.isatty())


def print_json(data: object) -> None:
    """Data for programs; ASCII, so that nothing in it reaches a terminal as a command."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=True) + "\n")


def complain(message: str) -> None:
    """An error or remark on standard error, each line made visible."""
    lines = visible_lines(message)
    sys.stderr.write("\n".join([f"agentguard: {lines[0]}", *(f"  {line}" for line in lines[1:])]) + "\n")


def fail(message: str, code: int = 2) -> NoReturn:
    """Complain and end the command: 1 for findings and refusals, 2 for usage and configuration."""
    complain(message)
    raise typer.Exit(code)


def fields(out: Console, rows: Iterable[tuple[str, str, str]], *, indent: int = 2) -> None:
    """Labelled lines: label, text and style; long texts are folded under themselves and never cut."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(width=indent - 1 if indent else 0)
    table.add_column(min_width=_LABEL, no_wrap=True)
    table.add_column(overflow="fold")
    for label, text, style in rows:
        table.add_row("", Text(label, style="dim"), Text(text, style=style, overflow="fold"))
    out.print(table)


def columns(head: Sequence[str], rows: Iterable[Sequence[str]], *, keep: Sequence[int] = (0,)) -> None:
    """A table; the columns in `keep` are never folded, all others are, and nothing is cut off."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, overflow="fold", no_wrap=index in keep)
    for row in rows:
        table.add_row(*(Text(visible(cell), overflow="fold") for cell in row))
    out = console()
    out.width = width()
    out.print(table)


def ago(at: dt.datetime, now: dt.datetime) -> str:
    """`in 5 min`, `3 h ago`."""
    seconds = (at - now).total_seconds()
    size = abs(seconds)
    unit, name = next((unit, name) for limit, unit, name in _UNITS if size < limit)
    text = f"{round(size / unit)} {name}"
    return f"in {text}" if seconds > 0 else f"{text} ago"


def plain_rows(rows: Iterable[Sequence[Any]]) -> list[list[str]]:
    """Cells as text; None is empty."""
    return [["" if cell is None else str(cell) for cell in row] for row in rows]
