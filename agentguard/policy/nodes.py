"""The tree of a YAML file: values with the offset of their first character, and how texts are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["Container", "Scalar", "offset_in", "width"]

_PLAIN: Final = re.compile(r"[^\s,\[\]{}]+")
_QUOTED: Final = {'"': re.compile(r'"(?:[^"\\\n]|\\.)*"'), "'": re.compile(r"'(?:[^'\n]|'')*'")}


class Scalar:
    """A scalar; `style` is its quote or block sign, empty for a plain one."""

    __slots__ = ("index", "style", "value")

    def __init__(self, value: Any, index: int, style: str) -> None:
        self.value = value
        self.index = index
        self.style = style


class Container:
    """A mapping (`items` by key: the key and the value) or a list, with its plain value."""

    __slots__ = ("index", "items", "value")

    def __init__(
        self,
        value: Any,
        index: int,
        items: dict[str, tuple[Scalar, Scalar | Container]] | list[Scalar | Container],
    ) -> None:
        self.value = value
        self.index = index
        self.items = items


def width(text: str, node: Scalar | Container) -> int:
    """How many characters a node takes on its first line, as far as that is one word or text."""
    if isinstance(node, Container):
        return 1
    if node.style:
        quoted = _QUOTED.get(node.style)
        found = quoted.match(text, node.index) if quoted is not None else None
        return len(found[0]) if found is not None else 1
    if isinstance(node.value, str) and text.startswith(node.value, node.index):
        return max(1, len(node.value))
    found = _PLAIN.match(text, node.index)
    return len(found[0]) if found is not None else 1


def offset_in(text: str, node: Scalar, offset: int) -> int:
    """The offset in the file of the character at `offset` of a scalar's text.

    Folding and indentation change white space only: visible characters stand in the same order.
    """
    seen = sum(1 for char in node.value[:offset] if not char.isspace())
    at = node.index
    for at in _visible(text, node):
        if not seen:
            return at
        seen -= 1
    return at


def _visible(text: str, node: Scalar) -> Iterator[int]:
    """The offsets in the file of the visible characters of a scalar, and of what follows them."""
    at, end = node.index, len(text)
    if node.style in ("|", ">"):
        at = text.find("\n", at) + 1 or end
    elif node.style:
        at += 1
    total = sum(1 for char in node.value if not char.isspace())
    while at < end and total:
        char = text[at]
        step = 1
        if node.style == "'" and char == "'":
            step = 2
        elif node.style == '"' and char == "\\":
            step, char = _escape(text, at)
        if not char.isspace():
            yield at
            total -= 1
        at += step
    yield at


def _escape(text: str, at: int) -> tuple[int, str]:
    """Length and meaning of an escape in a double-quoted scalar; white space is any space."""
    kind = text[at + 1 : at + 2]
    size = {"x": 2, "u": 4, "U": 8}.get(kind)
    if size is not None:
        return 2 + size, chr(int(text[at + 2 : at + 2 + size], 16))
    return 2, " " if kind in "tnvfrN_LP \t\r\n" else kind
