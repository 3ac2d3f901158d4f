"""Which calls are macros, and the nodes they become (CEL specification, "Macros").

Also the macros of cel-go's extensions: two-variable comprehensions, bindings, optionals, sorting, blocks.
A call with the name of a macro and another number of arguments stays an ordinary call.
"""

from __future__ import annotations

from typing import Final

from . import ast
from .errors import CelSyntaxError

_ONE: Final[dict[tuple[str, int], ast.Macro]] = {
    ("all", 2): "all", ("exists", 2): "exists",
    ("exists_one", 2): "exists_one", ("existsOne", 2): "exists_one",
    ("map", 2): "map", ("map", 3): "map", ("filter", 2): "filter", ("sortBy", 2): "sortBy",
    ("optMap", 2): "optMap", ("optFlatMap", 2): "optFlatMap",
}  # fmt: skip
_TWO: Final[dict[tuple[str, int], ast.Macro]] = {
    ("all", 3): "all", ("exists", 3): "exists",
    ("exists_one", 3): "exists_one", ("existsOne", 3): "exists_one",
    ("transformList", 3): "transformList", ("transformList", 4): "transformList",
    ("transformMap", 3): "transformMap", ("transformMap", 4): "transformMap",
    ("transformMapEntry", 3): "transformMapEntry", ("transformMapEntry", 4): "transformMapEntry",
}  # fmt: skip


def expand(call: ast.Call, source: str) -> ast.Node:
    """The node for ``call``: a macro's, or the call itself."""
    target = call.target
    key = (call.function, len(call.args))
    if target is None:
        return _has(call, source) if key == ("has", 1) else call
    if isinstance(target, ast.Ident) and target.name == "cel":
        return _cel(call, source)
    if key in _ONE:
        name, *rest = call.args
        return _comprehension(call, _ONE[key], target, (_variable(name, source),), rest)
    if key in _TWO:
        first, second, *rest = call.args
        variables = (_variable(first, source), _variable(second, source))
        if variables[0] == variables[1]:
            message = f"`{variables[0]}` is bound twice: give the two variables different names"
            raise CelSyntaxError(message, source, second.start)
        return _comprehension(call, _TWO[key], target, variables, rest)
    return call


def _comprehension(
    call: ast.Call, macro: ast.Macro, over: ast.Node, variables: tuple[str, ...], rest: list[ast.Node]
) -> ast.Comprehension:
    middle = rest[0] if len(rest) == 2 else None
    return ast.Comprehension(macro, over, variables, middle, rest[-1], call.start, call.end)


def _variable(node: ast.Node, source: str) -> str:
    if isinstance(node, ast.Ident) and not node.absolute:
        return node.name
    raise CelSyntaxError("a macro's variable must be a simple name, such as `x`", source, node.start)


def _has(call: ast.Call, source: str) -> ast.Node:
    (operand,) = call.args
    if not isinstance(operand, ast.Select) or operand.test_only:
        raise CelSyntaxError("`has` needs a field: write `has(a.b)`", source, operand.start)
    return ast.Select(operand.operand, operand.field, call.start, call.end, True, operand.optional)


def _cel(call: ast.Call, source: str) -> ast.Node:
    match call.function, call.args:
        case "bind", (name, value, body):
            return ast.Bind(_variable(name, source), value, body, call.start, call.end)
        case "block", (ast.List(elements=slots, optional=optional), body) if not optional:
            return ast.Block(slots, body, call.start, call.end)
        case "index", (ast.Literal(value=int(index)),) if type(index) is int and index >= 0:
            return ast.Slot(index, call.start, call.end)
        case "iterVar", (ast.Literal(value=int(depth)), ast.Literal(value=int(unique))):
            return ast.Ident(f"@it:{depth}:{unique}", call.start, call.end)
        case _:
            return call
