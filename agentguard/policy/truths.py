"""Parts of conditions that can never be true or false: text in quotes, a number, an argument that is one.

Certain cases only: what may be a truth value, and what may fail, is none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

from agentguard.cel import ast
from agentguard.policy.presence import Path, path_of
from agentguard.policy.shapes import Shape, kind_of

__all__ = ["never_truths"]

Shapes = Callable[[Path], Collection[Shape]]
"""What a path is in each tool that has it; empty where that is not known."""

_NO_TRUTHS: Final[dict[str, str]] = {
    **dict.fromkeys(("_-_", "_*_", "_/_", "_%_", ast.NEGATE, "size", "int", "uint", "double"), "a number"),
    "_+_": "no truth value",
    "string": "text",
}
_WORDS: Final = {
    "null": "null",
    "number": "a number",
    "text": "text",
    "list": "a list",
    "map": "a mapping",
}


def never_truths(tree: ast.Node, shapes: Shapes) -> Iterator[tuple[ast.Node, str]]:
    """The parts of a condition that have to be true or false and never are, and what each is instead."""
    match tree:
        case ast.Call(function=ast.AND | ast.OR, args=clauses):
            for clause in clauses:
                yield from never_truths(clause, shapes)
        case ast.Call(function=ast.NOT, args=(negated,)):
            yield from never_truths(negated, shapes)
        case ast.Call(function=ast.CONDITIONAL, args=(chosen, one, other)):
            for part in (chosen, one, other):
                yield from never_truths(part, shapes)
        case ast.Bind(body=body) | ast.Block(body=body):
            yield from never_truths(body, lambda _: ())  # names in it are its own
        case _:
            what = _instead(tree, shapes)
            if what is not None:
                yield tree, what


def _instead(node: ast.Node, shapes: Shapes) -> str | None:
    """What a node is, where it is certainly no truth value."""
    match node:
        case ast.Literal(value=value):
            return None if isinstance(value, bool) else _WORDS.get(kind_of(value) or "", "no truth value")
        case ast.List():
            return "a list"
        case ast.Map():
            return "a mapping"
        case ast.Call(function=function) if function in _NO_TRUTHS:
            return _NO_TRUTHS[function]
        case _:
            return _argument(node, shapes)


def _argument(node: ast.Node, shapes: Shapes) -> str | None:
    """What an argument is, where no tool of the rule takes a truth value for it."""
    path = path_of(node)
    if path is None or path[0] != "args":
        return None
    if len(path) == 1:
        return "a mapping"
    found = shapes(path)
    if not found or any(shape.kinds is None or "bool" in shape.kinds for shape in found):
        return None
    kinds = {kind for shape in found for kind in shape.kinds or ()}
    return _WORDS.get(kinds.pop() if len(kinds) == 1 else "", "no truth value")
