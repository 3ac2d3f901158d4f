"""The exact interpreter: every node of the tree becomes one closure, made once when compiling.

The tree says what is evaluated in which order; the closures are called with a ``Context`` and return an
adapted value or raise ``CelError``. This is the reference that any faster evaluation must agree with.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TypeAlias

from . import ast, library
from .access import (
    Run,
    alternative,
    binary,
    has,
    index,
    lazy,
    local,
    located,
    optional_index,
    optional_select,
    path,
    select,
    unary,
)
from .adapt import adapt
from .comprehensions import Loop, comprehension
from .context import Context
from .environment import Environment
from .errors import CelError, CelException
from .functions import Function, PathFunction
from .kinds import overload
from .maps import build
from .operators import arithmetic, comparison, conditional, logic, minus, negation
from .resolver import dotted
from .values import Optional

# What sees every step when a program is traced: the node, its step, and the node that owns a delayed step.
Observe: TypeAlias = Callable[[ast.Node, Run, ast.Node | None], Run]


class Builder:
    """Turns one resolved tree into steps; ``slots`` counts the variables that an evaluation needs."""

    def __init__(self, environment: Environment, observe: Observe | None = None) -> None:
        self.environment = environment
        self.observe = observe
        self.slots = 0
        self.blocks: list[Run] = []

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def build(self, node: ast.Node, scope: dict[str, Run], owner: ast.Node | None = None) -> Run:
        """The step for ``node``; ``scope`` holds the steps that read the macros' variables."""
        run = self.step(node, scope)
        if self.observe is None or isinstance(node, ast.Literal):
            return run
        return self.observe(node, run, owner)

    def step(self, node: ast.Node, scope: dict[str, Run]) -> Run:
        known = constant(node)
        if known is not ...:
            return lambda _: known
        match node:
            case ast.Ident() if node.name in scope and not node.absolute:
                return scope[node.name]
            case ast.Ident():
                return path(node.name, (), (), node.start)
            case ast.Select():
                return self.select(node, scope)
            case ast.Call():
                return self.call(node, scope)
            case ast.PathCall():
                return _host_path(self.environment.path_functions[node.function], node)
            case ast.List():
                return self.list(node, scope)
            case ast.Map():
                return self.map(node, scope)
            case ast.Comprehension():
                return self.comprehension(node, scope)
            case ast.Bind():
                return self.bind(node, scope)
            case ast.Block():
                self.blocks = []
                slots = [self.slot() for _ in node.slots]
                for slot, value in zip(slots, node.slots, strict=True):
                    self.blocks.append(lazy(slot, self.build(value, scope, node)))
                return _fresh(tuple(slots), self.build(node.body, scope))
            case ast.Slot():
                return self.blocks[node.index]
            case ast.Entry() | ast.Literal():
                raise AssertionError("entries are built by their map, literals are constants")

    def select(self, node: ast.Select, scope: dict[str, Run]) -> Run:
        name = None if node.test_only or node.optional else dotted(node)
        if name is not None:
            root, fields = chain(node)
            if root.name not in scope or root.absolute:
                return path(root.name, fields, qualified(self.environment, root.name, fields), node.start)
        apply = has if node.test_only else optional_select if node.optional else select
        return unary(self.build(node.operand, scope), apply, node.field, node.start)

    def call(self, node: ast.Call, scope: dict[str, Run]) -> Run:
        function = node.function
        position = node.start
        if function not in ast.OPERATORS:
            return self.function(node, scope)
        parts = tuple(self.build(arg, scope) for arg in node.args)
        match function:
            case ast.AND | ast.OR:
                return logic(function, parts, position)
            case ast.NOT:
                return negation(parts[0], position)
            case ast.NEGATE:
                return minus(parts[0], position)
            case ast.CONDITIONAL:
                return conditional(parts[0], parts[1], parts[2], position)
            case ast.INDEX | ast.OPTIONAL_INDEX:
                apply = index if function == ast.INDEX else optional_index
                return binary(parts[0], parts[1], apply, position)
            case "_+_" | "_-_" | "_*_" | "_/_" | "_%_":
                return arithmetic(function, parts[0], parts[1], position)
            case _:
                known = ... if self.observe is not None else constant(node.args[1])
                return comparison(function, parts[0], parts[1], known, position)

    def function(self, node: ast.Call, scope: dict[str, Run]) -> Run:
        name = node.function
        args = node.args if node.target is None else (node.target, *node.args)
        if node.target is not None and name in library.LAZY_MEMBERS and len(node.args) == 1:
            return alternative(name, self.build(args[0], scope), self.build(args[1], scope), node.start)
        found = self.environment.function(name) if node.target is None else self.environment.member(name)
        if found is None:
            return _unknown(name, node.start)
        if not found.min_args <= len(node.args) <= found.most:
            return _wrong_arguments(name, found, node.start)
        runs = tuple(self.build(arg, scope) for arg in args)
        standard = (library.GLOBALS if node.target is None else library.MEMBERS).get(name) is found
        return (_standard if standard else _host)(name, found, runs, node.start)

    def list(self, node: ast.List, scope: dict[str, Run]) -> Run:
        runs = tuple(self.build(element, scope) for element in node.elements)
        if not node.optional:
            return lambda context: [run(context) for run in runs]
        marked = tuple((run, at in node.optional) for at, run in enumerate(runs))

        def optional(context: Context) -> object:
            result: list[object] = []
            for run, is_optional in marked:
                value = run(context)
                if not is_optional:
                    result.append(value)
                elif not isinstance(value, Optional):
                    raise located(overload("[?_]", value), node.start)
                elif value.present:
                    result.append(value.content)
            return result

        return optional

    def map(self, node: ast.Map, scope: dict[str, Run]) -> Run:
        entries = tuple(
            (self.build(entry.key, scope), self.build(entry.value, scope), entry.optional)
            for entry in node.entries
        )

        def run(context: Context) -> object:
            items: list[tuple[object, object]] = []
            try:
                for key_run, value_run, is_optional in entries:
                    key, value = key_run(context), value_run(context)
                    if is_optional:
                        if not isinstance(value, Optional):
                            raise overload("{?_: _}", value)
                        if not value.present:
                            continue
                        value = value.content
                    items.append((key, value))
                return build(items)
            except CelError as error:
                raise located(error, node.start) from None

        return run

    def comprehension(self, node: ast.Comprehension, scope: dict[str, Run]) -> Run:
        over = self.build(node.range, scope)
        slots = tuple(self.slot() for _ in node.variables)
        inner = {**scope, **{name: local(slot) for name, slot in zip(node.variables, slots, strict=True)}}
        middle = None if node.filter is None else self.build(node.filter, inner)
        body = self.build(node.body, inner)
        return comprehension(Loop(node.macro, over, slots, middle, body, ast.weight(node), node.start))

    def bind(self, node: ast.Bind, scope: dict[str, Run]) -> Run:
        slot = self.slot()
        value = lazy(slot, self.build(node.value, scope, node))
        return _fresh((slot,), self.build(node.body, {**scope, node.name: value}))


def qualified(environment: Environment, name: str, fields: tuple[str, ...]) -> tuple[str, ...]:
    """The dotted names, longest first, under which a path may be bound."""
    names = [".".join([name, *fields[:count]]) for count in range(len(fields), 0, -1)]
    if environment.variables or environment.closed:
        names = [candidate for candidate in names if candidate in environment.variables]
    return tuple(names)


def chain(node: ast.Select) -> tuple[ast.Ident, tuple[str, ...]]:
    """The root and the fields of a pure chain of selects."""
    fields: list[str] = []
    current: ast.Node = node
    while isinstance(current, ast.Select):
        fields.append(current.field)
        current = current.operand
    assert isinstance(current, ast.Ident)
    return current, tuple(reversed(fields))


def constant(node: ast.Node) -> object:
    """The value of a node that is the same in every evaluation, else ``...``; containers are immutable."""
    match node:
        case ast.Literal(value=value):
            return value
        case ast.List(elements=elements, optional=optional) if not optional:
            values = tuple(constant(element) for element in elements)
            return ... if ... in values else values
        case ast.Map(entries=entries):
            items = [(constant(entry.key), constant(entry.value)) for entry in entries]
            if any(entry.optional for entry in entries) or any(... in item for item in items):
                return ...
            try:
                built = build(items)
            except CelError:
                return ...
            return MappingProxyType(built) if isinstance(built, dict) else built
        case ast.Call(function=name, target=None, args=(ast.Literal(value=str(text)),)) if (
            name in library.FOLDED
        ):
            try:
                return library.GLOBALS[name].call(None, text)
            except CelError:
                return ...
        case _:
            return ...


def _fresh(slots: tuple[int, ...], body: Run) -> Run:
    """``body`` with its delayed values not yet computed, however often it is evaluated."""

    def run(context: Context) -> object:
        for slot in slots:
            context.slots[slot] = None
        return body(context)

    return run


def _unknown(name: str, position: int) -> Run:
    def run(context: Context) -> object:
        raise CelError(f"unknown function `{name}`", position)

    return run


def _wrong_arguments(name: str, found: Function, position: int) -> Run:
    def run(context: Context) -> object:
        raise CelError(f"no such overload: `{name}` needs {found.arity()}", position)

    return run


def _standard(name: str, function: Function, runs: tuple[Run, ...], position: int) -> Run:
    call = function.call

    def one(context: Context) -> object:
        value = only(context)
        try:
            return call(context, value)
        except CelError as error:
            raise located(error, position) from None

    def many(context: Context) -> object:
        values = [run(context) for run in runs]
        try:
            return call(context, *values)
        except CelError as error:
            raise located(error, position) from None

    if len(runs) != 1:
        return many
    (only,) = runs
    return one


def _guarded(name: str, call: Callable[[], object], context: Context, position: int) -> object:
    """Call into the host: its result is adapted, its failure is an error of the evaluation."""
    context.charge(10)
    try:
        return adapt(call(), context)
    except CelError as error:
        raise located(error, position) from None
    except CelException:
        raise
    except Exception as error:
        raise CelError(f"function `{name}` failed: {type(error).__name__}", position) from error


def _host(name: str, function: Function, runs: tuple[Run, ...], position: int) -> Run:
    def run(context: Context) -> object:
        values = [part(context) for part in runs]
        return _guarded(name, lambda: function.call(context, *values), context, position)

    return run


def _host_path(function: PathFunction, node: ast.PathCall) -> Run:
    def run(context: Context) -> object:
        return _guarded(node.function, lambda: function.call(context, node.path), context, node.start)

    return run
