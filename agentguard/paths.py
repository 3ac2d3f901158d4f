"""Paths into a call's arguments, as constraints name them: `args.note`, `args.items[0].price`."""

from __future__ import annotations

import re
from typing import Any, Final

from agentguard.decision import plain

__all__ = ["assign", "steps"]

_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]|\[\"((?:[^\"\\]|\\.)*)\"\]")


def steps(path: str) -> list[str | int]:
    """The keys and indexes after the root, or ValueError."""
    root, rest = re.match(r"\w*", path), path[len("args") :]
    if root is None or root[0] != "args":
        raise ValueError(f"`{path}` does not begin with `args`")
    found: list[str | int] = []
    position = 0
    for match in _STEP.finditer(rest):
        if match.start() != position:
            break
        position = match.end()
        name, index, quoted = match.groups()
        found.append(int(index) if index is not None else name if name is not None else quoted)
    if position != len(rest) or not found:
        raise ValueError(f"`{path}` is no path such as `args.note`")
    return found


def assign(arguments: dict[str, Any], path: str, value: Any) -> None:
    """Write one value in place; KeyError or ValueError where the path leads nowhere."""
    *way, last = steps(path)
    place: Any = arguments
    for step in way:
        place = place[step]
    if not isinstance(place, (dict, list)) or (isinstance(place, list) and not isinstance(last, int)):
        raise ValueError(f"`{path}` leads into a {type(place).__name__}, which a constraint cannot write")
    try:
        place[last] = plain(value)  # type: ignore[index] # a list was given an index just above
    except IndexError:
        raise ValueError(f"`{path}` leads behind the end of a list") from None
