"""What a name looks like to a person: names with one skeleton are taken for each other."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["skeleton"]

_CYRILLIC: Final = dict(zip("асеорхуіјѕһӏԁԛԝ", "aceopxyijshldqw", strict=True))
_GREEK: Final = dict(zip("οναρεικτυ", "ovapeiktu", strict=True))
_LOOKS: Final = str.maketrans({**_CYRILLIC, **_GREEK, "0": "o", "1": "i", "l": "i"})
"""Letters and digits that pass for others."""


def skeleton(name: str) -> str:
    """Other scripts' letters, case, width, marks and separators do not count."""
    folded = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    plain = unicodedata.normalize("NFKD", folded)
    bare = "".join(char for char in plain if unicodedata.category(char) not in ("Mn", "Me", "Cf"))
    return "".join("-" if char in " _.-/:" else char for char in bare.translate(_LOOKS))
