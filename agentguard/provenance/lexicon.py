"""The word lists by which requests are read: data files of one language each, validated when loaded."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from agentguard.errors import ConfigurationError
from agentguard.policy.reader import read
from agentguard.tools import Action

__all__ = ["Lexicon", "lexicon", "lexicons", "parse_lexicon"]

Words = Annotated[frozenset[str], Field(strict=False)]


class Delegation(BaseModel):
    """How a request hands over: a verb, and shortly after it a noun; or a phrase. Words of `own` between say
    that the user lists the steps. `doing` verbs hand over with a pronoun of `objects`, `having` ones where a
    word of `done` follows; `saying` and `documents` say that something is said elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verbs: Words = frozenset()
    nouns: Words = frozenset()
    phrases: Words = frozenset()
    own: Words = frozenset()
    doing: Words = frozenset()
    having: Words = frozenset()
    done: Words = frozenset()
    objects: Words = frozenset()
    between: Words = frozenset()
    saying: Words = frozenset()
    telling: Words = frozenset()
    tellers: Words = frozenset()
    documents: Words = frozenset()


class Superlatives(BaseModel):
    """Words that single out the one with the most or the least of something."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    most: Words = frozenset()
    least: Words = frozenset()


class Instructing(BaseModel):
    """The words of an instruction in text that should hold none; `meta` speak to an agent about its task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pressure: Words = frozenset()
    meta: Words = frozenset()
    phrases: Words = frozenset()


class Lexicon(BaseModel):
    """One language. `asks` gives the verbs of each action, `topics` the nouns of each topic; `irregular` and
    `phrases` lead to a verb of `asks`, as do those of `gapped`, which have words between their parts (`|`).
    Other languages than English lead to English verbs only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str
    asks: dict[Action, Words] = {}
    phrases: dict[str, str] = {}
    gapped: dict[str, str] = {}
    nouns: Words = frozenset()
    specific: Words = frozenset()
    irregular: dict[str, str] = {}
    nominal: dict[str, Action] = {}
    openers: Words = frozenset()
    refusals: Words = frozenset()
    origins: Words = frozenset()
    auxiliaries: Words = frozenset()
    stating: Words = frozenset()
    ensuring: Words = frozenset()
    vague: Words = frozenset()
    starters: Words = frozenset()
    things: Words = frozenset()
    common: Words = frozenset()
    plural: Words = frozenset()
    open: Words = frozenset()
    superlatives: Superlatives = Superlatives()
    measures: Words = frozenset()
    pointers: Words = frozenset()
    delegation: Delegation = Delegation()
    cues: Words = frozenset()
    topics: dict[str, Words] = {}
    secondary: Words = frozenset()
    secrets: Words = frozenset()
    sensitive: Words = frozenset()
    instructing: Instructing = Instructing()
    labels: Words = frozenset()
    numbers: dict[str, float] = {}
    filler: Words = frozenset()

    def actions_of(self, verb: str) -> frozenset[Action]:
        """The actions that a verb may ask for."""
        return self._by_verb().get(verb, frozenset())

    def topics_of(self, noun: str) -> frozenset[str]:
        """The topics that a noun belongs to."""
        return self._by_noun().get(noun, frozenset())

    def _by_verb(self) -> dict[str, frozenset[Action]]:
        return _inverted(self.language, "asks")

    def _by_noun(self) -> dict[str, frozenset[str]]:
        return _inverted(self.language, "topics")


@cache
def lexicons() -> dict[str, Lexicon]:
    """Every language that there are words of."""
    found = {}
    for file in resources.files("agentguard.provenance").joinpath("words").iterdir():
        if file.name.endswith(".yaml"):
            one = parse_lexicon(file.read_text("utf-8"), file.name)
            found[one.language] = one
    return found


def lexicon(language: str = "en") -> Lexicon:
    return lexicons()[language]


def parse_lexicon(text: str, name: str) -> Lexicon:
    """A lexicon from YAML.

    Raises:
        ConfigurationError: it is none.
    """
    source, findings = read(text, name)
    if source is None or findings:
        raise ConfigurationError(f"the word list `{name}` cannot be read: {findings[0].message}")
    try:
        return Lexicon.model_validate(source.data)
    except ValueError as error:
        raise ConfigurationError(f"the word list `{name}` is not valid: {error}") from None


@cache
def _inverted(language: str, what: str) -> dict[str, Any]:
    table: dict[str, set[Any]] = {}
    for key, words in getattr(lexicons()[language], what).items():
        for word in words:
            table.setdefault(word, set()).add(key)
    return {word: frozenset(keys) for word, keys in table.items()}
