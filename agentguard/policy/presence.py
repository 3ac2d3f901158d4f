"""What a condition reads of a request, and which of it is there for certain when it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agentguard.cel import ast

__all__ = ["Path", "Read", "path_of", "present", "reads", "tested"]

Path = tuple[str, ...]
"""A variable and the fields behind it: `("args", "payee", "iban")`."""

_NONE: Final[frozenset[Path]] = frozenset()


@dataclass(frozen=True, slots=True)
class Read:
    """A path where it is read; `known` are paths that are there for certain then.

    `clause` is the smallest part of the condition around it that is true or false.
    """

    path: Path
    node: ast.Node
    clause: ast.Node
    known: frozenset[Path]


def path_of(node: ast.Node) -> Path | None:
    """The path that a node reads, where it is a plain one: `args.payee`, `args["payee"]`."""
    match node:
        case ast.Ident(name=name, absolute=False):
            return (name,)
        case ast.Select(operand=operand, field=field, test_only=False, optional=False):
            outer = path_of(operand)
            return None if outer is None else (*outer, field)
        case ast.Call(function=ast.INDEX, target=None, args=(operand, ast.Literal(value=str(field)))):
            outer = path_of(operand)
            return None if outer is None else (*outer, field)
        case _:
            return None


def tested(node: ast.Node) -> Path | None:
    """The path whose presence a node tests: `has(args.note)`, `"note" in args`."""
    match node:
        case ast.Select(operand=operand, field=field, test_only=True, optional=False):
            outer = path_of(operand)
            return None if outer is None else (*outer, field)
        case ast.Call(function=ast.IN, args=(ast.Literal(value=str(field)), operand)):
            outer = path_of(operand)
            return None if outer is None else (*outer, field)
        case _:
            return None


def present(node: ast.Node, truth: bool) -> frozenset[Path]:
    """The paths that are there where a node is true (or false)."""
    match node:
        case ast.Call(function=ast.NOT, args=(inner,)):
            return present(inner, not truth)
        case ast.Call(function=ast.AND | ast.OR as function, args=args):
            found = [present(arg, truth) for arg in args]
            if (function == ast.AND) is truth:
                return frozenset().union(*found)
            return frozenset(found[0]).intersection(*found[1:])
        case _:
            path = tested(node) if truth else None
            return _NONE if path is None else frozenset(path[:length] for length in range(2, len(path) + 1))


def reads(tree: ast.Node) -> Iterator[Read]:
    """Every path that is read where nothing says that it is there; a false or true beside it counts.

    CEL: `false && error` is false and `true || error` is true, in either order.
    """
    yield from _reads(tree, tree, _NONE, frozenset())


def _reads(node: ast.Node, clause: ast.Node, known: frozenset[Path], bound: frozenset[str]) -> Iterator[Read]:
    match node:
        case ast.Call(function=ast.AND | ast.OR as function, args=args):
            for arg in args:
                others = [present(other, function == ast.AND) for other in args if other is not arg]
                yield from _reads(arg, arg, known.union(*others), bound)
        case ast.Call(function=ast.CONDITIONAL, args=(test, one, other)):
            yield from _reads(test, clause, known, bound)
            yield from _reads(one, clause, known | present(test, True), bound)
            yield from _reads(other, clause, known | present(test, False), bound)
        case ast.Comprehension(range=range_, filter=middle, body=body, variables=variables):
            yield from _reads(range_, clause, known, bound)
            for part in (middle, body):
                if part is not None:
                    yield from _reads(part, clause, known, bound | set(variables))
        case ast.Bind(name=name, value=value, body=body):
            yield from _reads(value, clause, known, bound)
            yield from _reads(body, clause, known, bound | {name})
        case ast.PathCall():
            return  # it names a path, and reads none
        case _:
            path = path_of(node)
            if path is not None:
                if len(path) > 1 and path[0] not in bound and path not in known:
                    yield Read(path, node, clause, known)
                return
            for child in (_before(node),) if isinstance(node, ast.Select) else ast.children(node):
                yield from _reads(child, clause, known, bound)


def _before(node: ast.Select) -> ast.Node:
    """What a chain of fields needs: what stands before its `.?`, behind which nothing absent is an error."""
    inner: ast.Node = node
    while isinstance(inner, ast.Select):
        if inner.optional:
            return inner.operand
        inner = inner.operand
    return node.operand
