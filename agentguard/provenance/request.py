"""The words of the request: what a person asks for, which values they name, and what they leave open.

Verbs count in asking position only: in the base form or with -ing, or as a participle after `be` or `get`;
what is also a noun counts at the beginning of a clause. What no word list explains makes the request
unknown: then it may not be concluded that something was not asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import Final

from agentguard.provenance.asking import Asked
from agentguard.provenance.handing import delegates, refers
from agentguard.provenance.lexicon import Lexicon, lexicon, lexicons
from agentguard.provenance.literals import Literals, Shape, literals, normal, shape_of
from agentguard.provenance.text import any_of, bounded_in, fold, hidden, number, plain, tokens
from agentguard.tools import Action

__all__ = ["LONGEST", "Request", "read_request"]

LONGEST: Final = 65_536
"""Characters of the user's words that are read; beyond, the request counts as unknown."""

_QUOTED: Final = re.compile(
    r"\"([^\"\n]{1,400})\"|'([^'\n]{2,400})'(?=\W|$)|[“«]([^”»\n]{1,400})[”»]|`([^`\n]{1,400})`"
)
_SHORT_STEM: Final = 3
_PROSE: Final = frozenset({"md", "rst", "txt", "adoc"})
_NAME: Final = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:(?:of|the|de|van|and|&)\s+)?[A-Z][\w'’-]*){0,5}")
_FEWEST: Final = 0.12
_SHORT: Final = 6
_COUNTED: Final = 3
_REFUSED: Final = 8
_DOTTED: Final = re.compile(r"\S{1,200}\.\w\S{0,200}")
_ANSWERING: Final = frozenset({"reply", "answer", "respond", "thank", "return", "refund", "write", "contact"})
_ADDRESSES: Final = 200
_ADDRESS: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6}")
_SENTENCE: Final = re.compile(r"[.!?;:](?=\s)|\n")


@dataclass(frozen=True, slots=True)
class Request:
    """What the user's words say. `verbs` are in asking position, `weak` only by a noun of the action.

    `refused` are addresses to which nothing is to go (`not to press@x.example`), `mentioned` those that are
    only named as where something comes from.
    """

    text: str = ""
    exact: str = ""
    words: frozenset[str] = frozenset()
    literals: Literals = field(default_factory=Literals)
    quoted: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    numbers: frozenset[float] = frozenset()
    verbs: frozenset[str] = frozenset()
    actions: frozenset[Action] = frozenset()
    weak: frozenset[Action] = frozenset()
    topics: frozenset[str] = frozenset()
    plural: bool = False
    delegated: bool = False
    described: bool = False
    referring: bool = False
    pointing: bool = False
    open: bool = False
    most: bool = False
    least: bool = False
    unknown: bool = True
    foreign: bool = False
    cued: bool = False
    refused: frozenset[str] = frozenset()
    mentioned: frozenset[str] = frozenset()

    @property
    def asks_effect(self) -> bool:
        """Whether it asks for anything but information."""
        return bool((self.actions | self.weak) - {"read", "fetch"})

    def holds(self, value: str) -> bool:
        """Whether the user's words hold a value, as it is written."""
        shape = shape_of(value)
        form = normal(value, shape)
        if form in self.refused:
            return False
        if shape in ("email", "url", "iban", "account", "file", "date"):
            if form in self.literals.of(shape):
                return True
            if shape == "file" and self._spells(value):
                return True
            if shape in ("email", "url", "iban", "account"):
                return False
        if shape == "number":
            return number(fold(value)) in self.numbers
        text = fold(value)
        if not text or (hidden(value) and value not in self.exact):
            return False
        return bounded_in(text, self.text) >= 0

    def _spells(self, file: str) -> bool:
        """Whether the user named a text by its stem in capitals: `the README`."""
        stem, _, ending = file.strip().partition(".")
        return (
            len(stem) > _SHORT_STEM
            and stem.isalpha()
            and stem.isupper()
            and ending.casefold() in _PROSE
            and bounded_in(stem, self.exact) >= 0
        )

    def only_mentions(self, address: str) -> bool:
        """Whether an address is named only as where something comes from, and nothing goes back."""
        return fold(address) in self.mentioned and not self.verbs & _ANSWERING

    def names_words(self, value: str) -> bool:
        """Whether all words of a value that carry meaning are the user's."""
        found = [word for word in tokens(fold(value)) if word not in _fillers()]
        return bool(found) and all(word in self.words or _stem(word) in self.words for word in found)

    def has_shape(self, shape: Shape) -> bool:
        """Whether the user named a literal of a shape."""
        return bool(self.literals.of(shape))


@lru_cache(maxsize=256)
def read_request(text: str) -> Request:
    """What the user's words say; several messages are one text, a line each."""
    exact = text[:LONGEST]
    folded = fold(exact)
    found_words = [plain(word) for word in tokens(folded)]
    words = frozenset(tokens(folded)) | frozenset(found_words)
    words |= {_stem(word) for word in words}
    found = literals(exact)
    numbers = frozenset([float(one) for one in found.of("number")])
    base = Request(
        text=" " + folded + " ",
        exact=exact,
        words=words,
        literals=found,
        quoted=frozenset([fold(next(filter(None, one.groups()))) for one in _QUOTED.finditer(exact)]),
        names=frozenset([name for one in _NAME.finditer(exact) if (name := _unled(fold(one.group())))]),
        numbers=numbers,
        refused=_addresses(exact, _refused),
        mentioned=_addresses(exact, _mentioned),
    )
    languages = _languages(found_words)
    if not languages:
        return base
    asked = Asked(languages, _QUOTED.sub(" ", exact))
    informs = _informs(asked, lexicon())
    own_words = [plain(word) for word in tokens(fold(_DOTTED.sub(" ", _QUOTED.sub(" ", exact))))]
    spoken = _Spoken(languages, found_words, folded)
    delegated = any(delegates(one, spoken.folded, found_words) for one in languages)
    english = lexicon()
    return replace(
        base,
        numbers=numbers | spoken.numbers,
        verbs=frozenset(asked.verbs),
        withheld=frozenset(asked.withheld - asked.verbs),
        actions=frozenset[Action]().union(*[english.actions_of(verb) for verb in asked.verbs]),
        weak=spoken.weak,
        topics=spoken.topics | _topics_of(found, exact, english),
        plural=_is_plural(languages, found_words) or len(found.of("email")) > 1,
        delegated=delegated or (asked.describes and not informs),
        described=asked.describes and not delegated,
        referring=not informs and any(refers(one, own_words) for one in languages),
        pointing=spoken.any("pointers"),
        open=spoken.any("open"),
        most=any(any_of(found_words, one.superlatives.most) for one in languages),
        least=any(any_of(found_words, one.superlatives.least) for one in languages),
        # The lists of other languages are short: what they do not know may still be asked for.
        unknown=asked.unknown
        or not (asked.verbs or asked.questions)
        or (bool(asked.verbs) and asked.verbs <= english.vague)
        or len(text) > LONGEST
        or any(one is not english for one in languages),
        foreign=english not in languages,
        cued=spoken.any("cues"),
    )


def _addresses(text: str, said: Callable[[Sequence[str]], bool]) -> frozenset[str]:
    """The e-mail addresses before each of which something is said, and of which nothing else is."""
    found: set[str] = set()
    other: set[str] = set()
    begin = 0
    for match in islice(_ADDRESS.finditer(text), _ADDRESSES):
        clause = _SENTENCE.split(text[begin : match.start()])[-1]
        words = [plain(word) for word in tokens(fold(clause))]
        (found if said(words) else other).add(normal(match.group(), "email"))
        begin = match.end()
    return frozenset(found - other)


def _refused(before: Sequence[str]) -> bool:
    refusals = frozenset().union(*[one.refusals for one in lexicons().values()])
    return any_of(before[-_REFUSED:], refusals)


def _mentioned(before: Sequence[str]) -> bool:
    return any_of(before[-1:], frozenset().union(*[one.origins for one in lexicons().values()]))


def _informs(asked: Asked, english: Lexicon) -> bool:
    """Whether the request wants an answer and nothing else."""
    wanted = frozenset[Action]().union(*[english.actions_of(verb) for verb in asked.verbs])
    return (asked.questions or bool(asked.verbs)) and wanted <= {"read", "fetch"}


class _Spoken:
    """What single words say, in any of the languages."""

    def __init__(self, languages: Sequence[Lexicon], words: Sequence[str], folded: str) -> None:
        self.languages, self.words = languages, words
        self.folded = plain(folded)
        distinct = {*words, *[_stem(word) for word in words]}
        self.topics = frozenset[str]().union(*[one.topics_of(word) for one in languages for word in distinct])
        self.weak = frozenset(
            [one.nominal[word] for one in languages for word in distinct if word in one.nominal]
        )
        self.numbers = frozenset(
            [one.numbers[word] for one in languages for word in distinct if word in one.numbers]
        )

    def any(self, what: str) -> bool:
        return any(any_of(self.words, getattr(one, what)) for one in self.languages)


def _topics_of(found: Literals, exact: str, english: Lexicon) -> frozenset[str]:
    """What the literals and symbols of a request are about."""
    topics = frozenset[str]().union(*[english.topics_of(char) for char in "$€£" if char in exact])
    for shape, topic in _ABOUT.items():
        if found.of(shape):
            topics |= {topic}
    return topics


_ABOUT: Final[Mapping[Shape, str]] = {"email": "mail", "url": "web", "iban": "money", "file": "file"}


def _languages(words: Sequence[str]) -> list[Lexicon]:
    """The languages that the words are of; none where no list knows enough of them. What English has as well
    says nothing of another language."""
    if not words:
        return []
    english = lexicon()
    found = []
    for one in lexicons().values():
        own = one.common if one is english else one.common - english.common - english.starters
        if sum(word in own for word in words) >= _FEWEST * len(words):
            found.append(one)
    if not found and len(words) < _SHORT and all(word.isascii() for word in words):
        found = [english]
    return found


def _is_plural(languages: Sequence[Lexicon], words: Sequence[str]) -> bool:
    """Whether the request means several; not by what it only counts (`the channel with the most users`)."""
    return any(
        word in one.plural and not any_of(words[max(0, at - _COUNTED) : at], _counting(one))
        for one in languages
        for at, word in enumerate(words)
    )


def _counting(language: Lexicon) -> frozenset[str]:
    return language.superlatives.most | language.superlatives.least | {"number"}


def _unled(name: str) -> str:
    """A name without the verb that a sentence begins with (`Email Anna`)."""
    first, _, rest = name.partition(" ")
    return rest if rest and lexicon().actions_of(first) else name


@lru_cache(maxsize=1)
def _fillers() -> frozenset[str]:
    return frozenset().union(*[one.filler for one in lexicons().values()])


def _stem(word: str) -> str:
    for ending in ("ies", "es", "s", "'s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word
