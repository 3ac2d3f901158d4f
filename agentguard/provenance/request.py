"""The words of the request: what a person asks for, which values they name, and what they leave open.

Verbs count in asking position only: in the base form or with -ing, or as a participle after `be` or `get`;
what is also a noun counts at the beginning of a clause. What no word list explains makes the request
unknown: then it may not be concluded that something was not asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from agentguard.provenance.lexicon import Lexicon, lexicon, lexicons
from agentguard.provenance.literals import Literals, Shape, literals, normal, shape_of
from agentguard.provenance.text import bounded_in, fold, hidden, number, tokens
from agentguard.tools import Action

__all__ = ["LONGEST", "Request", "read_request"]

LONGEST: Final = 65_536
"""Characters of the user's words that are read; beyond, the request counts as unknown."""

_CLAUSE: Final = re.compile(r"(?:[.!?;:]+(?=\s|$)|\n+|\s[-–—]\s|[()])")
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[$€£,]")
_QUOTED: Final = re.compile(
    r"\"([^\"\n]{1,400})\"|'([^'\n]{2,400})'(?=\W|$)|[“«]([^”»\n]{1,400})[”»]|`([^`\n]{1,400})`"
)
_NAME: Final = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:(?:of|the|de|van|and|&)\s+)?[A-Z][\w'’-]*){0,5}")
_TELLING: Final = frozenset({"i", "he", "she", "they", "we", "who", "that", "was", "were", "has"})
_LINK: Final = re.compile(r"(?:https?://|www\.)\S{1,2000}")
_QUESTIONS: Final = frozenset(
    [
        "what",
        "who",
        "whom",
        "whose",
        "when",
        "where",
        "how",
        "why",
        "which",
        "does",
        "did",
        "do",
        "is",
        "are",
        "was",
        "were",
    ]
)
_DOING: Final = frozenset({"does", "did", "do", "is", "are", "was", "were", "has", "have", "had"})
_JOINING: Final = frozenset({"and", "then", "please", ","})
_AUXILIARY: Final = 6
_NEAR: Final = 8
_FEWEST: Final = 0.12
_SHORT: Final = 6
_COUNTED: Final = 3


@dataclass(frozen=True, slots=True)
class Request:
    """What the user's words say. `verbs` are in asking position, `weak` only by a noun of the action."""

    text: str = ""
    exact: str = ""
    words: frozenset[str] = frozenset()
    literals: Literals = field(default_factory=Literals)
    quoted: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    numbers: frozenset[float] = frozenset()
    verbs: frozenset[str] = frozenset()
    actions: frozenset[Action] = frozenset()
    weak: frozenset[Action] = frozenset()
    topics: frozenset[str] = frozenset()
    plural: bool = False
    delegated: bool = False
    pointing: bool = False
    open: bool = False
    most: bool = False
    least: bool = False
    unknown: bool = True
    cued: bool = False

    @property
    def asks_effect(self) -> bool:
        """Whether it asks for anything but information."""
        return bool((self.actions | self.weak) - {"read", "fetch"})

    def holds(self, value: str) -> bool:
        """Whether the user's words hold a value, as it is written."""
        shape = shape_of(value)
        form = normal(value, shape)
        if shape in ("email", "url", "iban", "account", "file", "date"):
            if form in self.literals.of(shape):
                return True
            if shape in ("email", "url", "iban", "account"):
                return False
        if shape == "number":
            return number(fold(value)) in self.numbers
        text = fold(value)
        if not text or (hidden(value) and value not in self.exact):
            return False
        return bounded_in(text, self.text) >= 0

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
    found_words = [_plain(word) for word in tokens(folded)]
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
        names=frozenset([fold(one.group()) for one in _NAME.finditer(exact)]),
        numbers=numbers,
    )
    languages = _languages(found_words)
    if not languages:
        return base
    asked = _Asked(languages, exact)
    spoken = _Spoken(languages, found_words, folded)
    english = lexicon()
    return replace(
        base,
        numbers=numbers | spoken.numbers,
        verbs=frozenset(asked.verbs),
        actions=frozenset[Action]().union(*[english.actions_of(verb) for verb in asked.verbs]),
        weak=spoken.weak,
        topics=spoken.topics | _topics_of(found, exact, english),
        plural=_is_plural(languages, found_words) or len(found.of("email")) > 1,
        delegated=any(_delegated(one, spoken.folded, found_words) for one in languages),
        pointing=spoken.any("pointers"),
        open=spoken.any("open"),
        most=any(_any(found_words, one.superlatives.most) for one in languages),
        least=any(_any(found_words, one.superlatives.least) for one in languages),
        # The lists of other languages are short: what they do not know may still be asked for.
        unknown=asked.unknown or len(text) > LONGEST or any(one is not english for one in languages),
        cued=spoken.any("cues"),
    )


class _Spoken:
    """What single words say, in any of the languages."""

    def __init__(self, languages: Sequence[Lexicon], words: Sequence[str], folded: str) -> None:
        self.languages, self.words = languages, words
        self.folded = _plain(folded)
        distinct = {*words, *[_stem(word) for word in words]}
        self.topics = frozenset[str]().union(*[one.topics_of(word) for one in languages for word in distinct])
        self.weak = frozenset(
            [one.nominal[word] for one in languages for word in distinct if word in one.nominal]
        )
        self.numbers = frozenset(
            [one.numbers[word] for one in languages for word in distinct if word in one.numbers]
        )

    def any(self, what: str) -> bool:
        return any(_any(self.words, getattr(one, what)) for one in self.languages)


def _topics_of(found: Literals, exact: str, english: Lexicon) -> frozenset[str]:
    """What the literals and symbols of a request are about."""
    topics = frozenset[str]().union(*[english.topics_of(char) for char in "$€£" if char in exact])
    for shape, topic in _ABOUT.items():
        if found.of(shape):
            topics |= {topic}
    return topics


_ABOUT: Final[Mapping[Shape, str]] = {"email": "mail", "url": "web", "iban": "money", "file": "file"}
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


@lru_cache(maxsize=65_536)
def _plain(word: str) -> str:
    """A word without accents, as the word lists spell it."""
    if word.isascii():
        return word
    bare = unicodedata.normalize("NFD", word.translate(_UMLAUTS))
    return "".join([char for char in bare if not unicodedata.combining(char)])


class _Asked:
    """The verbs in asking position, clause by clause, as English base forms."""

    def __init__(self, languages: Sequence[Lexicon], text: str) -> None:
        self.language = lexicon()
        self.languages = languages
        self.verbs: set[str] = set()
        self.unknown = False
        for clause in _CLAUSE.split(_LINK.sub(". ", _QUOTED.sub(" ", text))):
            shown = _WORD.findall(clause)
            words = [_plain(word.casefold().replace("’", "'")) for word in shown]
            words, shown = self._joined(words, shown)
            if words:
                self._clause(words, shown)

    def _joined(self, words: list[str], shown: list[str]) -> tuple[list[str], list[str]]:
        """With several words that are one verb as that verb."""
        kept: list[str] = []
        same: list[str] = []
        at = 0
        while at < len(words):
            verb, length = self._phrase(words, at)
            kept.append(verb or words[at])
            same.append(verb or shown[at])
            at += length
        return kept, same

    def _phrase(self, words: list[str], at: int) -> tuple[str, int]:
        for length in (4, 3, 2):
            phrase = " ".join(words[at : at + length])
            for one in self.languages:
                if phrase in one.phrases and at + length <= len(words):
                    return one.phrases[phrase], length
        return "", 1

    def _clause(self, words: list[str], shown: list[str]) -> None:
        told = words[0] in _QUESTIONS and _any(words[:_AUXILIARY], _DOING)
        for at, word in enumerate(words):
            if self._refused(words, at) or (told and words[at - 1] not in _JOINING):
                continue
            verb = self._verb(words, at, word)
            if verb is not None:
                self.verbs.add(verb)
        self._look_at_first(words, shown)

    def _look_at_first(self, words: list[str], shown: list[str]) -> None:
        """A word that asks and that no list knows makes the request unknown."""
        at = 0
        while at < len(words) and (words[at] == "," or self._in(words[at], "openers")):
            at += 1
        if at >= len(words) or (at == 0 and len(words) < 2):
            return
        word = words[at]
        if not word.isalpha() or self._in(word, "starters") or self._in(word, "common"):
            return
        if shown[at][:1].isupper() and (at > 0 or self._subject(words[at + 1 : at + 2])):
            return
        noun = any(one.topics_of(word) for one in self.languages)
        if self._lemma(word) is None and not noun and not word.endswith(("ly", "s")):
            self.unknown = True

    def _in(self, word: str, what: str) -> bool:
        return any(word in getattr(one, what) for one in self.languages)

    def _subject(self, after: list[str]) -> bool:
        """Whether a capitalised word begins a statement: its verb comes next."""
        return bool(after) and (
            after[0].endswith(("ed", "s", "nt", "ote", "aid")) or self._in(after[0], "starters")
        )

    def _refused(self, words: list[str], at: int) -> bool:
        return any(self._in(word, "refusals") for word in words[max(0, at - 2) : at])

    def _verb(self, words: list[str], at: int, word: str) -> str | None:
        language = self.language
        lemma = self._lemma(word)
        if lemma is None:
            return None
        before = words[at - 1] if at else ""
        if self._foreign(word):
            return lemma
        if word != lemma and not word.endswith("ing"):
            return lemma if self._passive(words, at) else None
        if word.endswith("ing") and word != lemma:
            return None if before in ("the", "a", "my", "our", "this", "that", "any") else lemma
        if before in (
            "the",
            "a",
            "an",
            "my",
            "our",
            "your",
            "his",
            "her",
            "their",
            "this",
            "that",
            "of",
            "any",
        ):
            return None
        if word in ("tell", "show", "give", "get") and at + 1 < len(words) and words[at + 1] in ("me", "us"):
            return "find"
        if word in language.nouns and at and before not in language.openers and before != ",":
            return None if before not in ("me", "them", "him", "it", "not") else lemma
        return lemma

    def _passive(self, words: list[str], at: int) -> bool:
        before = words[max(0, at - 6) : at]
        asks = _any(before, self.language.auxiliaries) or (
            _any(before, self.language.stating) and _any(words[:at], self.language.ensuring)
        )
        return asks and not _any(words[max(0, at - 2) : at], _TELLING)

    def _foreign(self, word: str) -> bool:
        return any(word in one.irregular for one in self.languages if one is not self.language)

    def _lemma(self, word: str) -> str | None:
        found = _lemma(self.language, word) if self.language in self.languages else None
        if found is None:
            found = next((one.irregular[word] for one in self.languages if word in one.irregular), None)
        return found


def _lemma(language: Lexicon, word: str) -> str | None:
    if language.actions_of(word):
        return word
    if word in language.irregular:
        return language.irregular[word]
    for ending, put in (("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("d", "")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            stem = word[: -len(ending)] + put
            if language.actions_of(stem):
                return stem
            if len(stem) > 3 and stem[-1] == stem[-2] and language.actions_of(stem[:-1]):
                return stem[:-1]
            if stem.endswith("i") and language.actions_of(stem[:-1] + "y"):
                return stem[:-1] + "y"
    return None


def _delegated(language: Lexicon, text: str, words: list[str]) -> bool:
    if any(bounded_in(phrase, text) >= 0 for phrase in language.delegation.phrases):
        return True
    for at, word in enumerate(words):
        near = words[at + 1 : at + _NEAR]
        handed = word in language.delegation.verbs and _any(near, language.delegation.nouns)
        if handed and not _any(near, language.delegation.own):
            return True
    return False


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
        word in one.plural and not _any(words[max(0, at - _COUNTED) : at], _counting(one))
        for one in languages
        for at, word in enumerate(words)
    )


def _counting(language: Lexicon) -> frozenset[str]:
    return language.superlatives.most | language.superlatives.least | {"number"}


def _any(words: Iterable[str], among: frozenset[str]) -> bool:
    return any(word in among for word in words)


@lru_cache(maxsize=1)
def _fillers() -> frozenset[str]:
    return frozenset().union(*[one.filler for one in lexicons().values()])


def _stem(word: str) -> str:
    for ending in ("ies", "es", "s", "'s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word
