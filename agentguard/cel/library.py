"""All functions of the language, by name: the global ones and the members."""

from __future__ import annotations

from typing import Final

from . import addresses, clock, conversions, encoders, mathematics, optionals, regex, sequences, strings
from .functions import Function

GLOBALS: Final[dict[str, Function]] = {
    **conversions.GLOBALS, **strings.GLOBALS, **regex.GLOBALS, **mathematics.GLOBALS, **encoders.GLOBALS,
    **sequences.GLOBALS, **optionals.GLOBALS, **addresses.GLOBALS,
}  # fmt: skip
MEMBERS: Final[dict[str, Function]] = {
    **conversions.MEMBERS, **strings.MEMBERS, **regex.MEMBERS, **clock.MEMBERS, **sequences.MEMBERS,
    **optionals.MEMBERS, **addresses.MEMBERS,
}  # fmt: skip
# Members whose argument is evaluated only where it is needed.
LAZY_MEMBERS: Final = frozenset({"or", "orValue"})
MACROS: Final = frozenset(
    {
        "has", "all", "exists", "exists_one", "existsOne", "map", "filter", "transformList", "transformMap",
        "transformMapEntry", "sortBy", "optMap", "optFlatMap", "cel.bind", "cel.block",
    }
)  # fmt: skip
# Functions of one constant text that are computed once, when compiling.
FOLDED: Final = frozenset({"duration", "timestamp", "ip", "cidr"})
NAMES: Final = frozenset({*GLOBALS, *MEMBERS, *LAZY_MEMBERS, *MACROS})
