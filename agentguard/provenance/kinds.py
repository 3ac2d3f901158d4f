"""Whether the request asks for a call of this kind: 2 for this action on this sort of thing, 1 for one of
both, 0 for neither."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from agentguard.provenance.arguments import leaves
from agentguard.provenance.commands import shell_action
from agentguard.provenance.lexicon import lexicon
from agentguard.provenance.names import name_words
from agentguard.provenance.origins import Reading
from agentguard.provenance.request import Request
from agentguard.provenance.statements import statement_action
from agentguard.tools import Action

__all__ = ["ASKING", "Kind", "Stakes", "asked_for", "kind_of", "stakes_of"]

_HIGH: Final = frozenset({"pay", "book", "delete", "credential", "execute"})
_SECRETS: Final = frozenset(
    ["secret", "secrets", "password", "passwords", "passwd", "token", "tokens", "credential", "credentials"]
)
_LOW: Final = frozenset({"create", "fetch"})
Stakes = str
ASKING: Final = frozenset({"read", "fetch"})
_SQL: Final = frozenset({"sql", "postgres", "postgresql", "mysql", "mariadb", "sqlite", "db", "database"})
_VERB: Final = 24
_DOING: Final = tuple((word,) for word in (
    "action", "operation", "op", "command", "subcommand", "method", "verb", "decision",
))  # fmt: skip
_TELLING: Final = frozenset((
    "notify", "notification", "deliver", "delivery", "recipient", "recipients", "cc", "bcc", "forward",
    "send", "mailto",
))  # fmt: skip
_SIDES: Final = frozenset({"recipient", "recipients", "cc", "bcc"})
_LOOKING: Final = frozenset({"search", "find", "filter", "lookup"})
_AT: Final = re.compile(r"\[\d+\]")
_TAKING_OUT: Final = frozenset({"export", "backup", "dump", "download", "report", "extract"})
_GENERIC: Final = frozenset(
    {"all", "by", "for", "the", "of", "to", "in", "id", "new", "from", "with", "a", "on"}
)


class Kind:
    """What a tool's name says, next to its facts."""

    __slots__ = ("action", "document", "nouns", "said", "topics", "verb", "words")

    def __init__(self, tool: str, facts: Mapping[str, Any], args: Mapping[str, Any] | None = None) -> None:
        words = name_words(tool)
        language = lexicon()
        self.words = words
        self.action: Action = facts.get("action") or "update"
        if self.action in ("create", "update", "grant") and _SECRETS & set(words):
            self.action = "credential"
        if self.action == "execute" and args is not None:
            self.action = _stated(words, facts, args) or self.action
        # What a shell shows is whatever stands in a file.
        told = facts.get("action") == "execute" and self.action == "read"
        self.document = told and not _queries(words, facts, args or {})
        if self.action == "read" and args is not None and _tells_somebody(words, args):
            self.action = "send"
        self.verb = _verb(words)
        self.said = _said(args or {})
        self.nouns = frozenset([_single(word) for word in words if word != self.verb]) - _GENERIC
        topics: frozenset[str] = frozenset(facts.get("topics") or ())
        for word in words:
            if word != self.verb:
                topics |= language.topics_of(word)
        self.topics = topics


def _tells_somebody(words: Iterable[str], args: Mapping[str, Any]) -> bool:
    """Whether what is read goes to an address that the call names: `export_list(notify_email)`. Whoever looks
    for letters `to` somebody writes to nobody."""
    held = frozenset(words)
    telling = _TELLING - _SIDES if _LOOKING & held else _TELLING | {"to"}
    takes_out = not _TAKING_OUT.isdisjoint(held)
    for path, text in (one for name, value in args.items() for one in leaves(name, value)):
        last = name_words(_AT.sub("", path.rpartition(".")[2]))
        named = frozenset(name_words(path)) - {"to"} | ({"to"} if last == ("to",) else set())
        if "@" in text and (telling & named or (takes_out and "email" in named)):
            return True
    return False


def _said(args: Mapping[str, Any]) -> frozenset[str]:
    """The verbs that arguments name for what is to be done: `action: restart`."""
    language = lexicon()
    found = [
        value.strip().casefold()
        for name, value in args.items()
        if isinstance(value, str) and len(value) < _VERB and name_words(name)[-1:] in _DOING
    ]
    return frozenset(one for one in found if language.actions_of(one))


def _stated(words: Iterable[str], facts: Mapping[str, Any], args: Mapping[str, Any]) -> Action | None:
    """What the one command of a call does, where it can be told: a statement for a tool of SQL, a line that
    only reads for one of a shell."""
    roles = facts.get("roles") or {}
    commands = [(name, value) for name, value in args.items() if roles.get(name) == "command"]
    if len(commands) != 1 or not isinstance(commands[0][1], str):
        return None
    if _queries(words, facts, args):
        return statement_action(commands[0][1])
    return shell_action(words, commands[0][0], args)


def _queries(words: Iterable[str], facts: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
    """Whether a tool is one of SQL: by its name, or by that of its command."""
    roles = facts.get("roles") or {}
    named = [name_words(name) for name in args if roles.get(name) == "command"]
    return not _SQL.isdisjoint({*words, *chain(*named)}) or named in ([("query",)], [("statement",)])


def _verb(words: tuple[str, ...]) -> str:
    """The verb of a name: what may be a thing as well is one only behind nouns (`mail_search`)."""
    language = lexicon()
    for at, word in enumerate(words[:4]):
        if language.actions_of(word) and (
            at == 0 or word not in language.nouns or all(language.topics_of(one) for one in words[:at])
        ):
            return word
    return ""


def asked_for(kind: Kind, request: Request) -> bool:
    """Whether a verb of the request asks for such an action."""
    # INVARIANT: the agent chooses arguments; one that names another action than the tool's says nothing.
    said = {verb for verb in kind.said if _does(kind.action, verb)}
    if stakes_of(kind.action) != "high" and kind.action != "grant" and not said.isdisjoint(request.verbs):
        return True
    return (bool(kind.verb) and kind.verb in request.verbs) or kind.action in request.actions


def _does(action: str, verb: str) -> bool:
    actions = lexicon().actions_of(verb)
    return action in actions or (action == "update" and "execute" in actions)


def kind_of(kind: Kind, reading: Reading, *, meant: bool = False) -> int:
    """The grade of a call of this kind under this request. `meant`: its values are those that the request
    names or leads to, so that it need not say as well what sort of thing they are."""
    request, language = reading.request, lexicon()
    if not request.withheld.isdisjoint({kind.verb, *kind.said}):
        return 0
    if kind.verb in request.verbs and kind.verb in language.specific:
        return 2
    verb = asked_for(kind, request)
    topic = (
        bool(kind.topics & request.topics)
        or any(noun in request.words for noun in kind.nouns if len(noun) > 2)
        or _resolved(kind, reading)
    )
    if verb and (topic or meant):
        return 2
    if verb or (topic and request.asks_effect) or request.unknown:
        return 1
    return 0


def _resolved(kind: Kind, reading: Reading) -> bool:
    """Whether the user's own words already found something of this topic."""
    return any(
        reading.label(source) == "named" and source.topics & kind.topics for source in reading.seen.sources
    )


def stakes_of(action: str) -> str:
    """How much a wrong call of this action costs: `high` cannot be taken back."""
    return "high" if action in _HIGH else "low" if action in _LOW else "medium"


def _single(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
