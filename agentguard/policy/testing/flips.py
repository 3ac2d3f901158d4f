"""Small changes of an expression, each of which a good test notices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, get_args

from agentguard.cel import UInt, ast
from agentguard.cel.parser import parse
from agentguard.policy.functions import ENVIRONMENT
from agentguard.policy.testing.unparse import unparse

__all__ = ["Flip", "flips"]

_NODES: Final = get_args(ast.Node)
_SWAPPED: Final = {
    ast.AND: ast.OR, ast.OR: ast.AND, "_==_": "_!=_", "_!=_": "_==_", "_<_": "_<=_", "_<=_": "_<_",
    "_>_": "_>=_", "_>=_": "_>_", "_+_": "_-_", "_-_": "_+_", "_*_": "_/_", "_/_": "_*_",
}  # fmt: skip
_INT: Final = (-(2**63), 2**63 - 1)
_UINT: Final = (0, 2**64 - 1)


@dataclass(frozen=True, slots=True)
class Flip:
    """One change: the whole expression after it, and what stood at `offset` before and stands there now."""

    text: str
    before: str
    after: str
    offset: int


@dataclass(frozen=True, slots=True)
class _Change:
    """A changed tree; `old` and `new` are the part that a reader wants to see."""

    tree: ast.Node
    old: ast.Node
    new: ast.Node


def flips(text: str) -> Iterator[Flip]:
    """Every change of an expression that can be parsed, in the order of its text."""
    tree = parse(text, ENVIRONMENT.limits)
    found = [*_changes(tree)]
    found.sort(key=lambda change: (change.old.start, -change.old.end))
    seen = {unparse(tree)}
    for change in found:
        changed = unparse(change.tree)
        if changed not in seen:
            seen.add(changed)
            old = change.old
            yield Flip(changed, text[old.start : old.end], unparse(change.new), old.start)


def _changes(node: ast.Node) -> Iterator[_Change]:
    for new in _own(node):
        yield _Change(new, node, new)
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        if isinstance(value, _NODES):
            for change in _changes(value):
                yield _lifted(node, _changed(node, name, change.tree), change)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, _NODES):
                    for change in _changes(item):
                        items = (*value[:index], change.tree, *value[index + 1 :])
                        yield _lifted(node, _changed(node, name, items), change)


def _changed(node: Any, field: str, value: object) -> ast.Node:
    changed: ast.Node = replace(node, **{field: value})
    return changed


def _lifted(parent: ast.Node, tree: ast.Node, change: _Change) -> _Change:
    """The change within its parent; a constant is shown with what it is compared to."""
    if isinstance(change.old, ast.Literal) and isinstance(parent, ast.Call):
        return _Change(tree, parent, tree)
    return _Change(tree, change.old, change.new)


def _own(node: ast.Node) -> Iterator[ast.Node]:
    """What a node itself may be changed to."""
    match node:
        case ast.Literal(value=bool(value)):
            yield replace(node, value=not value)
        case ast.Literal(value=value) if isinstance(value, (int, float)):
            yield from (replace(node, value=other) for other in _beside(value))
        case ast.Call(function=ast.NOT, args=args):
            yield args[0]
        case ast.Call(function=ast.IN):
            yield ast.Call(ast.NOT, None, (node,), node.start, node.end)
        case ast.Call(function=ast.CONDITIONAL, args=(condition, one, other)):
            yield replace(node, args=(condition, other, one))
        case ast.Call(function=function, args=args) if function in _SWAPPED:
            yield replace(node, function=_SWAPPED[function])
            if function in (ast.AND, ast.OR):
                yield from _fewer(node, args)
        case ast.Comprehension(macro="all" | "exists" as macro):
            yield replace(node, macro="exists" if macro == "all" else "all")
        case _:
            pass


def _fewer(node: ast.Call, args: tuple[ast.Node, ...]) -> Iterator[ast.Node]:
    """A conjunction or disjunction without one of its operands."""
    for index in range(len(args)):
        rest = (*args[:index], *args[index + 1 :])
        yield rest[0] if len(rest) == 1 else replace(node, args=rest)


def _beside(value: int | float) -> Iterator[Any]:
    """The neighbours of a number that are numbers of the same kind."""
    if isinstance(value, float):
        yield from (other for other in (value + 1.0, value - 1.0) if other != value)
        return
    low, high = _UINT if isinstance(value, UInt) else _INT
    for other in (value + 1, value - 1):
        if low <= other <= high:
            yield UInt(other) if isinstance(value, UInt) else other
