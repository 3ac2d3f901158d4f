"""The values that Python has no type for: unsigned integers, types and optionals.

The other CEL values are Python's own: ``None``, ``bool``, ``int`` (64 bit), ``float``, ``str``, ``bytes``,
lists and tuples, mappings; times are in ``temporal``, network addresses in ``network``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from .errors import CelError

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UINT_MAX: Final = 2**64 - 1


class UInt(int):
    """An unsigned 64-bit integer (``5u``); equal to the int of the same value, as in CEL.

    Arithmetic in Python yields plain ints. Out of range raises ``CelError``.
    """

    __slots__ = ()

    def __new__(cls, value: int = 0) -> UInt:
        """Check the range, then make the value."""
        if not 0 <= value <= UINT_MAX:
            raise CelError("unsigned integer out of range")
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return f"UInt({int(self)})"

    def __str__(self) -> str:
        return str(int(self))


@dataclass(frozen=True, slots=True)
class CelType:
    """A type as a value: what ``type(x)`` returns and what names such as ``int`` denote."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be absent (``optional.of(x)``, ``a.?b``)."""

    present: bool
    content: object = None

    NONE: ClassVar[Optional]

    @classmethod
    def of(cls, value: object) -> Optional:
        """An optional that holds ``value``."""
        return cls(True, value)

    @classmethod
    def none(cls) -> Optional:
        """The optional that holds nothing."""
        return cls.NONE

    def has_value(self) -> bool:
        """Whether a value is held."""
        return self.present

    def value(self) -> object:
        """The value held; ``CelError`` when there is none."""
        if not self.present:
            raise CelError("optional is empty: test it with `hasValue()` or give a default with `orValue()`")
        return self.content


Optional.NONE = Optional(False)


class Undecided:
    """The answer of compiled code that leaves the expression to the interpreter; no value of CEL."""

    def __repr__(self) -> str:
        return "UNDECIDED"


UNDECIDED: Final = Undecided()
