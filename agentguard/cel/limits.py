"""The bounds within which sources are compiled and programs run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds; the first four are checked when compiling, the others while evaluating.

    ``source`` counts code points, ``depth`` nested brackets, macros, conditionals and operators,
    ``nodes`` syntax nodes, ``pattern`` code points of a regular expression, ``steps`` the units of work
    of one evaluation, ``size`` the code points, bytes or elements of one value.
    """

    source: int = 16_384
    depth: int = 64
    nodes: int = 4_096
    pattern: int = 1_000
    steps: int = 1_000_000
    size: int = 1_000_000


DEFAULT_LIMITS = Limits()
