"""XML that a tool returned, as data: what a program escaped cannot pretend to be an element."""

from __future__ import annotations

from typing import Any, Final
from xml.etree import ElementTree

__all__ = ["from_xml"]

_LONGEST: Final = 1 << 18
_DEEPEST: Final = 24
_NAMED: Final = ("id", "name", "key")


def from_xml(text: str) -> Any:
    """The data of an XML document, or None where it is none. One with a document type is refused: its
    entities could multiply (CWE-776) or read files (CWE-611)."""
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
    found: dict[str, list[Any]] = {_bare(name): [value] for name, value in element.attrib.items()}
    if not len(element):
        return _leaf({name: values[0] for name, values in found.items()}, (element.text or "").strip())
    for child in element:
        name, value = _named(child, depth)
        found.setdefault(name, []).append(value)
    fields = {name: values if len(values) > 1 else values[0] for name, values in found.items()}
    first, *others = fields.values()
    return first if not others and isinstance(first, list) else fields


def _leaf(attributes: dict[str, Any], said: str) -> Any:
    if not attributes:
        return said
    return {**attributes, "text": said} if said else attributes


def _named(child: ElementTree.Element, depth: int) -> tuple[str, Any]:
    """The name and the value of an element inside another."""
    said = (child.text or "").strip()
    if not len(child) and len(child.attrib) == 1 and said:
        for attribute in _NAMED:
            if attribute in child.attrib:  # `<field id="phone">...</field>`
                return child.attrib[attribute], said
    return _bare(child.tag), _value(child, depth + 1)


def _bare(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]
