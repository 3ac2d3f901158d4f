"""From a syntax tree back to an expression: what a changed condition says.

`parse(unparse(tree))` is the same tree but for the places in the text. The tree is the parser's, before
names are settled.
"""

from __future__ import annotations

import math
from typing import Final

from agentguard.cel import UInt, ast

__all__ = ["unparse"]

_SYMBOLS: Final = {function: symbol for symbol, function in ast.BINARY.items()}
_STRENGTH: Final = {
    ast.CONDITIONAL: 1, ast.OR: 2, ast.AND: 3, "_==_": 4, "_!=_": 4, "_<_": 4, "_<=_": 4, "_>_": 4,
    "_>=_": 4, ast.IN: 4, "_+_": 5, "_-_": 5, "_*_": 6, "_/_": 6, "_%_": 6, ast.NOT: 7, ast.NEGATE: 7,
}  # fmt: skip
_ATOM: Final = 9
_SIMPLE: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def unparse(node: ast.Node) -> str:
    """The expression of a tree, on one line."""
    match node:
        case ast.Literal(value=value):
            return _constant(value)
        case ast.Ident(name=name, absolute=absolute):
            return f".{name}" if absolute else _variable(name)
        case ast.Select(operand=operand, field=field, test_only=test_only, optional=optional):
            text = f"{_inner(operand, _ATOM)}{'.?' if optional else '.'}{_field(field)}"
            return f"has({text})" if test_only else text
        case ast.Call():
            return _call(node)
        case ast.List(elements=elements, optional=optional):
            items = (f"?{unparse(one)}" if i in optional else unparse(one) for i, one in enumerate(elements))
            return f"[{', '.join(items)}]"
        case ast.Map(entries=entries):
            return f"{{{', '.join(map(unparse, entries))}}}"
        case ast.Entry(key=key, value=value, optional=optional):
            return f"{'?' if optional else ''}{unparse(key)}: {unparse(value)}"
        case ast.Comprehension():
            parts = [*map(_variable, node.variables), *_all(node.filter), unparse(node.body)]
            return f"{_inner(node.range, _ATOM)}.{node.macro}({', '.join(parts)})"
        case ast.Bind(name=name, value=value, body=body):
            return f"cel.bind({_variable(name)}, {unparse(value)}, {unparse(body)})"
        case ast.Block(slots=slots, body=body):
            return f"cel.block([{', '.join(map(unparse, slots))}], {unparse(body)})"
        case ast.Slot(index=index):
            return f"cel.index({index})"
        case ast.PathCall(function=function, operand=operand):
            return f"{function}({unparse(operand)})"


def _all(node: ast.Node | None) -> tuple[str, ...]:
    return () if node is None else (unparse(node),)


def _inner(node: ast.Node, lowest: int) -> str:
    """An operand, in brackets where it binds less than its place wants."""
    text = unparse(node)
    strength = _STRENGTH.get(node.function, _ATOM) if isinstance(node, ast.Call) else _ATOM
    # A number takes the sign or the dot beside it for its own.
    bare = lowest == _ATOM and isinstance(node, ast.Literal) and isinstance(node.value, (int, float))
    return f"({text})" if strength < lowest or bare else text


def _call(node: ast.Call) -> str:
    function, args = node.function, node.args
    strength = _STRENGTH.get(function, _ATOM)
    if function in (ast.AND, ast.OR):
        symbol = " && " if function == ast.AND else " || "
        return symbol.join(_inner(arg, strength + 1) for arg in args)
    if function == ast.CONDITIONAL:
        return f"{_inner(args[0], 2)} ? {_inner(args[1], 2)} : {_inner(args[2], 1)}"
    if function in (ast.NOT, ast.NEGATE):
        # `-(1)` is no constant: a constant stands in brackets.
        lowest = _ATOM if isinstance(args[0], ast.Literal) else strength
        return f"{'!' if function == ast.NOT else '-'}{_inner(args[0], lowest)}"
    if function in (ast.INDEX, ast.OPTIONAL_INDEX):
        mark = "?" if function == ast.OPTIONAL_INDEX else ""
        return f"{_inner(args[0], _ATOM)}[{mark}{unparse(args[1])}]"
    if function in _SYMBOLS:
        return f"{_inner(args[0], strength)} {_SYMBOLS[function]} {_inner(args[1], strength + 1)}"
    listed = ", ".join(map(unparse, args))
    if node.target is None:
        return f"{function}({listed})"
    return f"{_inner(node.target, _ATOM)}.{function}({listed})"


def _constant(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case UInt():
            return f"{int(value)}u"
        case int():
            return str(value)
        case float():
            return _double(value)
        case bytes():
            return 'b"' + "".join(_byte(byte) for byte in value) + '"'
        case _:
            return '"' + "".join(_SIMPLE.get(char) or _char(char) for char in str(value)) + '"'


def _double(value: float) -> str:
    if value == 0.0 and math.copysign(1.0, value) < 0:
        return "-0.0"
    text = repr(value)
    return text if any(mark in text for mark in ".e") else f"{text}.0"


def _byte(byte: int) -> str:
    char = chr(byte)
    return _SIMPLE.get(char) or (char if " " <= char <= "~" else f"\\x{byte:02x}")


def _char(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _field(name: str) -> str:
    return (
        name
        if name.isidentifier() and name.isascii() and name not in ("in", "true", "false", "null")
        else f"`{name}`"
    )


def _variable(name: str) -> str:
    """A variable; those that `cel.iterVar` names have no other spelling."""
    if name.startswith("@it:"):
        depth, unique = name.removeprefix("@it:").split(":")
        return f"cel.iterVar({depth}, {unique})"
    return name
