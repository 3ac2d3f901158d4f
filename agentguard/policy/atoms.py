"""Conditions taken apart: the smallest parts that are true, false or an error, and what each says of a path.

Sound and incomplete: what is not understood says nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, Literal

from agentguard import cel
from agentguard.cel import ast
from agentguard.policy.functions import ENVIRONMENT
from agentguard.policy.presence import Path, path_of, tested
from agentguard.policy.shapes import Kind, kind_of

__all__ = ["All", "Any_", "Atom", "Form", "Says", "atoms_of", "form_of", "kinds_wanted", "value_at"]

Relation = Literal["has", "is", "in", "<", "<=", ">", ">=", "holds", "asks"]
"""Is there; equals a constant; is one of several; is ordered by one; is true itself; anything else of it."""

_ORDERED: Final[dict[str, Relation]] = {"_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">="}
_TURNED: Final[dict[Relation, Relation]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_LOOSE: Final = frozenset({"within", "secret", "provenance", "or", "orValue", "optMap", "optFlatMap"})
"""Functions that read more of a request than their arguments, or not all of these."""


@dataclass(frozen=True, slots=True)
class Says:
    """What an atom says of the one path that it is about."""

    path: Path
    relation: Relation
    constants: tuple[Any, ...] = ()

    @property
    def strict(self) -> bool:
        """Whether it is an error where the path is absent."""
        return self.relation != "has"


@dataclass(frozen=True, slots=True, eq=False)
class Atom:
    """A part of a condition, which has to be `wanted`; two with one `key` are the same expression.

    `turned` says that `text` is an inequality, and everything else about the equality.
    """

    key: Hashable
    text: str
    node: ast.Node
    wanted: bool
    says: Says | None
    turned: bool = False

    @property
    def shown(self) -> str:
        """What is wanted, as a person would write it."""
        return self.text if self.wanted is not self.turned else f"!({self.text})"


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these; none at all is certain."""

    parts: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Any_:
    """At least one of these; none at all is impossible."""

    parts: tuple[Form, ...]


Form = All | Any_ | Atom


def form_of(program: cel.Program | None, wanted: bool) -> Form:
    """What it takes for a condition to be exactly true (or false, and not an error); None always holds."""
    if program is None:
        return All(()) if wanted else Any_(())
    return _form(program.ast, wanted, program.source)


def _form(node: ast.Node, wanted: bool, source: str) -> Form:
    match node:
        case ast.Literal(value=bool(value)):
            return All(()) if value is wanted else Any_(())
        case ast.Call(function=ast.NOT, args=(inner,)):
            return _form(inner, not wanted, source)
        case ast.Call(function="_!=_", args=(left, right)):
            equal = ast.Call("_==_", None, (left, right), node.start, node.end)
            return _atom(equal, not wanted, source, turned=True)
        case ast.Call(function=ast.AND | ast.OR as function, args=args):
            parts = tuple(_form(arg, wanted, source) for arg in args)
            return All(parts) if (function == ast.AND) is wanted else Any_(parts)
        case ast.Call(function=ast.CONDITIONAL, args=(test, one, other)):
            ways = ((True, one), (False, other))
            return Any_(
                tuple(All((_form(test, way, source), _form(then, wanted, source))) for way, then in ways)
            )
        case _:
            return _atom(node, wanted, source)


def _atom(node: ast.Node, wanted: bool, source: str, *, turned: bool = False) -> Atom:
    text = source[node.start : node.end]
    return Atom(_key(node), text, node, wanted, _says(node), turned)


def _says(node: ast.Node) -> Says | None:
    path = tested(node)
    if path is not None:
        return Says(path, "has")
    path = path_of(node)
    if path is not None:
        return Says(path, "holds")
    match node:
        case ast.Call(function="_==_", args=(left, right)):
            return _compared("is", left, right) or _compared("is", right, left) or _asks(node)
        case ast.Call(function=function, args=(left, right)) if function in _ORDERED:
            relation = _ORDERED[function]
            turned = _compared(_TURNED[relation], right, left)
            return _compared(relation, left, right) or turned or _asks(node)
        case ast.Call(function=ast.IN, args=(left, ast.List(elements=elements, optional=optional))) if (
            not optional and all(isinstance(one, ast.Literal) for one in elements)
        ):
            path = path_of(left)
            constants = tuple(one.value for one in elements if isinstance(one, ast.Literal))
            return None if path is None or not all(map(_plain, constants)) else Says(path, "in", constants)
        case _:
            return _asks(node)


def _compared(relation: Relation, left: ast.Node, right: ast.Node) -> Says | None:
    path = path_of(left)
    if path is None or not isinstance(right, ast.Literal) or not _plain(right.value):
        return None
    if relation not in ("is", "in") and kind_of(right.value) not in ("number", "text"):
        return None
    return Says(path, relation, (right.value,))


def _plain(value: object) -> bool:
    """A constant that JSON has, apart from lists and mappings."""
    return kind_of(value) in ("null", "bool", "number", "text") and not isinstance(value, cel.UInt)


def _asks(node: ast.Node) -> Says | None:
    """A strict expression about one path and constants."""
    found = set(_read(node))
    if len(found) != 1:
        return None
    path = found.pop()
    return None if path is None else Says(path, "asks")


def _read(node: ast.Node) -> Iterator[Path | None]:
    """The paths of a strict expression; None for anything in it that is not."""
    path = path_of(node)
    if path is not None:
        yield path
        return
    match node:
        case ast.Literal():
            return
        case ast.Call(function=function) if function not in (ast.AND, ast.OR, ast.CONDITIONAL, *_LOOSE):
            for child in ast.children(node):
                yield from _read(child)
        case ast.List(elements=elements, optional=optional) if not optional:
            for child in elements:
                yield from _read(child)
        case _:
            yield None


@lru_cache(maxsize=4096)
def _program(text: str) -> cel.Program:
    return cel.compile(text, environment=ENVIRONMENT)


def value_at(atom: Atom, value: object) -> object:
    """What the evaluator makes of an atom where its path has this value: true, false, or None: an error."""
    assert atom.says is not None
    bound = value
    for step in reversed(atom.says.path[1:]):
        bound = {step: bound}
    try:
        found = _program(atom.text).evaluate({atom.says.path[0]: bound})
    except (cel.CelException, cel.CelSyntaxError):
        return None
    return found is not atom.turned if isinstance(found, bool) else None


def atoms_of(form: Form) -> Iterator[Atom]:
    """Every atom of a form."""
    if isinstance(form, Atom):
        yield form
        return
    for part in form.parts:
        yield from atoms_of(part)


def _key(node: Any) -> Hashable:
    """The expression without its place in the text."""
    if isinstance(node, tuple):
        return tuple(_key(one) for one in node)
    if not hasattr(node, "__dataclass_fields__"):
        return (type(node).__name__, node)
    found = [_key(getattr(node, one.name)) for one in fields(node) if one.name not in ("start", "end")]
    return (type(node).__name__, *found)


def kinds_wanted(atom: Atom) -> frozenset[Kind] | None:
    """The kinds that a value must have for the atom to be what is wanted; None where it may be any."""
    says = atom.says
    if says is None:
        return None
    match says.relation:
        case "<" | "<=" | ">" | ">=":
            return frozenset(kind for one in says.constants if (kind := kind_of(one)) is not None)
        case "is" | "in" if atom.wanted:
            return frozenset(kind for one in says.constants if (kind := kind_of(one)) is not None)
        case "holds":
            return frozenset({"bool"})
        case _:
            return None
