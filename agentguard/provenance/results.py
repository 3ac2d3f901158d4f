"""What a tool returned, as records of fields where it has a structure, and as texts where it has none.

Only what a program must have laid out counts as structured: data, JSON, Python literals, and YAML whose keys
are identifiers. A document (a file, a page) can write anything that looks like it, so its text stays text
unless an envelope of fields is around it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from agentguard.canonical import freeze
from agentguard.errors import ArgumentsError
from agentguard.provenance.layouts import Laid, has_room, laid_out
from agentguard.provenance.markup import from_xml

__all__ = ["LARGEST", "LONG_WORDS", "Field", "Parsed", "parse_result"]

LARGEST: Final = 1 << 20
"""Characters of one result that are looked at."""

LONG_WORDS: Final = 12
"""A field with more words is text."""

_LONG: Final = 120
_NAME: Final = 200
"""Characters of a field's name that are kept: it stands beside each of its values."""
_PARSED: Final = 1 << 18
_DEEPEST: Final = 24
_LEAVES: Final = 20_000
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")
_ENVELOPE: Final = re.compile(r"content|text|body|filename|file_name|id_?|path|title|name", re.IGNORECASE)
_YAML_LINE: Final = re.compile(r"(?:- |\s|[A-Za-z_][\w .&'-]{0,80}:(?:\s|$)|['\"]|\.\.\.$|[{\[}\]])")
_PAIR_LINE: Final = re.compile(r"[^:\n]{1,80}: \S[^\n]*")
_PAGING: Final = frozenset((
    "ok", "success", "status", "count", "total", "totalcount", "totalresults", "page", "pages", "perpage",
    "pagesize", "limit", "offset", "next", "previous", "cursor", "nextcursor", "nextpagetoken", "hasmore",
    "more", "took", "tookms", "query", "q", "kind", "etag", "size", "truncated", "requestid",
))  # fmt: skip
_PEOPLE: Final = frozenset((
    "from", "to", "cc", "bcc", "sender", "author", "recipient", "attendee", "participant", "organizer",
    "organiser", "email", "mail",
))  # fmt: skip
_MAILBOX: Final = re.compile(r"\"?([^<>@\",]{0,80}?)\"?\s*<([^<>@\s]{1,64}@[^<>@\s]{1,190})>")
_QUALIFIED: Final = re.compile(r"[A-Za-z][\w.-]{1,60}/[A-Za-z][\w.-]{1,60}")
"""The name of a thing after that of its owner: `acme/boat`."""
_REMARKED: Final = re.compile(
    r"([^<>@\s()]{1,64}@[^<>@\s:()]{1,190})(?::\s*[\w -]{1,30})?(?:\s*\([\w -]{1,30}\))?"
)
_OPENING: Final = ("{", "[", "(", "<")
_Loader: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class Field:
    """One leaf of a result: its record, its name and its text; `long` where it has room for sentences."""

    record: int
    name: str
    text: str
    long: bool


@dataclass(slots=True)
class Parsed:
    """Fields of records, `parents` the record that holds a record; `structured` says that a program laid them
    out, `printed` that it printed a text, which has room for anything, `cut` that something is missing."""

    fields: list[Field] = field(default_factory=list)
    records: int = 0
    parents: dict[int, int] = field(default_factory=dict)
    structured: bool = False
    printed: bool = False
    cut: bool = False

    def record(self, above: int | None = None) -> int:
        if above is not None:
            self.parents[self.records] = above
        self.records += 1
        return self.records - 1

    def leaf(self, record: int, name: str, value: object) -> None:
        if value is None or isinstance(value, bool):
            return
        text = value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)
        if len(self.fields) >= _LEAVES:
            self.cut = True
        elif text.strip():
            self.fields.append(Field(record, name, text, is_long(text)))
            for part in text.split("/") if _QUALIFIED.fullmatch(text) else ():
                self.fields.append(Field(record, name, part, False))
            for part in (mailboxes(text) or addresses(text)) if _of_people(name) else ():
                self.fields.append(Field(record, name, part, False))


def _of_people(name: str) -> bool:
    """Whether a field is named as one that holds mailboxes; a subject may look like one."""
    return name.rpartition(".")[2].casefold().rstrip("s") in _PEOPLE


def mailboxes(text: str) -> list[str]:
    """The names and addresses of a field that holds nothing but mailboxes: `Ann Lee <ann@x.example>`.

    The form is `name-addr` of RFC 5322, several of them with commas.
    """
    if "<" not in text or "@" not in text or len(text) > _LONG * 8:
        return []
    parts = [_MAILBOX.fullmatch(one.strip()) for one in text.split(",")]
    if not all(parts):
        return []
    return [one.strip() for part in parts if part for one in part.groups() if one and one.strip()]


def addresses(text: str) -> list[str]:
    """The addresses of a field, each with a remark at most: `a@x.example (work), b@x.example: away`."""
    if "@" not in text or len(text) > _LONG * 8:
        return []
    parts = [one.strip() for one in text.split(",")]
    found = [match[1] for one in parts if (match := _REMARKED.fullmatch(one))]
    return found if len(found) == len(parts) else []


def is_long(text: str) -> bool:
    """Whether a text has room for a sentence."""
    return len(text) > _LONG or "\n" in text.strip() or len(text.split()) > LONG_WORDS


def parse_result(
    content: Any, *, document: bool = False, fetched: bool = False, people: bool = False
) -> Parsed:
    """A result as fields. `document`: the tool returns texts that others write; `fetched`: from anywhere;
    `people`: it looks people up, so that printed records may say where they are reached."""
    found = Parsed()
    data = _data(content)
    laid: Laid | None = None
    if isinstance(data, str):
        if len(data) > LARGEST:
            data, found.cut = data[:LARGEST], True
        parsed = None if fetched else _read(data, document)
        if not fetched and not document:
            parsed, laid = _printed(data, parsed, people)
        if parsed is None:
            _text(found, data)
            return found
        data = parsed
    found.structured, found.printed = not fetched and (laid is None or laid.sure), laid is not None
    if isinstance(data, (Mapping, list, tuple)):
        _walk(found, data, None, "", 0)
    else:
        found.leaf(found.record(), "", data)
    if laid is not None and laid.rest:
        found.fields.append(Field(0, "", laid.rest, True))
    if all(item.long for item in found.fields):
        found.structured = False
    return found


def _printed(text: str, parsed: Any, people: bool) -> tuple[Any, Laid | None]:
    """The records of a text that was printed for people, also where it passes for YAML: its labels begin with
    capitals, so that what somebody wrote in it was not escaped."""
    if parsed is None:
        laid = laid_out(text, people=people)
        return (None if laid is None else laid.rows), laid
    keys = list(_keys(parsed))
    if text.lstrip()[:1] in _OPENING or not any(key[:1].isupper() for key in keys):
        return parsed, None
    laid = laid_out(text, people=people) if _flat(parsed) else None
    if laid is not None:
        return laid.rows, laid
    return (None if has_room(keys) else parsed), None


def _keys(data: Any) -> Iterator[str]:
    """The names of all fields in data that was read from YAML."""
    if isinstance(data, dict):
        yield from data
    for one in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _keys(one)


def _flat(data: Any) -> bool:
    """Whether data is one record of texts or several, a heading over them or not."""
    if isinstance(data, dict) and len(data) == 1 and not isinstance(one := next(iter(data.values())), str):
        data = one
    rows = data if isinstance(data, list) else [data]
    return all(isinstance(row, dict) and all(isinstance(v, str) for v in row.values()) for row in rows)


def _data(content: Any) -> Any:
    """Plain data of anything that a tool may return; what is none is its text."""
    if isinstance(content, (bytes, bytearray)):
        return bytes(content[:LARGEST]).decode("utf-8", "replace")
    if content is None or isinstance(content, (str, int, float, bool)):
        return content
    try:
        data = freeze({"result": content}).view["result"]
    except (ArgumentsError, RecursionError, ValueError):
        return _attempt(content)
    blocks = _blocks(data)
    return data if blocks is None else blocks


def _attempt(content: Any) -> Any:
    for name in ("model_dump", "dict", "_asdict"):
        method = getattr(content, name, None)
        if callable(method):
            try:
                return freeze({"result": method()}).view["result"]
            except Exception:
                break
    try:
        return json.loads(json.dumps(content, default=str)[:LARGEST])
    except Exception:
        return str(content)[:LARGEST]


def _blocks(data: Any) -> str | None:
    """The text of content blocks (`[{"type": "text", "text": ...}]`), as MCP and models write them."""
    if isinstance(data, Mapping) and set(data) <= {
        "content",
        "isError",
        "structuredContent",
        "_meta",
        "meta",
    }:
        data = data.get("content")
    if not isinstance(data, (list, tuple)) or not data:
        return None
    if all(
        isinstance(one, Mapping) and one.get("type") == "text" and isinstance(one.get("text"), str)
        for one in data
    ):
        return "\n".join(one["text"] for one in data)
    return None


def _read(text: str, document: bool) -> Any:
    """The data that a text spells, or None where it is a text."""
    stripped = text.strip()
    if not stripped or len(stripped) > _PARSED:
        return None
    data: Any = None
    if stripped[0] in "[{(":
        data = _json(stripped)
        if data is None:
            data = _literal(stripped)
    elif stripped[0] == "<" and not document:
        data = from_xml(stripped)
    if data is None and not document and number_like(stripped):
        return stripped if len(stripped) < 64 else None
    if data is None:
        data = _yaml(stripped)
    if not isinstance(data, (Mapping, list, tuple)) or not data:
        return None
    return None if document and not _enveloped(data) else data


def number_like(text: str) -> bool:
    return len(text) < 64 and "\n" not in text and len(text.split()) <= 3


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _literal(text: str) -> Any:
    if len(text) > 65_536:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _yaml(text: str) -> Any:
    lines = text.split("\n")
    if not all(_YAML_LINE.match(line) for line in lines if line):
        return None
    try:
        data = _Build(text).value()
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return data if _laid_out(data, 0) else None


def _laid_out(data: Any, depth: int) -> bool:
    """Whether YAML looks like what a program dumps: identifiers as keys, or a flat table."""
    if isinstance(data, Mapping):
        if all(_IDENTIFIER.fullmatch(str(key)) for key in data):
            return len(data) > 1 or not isinstance(next(iter(data.values())), str) or depth > 0
        return len(data) > 1 and all(not isinstance(v, str) or not is_long(v) for v in data.values())
    if isinstance(data, list):
        return bool(data) and all(isinstance(one, str) or _laid_out(one, depth + 1) for one in data)
    return False


class _Build:
    """YAML from events; what refers to something else is refused, so that nothing multiplies."""

    def __init__(self, text: str) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_Loader))
        self.left = _LEAVES

    def value(self) -> Any:
        for event in self.events:
            if isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
                continue
            return self.node(event, 0)
        return None

    def node(self, event: Any, depth: int) -> Any:
        self.left -= 1
        if depth > _DEEPEST or self.left < 0 or getattr(event, "anchor", None) is not None:
            raise ValueError("refused")
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(one := next(self.events), yaml.SequenceEndEvent):
                items.append(self.node(one, depth + 1))
            return items
        if isinstance(event, yaml.MappingStartEvent):
            found: dict[str, Any] = {}
            while not isinstance(one := next(self.events), yaml.MappingEndEvent):
                key = self.node(one, depth + 1)
                value = self.node(next(self.events), depth + 1)
                if not isinstance(key, str) or key in found:
                    raise ValueError("refused")
                found[key] = value
            return found
        raise ValueError("refused")


def _enveloped(data: Any) -> bool:
    one = data[0] if isinstance(data, (list, tuple)) else data
    if not isinstance(one, Mapping):
        return False
    return sum(1 for key in one if isinstance(key, str) and _ENVELOPE.fullmatch(key)) >= 2


def _walk(
    found: Parsed, data: Any, record: int | None, name: str, depth: int, above: int | None = None
) -> None:
    if depth > _DEEPEST or len(found.fields) >= _LEAVES:
        found.cut = True
        return
    if isinstance(data, Mapping):
        _mapping(found, data, record, name, depth, above)
    elif isinstance(data, (Sequence, set, frozenset)) and not isinstance(data, (str, bytes)):
        scalars = all(not isinstance(one, (Mapping, list, tuple)) for one in data)
        for one in data:
            if isinstance(one, Mapping):
                _walk(found, one, None, name, depth + 1, above if record is None else record)
            elif scalars and record is not None:
                found.leaf(record, name, one)
            else:
                _walk(found, one, record if scalars else None, name, depth + 1, above)
    else:
        found.leaf(found.record(above) if record is None else record, name, data)


def _mapping(
    found: Parsed, data: Mapping[Any, Any], record: int | None, name: str, depth: int, above: int | None
) -> None:
    table = not all(isinstance(key, str) and _IDENTIFIER.fullmatch(key) for key in data)
    if record is None and not table:
        record = found.record(above)
        if above is None and _listing(data):
            # What is said of the whole listing belongs to none of its records.
            found.parents[record] = record
            listed = next(value for value in data.values() if isinstance(value, (list, tuple)))
            for one in listed:
                _walk(found, one, None, name, depth + 1)
            data = {key: value for key, value in data.items() if value is not listed}
    for key, value in data.items():
        inside = (f"{name}.{key}" if name else str(key))[:_NAME]
        if table and record is not None and not isinstance(value, (Mapping, list, tuple)):
            # A table inside of a record (who may see it, with which right) is part of it.
            found.leaf(record, f"{name}.key" if name else "key", str(key))
            found.leaf(record, inside, value)
        elif table:
            row = found.record(above if record is None else record)
            found.leaf(row, "key", str(key))
            _walk(found, value, row, str(key)[:_NAME], depth + 1)
        else:
            nested = isinstance(value, Mapping) and not all(
                isinstance(one, (str, int, float, bool, type(None))) for one in value.values()
            )
            _walk(found, value, None if nested else record, inside, depth + 1, record)


def _listing(data: Mapping[Any, Any]) -> bool:
    """Whether a mapping only wraps one list of records: `{"results": [...], "total": 2}`."""
    lists = [value for value in data.values() if isinstance(value, (list, tuple))]
    if len(lists) != 1 or not lists[0] or not all(isinstance(one, Mapping) for one in lists[0]):
        return False
    return all(
        str(key).lower().replace("_", "") in _PAGING for key, value in data.items() if value is not lists[0]
    )


def _text(found: Parsed, text: str) -> None:
    """A text without structure: one field of its own, however short."""
    if text.strip():
        found.fields.append(Field(found.record(), "", text, True))
