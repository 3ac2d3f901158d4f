"""What a function is: a callable on values with the number and the types of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from .adapt import is_list, is_map
from .context import Context
from .kinds import overload

Kind: TypeAlias = type | tuple[type, ...] | None
Call: TypeAlias = Callable[..., object]
VARIADIC: Final = 64


@dataclass(frozen=True, slots=True)
class Function:
    """A function that conditions may call.

    ``call`` receives the ``Context`` of the evaluation, then the argument values; of a member function the
    value before the dot first, which ``min_args`` and ``max_args`` do not count. It returns a value of the
    kinds that bindings may hold, and signals a failure by raising ``CelError``. ``max_args`` of ``None``
    means exactly ``min_args``.
    """

    call: Call
    min_args: int = 0
    max_args: int | None = None

    def __post_init__(self) -> None:
        """Refuse impossible numbers of arguments."""
        if not 0 <= self.min_args <= self.most:
            raise ValueError("a function's `max_args` must not be less than its `min_args`")

    @property
    def most(self) -> int:
        """The largest number of arguments."""
        return self.min_args if self.max_args is None else self.max_args

    def arity(self) -> str:
        """The number of arguments in words."""
        if self.min_args == self.most:
            return f"{self.most} argument{'' if self.most == 1 else 's'}"
        if self.most >= VARIADIC:
            return f"at least {self.min_args} arguments"
        return f"{self.min_args} to {self.most} arguments"


@dataclass(frozen=True, slots=True)
class PathFunction:
    """A host macro on a path: ``provenance(args.payee)`` calls ``call(context, "args.payee")``.

    The argument is named, not evaluated; anything but a path of fields is refused when compiling.
    """

    call: Callable[[Context, str], object]


def typed(name: str, call: Call, *kinds: Kind, optional: int = 0) -> Function:
    """A global function whose arguments have exactly these types; the last ``optional`` may be left out.

    A kind is a type, several of them, or ``None`` for any value; ``list`` and ``dict`` stand for every
    CEL list and map.
    """
    return Function(_checked(name, call, kinds), len(kinds) - optional, len(kinds))


def member(name: str, call: Call, *kinds: Kind, optional: int = 0) -> Function:
    """The same for a member function, whose first kind is that of the value before the dot."""
    return Function(_checked(name, call, kinds), len(kinds) - 1 - optional, len(kinds) - 1)


def _checked(name: str, call: Call, kinds: tuple[Kind, ...]) -> Call:
    def checked(context: Context, *args: object) -> object:
        for arg, kind in zip(args, kinds, strict=False):
            if not _fits(arg, kind):
                raise overload(name, *args)
        return call(context, *args)

    return checked


def _fits(value: object, kind: Kind) -> bool:
    if kind is None or type(value) is kind:
        return True
    if kind is list:
        return is_list(value)
    if kind is dict:
        return is_map(value)
    return isinstance(kind, tuple) and type(value) in kind
