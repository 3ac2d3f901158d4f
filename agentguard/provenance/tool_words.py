"""The words by which tools are read: data in `tool_words.yaml`, checked when they are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from agentguard.errors import ConfigurationError
from agentguard.tools import Action, Role

__all__ = ["FILE", "ToolWords", "read_words", "tool_words"]

FILE: Final = Path(__file__).with_name("tool_words.yaml")

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$", max_length=40)]
Phrase = Annotated[str, StringConstraints(pattern=r"^[a-z0-9 -]+$", max_length=60)]

COMPUTE: Final = "compute"
"""A class of verbs of their own: they read, and what they return was written by nobody."""


class ToolWords(BaseModel):
    """The word lists, and what is looked up in them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verbs: dict[str, tuple[Word, ...]]
    nouns_too: frozenset[Word]
    states: frozenset[Word]
    states_of_many: frozenset[Word]
    participles: frozenset[Word]
    makes: frozenset[Word]
    messages: frozenset[Word]
    opens: frozenset[Word]
    pages: frozenset[Word]
    joints: frozenset[Word]
    fillers: frozenset[Word]
    reads_in_texts: frozenset[Word]
    adjectives: frozenset[Word]
    opened: frozenset[Word]
    begun: frozenset[Word]
    informing: frozenset[Word]
    doers: frozenset[Word]
    irreversible: frozenset[Word]
    roles: dict[Role, tuple[Word, ...]]
    not_roles: dict[Role, frozenset[Word]]
    described: dict[Role, tuple[Phrase, ...]]
    outward: frozenset[Word]
    masked: frozenset[Word]
    runs: frozenset[Word]
    switches: frozenset[Word]
    secrets: frozenset[Word]
    money: frozenset[Word]
    person: frozenset[Word]
    topics: dict[Word, frozenset[Word]]

    @model_validator(mode="after")
    def _consistent(self) -> ToolWords:
        known = {*get_args(Action), COMPUTE}
        strange = sorted(set(self.verbs) - known)
        if strange:
            raise ValueError(f"`{strange[0]}` is no class of verbs; classes are: {', '.join(sorted(known))}")
        _once("verb", self.verbs)
        _once("role word", self.roles)
        stray = sorted(self.nouns_too - {word for words in self.verbs.values() for word in words})
        if stray:
            raise ValueError(f"`{stray[0]}` of `nouns_too` is no verb")
        verbs = {word for words in self.verbs.values() for word in words}
        both = sorted((self.states | self.states_of_many | self.participles) & verbs)
        if both:
            raise ValueError(f"`{both[0]}` is a verb, and cannot say of what state a thing is")
        return self

    @property
    def classes(self) -> Mapping[str, str]:
        """The class of each verb, by its base form."""
        return _inverted(self, "verbs")

    @property
    def role_of(self) -> Mapping[str, Role]:
        """The role of each word of an argument's name."""
        return _inverted(self, "roles")  # type: ignore[return-value]  # keys are roles, validated above

    @property
    def nouns(self) -> frozenset[str]:
        """The nouns that any list knows."""
        return _nouns(self.informing, self.opened, tuple(self.topics.values()))

    def topics_of(self, words: Iterable[str]) -> tuple[str, ...]:
        """What these words are about, in the order of the file."""
        found = set(words)
        found |= {word[:-1] for word in found if len(word) > 3 and word.endswith("s")}
        return tuple(topic for topic, nouns in self.topics.items() if not nouns.isdisjoint(found))


@cache
def _tables(words: tuple[tuple[str, tuple[str, ...]], ...]) -> Mapping[str, str]:
    return {word: name for name, listed in words for word in listed}


@cache
def _nouns(
    informing: frozenset[str], opened: frozenset[str], topics: tuple[frozenset[str], ...]
) -> frozenset[str]:
    return informing.union(opened, *topics)


def _inverted(words: ToolWords, field: str) -> Mapping[str, str]:
    return _tables(tuple(getattr(words, field).items()))


def _once(what: str, lists: Mapping[Any, Iterable[str]]) -> None:
    seen: dict[str, str] = {}
    for name, words in lists.items():
        for word in words:
            if word in seen:
                raise ValueError(f"the {what} `{word}` stands twice: in `{seen[word]}` and in `{name}`")
            seen[word] = name


def read_words(path: Path) -> ToolWords:
    """Word lists from a file of the same form.

    Raises:
        ConfigurationError: it cannot be read, or the lists contradict each other.
    """
    from agentguard.policy.reader import read

    source, findings = read(path.read_bytes(), str(path))
    if source is None:
        raise ConfigurationError(f"{path.name}: {findings[0].message}")
    try:
        return ToolWords.model_validate(source.data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path.name}: {place or 'the lists'}: {first['msg']}") from None


@cache
def tool_words() -> ToolWords:
    """The lists that ship with agentguard."""
    return read_words(FILE)
