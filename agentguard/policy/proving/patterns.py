"""Regular expressions of RE2 and globs as z3's, where they are plain; everything else is left out.

Known: characters, escapes of punctuation and of control characters, `.`, classes, `\\d \\w \\s` and their
opposites, groups, `|`, `* + ? {m,n}` and their lazy forms (which find the same texts), and `^` and `$` at the
ends of the whole pattern or of a branch of it. Not known: flags, `\\b`, named and Unicode classes.
"""

from __future__ import annotations

import re
from typing import Any, Final

from agentguard.policy.proving.solver import HIGHEST, text_term, z3

__all__ = ["Outside", "glob_error", "glob_pattern", "searched"]

_DIGIT: Final = ((48, 57),)
_WORD: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final = ((9, 10), (12, 13), (32, 32))
_SETS: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_REPEAT: Final = re.compile(r"\{([0-9]{1,3})(,([0-9]{0,3}))?\}")
_MOST: Final = 200

Ranges = tuple[tuple[int, int], ...]


class Outside(Exception):
    """The pattern uses what is not known here."""


def searched(pattern: str) -> Any:
    """The regular language of the texts in which RE2 finds the pattern.

    Raises:
        Outside: it is not plain.
    """
    if any(ord(char) > HIGHEST for char in pattern):
        raise Outside
    return _Reader(pattern).whole()


def everything() -> Any:
    return z3.Full(z3.ReSort(z3.StringSort()))


def _set(ranges: Ranges) -> Any:
    parts = [z3.Range(text_term(chr(low)), text_term(chr(high))) for low, high in ranges]
    return parts[0] if len(parts) == 1 else z3.Union(*parts)


def _opposite(ranges: Ranges) -> Ranges:
    found: list[tuple[int, int]] = []
    at = 0
    for low, high in sorted(ranges):
        if low > at:
            found.append((at, low - 1))
        at = max(at, high + 1)
    if at <= HIGHEST:
        found.append((at, HIGHEST))
    return tuple(found)


def _sequence(parts: list[Any]) -> Any:
    if not parts:
        return z3.Re(text_term(""))
    return parts[0] if len(parts) == 1 else z3.Concat(*parts)


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    @property
    def next(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        char = self.next
        if not char:
            raise Outside
        self.at += 1
        return char

    def accept(self, text: str) -> bool:
        if self.pattern.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def whole(self) -> Any:
        branches = [self.anchored()]
        while self.accept("|"):
            branches.append(self.anchored())
        if self.next:
            raise Outside
        return branches[0] if len(branches) == 1 else z3.Union(*branches)

    def anchored(self) -> Any:
        """A branch at the top: found anywhere, unless it is anchored."""
        start = self.accept("^")
        parts = self.parts()
        end = self.accept("$")
        before, after = ([] if start else [everything()]), ([] if end else [everything()])
        return _sequence([*before, *parts, *after])

    def parts(self) -> list[Any]:
        found: list[Any] = []
        while self.next and self.next not in "|)$":
            found.append(self.repeated(self.atom()))
        if self.next == "$" and (self.depth or self.pattern[self.at + 1 : self.at + 2] not in ("", "|")):
            raise Outside
        return found

    def group(self) -> Any:
        self.depth += 1
        if self.depth > 20 or (self.accept("?") and not self.accept(":")):
            raise Outside
        branches = [_sequence(self.parts())]
        while self.accept("|"):
            branches.append(_sequence(self.parts()))
        if not self.accept(")"):
            raise Outside
        self.depth -= 1
        return branches[0] if len(branches) == 1 else z3.Union(*branches)

    def atom(self) -> Any:
        char = self.take()
        if char == "(":
            return self.group()
        if char == "[":
            return _set(self.listed())
        if char == ".":
            return _set(_opposite(((10, 10),)))
        if char == "\\":
            return _set(self.escaped())
        if char in "^*+?{":
            raise Outside
        return z3.Re(text_term(char))

    def escaped(self) -> Ranges:
        char = self.take()
        if char.lower() in _SETS:
            found = _SETS[char.lower()]
            return found if char.islower() else _opposite(found)
        if char in _CONTROLS:
            char = _CONTROLS[char]
        elif char.isalnum() or not char.isascii():
            raise Outside
        return ((ord(char), ord(char)),)

    def listed(self) -> Ranges:
        """A class in brackets."""
        opposite = self.accept("^")
        found: list[tuple[int, int]] = []
        while not found or self.next != "]":
            low = self.member()
            if (
                len(low) == 1
                and low[0][0] == low[0][1]
                and self.next == "-"
                and self.pattern[self.at + 1 : self.at + 2] != "]"
            ):
                self.take()
                high = self.member()
                if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
                    raise Outside
                low = ((low[0][0], high[0][0]),)
            found += low
        self.take()
        return _opposite(tuple(found)) if opposite else tuple(found)

    def member(self) -> Ranges:
        char = self.take()
        if char == "\\":
            return self.escaped()
        if char == "[":
            raise Outside
        return ((ord(char), ord(char)),)

    def repeated(self, part: Any) -> Any:
        if self.accept("*"):
            part = z3.Star(part)
        elif self.accept("+"):
            part = z3.Plus(part)
        elif self.accept("?"):
            part = z3.Option(part)
        elif self.next == "{":
            part = self.counted(part)
        else:
            return part
        self.accept("?")  # lazy: the same texts
        if self.next and self.next in "*+?{":
            raise Outside
        return part

    def counted(self, part: Any) -> Any:
        found = _REPEAT.match(self.pattern, self.at)
        if found is None:
            raise Outside
        self.at = found.end()
        low = int(found[1])
        if found[2] is None:
            high = low
        elif not found[3]:
            return z3.Concat(z3.Loop(part, low, low), z3.Star(part)) if low else z3.Star(part)
        else:
            high = int(found[3])
        if not low <= high <= _MOST or not high:
            raise Outside
        return z3.Loop(part, low, high)


def glob_pattern(pattern: str) -> Any:
    """The language of a glob, as `glob(text, pattern)` reads it."""
    inside = _set(_opposite(((47, 47),)))
    parts = pattern.split("/")
    built: list[Any] = []
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if part == "**":
            built.append(everything() if last else z3.Star(z3.Concat(z3.Star(inside), z3.Re(text_term("/")))))
            continue
        if "**" in part or any(ord(char) > HIGHEST for char in part):
            raise Outside
        built += [
            z3.Star(inside) if char == "*" else inside if char == "?" else z3.Re(text_term(char))
            for char in part
        ]
        if not last:
            built.append(z3.Re(text_term("/")))
    return _sequence(built)


def glob_error() -> Any:
    """The language of the texts that `glob` refuses: dots as a segment, a backslash, NUL."""
    slash, every = z3.Re(text_term("/")), everything()
    dots = z3.Union(z3.Re(text_term(".")), z3.Re(text_term("..")))
    segment = z3.Concat(z3.Option(z3.Concat(every, slash)), dots, z3.Option(z3.Concat(slash, every)))
    return z3.Union(segment, z3.Concat(every, _set(((0, 0), (92, 92))), every))
