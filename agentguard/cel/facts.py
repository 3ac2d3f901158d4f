"""What a program reads: its free names, paths and calls, and an estimate of its cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from . import ast
from .resolver import path_of

CalledWith: TypeAlias = tuple[str, tuple[str | None, ...]]
# A list whose length is not in the source counts as this long.
ASSUMED_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Facts:
    """The free names and paths read, and the functions called."""

    names: frozenset[str]
    paths: frozenset[str]
    calls: frozenset[CalledWith]

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions called."""
        return frozenset([function for function, _ in self.calls])


def facts(tree: ast.Node) -> Facts:
    """Collect what ``tree``, already resolved, reads."""
    collector = _Collector()
    collector.visit(tree, frozenset())
    return _shared(Facts(frozenset(collector.names), frozenset(collector.paths), frozenset(collector.calls)))


@lru_cache(maxsize=1_024)
def _shared(found: Facts) -> Facts:
    """Equal facts as one object: thousands of rules of a pattern read the same."""
    return found


class _Collector:
    def __init__(self) -> None:
        self.names: set[str] = set()
        self.paths: set[str] = set()
        self.calls: set[CalledWith] = set()

    def visit(self, node: ast.Node, bound: frozenset[str]) -> None:
        found = path_of(node)
        if found is not None:
            self.path(*found, bound)
            return
        match node:
            case ast.Call() if node.function not in ast.OPERATORS:
                self.calls.add((node.function, tuple(_text(arg) for arg in node.args)))
            case ast.PathCall():
                self.calls.add((node.function, (node.path,)))
            case ast.Comprehension():
                self.visit(node.range, bound)
                inner = bound | frozenset(node.variables)
                for part in (node.filter, node.body):
                    if part is not None:
                        self.visit(part, inner)
                return
            case ast.Bind():
                self.visit(node.value, bound)
                self.visit(node.body, bound | {node.name})
                return
            case _:
                pass
        for child in ast.children(node):
            self.visit(child, bound)

    def path(self, root: ast.Ident, fields: list[str], bound: frozenset[str]) -> None:
        if root.name in bound and not root.absolute:
            return
        self.names.add(root.name)
        parts = [root.name]
        for field in fields:
            # A dotted field name would read as two fields; the path that leads to it stays true.
            if "." in field:
                break
            parts.append(field)
        self.paths.add(".".join(parts))


def _text(node: ast.Node) -> str | None:
    return node.value if isinstance(node, ast.Literal) and isinstance(node.value, str) else None


def cost_of(node: ast.Node) -> int:
    """Nodes evaluated at most, with ``ASSUMED_LENGTH`` for lists of unknown length."""
    if isinstance(node, ast.Comprehension) and node.macro not in ("optMap", "optFlatMap"):
        length = len(node.range.elements) if isinstance(node.range, ast.List) else ASSUMED_LENGTH
        inner = cost_of(node.body) + (cost_of(node.filter) if node.filter is not None else 0)
        return 1 + cost_of(node.range) + length * (1 + inner)
    return 1 + sum(cost_of(child) for child in ast.children(node))
