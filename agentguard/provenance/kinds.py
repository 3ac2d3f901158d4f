"""Whether the request asks for a call of this kind: 2 for this action on this sort of thing, 1 for one of
both, 0 for neither."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from agentguard.provenance.lexicon import lexicon
from agentguard.provenance.request import Request
from agentguard.provenance.seen import Seen
from agentguard.tools import Action

__all__ = ["ASKING", "Stakes", "Kind", "asked_for", "kind_of", "stakes_of"]

_HIGH: Final = frozenset({"pay", "book", "delete", "credential", "execute"})
_LOW: Final = frozenset({"create", "fetch"})
Stakes = str
ASKING: Final = frozenset({"read", "fetch"})
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PARTS: Final = re.compile(r"[^A-Za-z0-9]+")
_GENERIC: Final = frozenset({"all", "by", "for", "the", "of", "to", "in", "id", "new", "from", "with", "a", "on"})


class Kind:
    """What a tool's name says, next to its facts."""

    __slots__ = ("action", "nouns", "topics", "verb", "words")

    def __init__(self, tool: str, facts: Mapping[str, Any]) -> None:
        words = name_words(tool)
        language = lexicon()
        self.words = words
        self.action: Action = facts.get("action") or "update"
        self.verb = next((word for word in words[:4] if language.actions_of(word)), "")
        self.nouns = frozenset([_single(word) for word in words if word != self.verb]) - _GENERIC
        topics: frozenset[str] = frozenset(facts.get("topics") or ())
        for word in words:
            if word != self.verb:
                topics |= language.topics_of(word)
        self.topics = topics


@lru_cache(maxsize=4096)
def name_words(tool: str) -> tuple[str, ...]:
    """The words of a tool's name, whatever its style."""
    parts = [part for chunk in _PARTS.split(tool) for part in _CAMEL.split(chunk)]
    return tuple([part.casefold() for part in parts if part])


def asked_for(kind: Kind, request: Request) -> bool:
    """Whether a verb of the request asks for such an action."""
    return (bool(kind.verb) and kind.verb in request.verbs) or kind.action in request.actions


def kind_of(kind: Kind, request: Request, seen: Seen) -> int:
    """The grade of a call of this kind under this request."""
    language = lexicon()
    if kind.verb in request.verbs and kind.verb in language.specific:
        return 2
    verb = asked_for(kind, request)
    topic = (
        bool(kind.topics & request.topics)
        or any(noun in request.words for noun in kind.nouns if len(noun) > 2)
        or _resolved(kind, seen)
    )
    if verb and topic:
        return 2
    if verb or (topic and request.asks_effect) or request.unknown:
        return 1
    return 0


def _resolved(kind: Kind, seen: Seen) -> bool:
    """Whether the user's own words already found something of this topic."""
    return any(source.label == "named" and source.topics & kind.topics for source in seen.sources)


def stakes_of(action: str) -> str:
    """How much a wrong call of this action costs: `high` cannot be taken back."""
    return "high" if action in _HIGH else "low" if action in _LOW else "medium"


def _single(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
