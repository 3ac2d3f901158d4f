"""Forms: sources that differ only in constants are parsed, resolved and checked once, and then filled in.

A form is a source with blanks in place of constants. Thousands of rules of a pattern have one form; the tree
of each is that of the form, with its own constants and offsets, and is made when somebody asks for it.

INVARIANT: a filled form is what compiling the source would give, or it is not used. A blank is one whole
token of the source that taught the form, it stands where neither parser nor resolver look at its value, and
what fills it is of the same kind and passes every check by itself: an ASCII text without escapes, or digits
of a small number. Everything else in the source is equal, character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, chain, compress
from typing import Final, TypeAlias

from . import ast
from .environment import Environment
from .facts import facts
from .parser import parse
from .resolver import resolve
from .template import Blank, Template

FORMS: Final = 512
"""How many forms an environment keeps."""
LONGEST: Final = 512
"""Longer sources have no form, so that kept forms are small."""
LAYOUTS: Final = 4_096
"""How many layouts, most of them of sources that were seen once."""
# Fifteen digits are less than 2^53, the largest that the compiler takes for a small number.
_CONSTANT: Final = re.compile(r"""("[^"\\\r\n]+"|'[^'\\\r\n]+'|[0-9]{1,15})""")
_QUOTES: Final = frozenset("\"'")
_TEXT_TESTS: Final = frozenset({"startsWith", "endsWith", "contains"})
_FREE: Final = frozenset({ast.IN, *ast.BINARY.values()})

Key: TypeAlias = tuple[str, ...]
Layout: TypeAlias = tuple[bool, ...]
"""Which constants of a source are blanks."""


class Form:
    """A resolved tree with a ``Blank`` for the value of some literals, and what is derived from it."""

    __slots__ = ("evaluated", "functions", "names", "paths", "template", "tree")

    def __init__(self, tree: ast.Node) -> None:
        found = facts(tree)
        self.tree: Final = tree
        self.template: Final = Template(tree)
        self.names: Final = found.names
        self.paths: Final = found.paths
        self.functions: Final = found.functions
        self.evaluated = False


def find(source: str, environment: Environment) -> tuple[Form, tuple[object, ...]] | None:
    """The form of a source and what fills its blanks, if it is known."""
    if not LONGEST >= len(source) <= environment.limits.source or not source.isascii():
        return None
    parts = _CONSTANT.split(source)
    between = tuple(parts[::2])
    layout = environment.layouts.get(between)
    if not layout:
        return None
    fixed, values = _read(parts[1::2], layout)
    form: Form | None = environment.forms.get((between, fixed))
    return None if form is None else (form, values)


def learn(source: str, tree: ast.Node, environment: Environment) -> None:
    """Learn the form of a source that was compiled, ``tree`` being its resolved tree; from its second on."""
    if len(source) > LONGEST or not source.isascii():
        return
    layouts = environment.layouts
    parts = _CONSTANT.split(source)
    between = tuple(parts[::2])
    if between not in layouts:
        if len(layouts) >= LAYOUTS:
            layouts.clear()
        layouts[between] = None
        return
    starts = _starts(parts)
    layout = _layout(tree, starts, parts[1::2])
    if not any(layout):
        return
    fixed, values = _read(parts[1::2], layout)
    blanks: dict[int, Blank] = {}
    for start in compress(starts, layout):
        number = len(blanks)
        blanks[start] = Blank(number, "text" if isinstance(values[number], str) else "small")
    form = Form(resolve(parse(source, environment.limits, blanks), source, environment))
    if len(environment.forms) >= FORMS:
        environment.forms.clear()
    layouts[between] = layout
    environment.forms[between, fixed] = form


def _layout(tree: ast.Node, starts: list[int], constants: list[str]) -> Layout:
    free = {(node.start, node.end) for node in _free(tree)}
    ends = [start + len(text) for start, text in zip(starts, constants, strict=True)]
    return tuple([span in free for span in zip(starts, ends, strict=True)])


def _read(constants: list[str], layout: Layout) -> tuple[Key, tuple[object, ...]]:
    """What tells forms of one layout apart (fixed constants, kinds of blanks), and what fills the blanks."""
    fixed: list[str] = []
    values: list[object] = []
    for text, blank in zip(constants, layout, strict=True):
        if not blank:
            fixed.append(text)
        elif text[0] in _QUOTES:
            fixed.append("text")
            values.append(text[1:-1])
        else:
            fixed.append("number")
            values.append(int(text))
    return tuple(fixed), tuple(values)


def _starts(parts: list[str]) -> list[int]:
    """The offsets of the constants."""
    return list(accumulate(map(len, parts)))[:-1:2]


def _free(tree: ast.Node) -> Iterator[ast.Literal]:
    """The literals of which parser and resolver look at no more than the kind."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(function=function, target=None, args=args) if function in _FREE:
                yield from _literals(args)
            case ast.Call(function=function, target=target, args=(ast.Literal() as wanted,)) if (
                target is not None and function in _TEXT_TESTS
            ):
                yield wanted
            case _:
                pass


def _literals(args: tuple[ast.Node, ...]) -> Iterator[ast.Literal]:
    lists = (node.elements for node in args if isinstance(node, ast.List))
    for node in chain(args, *lists):
        if isinstance(node, ast.Literal):
            yield node
