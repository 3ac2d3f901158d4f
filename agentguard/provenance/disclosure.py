"""What leaves with a call: secrets by their labels, long quoted runs, and instructions passed on."""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agentguard.provenance.lexicon import lexicons
from agentguard.provenance.origins import Reading
from agentguard.provenance.request import Request
from agentguard.provenance.seen import Seen, Source
from agentguard.provenance.text import compat, fold
from agentguard.provenance.wording import reads_as_instruction

__all__ = ["Disclosed", "disclosed", "passes_on"]

_QUOTE: Final = 400
_SENTENCE: Final = 5
_CODED: Final = re.compile(r"[A-Za-z0-9+/_-]{16,4000}={0,2}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){8,2000}")


@dataclass(frozen=True, slots=True)
class Disclosed:
    """Something of a result that goes out: `what` is `secret` or `copy`, `label` what it is called."""

    what: str
    label: str
    source: Source


def disclosed(texts: list[str], reading: Reading) -> Iterator[Disclosed]:
    """What these texts would let out that the request does not speak of."""
    request, seen = reading.request, reading.seen
    labels = frozenset[str]().union(*[one.secrets for one in lexicons().values()]) - request.words
    for text in texts:
        for form in [text, *_decoded(text)]:
            yield from _secrets(form, request, seen, labels)
            for source, _ in seen.copied(form):
                label = reading.label(source)
                if label in ("wild", "searched") or (
                    label in ("enum", "linked", "effect") and not source.topics & request.topics
                ):
                    yield Disclosed("copy", source.tool, source)


def _secrets(text: str, request: Request, seen: Seen, labels: frozenset[str]) -> Iterator[Disclosed]:
    for value, label, source in seen.secrets(text):
        if label in labels and not request.holds(value):
            yield Disclosed("secret", label, source)


def _decoded(text: str) -> Iterator[str]:
    """What a text says in other letters: percent, base64, hexadecimal, full width, backwards."""
    if "%" in text and (plain := urllib.parse.unquote_plus(text[:8192])) != text:
        yield plain
    if not text.isascii() and (folded := compat(text)) != fold(text):
        yield folded
    for match in list(_CODED.finditer(text))[:16]:
        yield from _base64(match.group())
    for match in list(_HEX.finditer(text))[:16]:
        try:
            yield bytes.fromhex(match.group()).decode("utf-8")
        except (ValueError, UnicodeDecodeError):
            pass


def _base64(text: str) -> Iterator[str]:
    padded = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        plain = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError, UnicodeDecodeError):
        return
    if plain.isprintable() or "\n" in plain:
        yield plain


def passes_on(texts: list[str], reading: Reading) -> str:
    """Whether a short text is taken whole out of a result that presses for action, and is not the user's:
    `named` where the user sent the agent to that result, `other` elsewhere, `none` if not."""
    request, seen, found = reading.request, reading.seen, "none"
    for text in texts:
        folded = fold(text)
        if len(folded) > _QUOTE or len(folded.split()) < 3 or request.holds(text):
            continue
        for part in list(seen.parts(text))[:8]:
            around = part.text[max(0, part.at - 300) : part.at] + part.text[part.at + len(folded) :][:200]
            if part.text != folded and reads_as_instruction(around):
                if reading.label(part.source) != "named":
                    return "other"
                if len(folded.split()) >= _SENTENCE:  # shorter, it is a value, and judged as one
                    found = "named"
    return found
