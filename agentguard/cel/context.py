"""What one evaluation carries with it: the bindings, the macros' variables and the remaining budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .errors import CelError, LimitExceeded
from .limits import Limits


class Context:
    """The state of one evaluation; host functions receive it as their first argument.

    Attributes
    ----------
    bindings:
        The top-level bindings as given to ``evaluate``; values are not yet checked. Use ``fact``.
    limits:
        The bounds of the evaluation.

    """

    __slots__ = ("bindings", "limits", "size", "slots", "steps")

    def __init__(self, bindings: Mapping[str, object], slots: int, limits: Limits) -> None:
        self.bindings: Final = bindings
        self.limits: Final = limits
        self.size: Final = limits.size
        self.steps = limits.steps
        self.slots: list[object] = [None] * slots

    def fact(self, name: str) -> object:
        """The top-level binding ``name`` as a CEL value; ``CelError`` where it is absent or no such value."""
        from .adapt import adapt  # adapting charges this class

        try:
            value = self.bindings[name]
        except KeyError:
            raise absent(name) from None
        except CelError:
            raise
        except Exception as error:
            raise unreadable(error) from None
        return adapt(value, self)

    def charge(self, steps: int) -> None:
        """Take ``steps`` from the budget; ``LimitExceeded`` when it is spent."""
        self.steps -= steps
        if self.steps < 0:
            raise LimitExceeded(f"evaluation too costly: {self.limits.steps} steps are possible")

    def bound_size(self, size: int) -> None:
        """Refuse a result of more code points, bytes or elements than are possible."""
        if size > self.size:
            raise LimitExceeded(f"value too large: {self.size} characters or elements are possible")

    def check_size(self, size: int) -> None:
        """Charge for a result of ``size`` code points, bytes or elements; refuse one that is too large."""
        self.bound_size(size)
        if size > 64:
            self.charge(size >> 6)


def absent(name: str) -> CelError:
    """The error for a binding that was not given."""
    return CelError(f"no such attribute/fact: `{name}`")


def unreadable(error: Exception) -> CelError:
    """The error for a host object that raised while it was read."""
    return CelError(f"cannot read a value: its {type(error).__name__} came from outside the condition")
