"""What a baseline keeps of a call's arguments: names, kinds and sizes, and never a value.

A length is kept as its number of binary digits, a number as its sign and its number of decimal digits, so
that a value cannot be read back. A short text can be a word of a closed vocabulary: of such a word a keyed
digest is kept, which is worth nothing without the ledger's key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import pydantic_core

from agentguard.governance.flag_fingerprint import Kinds, kinds_of

__all__ = ["LONGEST_WORD", "Digest", "Shape", "shape_of", "word_digest"]

LONGEST_WORD: Final = 64
"""Characters of a text that can be a word of a vocabulary."""
_WORD: Final = b"word:"
_SHORT: Final = 16

Digest = Callable[[bytes], str]
"""The ledger's keyed digest (`Guard.hmac`)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One call's arguments: kinds by name, bucket of each length and number, and the texts that are short.

    `words` are values: they are digested or dropped, and never kept.
    """

    kinds: Kinds
    lengths: Mapping[str, int]
    numbers: Mapping[str, int]
    words: Mapping[str, str]


def shape_of(canonical: bytes) -> Shape | None:
    """The shape of canonical arguments; None where they are not such."""
    try:
        tree = pydantic_core.from_json(canonical)
    except ValueError:
        return None
    if not isinstance(tree, dict):
        return None
    kinds = kinds_of(tree)
    lengths: dict[str, int] = {}
    numbers: dict[str, int] = {}
    words: dict[str, str] = {}
    for name, _ in kinds:
        match tree.get(name):
            case bool():
                pass
            case int() | float() as number:
                numbers[name] = _digits(number)
            case str() as text:
                lengths[name] = len(text).bit_length()
                if 0 < len(text) <= LONGEST_WORD:
                    words[name] = text
            case list() as items:
                lengths[name] = len(items).bit_length()
    return Shape(kinds, lengths, numbers, words)


def word_digest(digest: Digest, tool: str, argument: str, text: str) -> str:
    """What stands for a word: 64 bits of its keyed digest, another one for each tool and argument."""
    parts = (tool, argument, text)
    content = b"\0".join(part.encode("utf-8", "surrogatepass") for part in parts)
    return digest(_WORD + content).rpartition(":")[2][:_SHORT]


def _digits(number: float) -> int:
    """Decimal digits before the point, negative for a negative number; 0 below one."""
    size = abs(number)
    if size < 1 or not (isinstance(number, int) or math.isfinite(number)):
        return 0
    digits = int(math.log10(size)) + 1
    return digits if number > 0 else -digits
