"""What a host declares to the conditions it compiles: variables, functions of its own, bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from . import library
from .functions import Function, PathFunction
from .limits import DEFAULT_LIMITS, Limits


class Environment:
    """The declarations under which sources are compiled; immutable, to be shared.

    Parameters
    ----------
    variables:
        Names of the top-level bindings. A dotted name (``a.b``) declares a qualified one.
    closed:
        Whether other names than ``variables`` are refused when compiling.
    functions:
        The host's global functions by name; a name may be dotted (``time.within``).
    members:
        The host's member functions by name (``x.name(y)``).
    path_functions:
        The host's macros on a path by name.
    unknown_functions:
        ``"reject"`` refuses unknown functions and wrong numbers of arguments when compiling;
        ``"error"`` makes such a call an evaluation error, as the specification has it for expressions
        that are not type-checked.
    limits:
        The bounds of compiling and evaluating.

    Raises
    ------
    ValueError
        A function has the name of a standard function or macro, or is declared in two forms.

    """

    __slots__ = (
        "closed",
        "forms",
        "functions",
        "layouts",
        "limits",
        "members",
        "path_functions",
        "shapes",
        "unknown_functions",
        "variables",
    )

    def __init__(
        self,
        variables: Iterable[str] = (),
        *,
        closed: bool = False,
        functions: Mapping[str, Function] | None = None,
        members: Mapping[str, Function] | None = None,
        path_functions: Mapping[str, PathFunction] | None = None,
        unknown_functions: Literal["reject", "error"] = "reject",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.variables = frozenset(variables)
        self.closed = closed
        self.functions: Mapping[str, Function] = MappingProxyType(dict(functions or {}))
        self.members: Mapping[str, Function] = MappingProxyType(dict(members or {}))
        self.path_functions: Mapping[str, PathFunction] = MappingProxyType(dict(path_functions or {}))
        self.unknown_functions: Literal["reject", "error"] = unknown_functions
        self.limits = limits
        # The compiler's own: code objects by the shape of the conditions that they are for.
        self.shapes: dict[tuple[object, ...], Any] = {}
        # What sources that differ only in constants have in common (`forms`).
        self.layouts: dict[tuple[str, ...], tuple[bool, ...] | None] = {}
        self.forms: dict[tuple[tuple[str, ...], tuple[str, ...]], Any] = {}
        for name in (*self.functions, *self.path_functions):
            if name in library.GLOBALS or name in library.MACROS:
                raise ValueError(f"`{name}` is a standard function: choose another name")
        for name in self.members:
            if name in library.MEMBERS or name in library.LAZY_MEMBERS or name in library.MACROS:
                raise ValueError(f"`{name}` is a standard member function: choose another name")
        for name in self.path_functions:
            if name in self.functions:
                raise ValueError(f"`{name}` is declared as a function and as a path function")

    def function(self, name: str) -> Function | None:
        """The global function ``name``, standard or of the host."""
        return library.GLOBALS.get(name) or self.functions.get(name)

    def member(self, name: str) -> Function | None:
        """The member function ``name``, standard or of the host."""
        return library.MEMBERS.get(name) or self.members.get(name)

    @property
    def function_names(self) -> frozenset[str]:
        """All names that a call may use, macros included."""
        return library.NAMES | self.functions.keys() | self.members.keys() | self.path_functions.keys()


# Without an environment nothing is declared, so that a name can only be wrong when it is used.
UNDECLARED = Environment(unknown_functions="error")
