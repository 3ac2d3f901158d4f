"""Descriptions that name a thing instead of an action: `Cards of a board`, `What is in the cart`.

A tool that is named and described as a thing returns that thing. What could be the name of an action as well
(`Nightly cleanup`) names no thing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agentguard.provenance.tool_names import base_forms
from agentguard.provenance.tool_words import ToolWords

__all__ = ["names_a_thing"]

_SENTENCE: Final = re.compile(r"[.;:!?\n]|\s-\s")
_TAG: Final = re.compile(r"^(?:\s*\[[^\]\n]{0,80}\])+\s*")
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[,()]")
_LONGEST: Final = 400
_HEAD: Final = 6
_DETERMINERS: Final = frozenset({"a", "an", "the", "all", "every", "each", "any", "your", "our", "its"})
_VERBAL: Final = _DETERMINERS | {"this", "that", "one", "some", "somebody", "someone", "something"}
_ASKING: Final = frozenset({"what", "who", "which", "whose", "whether", "where", "when"})
_AFTER: Final = frozenset({"of", "in", "from", "for", "that", "which", "as", "by", "between", "under", "and"})


def names_a_thing(name: Sequence[str], description: str, words: ToolWords) -> bool:
    """Whether the first sentence of a description is the name of something that can be returned.

    `name` are the words of the tool's name. A word that no list knows is taken for a noun only where an
    article, an adjective or `of` says so: it may be a verb.
    """
    text = _TAG.sub("", description[:_LONGEST].strip())
    tokens = [token.lower() for token in _WORD.findall(_SENTENCE.split(text, maxsplit=1)[0])]
    if len(tokens) < 2:
        return False
    first, second = tokens[:2]
    if first in _ASKING:
        return True
    if first in _DETERMINERS:
        return _thing(tokens[1:], words, known=False)
    if first in words.adjectives and second not in _VERBAL:
        return _thing(tokens[1:], words, known=False)
    several = bool(name) and _plural(name[-1]) and not _verb(name[-1], words)
    if several and _plural(first) and not _verb(first, words) and second == "with":
        return True
    return _thing(tokens, words, known=True)


def _thing(tokens: Sequence[str], words: ToolWords, *, known: bool) -> bool:
    """Whether what stands before the first preposition is a thing. With `known` its first word has to be a
    noun that some list knows, or one of which there are several and `of` follows."""
    if known and not _several(tokens, words):
        first, second = tokens[:2]
        alone = second in _AFTER or second == "with" or not second[:1].isalnum()
        if not (_noun(first, words) and (first in words.informing or (alone and _plural(first)))):
            return False
    for at, token in enumerate(tokens[:_HEAD]):
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if following in _VERBAL:
            return False
        if following in _AFTER or following == "with" or not following[:1].isalnum():
            noun = _noun(token, words) or (not known and token in words.opened | words.informing)
            return token not in words.doers and (_plural(token) or noun)
    return False


def _several(tokens: Sequence[str], words: ToolWords) -> bool:
    """`Bounces of a list`, `Assignments and tests of a class`, `Overview of all`."""
    first, followed = tokens[0], "of" in tokens[1:4]
    return followed and (_plural(first) or (tokens[1] == "of" and _noun(first, words)))


def _noun(token: str, words: ToolWords) -> bool:
    forms = {token, token[:-1] if _plural(token) else token}
    return not forms.isdisjoint(words.nouns) and not (_verb(token, words) and not _plural(token))


def _plural(token: str) -> bool:
    return len(token) > 3 and token.endswith("s") and not token.endswith(("ss", "us", "is"))


def _verb(token: str, words: ToolWords) -> bool:
    return any(form in words.classes for form in base_forms(token))
