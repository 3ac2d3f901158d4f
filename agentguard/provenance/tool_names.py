"""Names and texts of tools as words: plain loops, bounded, nothing guessed about other scripts."""

from __future__ import annotations

from typing import Final

__all__ = ["TEXT_LIMIT", "base_forms", "name_words", "text_words"]

TEXT_LIMIT: Final = 2_000
"""Characters of a description that are looked at."""
_NAME_LIMIT: Final = 400
_WORDS: Final = 300


def name_words(name: str) -> tuple[str, ...]:
    """The words of a name in any style: `getUserID`, `get_user-id`, `Users.get`; lower case.

    A word with a character outside ASCII stays as it is and so matches no list: what only looks like `get`
    is not taken for it.
    """
    words: list[str] = []
    word = ""
    before = ""
    for index, char in enumerate(name[:_NAME_LIMIT]):
        following = name[index + 1 : index + 2]
        if not char.isalnum():
            if word:
                words.append(word)
            word, before = "", ""
            continue
        starts = char.isupper() and (before.islower() or before.isdigit() or following.islower())
        if word and before and starts and not (before.isupper() and not following.islower()):
            words.append(word)
            word = ""
        word += char.lower()
        before = char
    if word:
        words.append(word)
    return tuple(words[:_WORDS])


def text_words(text: str) -> tuple[str, ...]:
    """The words of the beginning of a text, lower case."""
    words: list[str] = []
    word = ""
    for char in text[:TEXT_LIMIT]:
        if char.isalnum():
            word += char.lower()
        elif word and char not in "'’":
            words.append(word)
            word = ""
    if word:
        words.append(word)
    return tuple(words[:_WORDS])


def base_forms(word: str) -> tuple[str, ...]:
    """What a verb may be the third person or the gerund of, itself first."""
    found = [word]
    if len(word) > 3 and word.endswith("s"):
        found.append(word[:-1])
        if word.endswith("es"):
            found.append(word[:-2])
        if word.endswith("ies"):
            found.append(word[:-3] + "y")
    if len(word) > 5 and word.endswith("ing"):
        stem = word[:-3]
        found += [stem, stem + "e"]
        if stem[-1] == stem[-2]:
            found.append(stem[:-1])
    return tuple(found)
