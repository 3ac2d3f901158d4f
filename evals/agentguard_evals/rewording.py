"""Other words for the same request: by rule and by word lists, with every literal kept.

A literal is what an agent has to take over as it stands: a quoted text, an address, a link, a file's name, a
number, a name with a capital inside a sentence. Literals are taken out before anything is changed, and put
back where they belong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentguard.errors import ConfigurationError
from agentguard.policy import read_files
from agentguard.policy.testing.shape import validated

__all__ = ["Agent", "Variant", "literals", "read_variants", "reworded"]

_LITERAL: Final = re.compile(
    r"(?<!\w)'[^'\n]{2,300}'(?!\w)|\"[^\"\n]{1,300}\"|`[^`\n]+`|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?:https?://|www\.)\S+[\w/]|[\w-]+\.(?:txt|docx|pdf|md|xlsx|html)\b|\S*\d\S*"
    r"|(?<=[a-z,;:] )[A-Z][\w'-]*(?: [A-Z][\w'-]*)*"
)
_MARK: Final = re.compile("\ue000(\\d+)\ue001")
_SENTENCE: Final = re.compile(r"(?<=[.?!])\s+")
_NO_NOUN: Final = "".join(
    f"(?<!\\b{word} )" for word in ("a", "an", "the", "my", "his", "her", "their", "this")
)
_COMMAND: Final = re.compile(r"^(?:please |(?:can|could) you (?:please )?)?(\w+) (.+?)([.?!]*)$", re.I | re.S)


Agent = Literal["lists", "first_own_word", "last_own_word"]


class Variant(BaseModel):
    """One way of saying it otherwise.

    `words` are replaced, the longest first; `verbs` likewise, where no article or possessive makes a noun of
    them; `passive` are participles. `agent` says what the agent does otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(min_length=1)]
    description: str
    words: Mapping[str, str] = {}
    verbs: Mapping[str, str] = {}
    before: str = ""
    after: str = ""
    order: Literal["last_first"] | None = None
    passive: Mapping[str, str] = {}
    agent: Agent | None = None


class _Variants(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    variants: Annotated[list[Variant], Field(min_length=1)]


def read_variants(path: Path) -> list[Variant]:
    """The variants of a file.

    Raises:
        ConfigurationError: it is refused; the message names each problem with its place.
    """
    files = read_files(path)
    findings = list(files.findings)
    for source in files.sources:
        found, problems = validated(_Variants, source, source.data, (), "the file")
        if found is not None and not findings:
            return found.variants
        findings += problems
    raise ConfigurationError("\n".join(f"{one.at or path}: {one.code} {one.message}" for one in findings))


def literals(prompt: str) -> list[str]:
    """What has to stay as it is."""
    return [found[0] for found in _LITERAL.finditer(prompt)]


def reworded(prompt: str, variant: Variant) -> str:
    """The prompt in this variant's words."""
    kept = literals(prompt)
    numbers = iter(range(len(kept)))
    text = _LITERAL.sub(lambda _: f"\ue000{next(numbers)}\ue001", prompt)
    if variant.order == "last_first":
        sentences = _SENTENCE.split(text.strip())
        text = " ".join([*sentences[-1:], *sentences[:-1]])
    if variant.passive:
        text = " ".join(_passive(sentence, variant.passive) for sentence in _SENTENCE.split(text.strip()))
    if variant.words:
        text = _replaced(text, variant.words)
    if variant.verbs:
        text = _replaced(text, variant.verbs, after=_NO_NOUN)
    text = f"{variant.before}{text}{variant.after}"
    return _MARK.sub(lambda found: kept[int(found[1])], text)


def _passive(sentence: str, participles: Mapping[str, str]) -> str:
    found = _COMMAND.match(sentence)
    participle = participles.get(found[1].lower()) if found is not None else None
    if found is None or participle is None:
        return sentence
    rest = found[2]
    return f"{rest[:1].upper()}{rest[1:]} - this is to be {participle}."


def _replaced(text: str, words: Mapping[str, str], *, after: str = "") -> str:
    longest = sorted(words, key=len, reverse=True)
    pattern = re.compile(after + r"(?<![\w'-])(?:" + "|".join(map(re.escape, longest)) + r")(?![\w'-])", re.I)

    def replaced(found: re.Match[str]) -> str:
        new = words[found[0].lower()]
        return new[:1].upper() + new[1:] if found[0][0].isupper() and found.start() == 0 else new

    return re.sub(r"[ \t]{2,}", " ", pattern.sub(replaced, text)).strip()
