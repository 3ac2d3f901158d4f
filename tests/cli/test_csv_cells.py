"""T58: a spreadsheet that opens an export finds text, and each record on one line."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentguard.cli.csv_cells import cell, row

FORMULAS = "=+-@\uff1d\uff0b\uff0d\uff20"
HOSTILE = st.text(st.sampled_from(list("=+-@ \t\r\n\x00\"';,|ab\\\u202e\uff1d\u2028\x85\x1b")), max_size=12)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1dcmd", "'\uff1dcmd"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("\n=1", "\\n=1"),
        ("a;=cmd", "a;'=cmd"),
        ("a, =cmd", "a,' =cmd"),
        ("a|@x", "a|'@x"),
        (' "=1"', '\' "=1"'),
        ("a=b", "a=b"),
        ("a\x00b", "a\\x00b"),
        ("a\u202eb", "a\\u202eb"),
        ("a\U000e0001b", "a\\U000e0001b"),
        ("\u00fcmlaut", "\u00fcmlaut"),
        ('say "hi"', 'say "hi"'),
    ],
)
def test_T58_a_cell_is_text(text: str, shown: str) -> None:
    """Formulas get an apostrophe; what cannot be seen is written out; anything else stays."""
    assert next(csv.reader(io.StringIO(cell(text)))) == [shown]


@pytest.mark.parametrize(("value", "shown"), [(None, ""), (5, "5"), (0, "0"), (True, "True"), ("", "")])
def test_what_is_no_text_is_written_as_it_is(value: object, shown: str) -> None:
    """Numbers, and nothing."""
    assert cell(value) == f'"{shown}"'


@given(st.lists(HOSTILE | st.text(max_size=12), min_size=1, max_size=4))
def test_T58_no_text_becomes_a_formula_or_another_record(texts: list[str]) -> None:
    """Whatever a spreadsheet takes for the separator, with quotes or without."""
    line = row(texts)
    assert line.endswith("\r\n")
    assert not any(unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp", "Cs") for one in line[:-2])
    assert len(next(csv.reader(io.StringIO(line)))) == len(texts)
    for separator in ",;|\t":
        for piece in line[:-2].split(separator):
            first = piece.strip(' "')[:1]
            assert not first or first not in FORMULAS, (separator, piece)
