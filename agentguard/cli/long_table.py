"""A table of thousands of rows, as `columns` shows it and in a twentieth of its time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Final

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import say, width

__all__ = ["long_columns"]

_GAP: Final = 2
_LEAST: Final = 8


def long_columns(head: Sequence[str], rows: Iterable[Sequence[str]], *, keep: Sequence[int] = (0,)) -> None:
    """Print a table; the columns in `keep` are never folded, all others are, and nothing is cut off."""
    shown = [[visible(text) for text in row] for row in rows]
    natural = [max(map(_cells, column)) for column in zip(head, *shown, strict=True)]
    widths = _fitted(natural, keep, width())
    say("\n".join(_lines(head, widths)), "dim")
    sys.stdout.writelines(f"{line}\n" for row in shown for line in _lines(row, widths))


def _fitted(natural: Sequence[int], keep: Sequence[int], total: int) -> list[int]:
    """Widths that fit: the widest of the columns that may be folded gives way first."""
    widths = list(natural)
    spare = total - sum(widths) - _GAP * (len(widths) - 1)
    folding = [index for index in range(len(widths)) if index not in keep]
    while spare < 0 and folding:
        widest = max(folding, key=lambda index: widths[index])
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
        spare += 1
    return widths


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """The row as one line, or as several where a cell is folded under itself."""
    folded = [_folded(text, width) for text, width in zip(row, widths, strict=True)]
    for parts in zip_longest(*folded, fillvalue=""):
        padded = [part + " " * (width - _cells(part)) for part, width in zip(parts, widths, strict=True)]
        yield (" " * _GAP).join(padded).rstrip()


def _folded(text: str, width: int) -> list[str]:
    if len(text) <= width and text.isascii():
        return [text]
    found, line, used = [], "", 0
    for character in text:
        size = _cells(character)
        if used + size > width and line:
            found.append(line)
            line, used = "", 0
        line += character
        used += size
    return [*found, line]


def _cells(text: str) -> int:
    """Columns that a terminal needs for a text."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
