"""The shapes of values (addresses, links, account numbers, ...) and the literals that a text holds.

Everything is found by splitting at blanks or by patterns of bounded length, so that the time is linear in
the text whatever is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from agentguard.provenance.text import fold, number

__all__ = ["EXTERNAL", "Literals", "Shape", "links", "literals", "normal", "shape_of"]

Shape = Literal["email", "url", "iban", "account", "number", "date", "file", "name", "text"]

EXTERNAL: Final = frozenset({"email", "url", "iban", "account"})
"""Shapes that name somebody or something outside."""

_CHUNK: Final = 2_048
_LONGEST_NAME: Final = 80
_EDGE_LEFT: Final = "#\"'`“”‘’«»([{<*_,;:!?="
_EDGE_RIGHT: Final = "\"'`“”‘’«»)]}>*_.,;:!?="
_SPLIT: Final = re.compile(r"[,;|<>()\[\]{}\"“”«»]|mailto:", re.IGNORECASE)
_EMAIL: Final = re.compile(r"[^@\s]{1,128}@[^@\s.]{1,63}(?:\.[^@\s.]{1,63}){1,8}")
_IBAN: Final = re.compile(r"\b[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,4})?\b")
_WHOLE_IBAN: Final = re.compile(r"[a-z]{2}[0-9]{2}[a-z0-9]{8,32}")
_DATE: Final = re.compile(
    r"\b(?:[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[t ][0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:z|[+-][0-9]{2}:?[0-9]{2})?)?"
    r"|[0-9]{1,2}[:.][0-9]{2} ?(?:am|pm)?|[0-9]{1,2} ?(?:am|pm)|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4})\b",
    re.IGNORECASE,
)
_DOMAIN: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,24}(?::[0-9]{1,5})?(?:[/?#]\S{0,2000})?")
_GLUED: Final = re.compile(r"([a-z]{2}[.!?,;])([A-Z][a-z])")
_FILES: Final = frozenset(
    [
        "pdf",
        "doc",
        "docx",
        "xls",
        "xlsx",
        "ppt",
        "pptx",
        "txt",
        "csv",
        "tsv",
        "json",
        "yaml",
        "yml",
        "md",
        "html",
        "htm",
        "xml",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "zip",
        "tar",
        "gz",
        "log",
        "py",
        "js",
        "ts",
        "sh",
        "rs",
        "go",
        "java",
        "c",
        "h",
        "cpp",
        "sql",
        "ini",
        "cfg",
        "conf",
        "toml",
        "env",
        "key",
        "pem",
        "rtf",
        "odt",
        "ics",
        "eml",
        "mp3",
        "mp4",
        "wav",
        "mov",
        "bak",
    ]
)
_DIGITS: Final = re.compile(r"\b[0-9][0-9 -]{6,40}[0-9]\b")


def shape_of(value: str) -> Shape:
    """What a single value looks like."""
    if len(value) > _CHUNK or (len(value) > _LONGEST_NAME and " " in value.strip()):
        return "text"
    text = fold(value)
    if "@" in text and _EMAIL.fullmatch(text):
        return "email"
    if _WHOLE_IBAN.fullmatch(text.replace(" ", "")) and sum(char.isdigit() for char in text) >= 8:
        return "iban"
    if _DATE.fullmatch(text):
        return "date"
    if number(text) is not None:
        return "account" if sum(char.isdigit() for char in text) >= 8 and "." not in text else "number"
    if " " not in text:
        if "://" in text or text.startswith("www."):
            return "url"
        if "." in text.strip(".") and _extension(text) in _FILES:
            return "file"
        if _DOMAIN.fullmatch(text):
            return "url"
        if text.startswith(("/", "~", "./", "../")) or "\\" in text:
            return "file"
    return "name" if len(text.split()) <= 5 else "text"


def normal(value: str, shape: Shape) -> str:
    """The form in which two values of a shape are the same."""
    text = fold(value)
    match shape:
        case "url":
            head, mark, rest = text.partition("://")
            text = rest if mark and head in ("http", "https") else text
            return text.removeprefix("www.").rstrip("/")
        case "iban" | "account":
            return "".join([char for char in text if char.isalnum()])
        case "number":
            found = number(text)
            return text if found is None else repr(found)
        case _:
            return text


@dataclass(frozen=True, slots=True)
class Literals:
    """Values that a text holds, by shape, in normal form."""

    by_shape: dict[Shape, set[str]] = field(default_factory=dict)

    def add(self, shape: Shape, value: str) -> None:
        self.by_shape.setdefault(shape, set()).add(normal(value, shape))

    def of(self, shape: Shape) -> set[str]:
        return self.by_shape.get(shape, set())


def literals(text: str) -> Literals:
    """Every address, link, account number, date, file name and number of a text."""
    found = Literals()
    for shape, value in _each(text):
        found.add(shape, value)
    return found


def links(text: str) -> set[str]:
    """The links that a text holds, in normal form."""
    found: set[str] = set()
    for chunk in text.split():
        if "." in chunk.strip(_EDGE_RIGHT) or "://" in chunk:
            for shape, value in _of_chunk(_GLUED.sub(r"\1 ", chunk[:_CHUNK])):
                if shape == "url":
                    found.add(normal(value, shape))
    return found


def _each(text: str) -> Iterator[tuple[Shape, str]]:
    for match in _IBAN.finditer(text):
        value = match.group()
        if sum(char.isdigit() for char in value) >= 8:
            yield "iban", value
    for match in _DATE.finditer(text):
        yield "date", match.group()
    text = _GLUED.sub(r"\1 \2", text)
    without = _DATE.sub(" ", _IBAN.sub(_unless_iban, text))
    for match in _DIGITS.finditer(without):
        if sum(char.isdigit() for char in match.group()) >= 8:
            yield "account", match.group()
    for chunk in without.split():
        yield from _of_chunk(chunk[:_CHUNK])


def _unless_iban(match: re.Match[str]) -> str:
    value = match.group()
    return " " if sum(char.isdigit() for char in value) >= 8 else value


def _of_chunk(chunk: str) -> Iterator[tuple[Shape, str]]:
    plain = chunk.strip(_EDGE_LEFT).strip(_EDGE_RIGHT)
    value = number(plain)
    if value is not None:
        yield "number", plain
        if plain.endswith("k"):
            yield "number", repr(value * 1000)
        return
    if "://" in chunk or plain.startswith("www."):
        at = chunk.find("http") if "http" in chunk else 0
        yield "url", chunk[at:].strip(_EDGE_LEFT).split(")")[0].split('"')[0].split(">")[0].strip(_EDGE_RIGHT)
        return
    for part in _SPLIT.split(chunk):
        one = part.strip(_EDGE_LEFT).strip(_EDGE_RIGHT)
        for piece in (one, *([one.rpartition("=")[2]] if "=" in one else ())):
            if not piece or piece.isalpha():
                continue
            shape = shape_of(piece)
            if shape in ("email", "url", "file"):
                yield shape, piece
            if shape == "email":
                break


def _extension(text: str) -> str:
    return text.rpartition(".")[2]
