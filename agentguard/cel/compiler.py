"""The compiler: from a resolved tree to a Python code object for the ordinary case.

Compiled code answers where the values are what conditions are usually about, and leaves everything else (an
absent key, an error, an overflow, a foreign type, a spent budget) to the interpreter: it returns
``UNDECIDED`` or raises.

INVARIANT: it returns only values that the interpreter would return too. So it may evaluate what the
interpreter would not (both ways lead to the same value, or to the interpreter), never the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Final, TypeAlias

from . import native
from .access import has, index, optional_index, optional_select, select
from .adapt import adapt, export
from .arithmetic import add, divide, modulo, multiply, negate, subtract
from .compare import contains, equal, greater, greater_equal, less, less_equal, unequal
from .environment import Environment
from .generator import Generator, NotCompiled
from .maps import build
from .template import Template
from .values import UNDECIDED

Compiled: TypeAlias = Callable[[Mapping[str, object], tuple[object, ...]], object]
"""A function of the bindings and of the constants of one condition."""
SHAPES: Final = 512
"""How many functions an environment keeps."""
LARGEST: Final = 1_300
"""Shapes of more parts, about 13 for each comparison, would take Python more than 20 ms in a decision."""

# What the names in compiled code mean. Its own are `v1`, `f0`, `bindings`, `constants`, `context`
# and `limits`.
_NAMES: Final[dict[str, object]] = {
    "__builtins__": {},
    "type": type, "len": len, "str": str, "int": int, "float": float, "dict": dict,
    "proxy": type(type.__dict__),
    "UNDECIDED": UNDECIDED, "begin": native.begin, "clean": native.clean, "content": native.content,
    "hosted": native.hosted, "listed": native.listed, "not_number": native.not_number,
    "not_text": native.not_text, "present": native.present, "rounds": native.rounds,
    "size_of": native.size_of,
    "adapt": adapt, "build": build, "export": export, "has": has, "index": index, "select": select,
    "optional_index": optional_index, "optional_select": optional_select,
    "contains": contains, "equal": equal, "unequal": unequal, "less": less, "less_equal": less_equal,
    "greater": greater, "greater_equal": greater_equal,
    "plus": add, "subtract": subtract, "multiply": multiply, "divide": divide, "modulo": modulo,
    "negate": negate,
}  # fmt: skip


def compiled(template: Template, environment: Environment, *, only_known: bool = False) -> Compiled | None:
    """The compiled function of all trees of a shape, or ``None`` where there is none.

    It is called with the bindings and the constants of a tree; where it returns ``UNDECIDED`` or raises, the
    interpreter has to answer. With ``only_known`` no new shape is compiled, which takes about a millisecond.
    Raises ``RecursionError`` or ``MemoryError`` where the caller has left it too little.
    """
    shapes: dict[tuple[object, ...], Compiled | None] = environment.shapes
    if template.key not in shapes:
        if only_known:
            return None
        if len(shapes) >= SHAPES:
            shapes.clear()
        shapes[template.key] = _shape(template, environment)
    return shapes.get(template.key)


def _shape(template: Template, environment: Environment) -> Compiled | None:
    if len(template.key) > LARGEST:
        return None
    try:
        generator = Generator(template, environment)
        generator.result(template.tree, {})
        if generator.spent > environment.limits.steps:
            return None
        code = generator.code([f"f{number}" for number in range(len(generator.functions))])
    except (NotCompiled, SyntaxError):
        # Python's own compiler has bounds too, such as 20 loops inside each other.
        return None
    return FunctionType(code, _NAMES, "condition", (*generator.functions, environment.limits))
