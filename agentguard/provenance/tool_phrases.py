"""What several words of a tool's name say together: things that are described, a verb with its object."""

from __future__ import annotations

from typing import Final

from agentguard.provenance.tool_words import ToolWords

__all__ = ["describes", "messages", "opens_page"]

_SHORT: Final = 3


def describes(tokens: tuple[str, ...], words: ToolWords) -> str | None:
    """The word by which a name describes things and asks for nothing, as in `past_orders` and `freeSlots`.

    It begins the name, for a word before it may be a verb that no list knows, and no word that is only a verb
    follows. Where it may be a verb as well, or is a participle, the things are several.
    """
    if len(tokens) < 2 or any(one in words.classes and one not in words.nouns_too for one in tokens):
        return None
    state = tokens[0]
    some = _several(tokens[-1]) and (state in words.states_of_many or _participle(state, words))
    return state if some or state in words.states else None


def messages(tokens: tuple[str, ...], verb: str, words: ToolWords) -> str | None:
    """The message of a name whose verb only says that one is made: `placeCall`, `make_outbound_call`."""
    noun = tokens[-1]
    return noun if verb in words.makes and tokens[0] == verb and noun in words.messages else None


def opens_page(tokens: tuple[str, ...], verb: str, words: ToolWords) -> bool:
    """Whether a verb of opening is about a page: `browser.open`, `open_url`."""
    return verb in words.opens and not words.pages.isdisjoint(tokens)


def _several(noun: str) -> bool:
    return len(noun) > _SHORT and noun.endswith("s") and not noun.endswith(("ss", "us", "is"))


def _participle(word: str, words: ToolWords) -> bool:
    """Whether it is a verb's past participle: what was done, not what is to be done."""
    if word in words.participles:
        return True
    if not word.endswith("ed") or len(word) <= _SHORT:
        return False
    stem = word[:-2]
    forms = {stem, word[:-1], stem[:-1] if stem[-1:] == stem[-2:-1] else stem}
    forms |= {f"{stem[:-1]}y"} if stem.endswith("i") else set()
    return any(form in words.classes for form in forms)
