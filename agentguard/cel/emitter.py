"""Python's syntax tree, put together statement by statement: values in local variables, early exits.

Nothing here formats source text: names of variables are ours, and what a condition spells (fields, texts)
only ever becomes a constant.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import CodeType
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["raw", "any", "bool", "int"]
"""``raw``: read from the bindings and not yet checked; ``any``: a value of CEL; ``bool`` and ``int``: of that
type, in range."""

BINDINGS: Final = "bindings"
CONSTANTS: Final = "constants"
CONTEXT: Final = "context"
LIMITS: Final = "limits"
UNDECIDED: Final = "UNDECIDED"
_LOAD: Final = py.Load()
_STORE: Final = py.Store()


@dataclass(frozen=True, slots=True)
class Value:
    """A variable or constant of the code, and what is known of it."""

    expr: py.expr
    kind: Kind


def name(of: str) -> py.Name:
    return py.Name(of, _LOAD)


def const(value: bool | int | str | None) -> py.Constant:
    return py.Constant(value)


def call(function: str, *args: py.expr) -> py.Call:
    return py.Call(name(function), list(args), [])


def method(value: py.expr, attribute: str, *args: py.expr) -> py.Call:
    return py.Call(py.Attribute(value, attribute, _LOAD), list(args), [])


def compare(left: py.expr, operator: py.cmpop, right: py.expr) -> py.Compare:
    return py.Compare(left, [operator], [right])


def between(low: int, value: py.expr, high: int) -> py.Compare:
    return py.Compare(const(low), [py.LtE(), py.LtE()], [value, const(high)])


def same(left: py.expr, right: py.expr) -> py.Compare:
    return compare(left, py.Is(), right)


def different(left: py.expr, right: py.expr) -> py.Compare:
    return compare(left, py.IsNot(), right)


def negated(value: py.expr) -> py.UnaryOp:
    return py.UnaryOp(py.Not(), value)


def both(*values: py.expr) -> py.BoolOp:
    return py.BoolOp(py.And(), list(values))


def item(container: py.expr, key: py.expr) -> py.Subscript:
    return py.Subscript(container, key, _LOAD)


class Emitter:
    """The statements of one function, as they are added; ``spent`` is what they cost at most."""

    def __init__(self) -> None:
        self.body: list[py.stmt] = []
        self.spent = 0
        self.needs_context = False
        self._variables = 0

    def variable(self) -> py.Name:
        """A new variable."""
        self._variables += 1
        return name(f"v{self._variables}")

    def context(self) -> py.Name:
        """The evaluation's context, which the function then makes."""
        self.needs_context = True
        return name(CONTEXT)

    def assign(self, target: py.Name, value: py.expr) -> None:
        self.body.append(py.Assign([py.Name(target.id, _STORE)], value))

    def let(self, value: py.expr) -> py.Name:
        """A new variable that holds ``value``."""
        target = self.variable()
        self.assign(target, value)
        return target

    def add(self, value: py.expr) -> None:
        """``value``, evaluated for its exceptions."""
        self.body.append(py.Expr(value))

    def give(self, value: py.expr) -> None:
        """Return ``value``."""
        self.body.append(py.Return(value))

    def leave(self, test: py.expr) -> None:
        """Where ``test`` holds, leave the expression to the interpreter."""
        self.body.append(py.If(test, [py.Return(name(UNDECIDED))], []))

    def abandon(self) -> None:
        """Leave the expression to the interpreter."""
        self.give(name(UNDECIDED))

    def block(self, fill: Callable[[], None]) -> list[py.stmt]:
        """The statements that ``fill`` adds, apart."""
        outer, self.body = self.body, []
        fill()
        inner, self.body = self.body, outer
        return inner or [py.Pass()]

    def branch(self, test: py.expr, yes: Callable[[], None], no: Callable[[], None] | None = None) -> None:
        """``if test: yes`` and ``else: no``."""
        self.body.append(py.If(test, self.block(yes), self.block(no) if no is not None else []))

    def loop(self, variable: py.Name, over: py.expr, fill: Callable[[], None]) -> None:
        """``for variable in over: fill``."""
        self.body.append(py.For(py.Name(variable.id, _STORE), over, self.block(fill), []))

    def stop(self) -> None:
        """Leave the innermost loop."""
        self.body.append(py.Break())

    def code(self, parameters: Iterable[str]) -> CodeType:
        """The code of a function of the bindings, the constants, ``parameters`` and the limits.

        Raises ``SyntaxError``, ``RecursionError`` or ``MemoryError`` where Python cannot compile it.
        """
        body = self.body
        if self.needs_context:
            begin = call("begin", name(BINDINGS), name(LIMITS), const(self.spent))
            body = [py.Assign([py.Name(CONTEXT, _STORE)], begin), *body]
        arguments = py.arguments(
            posonlyargs=[],
            args=[py.arg(parameter) for parameter in (BINDINGS, CONSTANTS, *parameters, LIMITS)],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        function = py.FunctionDef("condition", arguments, body, [])
        module = py.fix_missing_locations(py.Module([function], []))
        code = compile(module, "<condition>", "exec", dont_inherit=True)
        return next(constant for constant in code.co_consts if isinstance(constant, CodeType))
