"""The words of a name, whatever its style: `send_mail`, `sendMail`, `mail.send`, `mail-send`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["name_words"]

_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z0-9])(?=[A-Z][a-z])|(?<=[0-9])(?=[a-z])")
_PARTS: Final = re.compile(r"[^A-Za-z0-9]+")


@lru_cache(maxsize=4096)
def name_words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case."""
    parts = [part for chunk in _PARTS.split(name[:512]) for part in _CAMEL.split(chunk)]
    return tuple([part.casefold() for part in parts if part])
