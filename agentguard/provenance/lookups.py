"""How a look-up was keyed: by the user's words, by words of the agent's own, by what was found before."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from agentguard.provenance.arguments import values_of
from agentguard.provenance.literals import shape_of
from agentguard.provenance.names import name_words
from agentguard.provenance.origins import Reading, origin_of
from agentguard.provenance.seen import Label, Source
from agentguard.provenance.text import number

__all__ = ["keys_of", "label_of"]

_LONGEST: Final = 2_000
_SETTING: Final = re.compile(
    r"[a-z][a-z0-9_-]{0,30}(?:,\s*[a-z][a-z0-9_-]{0,30}){0,8}|[A-Z]{2,5}|[A-Z_]{2,24}"
)
"""What a parameter is set to: one of a few words that the tool knows, not something to look for."""
_SETTINGS: Final = frozenset((
    "type", "types", "state", "status", "sort", "order", "orderby", "direction", "format", "mode", "view",
    "scope", "visibility", "filter", "include", "expand", "fields", "kind", "unit", "units", "timezone", "tz",
    "locale", "language", "lang", "calendar", "depth", "level", "period", "interval", "corpora", "alignment",
    "folder",
))  # fmt: skip
_PRESET: Final = frozenset({"me", "self", "primary", "default", "all", "any", "inbox", "root", "."})
_SPAN: Final = re.compile(
    r"\d{1,6}\s?(?:[smhdwy]|min|mins?|minutes?|hours?|days?|weeks?|months?|years?|kb|mb|gb)", re.IGNORECASE
)
"""How much or how long: `7d`, `30 days`."""
_OPERATOR: Final = re.compile(
    r"\border by \w+(?: asc| desc)?|\b\w{1,64}\(\)|"
    r"\b(?:in|is|has|newer_than|older_than|newer|older|after|before|since|until|sort|order|type|state|"
    r"status|trashed|larger|smaller|created|updated|orderby|resolution|statuscategory)\s*(?::|[!<>=]=?)\s*"
    r"(?:['\"]?(?:\d[\d/:.tz+-]{0,24}[a-z]{0,2}|inbox|sent|drafts?|unread|read|starred|important|attachment|anywhere|"
    r"open|closed|merged|done|todo|unresolved|resolved|true|false|null|asc|desc|me|mine|issue|pr|page|file|folder|"
    r"document)['\"]?(?![\w-]))|"
    r"\b(?:from|to|cc|subject|label|name|title|filename|author|assignee|repo|project|org|user|path|text|"
    r"fulltext|summary|content|in|lang)(?:\s*(?::|[!<>=]=?|~)|\s+contains\b)|"
    r"\b(?:contains|AND|OR|NOT|and|or|not|like|ilike|EMPTY|empty|null)\b",
    re.IGNORECASE,
)
"""The operators of search boxes (`from:`, `newer_than:7d`, `name contains`): they find nothing."""


def keys_of(args: Mapping[str, Any], unseen: Callable[[str], bool]) -> tuple[str, ...]:
    """What a look-up was keyed by: its texts, without numbers, dates and settings. What was `seen` before is
    no setting: a text may have named it."""
    found = []
    for name, value in args.items():
        setting = bool({*name_words(name)} & _SETTINGS)
        for one in values_of("update", {name: "object"}, {name: value}):
            if number(one.text) is not None or shape_of(one.text) == "date":
                continue
            plain = one.text.strip()
            plainly = _SPAN.fullmatch(plain) or plain.casefold() in _PRESET
            if (plainly or (setting and _SETTING.fullmatch(plain))) and unseen(plain):
                continue
            found.append(one.text)
    return tuple(found)


def label_of(source: Source, reading: Reading) -> Label:
    """How a look-up was keyed, under a request."""
    if source.label in ("trusted", "effect"):
        return source.label
    if source.keys is None:
        return "wild"
    if not source.keys:
        return "enum"
    worst: Label = "named"
    for text in source.keys:
        request = reading.request
        if request.holds(text) or (source.action != "fetch" and request.names_words(_searched(text))):
            continue
        match origin_of(text, reading).name:
            case "own" | "designated" | "structured" | "trusted":
                worst = "chained" if worst == "named" else worst
            case "nowhere":  # words of the agent's own narrow a listing, and lead to nobody in particular
                worst = "searched" if worst == "named" else worst
            case "named_text":
                worst = "linked"
            case _:
                return "wild"
    return worst


def _searched(text: str) -> str:
    """What a search is for, without the operators of its language."""
    return _OPERATOR.sub(" ", text) if len(text) <= _LONGEST else text
