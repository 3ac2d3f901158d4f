"""XML that a tool returned, as data: what a program escaped cannot pretend to be an element."""

from __future__ import annotations

from typing import Any, Final
from xml.etree import ElementTree

__all__ = ["from_xml"]

_LONGEST: Final = 1 << 18
_DEEPEST: Final = 24
_NAMED: Final = ("id", "name", "key")


def from_xml(text: str) -> Any:
    """The data of an XML document, or None where it is none. One with a document type is refused: its entities
    could multiply (CWE-776) or read files (CWE-611)."""
    text = text.strip()
    if not text.startswith("<") or not text.endswith(">") or len(text) > _LONGEST or "<!" in text:
        return None
    if text[1:5].lower() == "html":
        return None
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError):
        return None
    found = _value(root, 0)
    return found if isinstance(found, (dict, list)) else None


def _value(element: ElementTree.Element, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    found: dict[str, Any] = {_bare(name): value for name, value in element.attrib.items()}
    said = (element.text or "").strip()
    children = list(element)
    if not children:
        if not found:
            return said
        return {**found, "text": said} if said else found
    for child in children:
        name, value = _bare(child.tag), _value(child, depth + 1)
        leaf = not len(child) and len(child.attrib) == 1 and (child.text or "").strip()
        for attribute in _NAMED:
            if leaf and attribute in child.attrib:  # `<field id="phone">...</field>`
                name, value = child.attrib[attribute], leaf
        if name in found:
            before = found[name]
            found[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            found[name] = value
    values = list(found.values())
    return values[0] if len(values) == 1 and isinstance(values[0], list) else found


def _bare(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]
