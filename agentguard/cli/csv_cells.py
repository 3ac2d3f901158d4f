"""Cells of a CSV file that a spreadsheet takes for text, whatever an agent or a tool put in them (T58).

Every cell is quoted. Control characters, line ends and invisible characters are written out, so that a record
is one line. Where a spreadsheet would read a formula (at the beginning of a cell, or behind what another
locale takes for a separator) an apostrophe stands before it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

__all__ = ["cell", "row"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9 ._/:{}\[\]()#*!?$%&^~<>]*")
_WRITTEN_OUT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# The last four are the full-width forms, which spreadsheets take for the same.
_FORMULA: Final = re.compile(r"(^|[,;|])([\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def cell(value: object) -> str:
    """One cell, quoted."""
    text = "" if value is None else str(value)
    if not _PLAIN.fullmatch(text):
        text = "".join([_shown(character) for character in text])
        text = _FORMULA.sub(r"\1'\2", text).replace('"', '""')
    return f'"{text}"'


def row(values: Iterable[object]) -> str:
    """One line with its end (RFC 4180)."""
    return ",".join([cell(value) for value in values]) + "\r\n"


def _shown(character: str) -> str:
    if character < "\x7f" and character >= " ":
        return character
    if unicodedata.category(character) not in _WRITTEN_OUT:
        return character
    number = ord(character)
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if character in known:
        return known[character]
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
