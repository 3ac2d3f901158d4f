"""The code of each node: inlined for texts, numbers and plain maps, else a call of what the interpreter uses.

Order of evaluation matters nowhere, since whatever raises ends the compiled code; but everything that the
interpreter reads is read, so that no error goes unseen.
"""

from __future__ import annotations

import ast as py
from collections.abc import Callable
from typing import Final

from . import ast, library, native
from .closures import chain, qualified
from .comparing import Comparing
from .emitter import CONTEXT, Value, both, call, compare, const, different, item, method, name, negated, same
from .environment import Environment
from .resolver import dotted
from .template import Template

_GROUP: Final = 8
_TEXT_TESTS: Final = frozenset({"startsWith", "endsWith", "contains"})
_LOOPS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
_ARITHMETIC: Final = {
    "_+_": "plus", "_-_": "subtract", "_*_": "multiply", "_/_": "divide", "_%_": "modulo",
}  # fmt: skip
Scope = dict[str, Value]


class NotCompiled(Exception):
    """The expression uses a form that has no compiled code."""


class Generator(Comparing):
    """Emits the statements of one tree; ``functions`` are the callables that fill its further parameters."""

    def __init__(self, template: Template, environment: Environment) -> None:
        super().__init__(template)
        self.environment = environment
        self.functions: list[object] = []
        self.slots: list[Value] = []

    # Results

    def result(self, node: ast.Node, scope: Scope) -> None:
        """Return the value of ``node``."""
        match node:
            case ast.Call(function=ast.AND | ast.OR as function, args=args):
                decisive = function == ast.OR
                for arg in args[:-1]:
                    found = self.truth(arg, scope)
                    self.branch(found if decisive else negated(found), lambda: self.give(const(decisive)))
                self.result_truth(args[-1], scope)
            case _:
                self.finish(self.value(node, scope))

    def result_truth(self, node: ast.Node, scope: Scope) -> None:
        """Return the value of ``node``, which must be a boolean."""
        if isinstance(node, ast.Call) and node.function in (ast.AND, ast.OR):
            self.result(node, scope)
        else:
            self.give(self.truth(node, scope))

    def finish(self, value: Value) -> None:
        if value.kind in ("bool", "int"):
            self.give(value.expr)
            return
        yes_or_no = py.BoolOp(py.Or(), [same(value.expr, const(True)), same(value.expr, const(False))])
        self.branch(yes_or_no, lambda: self.give(value.expr))
        # INVARIANT: what was read is charged when it is read and again when it leaves, as by the interpreter.
        self.give(call("export", self.checked(value), self.context()))

    def truth(self, node: ast.Node, scope: Scope) -> py.expr:
        """The value of ``node``, which must be a boolean."""
        value = self.value(node, scope)
        if value.kind != "bool":
            self.leave(both(different(value.expr, const(True)), different(value.expr, const(False))))
        return value.expr

    # Nodes

    def value(self, node: ast.Node, scope: Scope) -> Value:
        """The value of ``node``, in a variable or a constant."""
        hole = self.template.hole(node)
        if hole is not None:
            return Value(self.filled(hole), "any")
        match node:
            case ast.Literal(value=bool(known)):
                return Value(const(known), "bool")
            case ast.Ident(name=found, absolute=absolute):
                if found in scope and not absolute:
                    return scope[found]
                return Value(self.let(item(name("bindings"), const(found))), "raw")
            case ast.Select():
                return self.select(node, scope)
            case ast.Call():
                return self.call(node, scope)
            case ast.PathCall(function=function, path=path):
                called = self.environment.path_functions[function].call
                return self.hosted(called, const(path))
            case ast.List(elements=elements, optional=optional) if not optional:
                values = [self.adapted(element, scope) for element in elements]
                return self.held(py.List(values, py.Load()))
            case ast.Map(entries=entries) if not any(entry.optional for entry in entries):
                pairs: list[py.expr] = [
                    py.Tuple([self.adapted(entry.key, scope), self.adapted(entry.value, scope)], py.Load())
                    for entry in entries
                ]
                return self.held(call("build", py.List(pairs, py.Load())))
            case ast.Comprehension():
                return self.comprehension(node, scope)
            case ast.Bind():
                value = Value(self.adapted(node.value, scope), "any")
                return self.value(node.body, {**scope, node.name: value})
            case ast.Block():
                self.slots = []
                for slot in node.slots:
                    self.slots.append(Value(self.adapted(slot, scope), "any"))
                return self.value(node.body, scope)
            case ast.Slot(index=index):
                return self.slots[index]
            case _:
                raise NotCompiled

    def adapted(self, node: ast.Node, scope: Scope) -> py.expr:
        """The value of ``node`` as the interpreter has it."""
        return self.checked(self.value(node, scope))

    # Reading

    def select(self, node: ast.Select, scope: Scope) -> Value:
        self.qualified(node, scope)
        field = const(node.field)
        if node.optional and not node.test_only:
            operand = self.adapted(node.operand, scope)
            return self.held(call("optional_select", operand, field, self.context()))
        value = self.value(node.operand, scope)
        if _may_be_optional(node.operand):
            apply = "has" if node.test_only else "select"
            found = self.held(call(apply, self.checked(value), field, self.context()))
            return Value(found.expr, "bool") if node.test_only else found
        self.leave_unless_map(value.expr)
        if node.test_only:
            self.spent += native.READ
            return Value(self.let(call("present", value.expr, field)), "bool")
        return Value(self.let(item(value.expr, field)), "raw")

    def qualified(self, node: ast.Select, scope: Scope) -> None:
        """Leave a path that may be bound under a dotted name."""
        if node.test_only or node.optional or dotted(node) is None:
            return
        root, fields = chain(node)
        if root.name in scope and not root.absolute:
            return
        for candidate in qualified(self.environment, root.name, fields):
            self.leave(compare(const(candidate), py.In(), name("bindings")))

    def leave_unless_map(self, value: py.expr) -> None:
        kind = self.let(call("type", value))
        self.leave(both(different(kind, name("proxy")), different(kind, name("dict"))))

    # Calls

    def call(self, node: ast.Call, scope: Scope) -> Value:
        function, args = node.function, node.args
        if function not in ast.OPERATORS:
            return self.function(node, scope)
        match function:
            case ast.AND | ast.OR:
                result = self.variable()
                self.logic(args, function == ast.OR, result, scope)
                return Value(result, "bool")
            case ast.NOT:
                return Value(self.let(negated(self.truth(args[0], scope))), "bool")
            case ast.NEGATE:
                return self.held(call("negate", self.adapted(args[0], scope), self.context()))
            case ast.CONDITIONAL:
                return self.conditional(node, scope)
            case ast.INDEX:
                return self.index(args[0], args[1], scope)
            case ast.OPTIONAL_INDEX:
                left, right = self.adapted(args[0], scope), self.adapted(args[1], scope)
                return self.held(call("optional_index", left, right, self.context()))
            case _ if function in _ARITHMETIC:
                left, right = self.adapted(args[0], scope), self.adapted(args[1], scope)
                return self.held(call(_ARITHMETIC[function], left, right, self.context()))
            case _:
                left_value, right_value = self.value(args[0], scope), self.value(args[1], scope)
                holes = self.template.hole(args[0]), self.template.hole(args[1])
                return self.comparison(function, left_value, right_value, *holes)

    def logic(self, args: tuple[ast.Node, ...], decisive: bool, result: py.Name, scope: Scope) -> None:
        """``result`` becomes the value of ``&&`` or ``||`` over ``args``."""
        if len(args) == 1:
            self.assign(result, self.truth(args[0], scope))
            return
        # Halves of a long chain, so that the code is not nested as deeply as the chain is long.
        middle = len(args) // 2 if len(args) > _GROUP else 1
        self.logic(args[:middle], decisive, result, scope)
        more: py.expr = negated(result) if decisive else result
        self.branch(more, lambda: self.logic(args[middle:], decisive, result, scope))

    def conditional(self, node: ast.Call, scope: Scope) -> Value:
        test, yes, no = node.args
        result = self.variable()
        self.branch(
            self.truth(test, scope),
            lambda: self.assign(result, self.adapted(yes, scope)),
            lambda: self.assign(result, self.adapted(no, scope)),
        )
        return Value(result, "any")

    def index(self, container: ast.Node, key: ast.Node, scope: Scope) -> Value:
        hole = self.template.hole(key)
        value = self.value(container, scope)
        if hole is not None and hole.kind == "text" and not _may_be_optional(container):
            self.leave_unless_map(value.expr)
            return Value(self.let(item(value.expr, self.filled(hole))), "raw")
        left, right = self.checked(value), self.adapted(key, scope)
        return self.held(call("index", left, right, self.context()))

    def function(self, node: ast.Call, scope: Scope) -> Value:
        function, target = node.function, node.target
        if target is not None and function in library.LAZY_MEMBERS and len(node.args) == 1:
            return self.alternative(function, target, node.args[0], scope)
        environment = self.environment
        found = environment.function(function) if target is None else environment.member(function)
        if found is None or not found.min_args <= len(node.args) <= found.most:
            self.abandon()
            return Value(const(None), "any")
        args = node.args if target is None else (target, *node.args)
        standard = (library.GLOBALS if target is None else library.MEMBERS).get(function) is found
        if standard and function == "size":
            self.spent += native.READ
            return Value(self.let(call("size_of", self.value(args[0], scope).expr)), "int")
        if standard and function in _TEXT_TESTS:
            hole = self.template.hole(args[1])
            if hole is not None and hole.kind == "text":
                return self.text_test(function, self.value(args[0], scope), self.filled(hole))
        values = [self.adapted(arg, scope) for arg in args]
        if not standard:
            return self.hosted(found.call, *values)
        return self.held(py.Call(self.callable(found.call), [self.context(), *values], []))

    def hosted(self, function: Callable[..., object], *values: py.expr) -> Value:
        return self.held(call("hosted", self.callable(function), self.context(), *values))

    def callable(self, function: object) -> py.expr:
        """The parameter that holds a function."""
        self.functions.append(function)
        return name(f"f{len(self.functions) - 1}")

    def text_test(self, function: str, value: Value, wanted: py.expr) -> Value:
        """``startsWith``, ``endsWith`` or ``contains`` with a constant."""
        self.leave(different(call("type", value.expr), name("str")))
        long = compare(call("len", value.expr), py.Gt(), const(native.WIDE))
        unclean = both(negated(method(value.expr, "isascii")), negated(call("clean", value.expr)))
        self.leave(py.BoolOp(py.Or(), [long, unclean]))
        self.spent += 3 * native.READ
        if function == "contains":
            found: py.expr = compare(wanted, py.In(), value.expr)
        else:
            found = method(value.expr, "startswith" if function == "startsWith" else "endswith", wanted)
        return Value(self.let(found), "bool")

    def alternative(self, function: str, target: ast.Node, other: ast.Node, scope: Scope) -> Value:
        """``target.or(other)`` and ``target.orValue(other)``."""
        value = self.adapted(target, scope)
        result = self.let(call("content", value))
        empty = same(result, name("UNDECIDED"))
        if function == "orValue":
            self.branch(empty, lambda: self.assign(result, self.adapted(other, scope)))
            return Value(result, "any")

        def use_other() -> None:
            chosen = self.adapted(other, scope)
            self.add(call("content", chosen))
            self.assign(result, chosen)

        self.branch(empty, use_other, lambda: self.assign(result, value))
        return Value(result, "any")

    # Macros

    def comprehension(self, node: ast.Comprehension, scope: Scope) -> Value:
        if node.macro not in _LOOPS or len(node.variables) != 1:
            raise NotCompiled
        over = self.adapted(node.range, scope)
        weight = ast.weight(node)
        charge = py.Constant(weight)
        result = self.let(_start(node.macro))
        variable = self.variable()
        before = self.spent
        inner = {**scope, node.variables[0]: Value(variable, "any")}

        def fill() -> None:
            self.assign(variable, call("adapt", variable, name(CONTEXT)))
            self.round(node, result, variable, inner)

        items = call("rounds", over, self.context(), charge)
        self.loop(variable, items, fill)
        # What a round's inlined operations cost is charged for each round.
        charge.value = weight + self.spent - before
        self.spent = before
        if node.macro == "exists_one":
            return Value(self.let(compare(result, py.Eq(), const(1))), "bool")
        return Value(result, "any" if node.macro in ("map", "filter") else "bool")

    def round(self, node: ast.Comprehension, result: py.Name, variable: py.Name, scope: Scope) -> None:
        """The body of a loop."""

        def keep(value: py.expr) -> Callable[[], None]:
            return lambda: self.add(method(result, "append", value))

        def decide(decisive: bool) -> None:
            self.assign(result, const(decisive))
            self.stop()

        match node.macro:
            case "all":
                self.branch(negated(self.truth(node.body, scope)), lambda: decide(False))
            case "exists":
                self.branch(self.truth(node.body, scope), lambda: decide(True))
            case "exists_one":
                count = py.BinOp(result, py.Add(), const(1))
                self.branch(self.truth(node.body, scope), lambda: self.assign(result, count))
            case "filter":
                self.branch(self.truth(node.body, scope), keep(variable))
            case _ if node.filter is None:
                keep(self.adapted(node.body, scope))()
            case _:
                self.branch(self.truth(node.filter, scope), lambda: keep(self.adapted(node.body, scope))())


def _start(macro: str) -> py.expr:
    match macro:
        case "all" | "exists":
            return const(macro == "all")
        case "exists_one":
            return const(0)
        case _:
            return py.List([], py.Load())


def _may_be_optional(node: ast.Node) -> bool:
    """Whether a node's value may be an optional, whose fields are optionals too."""
    match node:
        case ast.Ident():
            return False
        case ast.Select(optional=optional, operand=operand):
            return optional or _may_be_optional(operand)
        case ast.PathCall():
            return False
        case ast.Call(function=ast.INDEX, args=(container, _)):
            return _may_be_optional(container)
        case _:
            return True
