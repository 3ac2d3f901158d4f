"""Handing over: what to do is said by a text that the user points to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentguard.provenance.lexicon import Lexicon
from agentguard.provenance.text import any_of, bounded_in

__all__ = ["delegates", "refers"]

_NEAR: Final = 8
_OBJECT: Final = 4
_PARTICIPLE: Final = 4
_MYSELF: Final = frozenset({"i", "ll", "we"})
_SELF: Final = ("i'll", "i will", " i", "i'd", "we'll", "we will", "i can", "to me")


def delegates(language: Lexicon, text: str, words: Sequence[str]) -> bool:
    """Whether the words ask for what a text says: a verb of doing with a text, or without an object."""
    handing = language.delegation
    if any(_handed(phrase, text) for phrase in handing.phrases):
        return True
    for at, word in enumerate(words):
        if at and words[at - 1] in _MYSELF:
            continue
        near = words[at + 1 : at + _NEAR]
        if word in handing.verbs and any_of(near, handing.nouns) and not any_of(near, handing.own):
            return True
        if word in handing.telling and _teller(language, words[max(0, at - 2) : at]):
            return True
        if _vague(language, word, words[at + 1 : at + 1 + _OBJECT]):
            return True
    return False


def _teller(language: Lexicon, before: Sequence[str]) -> bool:
    """Whether a document, or what stands for one, comes right before: `it says`, `the minutes of it say`."""
    tellers = language.delegation.tellers
    return any_of(before[-1:], tellers) or any_of(before[:-1], tellers & language.delegation.documents)


def _handed(phrase: str, text: str) -> bool:
    """Whether a phrase asks, and does not say what the speaker will do (`I'll do that`)."""
    at = bounded_in(phrase, text)
    return at >= 0 and not text[:at].rstrip().endswith(_SELF)


def _vague(language: Lexicon, word: str, after: Sequence[str]) -> bool:
    """Whether a verb asks for something that only a text can say: `sort it out`, `get that done`."""
    handing = language.delegation
    for at, one in enumerate(after):
        if one not in handing.objects:
            if one not in handing.between:
                return False
            continue
        rest = after[at + 1 :]
        if word in handing.doing:
            return not rest or not language.topics_of(rest[0])
        participle = bool(rest) and len(rest[0]) > _PARTICIPLE and rest[0].endswith("ed")
        return word in handing.having and (participle or any_of(rest[:2], handing.done))
    return False


def refers(language: Lexicon, words: Sequence[str]) -> bool:
    """Whether the words say that something is said elsewhere: `as the wiki has it`, `accordingly`."""
    return any_of(words, language.delegation.saying) or any_of(words, language.delegation.documents)
