"""Values that look like secrets: masked as a whole, although nobody declared the argument sensitive.

A heuristic, on top of what tools declare: names such as `password`, and texts in the published formats of
keys and tokens. What is masked is said to be masked, so nothing can hide behind it unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["secretive"]

_NAME: Final = re.compile(
    r"pass(?:word|phrase|wd|code)|secret|token|api_?key|access_?key|private_?key|authoriz|credential|cookie"
    r"|bearer|(?:^|_)(?:pin|otp|cvv|cvc|auth)(?:_|$)",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\."  # a JWT
    r"|\bxox[abeoprs]-[\w-]{8,}|\bxapp-[\w-]{8,}"
    r"|\bgh[oprsu]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|\bsk-[\w-]{16,}|\b[rs]k_live_\w{10,}|\bwhsec_[\w+/=]{16,}|\bAIza[\w-]{30,}"
    r"|\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@"  # a password in a URL
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_APART: Final = re.compile(r"[-. /:]+")
_ODD: Final = re.compile(r"\W")
"""Nothing that does not show keeps a name from being read."""
_DEEPEST: Final = 100


def secretive(name: str, value: Any, known: Iterable[str] = ()) -> bool:
    """Whether an argument looks like a secret or holds one; `known` are secrets that we have ourselves."""
    return _named(name) or _holds(value, tuple(known), _DEEPEST)


def _named(name: str) -> bool:
    apart = _APART.sub("_", _CAMEL.sub("_", name))
    return _NAME.search(_ODD.sub("", apart)) is not None


def _holds(value: Any, known: tuple[str, ...], left: int) -> bool:
    if left == 0:
        return True
    if isinstance(value, str):
        return _VALUE.search(value) is not None or any(one in value for one in known)
    if isinstance(value, dict):
        return any(
            (isinstance(key, str) and (_named(key) or _holds(key, known, left - 1)))
            or _holds(item, known, left - 1)
            for key, item in value.items()
        )
    if isinstance(value, list):
        return any(_holds(item, known, left - 1) for item in value)
    return False
