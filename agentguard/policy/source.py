"""A document and where its parts stand: places of keys, values and parts of expressions, and frames."""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from agentguard.policy.findings import Finding, Severity
from agentguard.policy.nodes import Container, Scalar, offset_in, width

__all__ = ["Path", "Place", "Source"]

Path: TypeAlias = Sequence[str | int]
"""Keys and list positions from the root of a document: `("rules", 0, "when")`."""

_FRAME_WIDTH: Final = 160
_DEEPEST: Final = 64
_WORD: Final = re.compile(r"\w+")
_UNPRINTABLE: Final = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f]")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file; zeros where unknown."""

    line: int = 0
    col: int = 0
    length: int = 1


NOWHERE: Final = Place()


@dataclass(frozen=True, slots=True)
class Source:
    """One document as plain data; `file`, `text` and `root` are there when it came from a file."""

    data: Any
    file: str = ""
    text: str = ""
    root: Scalar | Container | None = None
    _lines: list[str] = field(default_factory=list, repr=False)
    _starts: list[int] = field(default_factory=list, repr=False)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Source:
        """A document that never was a file; dates become text."""
        return cls(data=_plain(data, 0))

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where the value at `path` stands (or its key); the nearest parent when it is not there."""
        node: Scalar | Container | None = self.root
        if node is None:
            return NOWHERE
        found = NOWHERE
        for depth, step in enumerate(path):
            child: tuple[Scalar, Scalar | Container] | None = None
            if isinstance(node, Container):
                if type(node.items) is dict and isinstance(step, str):
                    child = node.items.get(step)
                elif type(node.items) is list and isinstance(step, int) and step < len(node.items):
                    node = node.items[step]
                    found = self.begin(node)
                    continue
            if child is None:
                return found if depth else self.begin(node)
            name, node = child
            last = depth == len(path) - 1
            # A mapping without the key in question is best shown by the key that introduces it.
            found = self.begin(name) if (key and last) or isinstance(node, Container) else self.begin(node)
        return found if path else self.begin(node)

    def inside(self, path: Path, offset: int) -> Place:
        """Where the character at `offset` of the text at `path` stands."""
        node = self._node(path)
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return self.place(path)
        word = _WORD.match(node.value, offset)
        return self.at(offset_in(self.text, node, offset), len(word[0]) if word else 1)

    def finding(
        self,
        code: str,
        message: str,
        path: Path = (),
        *,
        key: bool = False,
        offset: int | None = None,
        hint: str = "",
        rule: str = "",
        severity: Severity = "error",
    ) -> Finding:
        """A finding about the value (or key, or position inside the text) at `path`."""
        place = self.place(path, key=key) if offset is None else self.inside(path, offset)
        return self.finding_at(
            code,
            message,
            line=place.line,
            col=place.col,
            length=place.length,
            hint=hint,
            rule=rule,
            severity=severity,
        )

    def finding_at(
        self,
        code: str,
        message: str,
        *,
        line: int,
        col: int,
        length: int = 1,
        hint: str = "",
        rule: str = "",
        severity: Severity = "error",
    ) -> Finding:
        """A finding about a known place."""
        return Finding(
            code=code,
            message=message,
            file=self.file,
            line=line,
            col=col,
            length=length,
            hint=hint,
            frame=self.frame(line, col, length),
            rule=rule,
            severity=severity,
        )

    def frame(self, line: int, col: int, length: int) -> str:
        """The line before, the line itself, and a caret under the word."""
        if not self.text or line < 1:
            return ""
        if not self._lines:
            self._lines.extend(self.text.replace("\r\n", "\n").split("\n"))
        lines = self._lines
        if line > len(lines):
            return ""
        width = max(len(str(line)), 2)
        shift = max(0, col - 1 - _FRAME_WIDTH // 2) if len(lines[line - 1]) > _FRAME_WIDTH else 0
        rows = []
        if line > 1:
            rows.append(f"  {line - 1:>{width}} | {_shown(lines[line - 2], shift)}".rstrip())
        rows.append(f"> {line:>{width}} | {_shown(lines[line - 1], shift)}".rstrip())
        room = max(1, min(length, len(lines[line - 1]) - col + 1, _FRAME_WIDTH))
        rows.append(f"  {'':>{width}} | {' ' * (col - 1 - shift)}{'^' * room}")
        return "\n".join(rows)

    def _node(self, path: Path) -> Scalar | Container | None:
        node = self.root
        for step in path:
            if not isinstance(node, Container):
                return None
            if type(node.items) is dict:
                found = node.items.get(str(step))
                node = found[1] if found is not None else None
            elif type(node.items) is list and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
            else:
                return None
        return node

    def begin(self, node: Scalar | Container) -> Place:
        """Where a node begins, and how wide it is."""
        return self.at(node.index, width(self.text, node))

    def at(self, index: int, length: int = 1) -> Place:
        """The place of an offset in the file."""
        if not self._starts:
            self._starts.extend(found.end() for found in re.finditer("\n", self.text))
        line = bisect_right(self._starts, index)
        begin = self._starts[line - 1] if line else 0
        return Place(line + 1, index - begin + 1, length)


def _plain(value: object, depth: int) -> Any:
    """The same value as plain JSON data; other objects become a mapping that is always refused."""
    if depth > _DEEPEST:
        return {"<nested too deeply>": None}
    if isinstance(value, Mapping):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if isinstance(value, str):
        return str(value) if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return {f"<{type(value).__name__}>": None}


def _shown(line: str, shift: int) -> str:
    """A line of the file as it may be printed: one visible column for each character."""
    return _UNPRINTABLE.sub("�", line[shift : shift + _FRAME_WIDTH].replace("\t", " "))
