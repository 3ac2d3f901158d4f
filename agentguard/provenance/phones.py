"""Numbers of telephones and accounts as agents write them: `+447700900225` of the `07700 900 225` seen.

A number is the same with other separators, and with the prefix of a country in place of a leading zero or of
nothing (E.164), an account's (IBAN, ISO 13616) without its blanks. Only what was seen is compared so; what
the user said counts as they said it.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentguard.provenance.seen import Place

__all__ = ["Phones"]

_RUN: Final = re.compile(r"(?<![\w@./-])[+(]?[0-9][0-9 ()./-]{6,30}[0-9](?![\w@])")
_IBAN: Final = re.compile(r"\b[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,4})?\b")
_FEWEST: Final = 9
_MOST: Final = 15
_KEY: Final = 8
_COUNTRY: Final = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|"
    r"(?:2[1-689]|3[578]|42|5[09]|6[7-9]|8[03578]|9[679])\d"
)
"""The codes of countries (E.164, ITU-T): no code begins another one."""
_SAME: Final = 32
_LONGEST: Final = 65_536


class Phones:
    """The numbers of one session's results, by their last digits."""

    def __init__(self) -> None:
        self._fields: dict[str, list[tuple[str, Place]]] = {}
        self._texts: dict[str, list[tuple[str, int, int]]] = {}

    def copy(self) -> Phones:
        """The same numbers, to which either may add without the other."""
        other = Phones()
        other._fields = {key: [*held] for key, held in self._fields.items()}
        other._texts = {key: [*held] for key, held in self._texts.items()}
        return other

    def field(self, place: Place) -> None:
        """A whole field that may be a number."""
        digits = _digits(place.text)
        if digits:
            held = self._fields.setdefault(digits[-_KEY:], [])
            if len(held) < _SAME:
                held.append((digits, place))

    def text(self, number: int, text: str) -> None:
        """The numbers in a text, which is called `number`."""
        for match in chain(_RUN.finditer(text[:_LONGEST]), _IBAN.finditer(text[:_LONGEST])):
            digits = _digits(match.group())
            if digits:
                held = self._texts.setdefault(digits[-_KEY:], [])
                if len(held) < _SAME:
                    held.append((digits, number, match.start()))

    def fields_of(self, value: str) -> list[Place]:
        """The fields that are this number."""
        digits = _digits(value)
        return [place for held, place in self._fields.get(digits[-_KEY:], ()) if _same(digits, held)]

    def texts_of(self, value: str) -> list[tuple[int, int]]:
        """The texts that hold this number, and where."""
        digits = _digits(value)
        return [
            (number, at) for held, number, at in self._texts.get(digits[-_KEY:], ()) if _same(digits, held)
        ]


def _digits(text: str) -> str:
    """The digits of a number with `+` before a country; empty where it is none."""
    text = text.strip()
    if len(text) <= 48 and _IBAN.fullmatch(text):
        return "".join(text.split()).casefold()
    if len(text) > 40 or not _RUN.fullmatch(text):
        return ""
    digits = "".join([char for char in text if char in "0123456789"])
    if text.startswith("00"):
        text, digits = f"+{digits[2:]}", digits[2:]
    if not _FEWEST <= len(digits) <= _MOST:
        return ""
    return f"+{digits}" if text.startswith("+") else digits


def _same(spoken: str, seen: str) -> bool:
    """Whether what is spoken is what was seen, or that with its country."""
    if spoken.removeprefix("+") == seen.removeprefix("+"):
        return True
    if not spoken.startswith("+") or seen.startswith("+"):
        return False
    national = seen.removeprefix("0")
    prefix = spoken[1:].removesuffix(national)
    country = spoken.endswith(national) and _COUNTRY.fullmatch(prefix) is not None
    return country and len(national) >= _FEWEST - 1
