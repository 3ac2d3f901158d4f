"""Text from outside as it may be shown: what a terminal would obey or an eye would miss is written out.

Control characters, ANSI sequences, bidirectional overrides, zero-width and other invisible characters
become escapes such as `\\x1b` and `\\u202e`. A letter of another script inside a Latin word, and a character
that only looks like another one, keep their shape and get their code point behind them: `pаypal` is shown as
`pа[U+0430]ypal`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["for_markup", "marked", "quoted", "visible", "visible_lines"]

_PLAIN: Final = re.compile(r"[ -~]*")
_NAMED: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BLANK: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")
"""Characters that are letters or signs by their category, and show nothing."""
_PUNCTUATION: Final = frozenset(
    "\u2044\u2215\u2216\u29f8\u29f9\u2236\ua789\u01c3\u2024\u02bc\u02b9\u2039\u203a"
)
"""Slashes, colons, dots and marks that are not the ones of ASCII."""
_COMMON: Final = frozenset("\u2026\u2122\u00aa\u00ba\u00b2\u00b3\u00b9")
"""Characters of ordinary prose that would count as other spellings of ASCII."""
_LOOKS_LATIN: Final = frozenset(
    "асеорхуіјѕһӏԁԛԝАВСЕНІЈКМОРЅТХҮ"  # Cyrillic
    "ονΑΒΕΗΙΚΜΝΟΡΤΥΧΖ"  # Greek
)
_RUN: Final = re.compile(r"\w+")


def visible(text: str) -> str:
    """One line that shows every character of a text. A backslash stays as it is; see `quoted`."""
    return _shown(text, "")


def visible_lines(text: str) -> list[str]:
    """The same for text of several lines: only `\\n` (or `\\r\\n`) ends a line, nothing else may."""
    return [visible(line) for line in text.replace("\r\n", "\n").split("\n")]


def quoted(text: str) -> str:
    """A text in double quotes in which every escape means what it says: `\\` and `"` are escaped too."""
    return f'"{_shown(text, _ESCAPED)}"'


def for_markup(text: str) -> str:
    """Visible text that may stand in rich markup: its brackets are text."""
    from rich.markup import escape

    return escape(visible(text))


def marked(text: str) -> bool:
    """Whether a text holds anything that had to be written out."""
    return visible(text) != text


_ESCAPED: Final = '\\"'


def _shown(text: str, escaped: str) -> str:
    if _PLAIN.fullmatch(text) and not any(mark in text for mark in (*escaped, "[U+")):
        return text
    foreign = _foreign(text)
    parts: list[str] = []
    for index, char in enumerate(text):
        if char in escaped or (escaped and text.startswith("[U+", index)):
            parts.append("\\" + char)
        elif " " <= char <= "~":
            parts.append(char)
        elif _hidden(char):
            parts.append(_escape(char))
        elif index in foreign or _poses(char):
            parts.append(f"{char}[U+{ord(char):04X}]")
        else:
            parts.append(char)
    return "".join(parts)


def _escape(char: str) -> str:
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


@lru_cache(maxsize=4096)
def _hidden(char: str) -> bool:
    """Whether a character shows nothing, moves others, or is drawn over its neighbour."""
    if not char.isprintable() or char in _BLANK:
        return True
    if unicodedata.category(char) in ("Mn", "Me"):
        name = unicodedata.name(char, "")
        return name.startswith("COMBINING") or "VARIATION SELECTOR" in name
    return False


@lru_cache(maxsize=4096)
def _poses(char: str) -> bool:
    """Whether a character is another spelling of plain ASCII: fullwidth, mathematical, a division slash."""
    if char in _PUNCTUATION:
        return True
    plain = unicodedata.normalize("NFKC", char)
    return plain != char and plain.isascii() and plain.strip() != "" and char not in _COMMON


def _foreign(text: str) -> set[int]:
    """The places of letters that pass for Latin: of another script in a Latin word, or a word of such letters
    only in a text that is Latin otherwise."""
    words = [(word.start(), word[0], [_script(char) for char in word[0]]) for word in _RUN.finditer(text)]
    latin = any("LATIN" in scripts for _, _, scripts in words)
    found: set[int] = set()
    for start, word, scripts in words:
        letters = [char for char, script in zip(word, scripts, strict=True) if script]
        if "LATIN" in scripts or (latin and letters and all(char in _LOOKS_LATIN for char in letters)):
            found.update(start + i for i, script in enumerate(scripts) if script not in ("LATIN", ""))
    return found


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    """The script of a letter by its Unicode name; empty for everything that is no letter."""
    if not char.isalpha():
        return ""
    return "LATIN" if char.isascii() else unicodedata.name(char, "?").split(" ", 1)[0]
