"""What one session knows of where values come from: told of every word and result, asked about every call."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from agentguard.provenance.arguments import Value, values_of
from agentguard.provenance.disclosure import Disclosed, disclosed, passes_on
from agentguard.provenance.folders import within
from agentguard.provenance.judged import Judged, accounted, judge, leads_outside
from agentguard.provenance.kinds import ASKING, Kind, asked_for, kind_of, stakes_of
from agentguard.provenance.literals import EXTERNAL, shape_of
from agentguard.provenance.lookups import keys_of, label_of
from agentguard.provenance.names import name_words
from agentguard.provenance.offers import Offer, offer_of
from agentguard.provenance.origins import Origin, Reading, Spoken, origin_of
from agentguard.provenance.pages import page_of, works_on_pages
from agentguard.provenance.plans import Plan, Plans, forbidden
from agentguard.provenance.request import LONGEST, Request, read_request
from agentguard.provenance.results import parse_result
from agentguard.provenance.seen import BOUND, Label, Seen, Source
from agentguard.provenance.series import series_of
from agentguard.provenance.text import fold
from agentguard.provenance.wording import acts

__all__ = ["Tracker"]

_DOCUMENTS: Final = frozenset(
    [
        "file",
        "document",
        "doc",
        "page",
        "webpage",
        "website",
        "note",
        "wiki",
        "url",
        "http",
        "browse",
        "readme",
    ]
)
_INERT_WORDS: Final = 5
_INERT_LENGTH: Final = 60
_RESULTS: Final = 10_000
_CONTENT: Final = frozenset({"content", "query", "other", "destination"})
_APPENDING: Final = frozenset({"append", "add", "insert", "write"})
_ADDING: Final = frozenset({"create", "send"})
_SENDING: Final = frozenset({"send", "grant", "pay", "fetch"})
_SHOWN: Final = 16
_REJECTED: Final = 256
"""Rejected calls of one tool that are told apart; beyond, none of its calls is covered."""
_FAILED: Final = re.compile(
    r"\b(?:error|fail|failed|exists|denied|invalid|refused|not found|cannot)\b", re.IGNORECASE
)
_READ: Final = 500
_WRITTEN: Final = frozenset({"mail", "chat", "task", "web"})
_WORDS_OF_OTHERS: Final = frozenset((
    "note", "notes", "feedback", "comment", "comments", "review", "reviews", "message", "messages", "post",
    "posts", "bio", "reply", "replies", "request", "requests", "ticket", "tickets", "response", "responses",
    "form", "forms", "survey", "history", "activity", "description", "body",
))  # fmt: skip
_UNKNOWN: Final = frozenset({"wild", "text", "nowhere"})
_MEANT: Final = frozenset({"user", "own", "designated"})


class Tracker:
    """Of one session; its answers are plain data. Safe to use from several threads."""

    def __init__(self, *, bound: int = BOUND) -> None:
        self.seen = Seen(bound)
        self.spoken = Spoken()
        self._labels: list[Label] = []
        self._said: list[str] = []
        self._request: Request | None = None
        self._filled: dict[str, set[str]] = {}
        self._plans = Plans()
        self._offered: dict[str, Offer] = {}
        self._rejected: dict[str, list[frozenset[str]]] = {}
        self._lock = threading.Lock()

    def copy(self) -> Tracker:
        """One that was told the same; from here on each is told by itself."""
        other = Tracker()
        with self._lock:
            other.seen, other.spoken = self.seen.copy(), self.spoken.copy()
            other._labels, other._said, other._request = [*self._labels], [*self._said], self._request
            other._filled = {role: {*texts} for role, texts in self._filled.items()}
            other._offered = {**self._offered}
            other._rejected = {tool: [*texts] for tool, texts in self._rejected.items()}
        return other

    # -- told

    def says(self, text: object) -> None:
        """The user's words."""
        if isinstance(text, str) and text.strip():
            with self._lock:
                if sum(map(len, self._said)) <= LONGEST:
                    self._said.append(text)
                self._request = None
                self._rejected.clear()

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
        kind = Kind(tool, facts, args)
        fetched = kind.action == "fetch"
        document = fetched or kind.document or _is_document(kind, facts)
        written = not (kind.topics.isdisjoint(_WRITTEN) and _WORDS_OF_OTHERS.isdisjoint(kind.words))
        people = "people" in kind.topics and not written
        parsed = parse_result(content, document=document, fetched=fetched, people=people)
        short = not parsed.cut and all(not item.long and _inert(item.text) for item in parsed.fields)
        keys = None if args is None else keys_of(args, self._unseen)
        source = Source(
            number=len(self.seen.sources),
            tool=tool,
            call_id=call_id,
            label="wild",
            action=kind.action,
            topics=kind.topics,
            structured=parsed.structured,
            inert=trusted or (short and not parsed.printed),
            records=parsed.records,
            keys=keys,
            parents=parsed.parents,
        )
        # What a read returns stays the words of others, also where it tells somebody.
        effect = kind.action not in ASKING and facts.get("action") not in ASKING
        if trusted:
            source.label = "trusted"
        elif effect:
            source.label = "effect"
        else:
            source.label = label_of(source, self._reading())
        if effect and args is not None:
            self._spoke(kind, facts, args, source.number, made=not _failed(content))
        self.seen.add(source, parsed)
        self._labels.append(source.label)

    def _spoke(
        self, kind: Kind, facts: Mapping[str, Any], args: Mapping[str, Any], at: int, *, made: bool
    ) -> None:
        for value in values_of(kind.action, facts.get("roles") or {}, args):
            if not self.request.holds(value.text):
                self.spoken.add(value.text, at)
                named = kind.action == "create" and value.role in ("object", "path")
                if named and made and self._unseen(value.text):
                    self.spoken.made(value.text)
                if value.key:
                    self._filled.setdefault(value.role, set()).add(fold(value.text))

    def _unseen(self, name: str) -> bool:
        """Whether no result holds a name: what has it may have been there before."""
        return not self.seen.whole(name) and next(self.seen.parts(name), None) is None

    def rejected(self, tool: str, facts: Mapping[str, Any], args: Mapping[str, Any]) -> None:
        """What a person rejected: nothing that was offered covers it, nor another call with its values, until
        the user speaks again."""
        with self._lock:
            kept = self._rejected.setdefault(tool, [])
            if len(kept) <= _REJECTED:
                kept.append(self._keys_of(Kind(tool, facts, args), facts, args))

    def _keys_of(self, kind: Kind, facts: Mapping[str, Any], args: Mapping[str, Any]) -> frozenset[str]:
        """What a call hangs on; what the user did not say of it, where there is any."""
        values = values_of(kind.action, facts.get("roles") or {}, args)
        keys = [value.text for value in values if value.key]
        others = [text for text in keys if not self.request.holds(text)]
        return frozenset(map(fold, others or keys))

    def _was_rejected(self, tool: str, kind: Kind, facts: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
        mine, kept = self._keys_of(kind, facts, args), self._rejected.get(tool, ())
        return len(kept) > _REJECTED or any(mine & keys or mine == keys for keys in kept)

    # -- asked

    @property
    def request(self) -> Request:
        """The user's words so far."""
        if self._request is None:
            self._request = read_request("\n".join(self._said)) if self._said else Request()
        return self._request

    def _reading(self) -> Reading:
        return Reading(self.request, self.seen, self.spoken, self._labels)

    def facts(self, tool: str, facts: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, Any]:
        """What conditions see of a call: under `asked` the request, the values and what leaves; under
        `provenance` each argument."""
        with self._lock:
            kind = Kind(tool, facts, args)
            judged = self._judged(kind, facts, args, self._reading())
            accounted(judged, kind, self.request)
            return {
                "asked": self._asked(tool, kind, facts, args, judged),
                "provenance": _provenance(judged, args),
            }

    def offer(self, tool: str, facts: Mapping[str, Any], args: Mapping[str, Any]) -> Offer | None:
        """What a person may approve with this call: what the user handed over, and calls like this one."""
        with self._lock:
            kind = Kind(tool, facts, args)
            series = page = None
            reading = self._reading()
            judged = self._judged(kind, facts, args, reading)
            leaving = self._leaving(kind, judged, facts, args, reading)[1]
            if not leaving:
                page = page_of(kind, judged, reading)
            wanted = self.request.asks_effect or self.request.delegated or self.request.unknown
            allowed = kind.action != "grant" and not forbidden(kind, judged, facts)
            if page is None and wanted and not leaving and allowed:
                series = series_of(tool, judged, reading)
            found = offer_of(self._choose(kind, facts, args), series, page)
            if found is not None:
                self._offered[found.id] = found
            return found

    def _choose(self, kind: Kind, facts: Mapping[str, Any], args: Mapping[str, Any]) -> Plan | None:
        """What the user named comes first, also where the call only belongs to it; then what it led to. What
        they handed over is offered beside a call that it cannot cover, too, for those that come after."""
        plans = sorted(self._plans.of(self._reading()), key=lambda plan: self._labels[plan.number] != "named")
        covering = [plan for plan, covers in self._covering(kind, facts, args, plans) if covers]
        named = [plan for plan in plans if self._labels[plan.number] in ("named", "enum")]
        values = values_of(kind.action, facts.get("roles") or {}, args)
        keys = [value.text for value in values if value.key and not self.request.holds(value.text)]
        beside = [plan for plan in named if any(self._under(plan).request.holds(text) for text in keys)]
        rest = plans if self.request.delegated else []
        return next(
            iter([*[plan for plan in covering if plan in named], *beside, *covering, *named, *rest]), None
        )

    def _under(self, plan: Plan) -> Reading:
        return self._plans.reading(plan, self._reading(), self._said)

    def wants(self, offer: Offer, tool: str, facts: Mapping[str, Any]) -> bool:
        """Whether what was offered may cover calls of a tool."""
        plan = offer.plan
        if offer.page is not None and works_on_pages(name_words(tool)):
            return True
        if plan is None:
            return False
        with self._lock:
            reading = self._under(plan)
            kind = Kind(tool, facts)
            return kind.action not in ASKING and plan.permits(kind.action) and kind_of(kind, reading) > 0

    def _asked(
        self, tool: str, kind: Kind, facts: Mapping[str, Any], args: Mapping[str, Any], judged: list[Judged]
    ) -> dict[str, Any]:
        reading, request, seen = self._reading(), self.request, self.seen
        keys = [one for one in judged if one.value.key]
        read = [one for one in seen.sources if one.records and one.label not in ("effect", "trusted")]
        echoed = [one for one in seen.sources if one.label == "effect" and _tells(one)]
        quotes, leaving = self._leaving(kind, judged, facts, args, reading)
        meant = bool(keys) and all(one.origin.name in _MEANT for one in keys)
        grade = kind_of(
            kind, reading, meant=meant and stakes_of(kind.action) != "high" and kind.action != "grant"
        )
        verb, stakes = asked_for(kind, request), stakes_of(kind.action)
        own = bool(kind.verb) and kind.verb in request.verbs
        given = bool(keys) and all(one.origin.name == "user" for one in keys)
        begun = bool(read or echoed) or seen.full
        return {
            "acts": kind.action != "read" and begun,
            "certain": not (request.unknown or request.delegated or request.referring),
            "telling": seen.full or not all(source.inert for source in [*read, *echoed]),
            "mild": grade == 1 and given and stakes != "high" and (own or kind.action in _ADDING),
            "grade": grade,
            "verb": verb,
            "action": kind.action,
            "stakes": stakes,
            "unknown": request.unknown,
            "delegated": request.delegated,
            "referring": request.referring,
            "pointing": request.pointing,
            "plural": request.plural,
            "open": request.open,
            "seen": begun,
            "complete": not seen.full,
            "values": [one.to_facts() for one in judged],
            "quotes": quotes,
            "disclosed": [
                {"what": one.what, "label": one.label, "source": one.source.tool} for one in leaving
            ],
            "plans": [
                {"id": offer.id, "covers": self._allows(offer, tool, kind, facts, args, judged)}
                for offer in self._offered.values()
            ],
        }

    def _judged(
        self, kind: Kind, facts: Mapping[str, Any], args: Mapping[str, Any], reading: Reading
    ) -> list[Judged]:
        appends = kind.verb in _APPENDING
        values = values_of(kind.action, facts.get("roles") or {}, args, appends=appends)
        # The same address twenty times is looked up once.
        origins = {text: origin_of(text, reading) for text in {value.text for value in values}}
        return [self._judge(value, origins[value.text], kind, reading) for value in values]

    def _judge(self, value: Value, origin: Origin, kind: Kind, reading: Reading) -> Judged:
        outside = leads_outside(value, kind.action)
        if origin.name == "wild" and _narrowed(value, origin, kind, reading) and not outside:
            origin = replace(origin, name="structured")
        changes = kind.action in ("create", "update") and value.role in ("object", "path")
        if changes and origin.name in _UNKNOWN and within(value, reading.request):
            origin = replace(origin, name="structured")
        if changes and not value.link and reading.spoken.has_made(value.text):
            origin = replace(origin, name="own")
        if value.role == "recipient" and reading.request.only_mentions(value.text):
            origin = replace(origin, name="nowhere")
        return judge(value, origin, reading, self._filled, external=outside)

    def _allows(
        self,
        offer: Offer,
        tool: str,
        kind: Kind,
        facts: Mapping[str, Any],
        args: Mapping[str, Any],
        judged: list[Judged],
    ) -> bool:
        """Whether what was offered covers a call."""
        if self._was_rejected(tool, kind, facts, args):
            return False
        plans = [] if offer.plan is None else [offer.plan]
        if any(covers for _, covers in self._covering(kind, facts, args, plans)):
            return True
        reading = self._reading()
        if self._leaving(kind, judged, facts, args, reading, covered=True)[1]:
            return False
        if offer.page is not None and offer.page.covers(kind, judged, reading):
            return True
        if offer.series is None or kind.action == "grant" or forbidden(kind, judged, facts):
            return False
        return offer.series.covers(tool, judged, reading)

    def _covering(
        self, kind: Kind, facts: Mapping[str, Any], args: Mapping[str, Any], plans: Iterable[Plan]
    ) -> Iterator[tuple[Plan, bool]]:
        if kind.action in ASKING:
            return
        for plan in plans:
            reading = self._under(plan)
            judged = self._judged(kind, facts, args, reading)
            leaving = self._leaving(kind, judged, facts, args, reading, covered=True)[1]
            yield plan, plan.covers(kind, judged, reading, facts, self.request) and not leaving

    def _leaving(
        self,
        kind: Kind,
        judged: Iterable[Judged],
        facts: Mapping[str, Any],
        args: Mapping[str, Any],
        reading: Reading,
        *,
        covered: bool = False,
    ) -> tuple[str, list[Disclosed]]:
        """What is passed on and what is disclosed; under a grant also by what is only made."""
        addressed = any(one.value.role in ("recipient", "destination") for one in judged)
        if kind.action in ASKING and not addressed:
            return "none", []
        values = values_of("read", facts.get("roles") or {}, args)
        texts = [value.text for value in values if value.role in _CONTENT]
        quotes = passes_on(texts, reading)
        typed = works_on_pages(kind.words)  # what is typed into a page goes to its host
        if kind.action not in _SENDING and not addressed and not typed and not covered:
            return quotes, []
        found = {(one.what, one.label, one.source.number): one for one in disclosed(texts, reading)}
        if kind.action in ("create", "update"):
            found = {key: one for key, one in found.items() if not _goes_back(one, facts, args)}
        return quotes, list(found.values())[:_SHOWN]


def _failed(content: Any) -> bool:
    """Whether a result reads as if nothing was made."""
    return _FAILED.search(str(content)[:_READ]) is not None


def _goes_back(one: Disclosed, facts: Mapping[str, Any], args: Mapping[str, Any]) -> bool:
    """Whether what was copied is written to where it was read: the same file of the same repository."""
    if one.what != "copy" or not one.source.keys:
        return False
    roles = facts.get("roles") or {}
    given = {
        fold(value)
        for name, value in args.items()
        if isinstance(value, str) and roles.get(name) in ("object", "path", "recipient")
    }
    return all(fold(key) in given for key in one.source.keys)


def _narrowed(value: Value, origin: Origin, kind: Kind, reading: Reading) -> bool:
    """Whether a thing that is changed stands in listings only that words of the agent's own narrowed, and is
    not one of those words: it is one of the things that could have been listed."""
    if value.role != "object" or value.link or kind.action != "update" or not origin.places:
        return False
    said = fold(value.text)
    return all(
        reading.label(place.source) == "searched"
        and not any(said in fold(key) for key in place.source.keys or ())
        for place in origin.places
    )


def _is_document(kind: Kind, facts: Mapping[str, Any]) -> bool:
    """Whether a tool returns what somebody wrote. The file of a flat, which no path leads to, is a record."""
    found = _DOCUMENTS & set(kind.words)
    on_file = found == {"file"} and not kind.verb and "path" not in (facts.get("roles") or {}).values()
    return bool(found) and not on_file


def _inert(text: str) -> bool:
    """Whether a field has no room for an instruction."""
    words = text.split()
    short = len(words) <= _INERT_WORDS and len(text) <= _INERT_LENGTH
    return short and (len(words) < 2 or not acts(fold(text)))


def _tells(source: Source) -> bool:
    """Whether the result of an action says more than that it was done."""
    if not source.inert or source.records > 1:
        return True
    return any(shape_of(place.text) in EXTERNAL for places in source.fields.values() for place in places)


def _provenance(judged: list[Judged], args: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in judged:
        if not one.value.link:
            found[one.value.path] = one.to_provenance()
    for name in args:
        path = f"args.{name}"
        if path not in found:
            found[path] = _joined(
                [one for one in judged if one.value.path.startswith((f"{path}.", f"{path}["))]
            )
    return found


def _joined(parts: list[Judged]) -> dict[str, Any]:
    """Of several values in one argument: as the worst of them."""
    if not parts:
        return {"from_user": False, "from_results": [], "origin": "constant", "trusted": True}
    worst = max(parts, key=lambda one: one.rank).to_provenance()
    facts = [one.to_provenance() for one in parts]
    return {
        **worst,
        "from_user": all(one["from_user"] for one in facts),
        "from_results": sorted({name for one in facts for name in one["from_results"]}),
        "trusted": all(one["trusted"] for one in facts),
    }
