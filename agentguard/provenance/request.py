"""The words of the request: what a person asks for, which values they name, and what they leave open.

Verbs count in asking position only: in the base form or with -ing, or as a participle after `be` or `get`;
what is also a noun counts at the beginning of a clause. What no word list explains makes the request
unknown: then it may not be concluded that something was not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from agentguard.provenance.lexicon import Lexicon, lexicons
from agentguard.provenance.literals import Literals, Shape, literals, normal, shape_of
from agentguard.provenance.text import bounded_in, fold, hidden, number, tokens
from agentguard.tools import Action

__all__ = ["LONGEST", "Request", "read_request"]

LONGEST: Final = 65_536
"""Characters of the user's words that are read; beyond, the request counts as unknown."""

_CLAUSE: Final = re.compile(r"(?:[.!?;:]+(?=\s|$)|\n+|\s[-–—]\s|[()])")
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[$€£,]")
_QUOTED: Final = re.compile(r"\"([^\"\n]{1,400})\"|'([^'\n]{2,400})'(?=\W|$)|[“«]([^”»\n]{1,400})[”»]|`([^`\n]{1,400})`")
_NAME: Final = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:(?:of|the|de|van|and|&)\s+)?[A-Z][\w'’-]*){0,5}")
_TELLING: Final = frozenset({"i", "he", "she", "they", "we", "who", "that", "was", "were", "has"})
_NEAR: Final = 8
_FEWEST: Final = 0.12


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
        if not text or hidden(value) and value not in self.exact:
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
    cut = len(text) > LONGEST
    exact = text[:LONGEST]
    folded = fold(exact)
    found_words = [word for word in tokens(folded)]
    words = frozenset(found_words) | {_stem(word) for word in found_words}
    language = _language(found_words)
    found = literals(exact)
    numbers = frozenset([float(one) for one in found.of("number")])
    names = frozenset([fold(match.group()) for match in _NAME.finditer(exact)])
    quoted = frozenset([fold(next(filter(None, match.groups()))) for match in _QUOTED.finditer(exact)])
    base = Request(
        text=" " + folded + " ",
        exact=exact,
        words=words,
        literals=found,
        quoted=quoted,
        names=names,
        numbers=numbers,
    )
    if language is None:
        return _replace(base, unknown=True)
    asked = _Asked(language, exact)
    numbers |= {language.numbers[word] for word in found_words if word in language.numbers}
    topics = frozenset().union(*[language.topics_of(word) for word in words]) if words else frozenset()
    symbols = frozenset().union(*[language.topics_of(char) for char in "$€£" if char in exact])
    return _replace(
        base,
        numbers=numbers,
        verbs=frozenset(asked.verbs),
        actions=frozenset().union(*[language.actions_of(verb) for verb in asked.verbs]),
        weak=frozenset([language.nominal[word] for word in words if word in language.nominal]),
        topics=topics | symbols,
        plural=_any(found_words, language.plural) or len(found.of("email")) > 1,
        delegated=_delegated(language, folded, found_words),
        pointing=_any(found_words, language.pointers),
        open=_any(found_words, language.open),
        most=_any(found_words, language.superlatives.most),
        least=_any(found_words, language.superlatives.least),
        unknown=asked.unknown or cut,
        cued=_any(found_words, language.cues),
    )


def _replace(request: Request, **changes: object) -> Request:
    from dataclasses import replace

    return replace(request, **changes)  # type: ignore[arg-type]


class _Asked:
    """The verbs in asking position, clause by clause."""

    def __init__(self, language: Lexicon, text: str) -> None:
        self.language = language
        self.verbs: set[str] = set()
        self.unknown = False
        for clause in _CLAUSE.split(_QUOTED.sub(" ", text)):
            words = [word.casefold().replace("’", "'") for word in _WORD.findall(clause)]
            shown = _WORD.findall(clause)
            if words:
                self._clause(words, shown)

    def _clause(self, words: list[str], shown: list[str]) -> None:
        language = self.language
        for at, word in enumerate(words):
            if self._refused(words, at):
                continue
            verb = self._verb(words, at, word)
            if verb is not None:
                self.verbs.add(verb)
        self._look_at_first(words, shown)

    def _look_at_first(self, words: list[str], shown: list[str]) -> None:
        """A word that asks and that no list knows makes the request unknown."""
        language = self.language
        at = 0
        while at < len(words) and words[at] in (",", *language.openers):
            at += 1
        if at >= len(words) or (at == 0 and len(words) < 2):
            return
        word = words[at]
        if not word.isalpha() or word in language.starters or word in language.common:
            return
        if at > 0 and shown[at][:1].isupper():
            return
        if self._lemma(word) is None and not language.topics_of(word) and not word.endswith(("ly", "s")):
            self.unknown = True

    def _refused(self, words: list[str], at: int) -> bool:
        return any(word in self.language.refusals for word in words[max(0, at - 2) : at])

    def _verb(self, words: list[str], at: int, word: str) -> str | None:
        language = self.language
        lemma = self._lemma(word)
        if lemma is None:
            return None
        before = words[at - 1] if at else ""
        if word != lemma and not word.endswith("ing"):
            return lemma if self._passive(words, at) else None
        if word.endswith("ing") and word != lemma:
            return None if before in ("the", "a", "my", "our", "this", "that", "any") else lemma
        if before in ("the", "a", "an", "my", "our", "your", "his", "her", "their", "this", "that", "of", "any"):
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

    def _lemma(self, word: str) -> str | None:
        return _lemma(self.language, word)


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
        if word in language.delegation.verbs and any(one in language.delegation.nouns for one in near):
            if not _any(near, language.delegation.own):
                return True
    return False


def _language(words: list[str]) -> Lexicon | None:
    """The language that most of the words are of, or none."""
    best, most = None, 0.0
    for one in lexicons().values():
        share = sum(word in one.common for word in words) / max(1, len(words))
        if share > most:
            best, most = one, share
    if best is not None and (most >= _FEWEST or len(words) < 6):
        return best
    return lexicons()["en"] if words and len(words) < 6 and best is None else None


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
