"""What a session has seen, as an index that grows with each result and is asked about values.

Linear in what was seen. Whole fields are found by their folded text, parts of texts by their rarest word;
copied runs by aligned blocks of words. Over the bound nothing more is taken up, which `full` says: what is
not in the index then is from nowhere.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from agentguard.provenance.lexicon import lexicons
from agentguard.provenance.literals import EXTERNAL, Literals, literals, normal, shape_of
from agentguard.provenance.names import name_words
from agentguard.provenance.phones import Phones
from agentguard.provenance.results import Parsed
from agentguard.provenance.text import bounded_in, compat, fold, tokens

__all__ = ["BOUND", "Label", "Place", "Seen", "Source"]

BOUND: Final = 4 << 20
"""Characters that one session's index takes up."""

_SAME: Final = 256
_TEXTS: Final = 256
_SCANNED: Final = 2 << 20
_BLOCK: Final = 4
_RUN: Final = 8
_VERIFIED: Final = 64
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./+=_-]{2,127}")
_GROUPS: Final = re.compile(r"[0-9]{2,6}(?: [0-9]{2,6}){1,7}")
_DIGITS: Final = 3
_LABELLED: Final = 65_536
_BESIDE: Final = 60
_WORDS_BESIDE: Final = 4
_OPENING: Final = frozenset(
    {"api", "access", "signing", "ssh", "encryption", "recovery", "private", "master", "license"}
)
_COMMON: Final = frozenset({"id", "key"})

Label = Literal["named", "enum", "searched", "chained", "linked", "wild", "effect", "trusted", "own"]
"""How a look-up was keyed: by the user's words, by nothing, by words of the agent's own, by a field of such a
look-up, by a text of one, by anything else; or what was seen is the result of an action, or trusted."""


@dataclass(slots=True)
class Source:
    """One result: who returned it, how the call was keyed (`keys` are its texts; None where nobody knows),
    its records."""

    number: int
    tool: str
    call_id: str | None
    label: Label
    action: str
    topics: frozenset[str]
    structured: bool
    inert: bool
    records: int
    keys: tuple[str, ...] | None = None
    fields: dict[int, list[Place]] = field(default_factory=dict)
    parents: Mapping[int, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    instructed: bool = False
    _literals: Literals | None = None

    @property
    def tops(self) -> int:
        """Records that no other record holds."""
        return self.records - len(self.parents)

    def literals(self) -> Literals:
        """The values that its texts and fields hold."""
        if self._literals is None:
            parts = [*self.texts, *[place.text for places in self.fields.values() for place in places]]
            self._literals = literals("\n".join(parts))
        return self._literals


@dataclass(frozen=True, slots=True)
class Place:
    """A whole field of a record of a source."""

    source: Source
    record: int
    name: str
    text: str
    raw: str


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a text: the source, the text folded, and where in it."""

    source: Source
    text: str
    at: int
    record: int


class Seen:
    """The index of one session."""

    def __init__(self, bound: int = BOUND) -> None:
        self.sources: list[Source] = []
        self.full = False
        self._left = bound
        self._whole: dict[str, list[Place]] = {}
        self._texts: list[tuple[Source, int, str]] = []
        self._by_word: dict[str, list[int]] = {}
        self._blocks: dict[int, int] = {}
        self._runs: list[tuple[Source, str]] = []
        self._labelled: dict[str, tuple[str, Source]] = {}
        self._mailboxes: dict[str, list[Place]] = {}
        self._phones = Phones()

    def copy(self) -> Seen:
        """The same index, to which either may add without the other."""
        other = copy.copy(self)
        other.sources, other._texts, other._runs = [*self.sources], [*self._texts], [*self._runs]
        other._whole = {form: [*places] for form, places in self._whole.items()}
        other._by_word = {word: [*texts] for word, texts in self._by_word.items()}
        other._phones = self._phones.copy()
        other._blocks, other._labelled = {**self._blocks}, {**self._labelled}
        other._mailboxes = {name: [*places] for name, places in self._mailboxes.items()}
        return other

    def add(self, source: Source, parsed: Parsed) -> None:
        """Take up a result."""
        self.sources.append(source)
        self.full = self.full or parsed.cut
        for item in parsed.fields:
            if self._left < len(item.text):
                self.full = True
                return
            self._left -= len(item.text) + 32
            text = fold(item.text)
            if not text:
                continue
            if not item.long:
                place = Place(source, item.record, item.name, text, item.text)
                source.fields.setdefault(item.record, []).append(place)
                for form in {text, _form(item.text)}:
                    same = self._whole.setdefault(form, [])
                    if len(same) < _SAME:
                        same.append(place)
                self._phones.field(place)
                if "@" in text and shape_of(text) == "email":
                    mailbox = self._mailboxes.setdefault(text.partition("@")[0], [])
                    if len(mailbox) < _SAME:
                        mailbox.append(place)
            else:
                source.texts.append(item.text)
            self._take_text(source, item.record, text, long=item.long)
            for token, label in labelled(item.name, item.text):
                self._labelled.setdefault(token, (label, source))

    def _take_text(self, source: Source, record: int, text: str, *, long: bool) -> None:
        number = len(self._texts)
        self._texts.append((source, record, text))
        if long:
            self._phones.text(number, text)
        words = tokens(text)
        for word in set(words):
            self._by_word.setdefault(word, []).append(number)
        if long and len(words) >= _RUN:
            run = len(self._runs)
            self._runs.append((source, " ".join(words)))
            for at in range(0, len(words) - _BLOCK + 1, _BLOCK):
                self._blocks.setdefault(hash(tuple(words[at : at + _BLOCK])), run)

    # -- asking

    def whole(self, value: str) -> list[Place]:
        """The fields that are this value, in any of its usual spellings."""
        text = fold(value)
        found = self._whole.get(text, [])
        form = _form(value)
        others = self._phones.fields_of(value)
        if form != text:
            others = [*self._whole.get(form, []), *others]
        return [*found, *[place for place in others if place not in found]] if others else found

    def namesakes(self, address: str) -> list[Place]:
        """The fields that are an address with the same part before its `@`; the first of them."""
        return self._mailboxes.get(fold(address).partition("@")[0], [])

    def parts(self, value: str) -> Iterator[Found]:
        """The places in texts where a value stands by itself; bounded."""
        text = fold(value)
        for number, at in self._phones.texts_of(value):
            source, record, held = self._texts[number]
            yield Found(source, held, at, record)
        words = tokens(text)
        if not words:
            return
        candidates = min((self._by_word.get(word, []) for word in words), key=len)
        strict = shape_of(value) in EXTERNAL
        scanned = 0
        for number in candidates[-_TEXTS:]:
            source, record, held = self._texts[number]
            scanned += len(held)
            if scanned > _SCANNED:
                return
            at = _alone(text, held) if strict else bounded_in(text, held)
            if at >= 0:
                yield Found(source, held, at, record)

    def secrets(self, text: str) -> Iterator[tuple[str, str, Source]]:
        """The values in a text that stood under or beside a secret's label: the value, its label, where."""
        if not self._labelled:
            return
        for token, value in codes(text):
            for form in (token, token[::-1]):
                known = self._labelled.get(form)
                if known is not None:
                    yield value, *known

    def copied(self, text: str) -> Iterator[tuple[Source, str]]:
        """Runs of eight words that a text has in common with long texts that were seen; bounded."""
        words = tokens(compat(text))
        verified = 0
        at = 0
        while at <= len(words) - _BLOCK:
            run = self._blocks.get(hash(tuple(words[at : at + _BLOCK])))
            if run is None:
                at += 1
                continue
            verified += 1
            source, held = self._runs[run]
            for start in range(max(0, at - _BLOCK), min(at, len(words) - _RUN) + 1):
                piece = " ".join(words[start : start + _RUN])
                if bounded_in(piece, held) >= 0:
                    yield source, piece
                    at = start + _RUN
                    break
            else:
                at += 1
            if verified >= _VERIFIED:
                return


def codes(text: str) -> Iterator[tuple[str, str]]:
    """The runs of a text that may be a code, as bare letters and digits, and as they stand."""
    for match in _CODE.finditer(text):
        value = match.group()
        if sum(char.isdigit() for char in value) >= _DIGITS:
            yield "".join([char for char in value.casefold() if char.isalnum()]), value
    for match in _GROUPS.finditer(text):
        yield "".join([char for char in match.group() if char.isdigit()]), match.group()


def labelled(name: str, text: str) -> Iterator[tuple[str, str]]:
    """The codes of a field whose name is a secret's label, or beside such a label in its text."""
    labels = _labels()
    spoken = name_words(name)
    of_field = set(spoken) & labels
    if of_field <= _COMMON and (spoken in (("id",), ("key",)) or spoken[-1:] == ("id",)):
        of_field = set()  # what a thing is called by: `id`, `order_id`, `key`
    if of_field:
        label = min(of_field)
        yield from ((token, label) for token, _ in codes(text[:_LABELLED]))
    words = tokens(text[:_LABELLED].casefold())
    if labels.isdisjoint(words):
        return
    for token, value in codes(text[:_LABELLED]):
        at = text.find(value)
        beside = set(tokens(text[max(0, at - _BESIDE) : at].casefold())[-_WORDS_BESIDE:])
        near = beside & labels
        if near <= _COMMON and ("key" not in near or beside.isdisjoint(_OPENING)):
            continue
        if near:
            yield token, min(near)


@lru_cache(maxsize=1)
def _labels() -> frozenset[str]:
    return frozenset[str]().union(*[one.secrets for one in lexicons().values()])


def _form(value: str) -> str:
    return normal(value, shape_of(value))


def _alone(value: str, text: str) -> int:
    """As `bounded_in`, where the neighbours may not make it another address."""
    start = 0
    for _ in range(64):
        at = text.find(value, start)
        if at < 0:
            return -1
        end = at + len(value)
        before = text[at - 1] if at else " "
        after = text[end] if end < len(text) else " "
        beyond = text[end + 1] if end + 1 < len(text) else " "
        fine = not (before.isalnum() or before in "._%+-@") and not (after.isalnum() or after in "@-_%+")
        if fine and after in "./" and beyond.isalnum():
            fine = False
        if fine:
            return at
        start = at + 1
    return -1
