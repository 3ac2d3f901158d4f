"""Logic, comparison and arithmetic as steps of a program (CEL specification, "Logical Operators").

``&&`` and ``||`` absorb errors from either side: an operand that decides the result decides it, whatever
the others do. A spent budget is no such error and ends the evaluation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from . import ast
from .access import Run, binary, located
from .arithmetic import ARITHMETIC, negate
from .compare import COMPARISONS
from .context import Context
from .errors import CelError, LimitExceeded
from .kinds import overload

_NATIVE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "_==_": operator.eq, "_!=_": operator.ne, "_<_": operator.lt, "_<=_": operator.le,
    "_>_": operator.gt, "_>=_": operator.ge,
}  # fmt: skip


def logic(function: str, parts: tuple[Run, ...], position: int) -> Run:
    """``&&`` over all parts when ``function`` is ``_&&_``, ``||`` when ``_||_``."""
    decisive = function == ast.OR
    neutral = not decisive

    def many(context: Context) -> object:
        failure: CelError | None = None
        for part in parts:
            try:
                value = part(context)
            except LimitExceeded:
                raise
            except CelError as error:
                failure = failure or error
                continue
            if value is decisive:
                return decisive
            if value is not neutral and failure is None:
                failure = located(overload(function, value), position)
        if failure is not None:
            raise failure
        return neutral

    if len(parts) != 2:
        return many
    left, right = parts

    def two(context: Context) -> object:
        try:
            value = left(context)
        except LimitExceeded:
            raise
        except CelError as error:
            failure = error
        else:
            if value is decisive:
                return decisive
            if value is neutral:
                value = right(context)
                if value is decisive or value is neutral:
                    return value
                raise located(overload(function, value), position)
            failure = located(overload(function, value), position)
        try:
            if right(context) is decisive:
                return decisive
        except LimitExceeded:
            raise
        except CelError:
            pass
        raise failure

    return two


def negation(operand: Run, position: int) -> Run:
    """``!operand``."""

    def run(context: Context) -> object:
        value = operand(context)
        if value is True:
            return False
        if value is False:
            return True
        raise located(overload(ast.NOT, value), position)

    return run


def minus(operand: Run, position: int) -> Run:
    """``-operand``."""

    def run(context: Context) -> object:
        value = operand(context)
        try:
            return negate(value, context)
        except CelError as error:
            raise located(error, position) from None

    return run


def conditional(condition: Run, yes: Run, no: Run, position: int) -> Run:
    """``condition ? yes : no``; only the chosen side is evaluated."""

    def run(context: Context) -> object:
        value = condition(context)
        if value is True:
            return yes(context)
        if value is False:
            return no(context)
        raise located(overload(ast.CONDITIONAL, value), position)

    return run


def comparison(function: str, left: Run, right: Run, constant: object, position: int) -> Run:
    """``left <op> right``; ``constant`` is the value of ``right`` where it is one known now, else ``...``."""
    exact = COMPARISONS[function]
    native = _NATIVE.get(function)
    if native is None:
        return _membership(left, right, constant, position)
    if type(constant) is not str and type(constant) is not int:
        return binary(left, right, exact, position)
    kind = type(constant)

    def with_constant(context: Context) -> object:
        value = left(context)
        if type(value) is kind:
            return native(value, constant)
        try:
            return exact(value, constant, context)
        except CelError as error:
            raise located(error, position) from None

    return with_constant


def _membership(left: Run, right: Run, constant: object, position: int) -> Run:
    exact = binary(left, right, COMPARISONS[ast.IN], position)
    if not isinstance(constant, tuple) or not all(type(item) is str for item in constant):
        return exact
    texts = frozenset(constant)

    def among_texts(context: Context) -> object:
        value = left(context)
        return type(value) is str and value in texts

    return among_texts


def arithmetic(function: str, left: Run, right: Run, position: int) -> Run:
    """``left <op> right`` for ``+ - * / %``."""
    return binary(left, right, ARITHMETIC[function], position)
