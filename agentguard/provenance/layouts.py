"""Texts that a program laid out as records: tables, blocks of `Label: value`, listings with labels.

Many tools print their records instead of returning data. Such a text counts as records only where every line
of it fits the layout; one line of prose and it is a text. Where a record has room for what somebody wrote
(`Description: ...`), a line of it may pretend to be a record, so that no address is taken from a field there.
The head of a message (`From: ...`, then a blank line, then the text) is one record, whatever follows it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentguard.provenance.literals import EXTERNAL, Shape, literals, shape_of

__all__ = ["Laid", "has_room", "laid_out"]

Row = dict[str, str]

_LONGEST: Final = 1 << 17
_LINES: Final = 4_000
_FEWEST: Final = 2
_LABEL_WORDS: Final = 4
_TITLE: Final = 160
_LABEL: Final = r"[A-Za-zÀ-ÿ_][\w .'/#-]{0,38}"
_START: Final = re.compile(rf"\s*({_LABEL}):(?:\s+|$)")
_INLINE: Final = re.compile(
    r"(?:(?<=[(|,;])\s*|\s{2,16}|(?<=[)\"])\s+)([A-Z][\w-]*(?: [A-Za-z#][\w-]*){0,2}):\s+"
)
_ITEM: Final = re.compile(r"(\s*)(?:[-*•]|\d{1,4}[.)]|\[\d{1,4}\]|#\d{1,4}:?)\s+(?=\S)")
_HEADING: Final = re.compile(
    r"#{1,4} .{1,120}|[=*_-]{3,80}|.{1,160}:|(?:Found|Showing|Total) .{1,160}|\(?\d{1,7} [a-z]{1,12}\)?"
)
_RULE: Final = frozenset(" \t:|-")
_GAPS: Final = re.compile(r"\s{2,}|\t+")
_CAPITALS: Final = re.compile(r"[A-Z][A-Z0-9 _()%/-]*")
_WORD: Final = re.compile(r"\W+")
_FREE: Final = frozenset((
    "description", "body", "note", "notes", "text", "content", "snippet", "message", "comment", "comments",
    "summary", "about", "bio", "details", "detail", "preview", "excerpt", "remark", "remarks", "memo",
    "reply", "beschreibung", "notiz", "nachricht", "inhalt", "descripción", "mensaje", "contenu",
))  # fmt: skip
_NUMBERED: Final = frozenset(
    {"phone", "mobile", "tel", "telephone", "fax", "iban", "account", "konto", "cell"}
)
_ADDRESSES: Final[tuple[Shape, ...]] = ("email", "url", "iban")
_MESSAGE: Final = frozenset(
    {"from", "to", "subject", "date", "cc", "sender", "von", "an", "betreff", "de", "asunto"}
)


@dataclass(frozen=True, slots=True)
class Laid:
    """The records of a text, and what of it belongs to none; `sure` where nobody else wrote into it."""

    rows: list[Row]
    rest: str = ""
    sure: bool = True


def laid_out(text: str, *, people: bool = False) -> Laid | None:
    """The records that a text lays out, or None where it is a text.

    INVARIANT: anybody's text can look like records. So an address is taken from a field only where the tool
    is one for looking people up (`people`), and nothing in it has room for what somebody wrote.
    """
    text = text.strip("\n").replace("\r\n", "\n")
    if not text or len(text) > _LONGEST or "\n" not in text:
        return None
    lines = text.split("\n")
    if len(lines) > _LINES:
        return None
    single = _separated(text)
    found = single or _message(lines) or _piped(lines) or _columns(lines) or _labelled(lines)
    if found is None:
        return None
    plain = single is not None or not any(_INLINE.search(line.strip()) for line in lines)
    return _believed(found, addressed=people and plain)


# -- tables


def _piped(lines: Sequence[str]) -> Laid | None:
    """A table of Markdown, with the lines before and after it as the rest."""
    rule = next((at for at, line in enumerate(lines) if at and _ruled(line)), None)
    if rule is None or "|" not in lines[rule - 1]:
        return None
    end = next((at for at in range(rule + 1, len(lines)) if "|" not in lines[at]), len(lines))
    table = [_cells(line) for line in [lines[rule - 1], *lines[rule + 1 : end]]]
    rest = "\n".join([*lines[: rule - 1], *lines[end:]]).strip()
    return _table(table, rest)


def _ruled(line: str) -> bool:
    return "|" in line and "---" in line and _RULE.issuperset(line)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _separated(text: str) -> Laid | None:
    """Comma- or tab-separated values with a header (RFC 4180)."""
    head = text.partition("\n")[0]
    for mark in (",", "\t", ";"):
        if head.count(mark) + 1 >= _FEWEST:
            try:
                rows = [row for row in csv.reader(io.StringIO(text), delimiter=mark, strict=True) if row]
            except csv.Error:
                continue
            found = _table(rows, "")
            if found is not None:
                return found
    return None


def _columns(lines: Sequence[str]) -> Laid | None:
    """Columns with blanks between them under a header in capitals, as command lines print them."""
    head = _GAPS.split(lines[0].strip())
    if len(head) < _FEWEST or not all(_CAPITALS.fullmatch(cell) for cell in head):
        return None
    return _table([_GAPS.split(line.strip()) for line in lines if line.strip()], "")


def _table(rows: Sequence[Sequence[str]], rest: str) -> Laid | None:
    """Rows under a header of names that are all different; a short row has no values at its end."""
    if len(rows) < _FEWEST:
        return None
    names = [_name(cell) for cell in rows[0]]
    sound = all(names) and len(set(names)) == len(names) >= _FEWEST and all(map(_short, rows[0]))
    if not sound or any(len(row) > len(names) for row in rows) or any(len(row) < _FEWEST for row in rows[1:]):
        return None
    return Laid([dict(zip(names, row, strict=False)) for row in rows[1:]], rest)


def _short(cell: str) -> bool:
    """Whether a cell may be the name of a column: no sentence, no address, and no field with its label."""
    named = 0 < len(cell) <= 40 and len(cell.split()) <= _LABEL_WORDS and ":" not in cell
    return named and shape_of(cell) not in EXTERNAL


# -- labels


def _labelled(lines: Sequence[str]) -> Laid | None:
    """Records of labelled lines: each begins with a mark of a list, after a blank line, or with the label
    that began the one before. Headings may stand before the first one, and nothing else beside them."""
    first = next((at for at, line in enumerate(lines) if not _heads(line)), len(lines))
    marks = [match for line in lines[first:] if (match := _ITEM.match(line))]
    outer = min((len(match[1]) for match in marks), default=None)
    if marks and (one := _bulleted(lines[first:])) is not None:
        return Laid([one], "\n".join(lines[:first]))
    rows: list[Row] = []
    fresh = True
    for line in lines[first:]:
        item = _ITEM.match(line)
        begins = item is not None and len(item[1]) == outer
        if not line.strip():
            fresh = outer is None
            continue
        found = _parts(line[item.end() :] if item else line, titled=begins)
        if found is None:
            return None
        if begins or (outer is None and (fresh or not rows or set(found) & set(rows[-1]))):
            rows.append({})
        elif not rows or set(found) & set(rows[-1]):
            return None
        rows[-1].update(found)
        fresh = False
    return Laid(rows, "\n".join(lines[:first])) if _alike(rows) else None


def _heads(line: str) -> bool:
    """Whether a line is blank or a heading, and none of the fields of a record."""
    line = line.strip()
    start = _START.match(line)
    return not line or (bool(_HEADING.fullmatch(line)) and (start is None or start.end() == len(line)))


def _bulleted(lines: Sequence[str]) -> Row | None:
    """One record whose fields are the items of a list: each has one label, and all are different."""
    found: Row = {}
    for line in lines:
        if not line.strip():
            continue
        item = _ITEM.match(line)
        parts = _parts(line[item.end() :], titled=False) if item is not None else None
        if parts is None or len(parts) != 1 or set(parts) & set(found):
            return None
        found |= parts
    return found if len(found) >= _FEWEST else None


def _alike(rows: Sequence[Row]) -> bool:
    """Whether records have one layout: each has at least two fields, and half of those of the first."""
    if not rows or any(len(row) < _FEWEST for row in rows):
        return False
    first = set(rows[0])
    return all(len(first & set(row)) * 2 >= min(len(first), len(row)) for row in rows)


def _parts(line: str, *, titled: bool) -> Row | None:
    """The labelled values of a line, with what stands before them as its title where it begins a record."""
    marks = _marks(line)
    if not marks:
        return {"title": _bare(line)} if titled and len(line) <= _TITLE else None
    found: Row = {}
    before = _bare(line[: marks[0][0]])
    if before and (not titled or len(before) > _TITLE):
        return None
    if before:
        found["title"] = before
    ends = [at for at, _, _ in marks[1:]] + [len(line)]
    for (_, begin, label), end in zip(marks, ends, strict=True):
        name = _name(label)
        if not name or name in found or line[begin : begin + 1] in ("&", "{", "["):
            return None  # YAML that refers to something, or data that could not be read
        found[name] = _bare(line[begin:end])
    return found


def _marks(line: str) -> list[tuple[int, int, str]]:
    """Where the labels of a line begin, where their values do, and the labels."""
    start = _START.match(line)
    found = []
    if start is not None and len(start[1].split()) <= _LABEL_WORDS:
        found.append((start.start(1), start.end(), start[1]))
    after = found[0][1] if found else 0
    found += [(one.start(1), one.end(), one[1]) for one in _INLINE.finditer(line) if one.start(1) >= after]
    return found


def _bare(value: str) -> str:
    """A value without what stands between it and the next label."""
    value = value.strip().rstrip("|,;(").strip()
    if value.endswith(")") and value.count(")") > value.count("("):
        value = value[:-1].rstrip()
    return value.strip("*").strip('"').strip()


def _name(label: str) -> str:
    name = _WORD.sub("_", label.strip().strip("*").casefold()).strip("_")
    return name if name and not name[0].isdigit() else ""


# -- messages


def _message(lines: Sequence[str]) -> Laid | None:
    """The head of a message as one record, its text as the rest."""
    end = next((at for at, line in enumerate(lines) if not line.strip()), None)
    head: Row = {}
    for line in lines[:end]:
        start = _START.match(line)
        if start is None or len(start[1].split()) > _FEWEST or _name(start[1]) in head:
            return None
        head[_name(start[1])] = line[start.end() :].strip()
    if end is None or len(head) < _FEWEST or not _MESSAGE & set(head):
        return None
    return Laid([head], "\n".join(lines[end:]).strip())


# -- what may be believed


def has_room(names: Iterable[str]) -> bool:
    """Whether a record has a field for what somebody wrote."""
    return any(_name(name) in _FREE for name in names)


def _believed(laid: Laid, *, addressed: bool) -> Laid:
    """Without the addresses that a line may only pretend to be a field of; they are part of the rest. A table
    among other lines than headings may stand in what somebody wrote, and singles nothing out."""
    sure = not any(map(has_room, laid.rows)) and all(_heads(line) for line in laid.rest.split("\n"))
    if sure and addressed:
        return laid
    rows: list[Row] = []
    rest = [laid.rest] if laid.rest else []
    for row in laid.rows:
        doubtful = {name for name, value in row.items() if name in _FREE or _leads_outside(name, value)}
        rest += [f"{name}: {row[name]}" for name in row if name in doubtful]
        rows.append({name: value for name, value in row.items() if name not in doubtful})
    return Laid(rows, "\n".join(rest), sure)


def _leads_outside(name: str, value: str) -> bool:
    held = literals(value)
    numbered = not _NUMBERED.isdisjoint(name.split("_")) and any(char.isdigit() for char in value)
    return numbered or any(held.of(shape) for shape in _ADDRESSES)
