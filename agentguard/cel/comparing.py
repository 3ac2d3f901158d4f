"""The code of comparisons, most of which are with a constant."""

from __future__ import annotations

import ast as py
from typing import Final

from . import ast, native
from .adapt import INPUT_SIZE
from .emitter import (
    CONSTANTS,
    Emitter,
    Value,
    between,
    both,
    call,
    compare,
    const,
    different,
    item,
    name,
    negated,
    same,
)
from .template import Hole, Template
from .values import INT_MAX, INT_MIN

_NATIVE: Final[dict[str, type[py.cmpop]]] = {
    "_==_": py.Eq, "_!=_": py.NotEq, "_<_": py.Lt, "_<=_": py.LtE, "_>_": py.Gt, "_>=_": py.GtE,
}  # fmt: skip
_MIRRORED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
_EXACT: Final = {
    "_==_": "equal", "_!=_": "unequal", "_<_": "less", "_<=_": "less_equal", "_>_": "greater",
    "_>=_": "greater_equal", ast.IN: "contains",
}  # fmt: skip
_EQUALITY: Final = frozenset({"_==_", "_!=_"})


class Comparing(Emitter):
    """Emits comparisons, and the checks of values read from the bindings."""

    def __init__(self, template: Template) -> None:
        super().__init__()
        self.template = template

    def filled(self, hole: Hole) -> py.expr:
        """A constant of the condition."""
        return item(name(CONSTANTS), const(hole.index))

    def held(self, value: py.expr) -> Value:
        """The result of a function that the interpreter uses, in a variable."""
        return Value(self.let(value), "any")

    def checked(self, value: Value) -> py.expr:
        """A value as the interpreter has it."""
        if value.kind != "raw":
            return value.expr
        return self.let(call("adapt", value.expr, self.context()))

    def comparison(
        self, function: str, left: Value, right: Value, left_hole: Hole | None, right_hole: Hole | None
    ) -> Value:
        """``left <function> right``, where holes are constants."""
        if function == ast.IN:
            return self.membership(left, right, left_hole, right_hole)
        hole, value, symbol = right_hole, left, function
        if left_hole is not None and right_hole is None:
            hole, value, symbol = left_hole, right, _MIRRORED.get(function, function)
        if hole is not None and (left_hole is None or right_hole is None):
            if hole.kind == "text" and symbol in _EQUALITY and value.kind != "bool":
                return self.text_equality(symbol, value, hole)
            if hole.kind == "small" and value.kind != "bool":
                return self.with_integer(symbol, value, hole)
            if hole.kind == "double" and value.kind == "raw" and symbol not in _EQUALITY:
                return self.with_double(symbol, value, hole)
        if left.kind == right.kind == "int":
            return self.natively(function, left.expr, right.expr)
        found = call(_EXACT[function], self.checked(left), self.checked(right), self.context())
        return Value(self.let(found), "bool")

    def natively(self, function: str, left: py.expr, right: py.expr) -> Value:
        return Value(self.let(compare(left, _NATIVE[function](), right)), "bool")

    def leave_unclean(self, value: py.expr) -> py.expr:
        """Whether a text needs the interpreter, as a condition."""
        self.spent += native.READ
        easy = both(method_isascii(value), compare(call("len", value), py.LtE(), const(INPUT_SIZE)))
        return both(negated(easy), negated(call("clean", value)))

    def text_equality(self, function: str, value: Value, hole: Hole) -> Value:
        """A text equals a constant: then it needs no further look; else it may be none that CEL has."""
        result = self.variable()
        differs = function == "_!=_"
        constant = self.filled(hole)

        def texts() -> None:
            self.assign(result, compare(value.expr, _NATIVE[function](), constant))
            unclean = self.leave_unclean(value.expr)
            self.leave(both(result if differs else negated(result), unclean))

        def others() -> None:
            found: py.expr = call("not_text", value.expr)
            self.assign(result, negated(found) if differs else found)

        self.branch(same(call("type", value.expr), name("str")), texts, others)
        return Value(result, "bool")

    def with_integer(self, function: str, value: Value, hole: Hole) -> Value:
        """A number beside an int that a double holds exactly, so that Python compares as CEL does."""
        constant = self.filled(hole)
        if value.kind == "int":
            return self.natively(function, value.expr, constant)
        kind = self.let(call("type", value.expr))
        result = self.variable()
        found = compare(value.expr, _NATIVE[function](), constant)

        def integers() -> None:
            self.leave(negated(between(INT_MIN, value.expr, INT_MAX)))
            self.assign(result, found)

        def others() -> None:
            self.branch(
                same(kind, name("float")),
                lambda: self.assign(result, found),
                lambda: self.no_number(function, value, result),
            )

        self.branch(same(kind, name("int")), integers, others)
        return Value(result, "bool")

    def no_number(self, function: str, value: Value, result: py.Name) -> None:
        if function not in _EQUALITY:
            self.abandon()
            return
        self.spent += native.READ
        found: py.expr = call("not_number", value.expr)
        self.assign(result, negated(found) if function == "_!=_" else found)

    def with_double(self, function: str, value: Value, hole: Hole) -> Value:
        """A double beside a double; other numbers are left to the interpreter."""
        self.leave(different(call("type", value.expr), name("float")))
        return self.natively(function, value.expr, self.filled(hole))

    def membership(self, left: Value, right: Value, left_hole: Hole | None, right_hole: Hole | None) -> Value:
        if right_hole is not None and right_hole.kind == "among":
            return self.among(left, left_hole, right_hole)
        if left_hole is not None and left_hole.kind == "text" and right.kind == "raw":
            return self.listed(left, right)
        found = call("contains", self.checked(left), self.checked(right), self.context())
        return Value(self.let(found), "bool")

    def among(self, value: Value, value_hole: Hole | None, hole: Hole) -> Value:
        """A value in a constant list of texts."""
        result = self.variable()
        constant = self.filled(hole)

        def texts() -> None:
            self.assign(result, compare(value.expr, py.In(), constant))
            self.leave(both(negated(result), self.leave_unclean(value.expr)))

        self.branch(
            same(call("type", value.expr), name("str")),
            texts,
            lambda: self.assign(result, call("not_text", value.expr)),
        )
        return Value(result, "bool")

    def listed(self, text: Value, container: Value) -> Value:
        """A constant text in a list, a short one of texts or one for the interpreter's own function."""
        self.spent += native.LISTED
        return Value(self.let(call("listed", text.expr, container.expr)), "bool")


def method_isascii(value: py.expr) -> py.expr:
    return py.Call(py.Attribute(value, "isascii", py.Load()), [], [])
