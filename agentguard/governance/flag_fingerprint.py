"""What makes two flagged calls the same kind of thing: rule, agent, tool and the class of the arguments.

The class is the names of the arguments with the kind of each value (`amount: integer, payee: text`), never a
value. Events hold no arguments, so it is read from the erasable payload beside the decision; once that was
erased the class is unknown, and such calls are one kind. Names that are not plain identifiers are not kept,
since data may stand in them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import pydantic_core

from agentguard.canonical import encode
from agentguard.ids import record_id

__all__ = ["Kinds", "argument_kinds", "flag_id", "index_id", "kinds_of"]

Kinds = tuple[tuple[str, str], ...]
"""The name of each argument, in order, with the kind of its value."""

MAX_NAMES: Final = 24
"""Arguments that a class tells apart; `...` stands for the others."""
_ITEMS: Final = 50
_OTHERS: Final = "..."
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TAG: Final = re.compile(r"\$[a-z]{1,20}")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://\S+")
_PATH: Final = re.compile(r"(?:/|~|\.{1,2}/|[A-Za-z]:[\\/]|\\\\)[^\n]*")
_MAIL: Final = re.compile(r"[^@\s<>]{1,64}@[^@\s<>]{1,255}\.[^@\s<>.]{1,63}")


def argument_kinds(canonical: bytes) -> Kinds | None:
    """The kinds in canonical arguments; None where they are not such."""
    try:
        tree = pydantic_core.from_json(canonical)
    except ValueError:
        return None
    return kinds_of(tree) if isinstance(tree, dict) else None


def kinds_of(tree: Mapping[str, Any]) -> Kinds:
    """The kinds in arguments as their canonical form reads."""
    found: dict[str, str] = {}
    for name in sorted(tree):
        if len(found) >= MAX_NAMES or not _NAME.fullmatch(name):
            found[_OTHERS] = "other"
        else:
            found[name] = _kind(tree[name], items=True)
    return tuple(sorted(found.items()))


def flag_id(
    rule: str,
    agent: str | None,
    *,
    tool: str | None = None,
    kinds: Kinds | None = None,
    observed: str | None = None,
    exception: str | None = None,
    rest: bool = False,
) -> str:
    """The id of the item that such a call belongs to: 80 bits of its fingerprint's SHA-256.

    `rest` is the item of all that has none of its own: of one agent, or with `agent=None` of all of them.
    """
    named = {"rule": rule, "agent": agent, "tool": tool, "kinds": None if kinds is None else dict(kinds)}
    found = _hash({"v": 1, **named, "observed": observed, "exception": exception, "rest": rest})
    return record_id("FL-", found) + record_id("", found[5:])


def index_id(rule: str) -> str:
    """The id of the list of a rule's open items."""
    return _hash({"v": 1, "rule": rule}).hex()


def _hash(data: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(encode(dict(data))).digest()


def _kind(value: Any, *, items: bool = False) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return _text_kind(value)
        case list():
            kinds = {_kind(item) for item in value[:_ITEMS]} if items else set()
            return f"list of {kinds.pop()}" if len(kinds) == 1 else "list"
        case dict() if len(value) == 1 and _TAG.fullmatch(tag := next(iter(value))):
            return str(tag)[1:]
        case _:
            return "object"


def _text_kind(text: str) -> str:
    if not text:
        return "empty"
    head = text[:1024]
    for kind, pattern in (("url", _URL), ("path", _PATH), ("e-mail", _MAIL)):
        if pattern.fullmatch(head):
            return kind
    return "text"
