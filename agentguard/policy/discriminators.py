"""What a condition must find in a request so as not to be false: constant texts that it compares with.

`agent.id == "billing" && args.amount > 10` is false, whatever else is in the request, once `agent.id` is
another text. INVARIANT: false, not an error. Equality with a text is never an error on a text, and a false
operand makes a conjunction false even beside errors (CEL: `false && error` is false, in either order). What
a false operand does not absorb is a spent budget, so what stands before it must be cheap. An attribute that
is absent, or is no text, says nothing: reading or comparing it may be the error that makes a rule fire.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from agentguard import cel
from agentguard.cel import ast
from agentguard.cel.forms import Form
from agentguard.cel.template import Blank, is_unicode

__all__ = ["Path", "discriminators"]

Path = tuple[str, str | None]
"""A variable, and the field of it that is read, if any."""

_TEXT_COST: Final = 1 << 18
"""What reading any value costs at most, in steps: a text of the largest size that is not ASCII."""
_NODE_COST: Final = 320
"""What a node costs at most that reads or compares the short text of a discriminator."""
_COMPARISONS: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})

_Found = Mapping[Path, frozenset[str]]
_Wanted = Mapping[Path, frozenset[str | Blank]]
"""The same of a form: a blank stands for the text that each of its sources has there."""
_NOTHING: Final[_Wanted] = {}
_FORMS: Final = 512


class _Depends(Exception):
    """What is known of a form depends on what fills its blanks."""


def discriminators(program: cel.Program) -> _Found:
    """The texts by path: where the path holds another text of at most 4,096 characters, it is false."""
    form, values = program.form, program.values
    if form is None:
        return _texts(_wanted(program.ast, program.environment), ())
    try:
        return _texts(_of_form(form, program.environment), values)
    except _Depends:
        return _texts(_wanted(program.ast, program.environment), ())


@lru_cache(maxsize=_FORMS)
def _of_form(form: Form, environment: cel.Environment) -> _Wanted:
    """Thousands of rules of a pattern are looked at once."""
    return _wanted(form.tree, environment)


def _texts(found: _Wanted, values: tuple[Any, ...]) -> _Found:
    return {
        path: frozenset([values[text.index] if isinstance(text, Blank) else text for text in texts])
        for path, texts in found.items()
    }


def _wanted(tree: ast.Node, environment: cel.Environment) -> _Wanted:
    if not environment.closed or any("." in name for name in environment.variables):
        # A path may then be another binding than it looks.
        return _NOTHING
    nodes = sum(1 for _ in ast.walk(tree))
    budget = environment.limits.steps - _NODE_COST * nodes
    return _of(tree, budget) if budget > 0 else _NOTHING


def _of(node: ast.Node, budget: int) -> _Wanted:
    match node:
        case ast.Call(function="_==_", args=(left, right)):
            return _equality(left, right) or _equality(right, left) or _NOTHING
        case ast.Call(function=ast.IN, args=(left, ast.List(elements=elements, optional=optional))) if (
            not optional
        ):
            path = _path(left)
            texts = [_text(element) for element in elements]
            known = frozenset(text for text in texts if text is not None)
            return _NOTHING if path is None or None in texts else {path: known}
        case ast.Call(function=ast.OR, args=args):
            # All operands are evaluated before the disjunction is false: each has its share of the budget.
            return _either([_of(arg, budget // len(args)) for arg in args])
        case ast.Call(function=ast.AND, args=args):
            return _all(args, budget)
        case _:
            return _NOTHING


def _equality(left: ast.Node, right: ast.Node) -> _Wanted | None:
    path, text = _path(left), _text(right)
    return None if path is None or text is None else {path: frozenset((text,))}


def _either(found: list[_Wanted]) -> _Wanted:
    """A disjunction is false where every operand is: on a path that all of them discriminate by."""
    common = set(found[0]).intersection(*found[1:])
    return {path: frozenset().union(*[one[path] for one in found]) for path in common}


def _all(args: tuple[ast.Node, ...], budget: int) -> _Wanted:
    """A conjunction is false where one operand is, as long as those before it cannot spend the budget."""
    found: dict[Path, frozenset[str | Blank]] = {}
    last = args[-1]
    for arg in args:
        for path, texts in _of(arg, budget).items():
            found[path] = _both(found[path], texts) if path in found else texts
        cost = 0 if arg is last else _cost(arg)
        if cost is None or cost > budget:
            break
        budget -= cost
    return found


def _both(one: frozenset[str | Blank], other: frozenset[str | Blank]) -> frozenset[str | Blank]:
    """What two operands of a conjunction want of one path; it may be nothing."""
    if any(isinstance(text, Blank) for text in one | other):
        raise _Depends
    return one & other


def _path(node: ast.Node) -> Path | None:
    match node:
        case ast.Ident(name=name, absolute=False):
            return name, None
        case ast.Select(
            operand=ast.Ident(name=name, absolute=False), field=field, test_only=False, optional=False
        ):
            return name, field
        case _:
            return None


def _text(node: ast.Node) -> str | Blank | None:
    """A constant text that a request can hold: Unicode."""
    value = node.value if isinstance(node, ast.Literal) else None
    if isinstance(value, Blank):
        return value if value.kind == "text" else None
    return value if isinstance(value, str) and is_unicode(value) else None


def _cost(node: ast.Node) -> int | None:
    """The steps that an operand takes at most, or None where that is not plain to see."""
    match node:
        case ast.Literal():
            return 0
        case ast.Ident():
            return _TEXT_COST
        case ast.Select(operand=operand, optional=False):
            return _TEXT_COST if isinstance(operand, ast.Ident) else _cost(operand)
        case ast.Call(function=function, args=(left, right)) if function in _COMPARISONS:
            constants = [node for node in (left, right) if isinstance(node, ast.Literal)]
            plain = constants and not any(isinstance(node.value, bytes) for node in constants)
            return _sum((left, right)) if plain else None
        case ast.Call(function=ast.AND | ast.OR | ast.NOT, args=args):
            return _sum(args)
        case _:
            return None


def _sum(nodes: tuple[ast.Node, ...]) -> int | None:
    costs = [_cost(node) for node in nodes]
    return None if None in costs else sum(cost for cost in costs if cost)
