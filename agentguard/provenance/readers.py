"""Whether a program with its words only reads.

Whatever is not listed in `reader_options.py` is not told: a shortened long option (`--outp`), an option of
another version, a second file where a program would write to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import normpath
from typing import Final

from agentguard.provenance.reader_options import COUNTED, FIND_TESTS, FIND_WORDS, MOST, PROCESSES, PROGRAMS

__all__ = ["Line", "read_line"]

_ALIASES: Final = {"pip3": "pip"}
_GROUPED: Final = frozenset({one.partition(" ")[0] for one in PROGRAMS if " " in one})
_BEFORE: Final = frozenset({"--no-pager", "-P", "--no-optional-locks"})
_SHOWN: Final = frozenset({"wide", "name", "json", "yaml"})
_NUMBER: Final = re.compile(r"-\d+")
_LESS: Final = re.compile(r"-\d+[bcwkMG]?")
_ADDRESS: Final = r"(?:\d+|\$)(?:,(?:\+?\d+|\$))?p"
_PRINTS: Final = re.compile(rf"{_ADDRESS}(?:; ?{_ADDRESS})*")
_FORMAT: Final = re.compile(r"(?:[^%]|%-?\d*(?:\.\d+)?[sc]|%%)*")
_ARCHIVE: Final = re.compile(r"[tvzjJ]*f")
_FILTER: Final = re.compile(
    r"(?<![a-z])(?:env|import|include|modulemeta|get_search_list)(?![a-z])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Options:
    flags: frozenset[str]
    valued: frozenset[str]
    maybe: frozenset[str]


@dataclass(frozen=True, slots=True)
class Line:
    """A program with its options and what it is given: `name` is that of its subcommand too (`git log`).
    `most`: of how many operands it is known what they do."""

    name: str
    flags: frozenset[str]
    values: tuple[tuple[str, str], ...]
    operands: tuple[str, ...]
    most: int | None = None

    def of(self, *options: str) -> list[str]:
        return [value for option, value in self.values if option in options]


def read_line(words: Sequence[str]) -> Line | None:
    """A program and its words, where it is certain that it only reads."""
    name, rest = words[0], [*words[1:]]
    match name:
        case "echo":
            return Line(name, frozenset(), (), tuple(rest))
        case "find":
            return _found(rest)
        case "ps":
            known = len(rest) < 2 and PROCESSES.issuperset(rest)
            return Line(name, frozenset(), (), tuple(rest), 1) if known else None
        case _:
            name, rest = _subcommand(_ALIASES.get(name, name), rest)
    options = _OPTIONS.get(name)
    line = None if options is None else _parsed(name, rest, options)
    if line is None or (line.most is not None and len(line.operands) > line.most):
        return None
    check = _CHECKS.get(name)
    return line if check is None or check(line, rest) else None


def _subcommand(name: str, words: list[str]) -> tuple[str, list[str]]:
    if name == "tar" and words and _ARCHIVE.fullmatch(words[0]):
        return name, [f"-{words[0]}", *words[1:]]
    if name not in _GROUPED:
        return name, words
    while name == "git" and words and words[0] in _BEFORE:
        words = words[1:]
    if name == "kubectl" and len(words) > 2 and words[0] in ("-n", "--namespace"):
        words = [*words[2:], words[0], words[1]] if not words[1].startswith("-") else []
    return (f"{name} {words[0]}", words[1:]) if words else ("", [])


def _options(written: str) -> _Options:
    found: dict[str, set[str]] = {"": set(), ":": set(), "?": set()}
    for one in written.split():
        kind = one[-1] if one[-1] in ":?" else ""
        bare = one.removesuffix(kind) if kind else one
        if bare.startswith("--"):
            found[kind].add(bare)
        else:  # of `-ab?` only the last may have a value
            found[""].update(f"-{letter}" for letter in bare[1:-1])
            found[kind].add(f"-{bare[-1]}")
    return _Options(frozenset(found[""]), frozenset(found[":"]), frozenset(found["?"]))


_OPTIONS: Final = {name: _options(written) for name, written in PROGRAMS.items()}


def _parsed(name: str, words: Sequence[str], options: _Options) -> Line | None:
    """Options wherever they stand, as GNU's `getopt_long` takes them; `--` ends them."""
    flags: set[str] = set()
    values: list[tuple[str, str]] = []
    operands: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            operands.extend(rest)
        elif not word.startswith("-") or word == "-":
            operands.append(word)
        elif word.startswith("--"):
            option, given, value = word.partition("=")
            if option in options.flags and not given:
                flags.add(option)
            elif option in options.maybe or (option in options.valued and given):
                values.append((option, value))
            elif option not in options.valued or not _follows(rest, option, values):
                return None
        elif not (name in COUNTED and _NUMBER.fullmatch(word)) and not _short(
            word, rest, options, flags, values
        ):
            return None
    return Line(name, frozenset(flags), tuple(values), tuple(operands), MOST.get(name))


def _short(
    word: str, rest: Iterator[str], options: _Options, flags: set[str], values: list[tuple[str, str]]
) -> bool:
    """Options of one letter, several in one word; the first that takes a value takes the rest of the word."""
    for at, letter in enumerate(word[1:], 1):
        option, glued = f"-{letter}", word[at + 1 :]
        if option in options.flags:
            flags.add(option)
        elif option in options.maybe or (option in options.valued and glued):
            values.append((option, glued))
            return True
        else:
            return option in options.valued and _follows(rest, option, values)
    return True


def _follows(rest: Iterator[str], option: str, values: list[tuple[str, str]]) -> bool:
    """Whether the next word is the option's value. One that looks like an option is none, so that nothing
    hides behind a program that reads its options otherwise."""
    value = next(rest, None)
    if value is None or (value.startswith("-") and not _LESS.fullmatch(value)):
        return False
    values.append((option, value))
    return True


def _found(words: Sequence[str]) -> Line | None:
    """`find`, whose tests are words."""
    values: list[tuple[str, str]] = []
    operands: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in FIND_TESTS:
            if not _follows(rest, word, values):
                return None
        elif word.startswith("-"):
            if word not in FIND_WORDS:
                return None
        else:
            operands.append(word)
    return Line("find", frozenset(), tuple(values), tuple(operands))


def _dated(line: Line, words: Sequence[str]) -> bool:
    """A format; anything else sets the clock."""
    return all(one.startswith("+") for one in line.operands)


def _listed(line: Line, words: Sequence[str]) -> bool:
    """The list of an archive on this machine: `host:file` is on another. Letters in front are options."""
    lists = words[:1] != [] and words[0].startswith("-") and not line.flags.isdisjoint(("-t", "--list"))
    return lists and not any(":" in word for word in words)


def _zipped(line: Line, words: Sequence[str]) -> bool:
    """`-l` in front, where alone it is an option."""
    return words[:1] in (["-l"], ["-lv"], ["-vl"]) and not any(word.startswith("-") for word in words[1:])


def _printed(line: Line, words: Sequence[str]) -> bool:
    """Lines by their numbers."""
    quiet = not line.flags.isdisjoint(("-n", "--quiet", "--silent"))
    scripts = line.of("-e", "--expression") or list(line.operands[:1])
    return quiet and bool(scripts) and all(_PRINTS.fullmatch(one) for one in scripts)


def _written(line: Line, words: Sequence[str]) -> bool:
    """Texts alone: `%n` sets a variable, and zsh calculates what `%d` is given."""
    return bool(line.operands) and bool(_FORMAT.fullmatch(line.operands[0]))


def _queried(line: Line, words: Sequence[str]) -> bool:
    """No filter that shows the environment or takes up a module."""
    return not any(_FILTER.search(word) for word in words)


def _signed(line: Line, words: Sequence[str]) -> bool:
    """No signature is checked: that runs a program."""
    return not any("%G" in value or "signature" in value for value in line.of("--format", "--pretty"))


def _remote(line: Line, words: Sequence[str]) -> bool:
    return not line.operands or (line.operands[0] == "get-url" and len(line.operands) == 2)


def _of_cluster(line: Line, words: Sequence[str]) -> bool:
    return _SHOWN.issuperset(line.of("-o", "--output"))


def _searched(line: Line, words: Sequence[str]) -> bool:
    """In folders that are named, not in whole disks and homes. `grep -r` reads hidden files too, so that it
    is told for the folder it stands in, and for one that is named from the root, with `--include` alone."""
    skips = line.name == "rg"
    if not skips and line.flags.isdisjoint(("-r", "-R", "--recursive")):
        return True
    given = bool(line.of("-e", "--regexp")) or line.name == "diff" or "--files" in line.flags
    places = line.operands if given else line.operands[1:]
    return all(_narrow(place, skips or bool(line.of("--include"))) for place in places or (".",))


def _narrow(place: str, sorted_out: bool) -> bool:
    """`sorted_out`: hidden files are left out."""
    path = normpath(place)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    rooted = path.startswith(("/", "~"))
    if any(part.startswith(".") for part in parts) or (rooted and len(parts) < (3 if path[0] == "/" else 2)):
        return False
    return sorted_out or (bool(parts) and not rooted)


_CHECKS: Final[Mapping[str, Callable[[Line, Sequence[str]], bool]]] = {
    "date": _dated, "tar": _listed, "unzip": _zipped, "sed": _printed, "printf": _written, "jq": _queried,
    "git log": _signed, "git show": _signed, "git diff": _signed, "git branch": _signed, "git tag": _signed,
    "git remote": _remote, "kubectl get": _of_cluster, "kubectl version": _of_cluster, "grep": _searched,
    "egrep": _searched, "fgrep": _searched, "rg": _searched, "diff": _searched,
}  # fmt: skip
