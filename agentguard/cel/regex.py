"""``matches`` on RE2: time linear in the text, whatever the pattern.

Source: CEL specification, "Regular Expressions".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

from .context import Context
from .errors import CelError
from .functions import Function, member, typed

_OPTIONS: Final[Any] = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20  # bounds the automaton of patterns such as `(a{500}){2}`


class Pattern:
    """A compiled pattern."""

    __slots__ = ("_compiled", "_size")

    def __init__(self, text: str) -> None:
        """Compile ``text``; ``CelError`` where it is no RE2 pattern or too large a one."""
        try:
            self._compiled: Any = re2.compile(text, _OPTIONS)
            self._size: int = self._compiled.programsize
        except Exception as error:
            reason = error.args[0] if error.args else "not an RE2 pattern"
            reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            raise CelError(f"invalid pattern: {reason[:200]}") from None

    def matches(self, context: Context, text: str) -> bool:
        """Whether the pattern is found anywhere in ``text``."""
        # RE2's slowest engine takes about 5 ns for each character and instruction.
        context.charge(1 + (len(text) * self._size >> 8))
        return self._compiled.search(text) is not None


@lru_cache(maxsize=256)
def _cached(text: str) -> Pattern:
    return Pattern(text)


def pattern(text: str, limit: int) -> Pattern:
    """The pattern for ``text``, which may have at most ``limit`` code points."""
    if len(text) > limit:
        raise CelError(f"pattern too long: {limit} characters are possible")
    return _cached(text)


def _matches(context: Context, text: str, regex: str) -> bool:
    return pattern(regex, context.limits.pattern).matches(context, text)


GLOBALS: Final[dict[str, Function]] = {"matches": typed("matches", _matches, str, str)}
MEMBERS: Final[dict[str, Function]] = {"matches": member("matches", _matches, str, str)}
