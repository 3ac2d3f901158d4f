"""What the names of a tree mean: checks them against the environment and settles them in the tree.

``math.abs(x)`` becomes a global call, ``net.IP`` a type, ``provenance(args.payee)`` a ``PathCall``; unknown
names are refused with the closest known one. (CEL specification, "Name resolution".)
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from operator import is_
from typing import NoReturn, TypeVar

from . import ast, library
from .environment import Environment
from .errors import CelError, CelSyntaxError
from .functions import Function
from .kinds import TYPES
from .regex import pattern


def resolve(tree: ast.Node, source: str, environment: Environment) -> ast.Node:
    """The tree with its names settled; ``CelSyntaxError`` for one that means nothing."""
    return _Resolver(source, environment).visit(tree, frozenset())


def dotted(node: ast.Node) -> str | None:
    """``a.b.c`` for a chain of plain selects on a variable, else ``None``."""
    fields: list[str] = []
    while isinstance(node, ast.Select) and not node.test_only and not node.optional:
        fields.append(node.field)
        node = node.operand
    if not isinstance(node, ast.Ident):
        return None
    return ".".join([node.name, *reversed(fields)])


def path_of(node: ast.Node) -> tuple[ast.Ident, list[str]] | None:
    """The variable and the fields of a path; constant string indices count as fields."""
    fields: list[str] = []
    while True:
        match node:
            case ast.Ident():
                return node, fields[::-1]
            case ast.Select(operand=operand, field=field):
                fields.append(field)
                node = operand
            case ast.Call(
                function=ast.INDEX | ast.OPTIONAL_INDEX,
                target=None,
                args=(operand, ast.Literal(value=str(field))),
            ):
                fields.append(field)
                node = operand
            case _:
                return None


_AnyNode = TypeVar("_AnyNode", bound=ast.Node)


def _changed(node: _AnyNode, **fields: object) -> _AnyNode:
    """``node`` with other fields; itself where they are the same."""
    for name, value in fields.items():
        if getattr(node, name) is not value:
            return replace(node, **fields)  # type: ignore[arg-type]  # the callers name fields of their node
    return node


class _Resolver:
    def __init__(self, source: str, environment: Environment) -> None:
        self.source = source
        self.environment = environment
        self.slots = 0
        self.lenient = environment.unknown_functions == "error"

    def fail(self, message: str, node: ast.Node, candidates: str | None = None) -> NoReturn:
        raise CelSyntaxError(message, self.source, node.start, candidates)

    def visit(self, node: ast.Node, bound: frozenset[str]) -> ast.Node:
        match node:
            case ast.Literal() | ast.PathCall():
                return node
            case ast.Ident():
                return self.ident(node, bound)
            case ast.Slot():
                if node.index >= self.slots:
                    self.fail("`cel.index` names no earlier slot of a `cel.block`", node)
                return node
            case ast.Select():
                return self.select(node, bound)
            case ast.Call():
                return self.call(node, bound)
            case ast.List():
                return _changed(node, elements=self.each(node.elements, bound))
            case ast.Map():
                return _changed(node, entries=self.each(node.entries, bound))
            case ast.Entry():
                return _changed(node, key=self.visit(node.key, bound), value=self.visit(node.value, bound))
            case ast.Comprehension():
                inner = bound | frozenset(node.variables)
                return _changed(
                    node,
                    range=self.visit(node.range, bound),
                    filter=None if node.filter is None else self.visit(node.filter, inner),
                    body=self.visit(node.body, inner),
                )
            case ast.Bind():
                value = self.visit(node.value, bound)
                return _changed(node, value=value, body=self.visit(node.body, bound | {node.name}))
            case ast.Block():
                return self.block(node, bound)

    def each(self, nodes: tuple[ast.Node, ...], bound: frozenset[str]) -> tuple[ast.Node, ...]:
        visited = tuple([self.visit(node, bound) for node in nodes])
        return nodes if all(map(is_, visited, nodes)) else visited

    def block(self, node: ast.Block, bound: frozenset[str]) -> ast.Node:
        if self.slots:
            self.fail("`cel.block` cannot stand inside another one", node)
        slots: list[ast.Node] = []
        for slot in node.slots:
            slots.append(self.visit(slot, bound))
            self.slots += 1
        body = self.visit(node.body, bound)
        self.slots = 0
        return _changed(node, slots=tuple(slots), body=body)

    def declared(self, name: str) -> bool:
        return name in self.environment.variables

    def ident(self, node: ast.Ident, bound: frozenset[str]) -> ast.Node:
        if (node.name in bound and not node.absolute) or self.declared(node.name):
            return node
        if node.name in TYPES:
            return ast.Literal(TYPES[node.name], node.start, node.end)
        if self.environment.closed:
            self.unknown(node.name, node)
        return node

    def unknown(self, name: str, node: ast.Node) -> NoReturn:
        known = {variable.partition(".")[0] for variable in self.environment.variables}
        close = _closest(name, known)
        hint = f": did you mean `{close}`?" if close else ": declare it, or use a known name"
        self.fail(f"unknown name `{name}`{hint}", node, close)

    def select(self, node: ast.Select, bound: frozenset[str]) -> ast.Node:
        name = dotted(node)
        if name is not None and name.partition(".")[0] not in bound:
            if name in TYPES and not self.declared(name.partition(".")[0]):
                return ast.Literal(TYPES[name], node.start, node.end)
            if self.qualified(name):
                return node
        return _changed(node, operand=self.visit(node.operand, bound))

    def qualified(self, name: str) -> bool:
        """Whether a dotted variable was declared that is the path or leads to it."""
        parts = name.split(".")
        return any(self.declared(".".join(parts[:count])) for count in range(2, len(parts) + 1))

    def call(self, node: ast.Call, bound: frozenset[str]) -> ast.Node:
        if node.function in ast.OPERATORS:
            return _changed(node, args=self.each(node.args, bound))
        environment = self.environment
        if node.target is not None:
            space = dotted(node.target)
            name = f"{space}.{node.function}"
            if space is not None and space.partition(".")[0] not in bound and self.is_global(name):
                return self.call(_changed(node, function=name, target=None), bound)
            if node.function in library.LAZY_MEMBERS and len(node.args) == 1:
                return _changed(node, target=self.visit(node.target, bound), args=self.each(node.args, bound))
            self.check(node, environment.member(node.function))
            self.check_constant(node)
            return _changed(node, target=self.visit(node.target, bound), args=self.each(node.args, bound))
        if node.function in environment.path_functions:
            return self.path_call(node, bound)
        self.check(node, environment.function(node.function))
        self.check_constant(node)
        return _changed(node, args=self.each(node.args, bound))

    def is_global(self, name: str) -> bool:
        return self.environment.function(name) is not None or name in self.environment.path_functions

    def check(self, node: ast.Call, function: Function | None) -> None:
        """Refuse an unknown function and a wrong number of arguments, unless those are left to evaluation."""
        if self.lenient:
            return
        name = node.function
        if function is None:
            if name in library.MACROS:
                self.fail(f"wrong arguments for the macro `{name}`", node)
            if node.target is None and self.environment.member(name) is not None:
                self.fail(f"`{name}` is a member function: write `x.{name}(...)`", node, name)
            if node.target is not None and self.environment.function(name) is not None:
                self.fail(f"`{name}` is no member function: write `{name}(x)`", node, name)
            close = _closest(name, self.environment.function_names)
            hint = f"did you mean `{close}`?" if close else "the documentation lists the functions"
            self.fail(f"unknown function `{name}`: {hint}", node, close)
        if not function.min_args <= len(node.args) <= function.most:
            self.fail(f"`{name}` needs {function.arity()}, not {len(node.args)}", node)

    def check_constant(self, node: ast.Call) -> None:
        """Try constant patterns, times and addresses, so that a bad one is found now."""
        last = node.args[-1] if node.args else None
        if not isinstance(last, ast.Literal) or not isinstance(last.value, str):
            return
        try:
            if node.function == "matches":
                pattern(last.value, self.environment.limits.pattern)
            elif node.function in library.FOLDED and node.target is None and not self.lenient:
                library.GLOBALS[node.function].call(None, last.value)
        except CelError as error:
            self.fail(error.message, last)

    def path_call(self, node: ast.Call, bound: frozenset[str]) -> ast.Node:
        found = path_of(node.args[0]) if len(node.args) == 1 else None
        if found is None or found[0].name in bound or any("." in field for field in found[1]):
            self.fail(f"`{node.function}` needs one path of fields, such as `args.payee`", node)
        root, fields = found
        self.ident(root, bound)
        path = ".".join([root.name, *fields])
        return ast.PathCall(node.function, path, node.args[0], node.start, node.end)


def _closest(name: str, known: set[str] | frozenset[str]) -> str | None:
    found = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None
