"""What the arguments of a tool are to it, by their names, their schema and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.provenance.tool_names import TEXT_LIMIT, name_words, text_words
from agentguard.provenance.tool_words import ToolWords
from agentguard.tools import Role

__all__ = ["Argument", "Judged", "arguments_of", "role_of", "speaks"]

MOST: Final = 200
"""Arguments of one tool that are looked at, the parts of objects among them."""
_DEPTH: Final = 8
_STEPS: Final = 50
_FORMATS: Final[Mapping[str, Role]] = {
    "uri": "destination", "url": "destination", "iri": "destination", "hostname": "destination",
    "ipv4": "destination", "ipv6": "destination", "email": "recipient", "idn-email": "recipient",
    "date": "time", "date-time": "time", "time": "time", "password": "credential",
}  # fmt: skip
_IDS: Final = frozenset(
    {"id", "ids", "name", "names", "number", "numbers", "address", "addresses", "uuid", "slug"}
    | {"no", "nr", "ref", "reference", "key", "sku"}
)
_SENT: Final = frozenset({"email", "emails", "to"})
"""With `id` these are messages."""
_TOWARDS: Final = frozenset(
    {"send", "mail", "email", "reply", "forward", "share", "pay", "transfer", "deliver", "assign", "sent"}
)
_TELLING: Final[frozenset[Role]] = frozenset({"credential", "recipient", "destination", "path", "amount"})
"""Roles that any word of a name tells."""
_NUMBERS: Final = frozenset({"integer", "number", "string"})
"""Types of amounts; money is often written as text."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument, or a part of one (`message.to`; of a list of objects as well), as its schema says."""

    path: str
    types: frozenset[str]
    format: str
    text: str
    closed: bool

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Judged:
    """A role, and what told it."""

    role: Role
    why: str


def arguments_of(schema: object) -> tuple[list[Argument], bool]:
    """The arguments of a JSON Schema, and whether all were looked at."""
    found: list[Argument] = []
    pending: list[tuple[str, object, int]] = [("", schema, 0)]
    complete = True
    while pending:
        prefix, node, depth = pending.pop()
        for name, part in _properties(node, schema):
            if len(found) >= MOST:
                return found, False
            path = f"{prefix}{name}"
            found.append(_argument(path, part))
            if depth < _DEPTH:
                pending.append((f"{path}.", part, depth + 1))
            else:
                complete = complete and next(_properties(part, schema), None) is None
    return found, complete


def _properties(node: object, root: object) -> Iterator[tuple[str, object]]:
    """Properties of an object, of the objects in a list, and of each alternative."""
    stack, steps = [node], 0
    while stack and steps < _STEPS:
        steps += 1
        one = _resolved(stack.pop(), root)
        properties = one.get("properties")
        if isinstance(properties, Mapping):
            for name in properties:
                yield str(name)[:200], _resolved(properties[name], root)
        stack += [one[key] for key in ("items", "additionalProperties") if isinstance(one.get(key), Mapping)]
        for key in ("anyOf", "oneOf", "allOf"):
            listed = one.get(key)
            if isinstance(listed, (list, tuple)):
                stack.extend(listed[:_STEPS])


def _resolved(node: object, root: object) -> Mapping[str, Any]:
    """A part of a schema, or what its reference within the same schema names."""
    for _ in range(_DEPTH):
        if not isinstance(node, Mapping):
            return {}
        ref = node.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#/"):
            return node
        found: object = root
        for step in ref[2:].split("/")[:_DEPTH]:
            found = found.get(step) if isinstance(found, Mapping) else None
        node = found
    return {}


def _argument(path: str, part: object) -> Argument:
    schema = part if isinstance(part, Mapping) else {}
    kind = schema.get("type")
    types = {kind} if isinstance(kind, str) else set()
    if isinstance(kind, (list, tuple)):
        types = {str(one) for one in kind[:10]}
    for key in ("anyOf", "oneOf"):
        listed = schema.get(key)
        if isinstance(listed, (list, tuple)):
            types |= {str(one.get("type")) for one in listed[:20] if isinstance(one, Mapping)}
    text = schema.get("description")
    title = schema.get("format")
    return Argument(
        path=path,
        types=frozenset(types - {"null"}),
        format=title.lower()[:40] if isinstance(title, str) else "",
        text=text[:TEXT_LIMIT].lower() if isinstance(text, str) else "",
        closed="enum" in schema or "const" in schema,
    )


def role_of(argument: Argument, words: ToolWords, *, topics: frozenset[str], runs: bool = False) -> Judged:
    """The role of an argument. Of a format of times, its name, its format and its description the first that
    says something decides. `runs` says that the tool speaks of a language in which queries are commands."""
    tokens = name_words(argument.name)
    if _FORMATS.get(argument.format) == "time":
        return Judged("time", f"format `{argument.format}`")
    judged = _by_name(tokens, words)
    if judged is None and argument.format in _FORMATS:
        judged = Judged(_FORMATS[argument.format], f"format `{argument.format}`")
    if judged is None:
        judged = _by_text(argument, words) or _by_id(tokens) or Judged("other", "nothing known")
    return _mended(judged, argument, tokens, runs or speaks(argument.text, words), topics)


def _mended(
    judged: Judged, argument: Argument, tokens: tuple[str, ...], runs: bool, topics: frozenset[str]
) -> Judged:
    """What the type, the topic and the language of queries change about a role."""
    match judged.role:
        case "credential" if tokens[-1:] in (("token",), ("tokens",)) and "trade" in topics:
            return Judged("object", "`token` of a tool about coins")
        case "content" | "query" if runs and tokens[-1:] in (("query",), ("queries",), ("expression",)):
            return Judged("command", f"{judged.why}, and it is run")
        case "command" if tokens[-1:] == ("code",) and not runs:
            return Judged("object", "`code`, of no language")
        case "permission" | "other":
            return judged
        case _ if argument.types == {"boolean"}:
            return Judged("other", "a switch")
        case "amount" if argument.types and not argument.types & _NUMBERS:
            return Judged("other", "no number")
        case "attachment" | "recipient" | "destination" | "path" | "command" if argument.types and (
            argument.types <= {"integer", "number"} and tokens[-1:] and tokens[-1] not in _IDS
        ):
            return Judged("object", "a number")
        case _:
            return judged


def speaks(text: str, words: ToolWords) -> bool:
    """Whether a text speaks of a language in which queries are commands."""
    return not words.runs.isdisjoint(text_words(text))


def _by_name(tokens: tuple[str, ...], words: ToolWords) -> Judged | None:
    """The role that a name tells: whole, by its last two words, by the last, then by any word before."""
    if not tokens:
        return None
    roles, parts = words.role_of, list(tokens)
    spoken = ["_".join(parts), "_".join(parts[-2:])]
    if parts[-1] == "to" and len(parts) > 1 and parts[-2] not in _TOWARDS:
        parts.pop()
    last, owner = parts[-1], parts[-2] if len(parts) > 1 else ""
    named = last in _IDS and not (last in ("id", "ids") and owner in _SENT)
    if named and roles.get(owner) == "recipient" and not _denied("recipient", tokens, owner, words):
        return Judged("recipient", f"`{owner}`")
    for spelling in (*spoken, last):
        role = roles.get(spelling)
        if role is not None and not _denied(role, tokens, spelling, words):
            return Judged(role, f"`{spelling}`")
    for token in parts[:-1]:
        role = roles.get(token)
        if role in _TELLING and not _denied(role, tokens, token, words):
            return Judged(role, f"`{token}`")
    return None


def _denied(role: Role, tokens: tuple[str, ...], spelling: str, words: ToolWords) -> bool:
    """Whether another word of the name says that it is something else: `max_tokens`, `country_code`."""
    others = set(tokens) - set(spelling.split("_"))
    return not others.isdisjoint(words.not_roles.get(role, frozenset()))


def _by_text(argument: Argument, words: ToolWords) -> Judged | None:
    for role, phrases in words.described.items():
        for phrase in phrases:
            if phrase in argument.text:
                return Judged(role, f"`{phrase.strip()}` in its description")
    return None


def _by_id(tokens: tuple[str, ...]) -> Judged | None:
    last = tokens[-1] if tokens else ""
    return Judged("object", f"`{last}`") if last in _IDS else None
