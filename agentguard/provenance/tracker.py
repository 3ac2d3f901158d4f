"""What one session knows of where values come from: told of every word and result, asked about every call."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

from agentguard.provenance.arguments import Value, values_of
from agentguard.provenance.disclosure import Disclosed, disclosed, passes_on
from agentguard.provenance.judged import Judged, judge
from agentguard.provenance.kinds import ASKING, Kind, asked_for, kind_of, stakes_of
from agentguard.provenance.lexicon import lexicons
from agentguard.provenance.origins import Spoken, origin_of
from agentguard.provenance.request import LONGEST, Request, read_request
from agentguard.provenance.results import parse_result
from agentguard.provenance.seen import BOUND, Label, Seen, Source
from agentguard.provenance.text import fold, number
from agentguard.provenance.literals import shape_of
from agentguard.provenance.wording import acts, reads_as_instruction

__all__ = ["Tracker"]

_DOCUMENT: Final = frozenset({"file", "document", "doc", "page", "webpage", "website", "note", "wiki",
                              "url", "http", "browse", "readme"})
_INERT_WORDS: Final = 5
_INERT_LENGTH: Final = 60
_RESULTS: Final = 10_000
_CONTENT: Final = frozenset({"content", "query", "other"})
_LEAVING: Final = frozenset({"send", "grant", "pay", "create", "update", "execute", "fetch"})


class Tracker:
    """Of one session; its answers are plain data. Safe to use from several threads."""

    def __init__(self, *, bound: int = BOUND) -> None:
        self.seen = Seen(bound)
        self.spoken = Spoken()
        self._prompt: list[str] = []
        self._request: Request | None = None
        self._filled: dict[str, set[str]] = {}
        self._calls: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    # -- told

    def says(self, text: object) -> None:
        """The user's words."""
        if isinstance(text, str) and text.strip():
            with self._lock:
                if sum(map(len, self._prompt)) <= LONGEST:
                    self._prompt.append(text)
                self._request = None

    def returned(
        self,
        tool: str,
        content: Any,
        *,
        facts: Mapping[str, Any],
        args: Mapping[str, Any] | None = None,
        call_id: str | None = None,
        trusted: bool = False,
    ) -> None:
        """What came back from a tool. Without `args` nobody knows how it was asked for."""
        with self._lock:
            if len(self.seen.sources) >= _RESULTS:
                self.seen.full = True
                return
            self._returned(tool, content, facts, args, call_id, trusted)

    def _returned(
        self,
        tool: str,
        content: Any,
        facts: Mapping[str, Any],
        args: Mapping[str, Any] | None,
        call_id: str | None,
        trusted: bool,
    ) -> None:
        kind = Kind(tool, facts)
        effect = kind.action not in ASKING
        fetched = kind.action == "fetch"
        document = fetched or bool(_DOCUMENT & set(kind.words))
        parsed = parse_result(content, document=document, fetched=fetched)
        label: Label
        if trusted:
            label = "trusted"
        elif effect:
            label = "effect"
        elif args is None:
            label = "wild"
        else:
            label = self._label(args, kind)
        source = Source(
            number=len(self.seen.sources),
            tool=tool,
            call_id=call_id,
            label=label,
            action=kind.action,
            topics=kind.topics,
            structured=parsed.structured,
            inert=trusted or (not parsed.cut and all(not item.long and _inert(item.text) for item in parsed.fields)),
            records=parsed.records,
        )
        if effect and args is not None:
            for value in values_of(kind.action, facts.get("roles") or {}, args):
                if not self.request.holds(value.text):
                    self.spoken.add(value.text, source.number)
        self.seen.add(source, parsed)
        if effect and args is not None:
            self._remember(kind, facts, args)

    def _remember(self, kind: Kind, facts: Mapping[str, Any], args: Mapping[str, Any]) -> None:
        for value in values_of(kind.action, facts.get("roles") or {}, args):
            if value.key and not self.request.holds(value.text):
                self._filled.setdefault(value.role, set()).add(fold(value.text))

    def _label(self, args: Mapping[str, Any], kind: Kind) -> Label:
        texts = [
            value.text
            for value in values_of("update", {name: "object" for name in args}, args)
            if number(value.text) is None and shape_of(value.text) != "date"
        ]
        if not texts:
            return "enum"
        worst: Label = "named"
        for text in texts:
            if self.request.holds(text) or (kind.action != "fetch" and self.request.names_words(text)):
                continue
            name = origin_of(text, self.request, self.seen, self.spoken).name
            if name in ("own", "designated", "structured", "trusted"):
                worst = "chained" if worst == "named" else worst
            elif name == "named_text":
                worst = "linked"
            else:
                return "wild"
        return worst

    # -- asked

    @property
    def request(self) -> Request:
        """The user's words so far."""
        if self._request is None:
            self._request = read_request("\n".join(self._prompt)) if self._prompt else Request()
        return self._request

    def facts(self, tool: str, facts: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, Any]:
        """What conditions see of a call: under `asked` the request, the values and what leaves; under
        `provenance` each argument."""
        with self._lock:
            return self._facts(tool, facts, args)

    def _facts(self, tool: str, facts: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, Any]:
        request, seen = self.request, self.seen
        kind = Kind(tool, facts)
        roles = facts.get("roles") or {}
        appends = kind.verb in ("append", "add", "insert", "write")
        values = values_of(kind.action, roles, args, appends=appends)
        judged = [self._judge(value, kind) for value in values]
        keys = [one for one in judged if one.value.key]
        others = [one for one in seen.sources if one.label not in ("effect", "trusted") and one.records]
        effects = [source for source in seen.sources if source.label == "effect" and not source.inert]
        leaving = self._leaving(kind, judged, args, roles)
        asked = {
            "grade": kind_of(kind, request, seen),
            "verb": asked_for(kind, request),
            "action": kind.action,
            "stakes": stakes_of(kind.action),
            "unknown": request.unknown,
            "delegated": request.delegated,
            "pointing": request.pointing,
            "plural": request.plural,
            "open": request.open,
            "seen": bool(others or effects) or seen.full,
            "inert": not seen.full and all(source.inert for source in [*others, *effects]),
            "complete": not seen.full,
            "keys_from_user": bool(keys) and all(one.origin.name == "user" for one in keys),
            "values": [one.to_facts() for one in judged],
            "quotes": leaving[0],
            "disclosed": [
                {"what": one.what, "label": one.label, "source": one.source.tool} for one in leaving[1]
            ],
        }
        provenance: dict[str, Any] = {}
        for one in judged:
            if not one.value.link:
                provenance[one.value.path] = one.to_provenance()
        for name in args:
            path = f"args.{name}"
            if path not in provenance:
                inside = [one for one in judged if one.value.path.startswith((path + ".", path + "["))]
                provenance[path] = _joined(inside)
        return {"asked": asked, "provenance": provenance}

    def _judge(self, value: Value, kind: Kind) -> Judged:
        origin = origin_of(value.text, self.request, self.seen, self.spoken)
        return judge(value, origin, self.request, self.seen, kind, self._filled)

    def _leaving(
        self, kind: Kind, judged: Iterable[Judged], args: Mapping[str, Any], roles: Mapping[str, str]
    ) -> tuple[str, list[Disclosed]]:
        addressed = any(one.value.role in ("recipient", "destination") for one in judged)
        if kind.action in ASKING and not addressed:
            return "none", []
        texts = [
            value.text
            for value in values_of("read", roles, args)
            if value.role in _CONTENT or (value.role == "destination")
        ]
        quotes = passes_on(texts, self.request, self.seen)
        if kind.action not in ("send", "grant", "pay", "fetch") and not addressed:
            return quotes, []
        found = {(one.what, one.label, one.source.number): one for one in disclosed(texts, self.request, self.seen, kind.topics)}
        return quotes, list(found.values())[:16]


def _inert(text: str) -> bool:
    words = text.split()
    return len(words) <= _INERT_WORDS and len(text) <= _INERT_LENGTH and (len(words) < 2 or not acts(fold(text)))


def _joined(parts: list[Judged]) -> dict[str, Any]:
    if not parts:
        return {"from_user": False, "from_results": [], "origin": "constant", "trusted": True}
    facts = [one.to_provenance() for one in parts]
    worst = max(parts, key=lambda one: one.rank).to_provenance()
    return {
        "from_user": all(one["from_user"] for one in facts),
        "from_results": sorted({name for one in facts for name in one["from_results"]}),
        "origin": worst["origin"],
        "trusted": all(one["trusted"] for one in facts),
    }
