"""What conditions have in common: their shape, with a numbered hole for every constant.

Conditions that differ only in constants have the same shape and share one code object; the constants fill
its holes. A hole has a kind, and nothing but the kind may shape the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from . import ast
from .closures import constant

Kind: TypeAlias = Literal["text", "small", "double", "among", "other"]
"""``text``: a Unicode text that is compared for free; ``small``: an int that a double holds exactly;
``among``: a set of such texts for ``in``; ``other``: anything else."""

_EXACT: Final = 2**53
_FREE: Final = 1_024
_NAMED: Final = {True: "true", False: "false"}


@dataclass(frozen=True, slots=True)
class Blank:
    """In the tree of a form, where constant number ``index`` of each of its sources stands."""

    index: int
    kind: Literal["text", "small"]


@dataclass(frozen=True, slots=True)
class Hole:
    """Where constant number ``index`` stands."""

    index: int
    kind: Kind


class Template:
    """The shape of a resolved tree: ``key`` is equal for equal shapes, ``constants`` fill the ``holes``."""

    __slots__ = ("constants", "holes", "key", "tree")

    def __init__(self, tree: ast.Node) -> None:
        self.tree: Final = tree
        self.constants: list[object] = []
        self.holes: dict[int, Hole] = {}
        parts: list[object] = []
        self._visit(tree, parts)
        self.key: tuple[object, ...] = tuple(parts)

    def hole(self, node: ast.Node) -> Hole | None:
        """The hole that a node is, if it is one."""
        return self.holes.get(id(node))

    def filled(self, values: Sequence[object]) -> tuple[object, ...]:
        """The constants, with ``values`` in the place of blanks."""
        return tuple([_filled(constant, values) for constant in self.constants])

    def _fill(self, node: ast.Node, value: object, kind: Kind, parts: list[object]) -> None:
        hole = self.holes[id(node)] = Hole(len(self.constants), kind)
        self.constants.append(value)
        parts += ("hole", hole.kind)

    def _visit(self, node: ast.Node, parts: list[object]) -> None:
        known = self.holes.get(id(node))
        if known is not None:
            # INVARIANT: one node in two places is one hole, so that two programs of one key have the same
            # holes in the same places.
            parts += ("again", known.index)
            return
        value = constant(node)
        if value is True or value is False:
            parts.append(_NAMED[value])
            return
        if value is not ...:
            self._fill(node, value, kind_of(value), parts)
            return
        match node:
            case ast.Ident(name=name, absolute=absolute):
                parts += ("ident", name, absolute)
            case ast.Select(field=field, test_only=test_only, optional=optional):
                parts += ("select", field, test_only, optional)
            case ast.Call(function=ast.IN, args=(left, right)):
                parts += ("call", ast.IN)
                self._visit(left, parts)
                self._container(right, parts)
                return
            case ast.Call(function=function, target=target, args=args):
                parts += ("call", function, target is None, len(args))
            case ast.PathCall(function=function, path=path):
                # The operand is named, not evaluated.
                parts += ("path", function, path)
                return
            case ast.List(elements=elements, optional=optional):
                parts += ("list", len(elements), optional)
            case ast.Map(entries=entries):
                parts += ("map", len(entries))
            case ast.Entry(optional=optional):
                parts += ("entry", optional)
            case ast.Comprehension(macro=macro, variables=variables, filter=middle):
                # The size of the constants in a round is in its charge, so it is in the key.
                parts += ("macro", macro, variables, middle is None, ast.weight(node))
            case ast.Bind(name=name):
                parts += ("bind", name)
            case ast.Block(slots=slots):
                parts += ("block", len(slots))
            case ast.Slot(index=index):
                parts += ("slot", index)
            case ast.Literal():
                raise AssertionError("literals are constants")
        for child in ast.children(node):
            self._visit(child, parts)

    def _container(self, node: ast.Node, parts: list[object]) -> None:
        value = constant(node) if id(node) not in self.holes else ...
        if type(value) is tuple and all(kind_of(item) == "text" for item in value):
            self._fill(node, frozenset(value), "among", parts)
        else:
            self._visit(node, parts)


def kind_of(value: object) -> Kind:
    """The kind of a constant."""
    kind = type(value)
    if isinstance(value, Blank):
        return value.kind
    if kind is str:
        return "text" if len(value) <= _FREE and is_unicode(value) else "other"  # type: ignore[arg-type]  # a str
    if kind is int:
        return "small" if -_EXACT <= value <= _EXACT else "other"  # type: ignore[operator]  # an int
    return "double" if kind is float else "other"


def _filled(constant: object, values: Sequence[object]) -> object:
    if isinstance(constant, Blank):
        return values[constant.index]
    if isinstance(constant, frozenset):
        return frozenset([_filled(item, values) for item in constant])
    if type(constant) is tuple:
        return tuple([_filled(item, values) for item in constant])
    return constant


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
