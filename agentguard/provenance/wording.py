"""Whether text reads like an instruction to the agent. A guess: it may turn a question into a denial, and
nothing into a permission."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from agentguard.provenance.lexicon import Lexicon, lexicons
from agentguard.provenance.text import bounded_in, tokens

__all__ = ["acts", "instructs", "meddled", "meddles"]

_BEFORE: Final = 300
_AFTER: Final = 200
_FAR: Final = 600


def instructs(text: str, at: int, length: int) -> bool:
    """Whether the text around a place, folded, presses for an action."""
    return reads_as_instruction(text[max(0, at - _BEFORE) : at + length + _AFTER])


@lru_cache(maxsize=512)
def reads_as_instruction(near: str) -> bool:
    return any(_in(near, one) for one in lexicons().values())


def meddled(text: str, at: int, length: int) -> bool:
    """Whether the text around a place, folded, speaks to an agent about its task."""
    return meddles(text[max(0, at - _FAR) : at + length + _AFTER])


@lru_cache(maxsize=512)
def meddles(text: str) -> bool:
    """Whether a text, folded, speaks to an agent about its task, as no list or letter between people does."""
    return any(
        bounded_in(phrase, text) >= 0 for one in lexicons().values() for phrase in one.instructing.meta
    )


def _in(near: str, language: Lexicon) -> bool:
    words = tokens(near)
    pressing = {word for word in words if word in language.instructing.pressure}
    pressing |= {phrase for phrase in language.instructing.phrases if bounded_in(phrase, near) >= 0}
    return len(pressing) >= 2 and any(_acts(word, language) for word in words)


def acts(text: str) -> bool:
    """Whether a text holds a verb of an action with an effect."""
    words = tokens(text)
    return any(_acts(word, one) for one in lexicons().values() for word in words)


def _acts(word: str, language: Lexicon) -> bool:
    return bool(language.actions_of(word) - {"read", "fetch"})
