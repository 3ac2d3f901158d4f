"""Handing over: what to do is said by a text that the user points to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentguard.provenance.lexicon import Lexicon
from agentguard.provenance.text import any_of, bounded_in

__all__ = ["delegates", "refers"]

_NEAR: Final = 8
_OBJECT: Final = 4


def delegates(language: Lexicon, text: str, words: Sequence[str]) -> bool:
    """Whether the words ask for what a text says: a verb of doing with a text, or with no object of its own."""
    handing = language.delegation
    if any(bounded_in(phrase, text) >= 0 for phrase in handing.phrases):
        return True
    for at, word in enumerate(words):
        near = words[at + 1 : at + _NEAR]
        if word in handing.verbs and any_of(near, handing.nouns) and not any_of(near, handing.own):
            return True
        if _vague(language, word, words[at + 1 : at + 1 + _OBJECT]):
            return True
    return False


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
        return word in handing.having and any_of(rest[:2], handing.done)
    return False


def refers(language: Lexicon, words: Sequence[str]) -> bool:
    """Whether the words say that something is said elsewhere: `as the wiki has it`, `accordingly`."""
    return any_of(words, language.delegation.saying) or any_of(words, language.delegation.documents)
