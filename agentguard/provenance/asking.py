"""The verbs that a person asks with, clause by clause.

Verbs count in asking position only: in the base form or with -ing, or as a participle after `be` or `get`;
what is also a noun counts at the beginning of a clause. A word in that position that no list knows makes the
request unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agentguard.provenance.lexicon import Lexicon, lexicon
from agentguard.provenance.text import any_of, plain

__all__ = ["Asked"]

_CLAUSE: Final = re.compile(r"(?:[.!?;:]+(?=\s|$)|\n+|\s[-–—]\s|[()])")
_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[$€£,]")
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
_PERSONS: Final = frozenset(
    {"i", "you", "we", "they", "he", "she", "it", "people", "any", "my", "our", "these", "those"}
)
_RELATIVE: Final = frozenset({"what", "whatever", "whichever", "whoever"})
_TOLD: Final = frozenset({"know", "and", "of", "on", "about"})
_AUXILIARY: Final = 6
_GAP: Final = 5
_WISHED: Final = frozenset({"need", "want", "like", "require"})
_THINGS: Final = frozenset({"a", "an", "some", "another", "two", "three", "one", "more", "my", "our"})
_ONE: Final = frozenset({"a", "an", "the", "some", "my", "our", "one"})
_BETWEEN: Final = frozenset(
    {"just", "then", "also", "probably", "rather", "still", "later", "do", "and", "go"}
)
_WISHES: Final = frozenset({"need", "want", "like", "love", "appreciate", "prefer", "wish", "ask", "have"})


class Asked:
    """The verbs in asking position, clause by clause, as English base forms; `withheld` are those of what is
    not to be done, or what the speaker does."""

    def __init__(self, languages: Sequence[Lexicon], text: str) -> None:
        self.language = lexicon()
        self.languages = languages
        self.verbs: set[str] = set()
        self.withheld: set[str] = set()
        self.unknown = False
        self.questions = "?" in text
        self.describes = False
        for clause in _CLAUSE.split(_LINK.sub(". ", text)):
            shown = _WORD.findall(clause)
            words = [plain(word.casefold().replace("’", "'")) for word in shown]
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
        does = words[0] == "do" and (len(words) < 2 or words[1] not in _PERSONS)  # `do the round`
        told = not does and words[0] in _QUESTIONS and any_of(words[:_AUXILIARY], _DOING)
        for at, word in enumerate(words):
            if self._refused(words, at) or _promised(words, at):
                self.withheld.add(self._lemma(word) or word)
                continue
            if told and words[at - 1] not in _JOINING:
                continue
            verb = self._verb(words, at, word)
            if verb is not None:
                self.verbs.add(verb)
        self.verbs.update(self._gapped(words))
        if self.verbs:
            self.verbs.update(self._brought(words))
        does = does or any(
            word == "do" and at and words[at - 1] in (",", "please", "just") and words[at + 1] not in _PERSONS
            for at, word in enumerate(words[:-1])
        )
        self.unknown = self.unknown or _wishes(words)
        self.describes = self.describes or does or self._free_relative(words)
        self.questions = self.questions or told or (not does and any_of(words[:2], _QUESTIONS))
        self._look_at_first(words, shown)
        for at in range(1, len(words) - 1):
            self._look_at(words, shown, at)

    def _gapped(self, words: list[str]) -> set[str]:
        """Several words that are one verb, with others between them: `drop them both a line`."""
        found = set()
        for one in self.languages:
            for phrase, verb in one.gapped.items():
                first, _, rest = phrase.partition("|")
                for at, word in enumerate(words):
                    asks = word == first and not self._refused(words, at) and not _promised(words, at)
                    if asks and f" {rest} " in f" {' '.join(words[at + 1 : at + _GAP + len(rest.split())])} ":
                        found.add(verb)
        return found

    def _brought(self, words: list[str]) -> set[str]:
        """What comes along with what is asked for: `close it with a friendly comment`."""
        found = set()
        for at, word in enumerate(words[:-2]):
            if word == "with" and words[at + 1] in _ONE:
                thing = next((one for one in words[at + 2 : at + 6] if one in self.language.nominal), None)
                if thing is not None and self.language.actions_of(thing):
                    found.add(thing)
        return found

    def _free_relative(self, words: list[str]) -> bool:
        """Whether what is to be done is described by where it stands: `order what she needs`."""
        return any(
            word in _RELATIVE and at and not self._asks_to_know(words[max(0, at - 3) : at])
            for at, word in enumerate(words)
        )

    def _asks_to_know(self, before: list[str]) -> bool:
        english = self.language
        return any(english.actions_of(word) & {"read", "fetch"} or word in _TOLD for word in before)

    def _look_at(self, words: list[str], shown: list[str], at: int) -> None:
        """A word that no list knows asks too, where a verb may stand and a thing follows (`and ping us`)."""
        word = words[at]
        asking = words[at - 1] == "," or self._in(words[at - 1], "openers")
        if (
            not asking
            or not self._in(words[at + 1], "things")
            or not word.isalpha()
            or shown[at][:1].isupper()
        ):
            return
        known = any(
            self._in(word, what) for what in ("starters", "common", "openers", "filler", "plural", "open")
        )
        noun = any(one.topics_of(word) for one in self.languages)
        if not known and not noun and self._lemma(word) is None and not word.endswith("ly"):
            self.unknown = True

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
        asks = any_of(before, self.language.auxiliaries) or (
            any_of(before, self.language.stating) and any_of(words[:at], self.language.ensuring)
        )
        return asks and not any_of(words[max(0, at - 2) : at], _TELLING)

    def _foreign(self, word: str) -> bool:
        return any(word in one.irregular for one in self.languages if one is not self.language)

    def _lemma(self, word: str) -> str | None:
        found = _lemma(self.language, word) if self.language in self.languages else None
        if found is None:
            found = next((one.irregular[word] for one in self.languages if word in one.irregular), None)
        return found


def _wishes(words: Sequence[str]) -> bool:
    """Whether a thing is wished for, and no verb says what to do for it: `I need an hour with Ravi`."""
    for at, word in enumerate(words[:-2]):
        said = words[max(0, at - 1) : at]
        if word in _WISHED and said in (["i"], ["we"], ["i'd"], ["we'd"]) and words[at + 1] in _THINGS:
            return True
    return False


def _promised(words: Sequence[str], at: int) -> bool:
    """Whether the speaker says that they do it themselves: `I'll merge it`, `we will decide`."""
    before = [word for word in words[max(0, at - 4) : at] if word not in _BETWEEN]
    if words[at] in _WISHES:
        return False
    return before[-1:] in (["i'll"], ["we'll"]) or before[-2:] in (
        ["i", "will"],
        ["we", "will"],
        ["i", "can"],
    )


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
