"""Texts in the forms in which they are compared.

`fold` is what a person reads as the same: case, white space, surrounding quotes and final punctuation. It
leaves letters as they are, so that a look-alike of another script or width is another text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

__all__ = ["any_of", "bounded_in", "compat", "fold", "hidden", "number", "plain", "tokens"]

_STRIP_LEFT: Final = "\"'`“”‘’«»([{<#@*_ \t\n"
_STRIP_RIGHT: Final = "\"'`“”‘’«»)]}>/.!?,;:*_ \t\n"
_HIDDEN: Final = frozenset({"Cf", "Cc", "Co", "Cs", "Cn"})
_LONGEST_NUMBER: Final = 32
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_RUNS: Final = re.compile(r"[^\W_]+")


def fold(text: str) -> str:
    """Lower case, single blanks, no quotes around, no punctuation at the end."""
    return " ".join(text.casefold().split()).lstrip(_STRIP_LEFT).rstrip(_STRIP_RIGHT)


def compat(text: str) -> str:
    """As `fold`, with widths and compositions of letters folded too, and nothing hidden: for finding what
    was copied, never for saying that it is the user's."""
    if text.isascii():
        return fold(text)
    visible = "".join([char for char in text if unicodedata.category(char) not in _HIDDEN or char.isspace()])
    return fold(unicodedata.normalize("NFKC", visible))


def hidden(text: str) -> bool:
    """Whether a text holds what cannot be seen, or letters that normalisation would turn into others."""
    if text.isascii():
        return False
    return any(
        unicodedata.category(char) in _HIDDEN and not char.isspace() for char in text
    ) or unicodedata.normalize("NFKC", text) != unicodedata.normalize("NFC", text)


@lru_cache(maxsize=65_536)
def plain(word: str) -> str:
    """A word without accents, as the word lists spell it."""
    if word.isascii():
        return word
    bare = unicodedata.normalize("NFD", word.translate(_UMLAUTS))
    return "".join([char for char in bare if not unicodedata.combining(char)])


def any_of(words: Iterable[str], among: frozenset[str]) -> bool:
    """Whether any of the words is one of those."""
    return any(word in among for word in words)


def tokens(folded: str) -> list[str]:
    """The runs of letters and digits."""
    return _RUNS.findall(folded)


def bounded_in(value: str, text: str) -> int:
    """The place of a value in a text where it stands by itself, or -1; both folded."""
    if not value:
        return -1
    start = 0
    for _ in range(64):
        at = text.find(value, start)
        if at < 0:
            return -1
        end = at + len(value)
        before = at == 0 or not (text[at - 1].isalnum() and value[0].isalnum())
        after = end == len(text) or not (text[end].isalnum() and value[-1].isalnum())
        if before and after:
            return at
        start = at + 1
    return -1


def number(text: str) -> float | None:
    """A number as people write it (`1,250.50`, `$ 5`, `7%`, `1.250,50`), or None."""
    text = text.strip().strip("$€£¥%").strip().removesuffix("k")
    if not text or len(text) > _LONGEST_NUMBER or not any(char.isdigit() for char in text):
        return None
    if not all(char in "0123456789.,'+- ()" for char in text):
        return None
    text = text.replace("'", "").replace(" ", "").replace("(", "").replace(")", "")
    comma, dot = text.rfind(","), text.rfind(".")
    if comma > dot >= 0 or (dot < 0 and comma >= 0 and len(text) - comma != 4):
        text = text.replace(".", "").replace(",", ".")
    else:
        text = text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        return None
