"""The syntax tree: what a source says, with macros kept as one node each.

Every node carries ``start`` and ``end``, code point offsets, so that ``source[start:end]`` is its text.
Operators are calls by the names of the CEL specification (``_+_``, ``_&&_``, ``_[_]``); ``_&&_`` and
``_||_`` hold all their operands in one node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal as Lit
from typing import TypeAlias

AND = "_&&_"
OR = "_||_"
NOT = "!_"
NEGATE = "-_"
CONDITIONAL = "_?_:_"
INDEX = "_[_]"
OPTIONAL_INDEX = "_[?_]"
IN = "@in"
BINARY = {
    "==": "_==_", "!=": "_!=_", "<": "_<_", "<=": "_<=_", ">": "_>_", ">=": "_>=_", "in": IN,
    "+": "_+_", "-": "_-_", "*": "_*_", "/": "_/_", "%": "_%_",
}  # fmt: skip
OPERATORS = frozenset({AND, OR, NOT, NEGATE, CONDITIONAL, INDEX, OPTIONAL_INDEX, *BINARY.values()})

Macro: TypeAlias = Lit[
    "all", "exists", "exists_one", "map", "filter",
    "transformList", "transformMap", "transformMapEntry", "sortBy", "optMap", "optFlatMap",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: ``None``, bool, int, UInt, float, str or bytes."""

    value: object
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ident:
    """A variable; ``absolute`` for a leading dot, which skips the variables of macros."""

    name: str
    start: int
    end: int
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``, ``operand.?field`` (``optional``) or ``has(operand.field)`` (``test_only``)."""

    operand: Node
    field: str
    start: int
    end: int
    test_only: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function, member function (``target``) or operator with its arguments."""

    function: str
    target: Node | None
    args: tuple[Node, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class List:
    """A list; ``optional`` holds the positions written ``?x``."""

    elements: tuple[Node, ...]
    optional: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key: value`` of a map, ``?key: value`` when ``optional``."""

    key: Node
    value: Node
    optional: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Map:
    """A map with its entries in the order of the source."""

    entries: tuple[Entry, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Comprehension:
    """A macro over ``range`` that binds one or two ``variables``.

    ``filter`` is the middle argument of ``map``, ``transformList`` and ``transformMap`` where written.
    ``optMap`` and ``optFlatMap`` are of the same form, over an optional.
    """

    macro: Macro
    range: Node
    variables: tuple[str, ...]
    filter: Node | None
    body: Node
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Bind:
    """``cel.bind(name, value, body)``."""

    name: str
    value: Node
    body: Node
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """``cel.block([slots], body)``; each slot is evaluated at most once, when first read."""

    slots: tuple[Node, ...]
    body: Node
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Slot:
    """``cel.index(n)`` within a block; ``name`` is its unique name in the program."""

    index: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PathCall:
    """A host macro on a path that is named and not evaluated, such as ``provenance(args.payee)``."""

    function: str
    path: str
    operand: Node
    start: int
    end: int


Node: TypeAlias = (
    Literal | Ident | Select | Call | List | Map | Entry | Comprehension | Bind | Block | Slot | PathCall
)


def children(node: Node) -> tuple[Node, ...]:
    """The direct sub-expressions that may be evaluated, in the order of the source."""
    match node:
        case Select(operand=operand):
            return (operand,)
        case Call(target=None, args=args):
            return args
        case Call(target=target, args=args) if target is not None:
            return (target, *args)
        case List(elements=elements):
            return elements
        case Map(entries=entries):
            return entries
        case Entry(key=key, value=value):
            return (key, value)
        case Comprehension(range=range_, filter=None, body=body):
            return (range_, body)
        case Comprehension(range=range_, filter=middle, body=body) if middle is not None:
            return (range_, middle, body)
        case Bind(value=value, body=body):
            return (value, body)
        case Block(slots=slots, body=body):
            return (*slots, body)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children(current)))


def weight(node: Comprehension) -> int:
    """What one round of a macro is charged: its parts, those of constants included."""
    return 1 + sum(1 for part in (node.filter, node.body) if part is not None for _ in walk(part))
