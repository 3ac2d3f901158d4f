"""The values of a call that have to be accounted for, with their roles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.provenance.literals import EXTERNAL, links, shape_of
from agentguard.provenance.names import name_words
from agentguard.provenance.text import fold

__all__ = ["Value", "leaves", "values_of"]

_LARGEST: Final = 200
"""Values of one call that are judged; beyond, the rest is one value from nowhere."""

_KINDS: Final = frozenset(
    {"type", "kind", "mode", "format", "mime", "mimetype", "mime_type", "encoding", "role"}
)
_OBJECTS: Final = frozenset({"object", "path", "command"})
_ADDRESSED: Final = frozenset({"recipient", "destination"})
_MANY: Final = re.compile(r"\s*[,;]\s*")
_SECRET: Final = frozenset(
    ["password", "passwd", "passcode", "passphrase", "pin", "cvv", "cvc", "otp", "secret", "token"]
)
_PLACES: Final = (("repo",), ("repository",), ("bucket",))
"""Where something is made, which others may read."""
_BOUND_OBJECTS: Final = frozenset({"delete", "update", "grant", "book", "pay", "execute", "credential"})
_CARRYING: Final = frozenset({"send", "grant", "pay", "create", "update"})


@dataclass(frozen=True, slots=True)
class Value:
    """One value. `key`: what the call does hangs on it. `optional`: the call would do without.
    `link`: it is a link inside of a text."""

    path: str
    role: str
    text: str
    key: bool
    optional: bool = False
    link: bool = False


def values_of(
    action: str, roles: Mapping[str, str], args: Mapping[str, Any], *, appends: bool = False
) -> list[Value]:
    """Every value of a call with a role that matters, links in texts included."""
    found: list[Value] = []
    addressed = [name for name in args if roles.get(name) in _ADDRESSED]
    placed = action == "send" and not addressed
    for name, value in args.items():
        role = roles.get(name, "other")
        optional = role == "attachment" or (
            role in _ADDRESSED and (name != addressed[0] or action in ("create", "update", "book"))
        )
        for path, text in leaves(f"args.{name}", value):
            if len(found) >= _LARGEST:
                found.append(Value(f"args.{name}", role, "", key=True))
                return found
            found.extend(_judged(path, _role(path, role, action), text, action, optional, appends or placed))
    return found


def _role(path: str, role: str, action: str) -> str:
    """A file that is sent is an attachment, and a field that is named like a secret holds one."""
    if role == "path" and action == "send":
        return "attachment"
    if "." in path.removeprefix("args.") and _SECRET & set(name_words(path.rpartition(".")[2])):
        return "credential"
    return role


def _judged(path: str, role: str, text: str, action: str, optional: bool, appends: bool) -> Iterator[Value]:
    shape = shape_of(text)
    if role in ("other", "query") and shape in EXTERNAL and shape != "account" and action not in ("read",):
        role = "destination" if shape == "url" else "recipient"
    mailed = shape == "email" or (role == "object" and action == "send" and "@" in text)
    if role in ("content", "object") and mailed and action not in ("read", "fetch"):
        role = "recipient"
    if (role in _ADDRESSED and shape == "text") or (role == "recipient" and ("," in text or ";" in text)):
        parts = [part for part in _MANY.split(text) if part]
        if len(parts) > 1 and all(shape_of(part) in EXTERNAL for part in parts):
            for part in parts:
                yield Value(path, role, part, key=True, optional=optional)
            return
    key = (
        role in _ADDRESSED
        or role in ("attachment", "credential", "permission_to")
        or (role in _OBJECTS and (action in _BOUND_OBJECTS or (action in ("create", "send") and appends)))
        or (action == "create" and role in _OBJECTS and name_words(path)[-1:] in _PLACES)
    )
    yield Value(path, role, text, key=key, optional=optional)
    if not key and action in _CARRYING and len(text) > 6:
        for link in sorted(links(text)):
            if role == "content" or fold(link) != fold(text):
                yield Value(path, role, link, key=False, link=True)


def leaves(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The texts and numbers of a value, each after its path."""
    if value is None or isinstance(value, bool) or depth > 8:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if str(key).casefold() not in _KINDS:
                yield from leaves(f"{path}.{key}", inner, depth + 1)
    elif isinstance(value, (list, tuple)):
        for at, inner in enumerate(value):
            yield from leaves(f"{path}[{at}]", inner, depth + 1)
    else:
        text = value if isinstance(value, str) else str(value)
        if text.strip():
            yield path, text
