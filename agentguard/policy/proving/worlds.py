"""What a condition is evaluated in: the macros' variables, and what constraints have written."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agentguard.policy.proving.inputs import Node
from agentguard.policy.proving.solver import Truth, both, either, negated
from agentguard.policy.proving.values import Value, merged

__all__ = ["NOTHING", "Bound", "Scope", "World"]


@dataclass(frozen=True, slots=True)
class Bound:
    """A macro's variable: its value, and a name by which unknowns about it are told apart."""

    value: Value
    name: Hashable


Scope = Mapping[str, Bound]
NOTHING: Final[Scope] = {}


@dataclass(slots=True)
class World:
    """What arguments hold: as the request has them (no name), or as constraints have written them."""

    name: Hashable = None
    written: dict[tuple[str, ...], list[tuple[Truth, Value]]] = field(default_factory=dict)

    def child(self, node: Node, field_: str) -> tuple[Truth, Value]:
        """Whether a field is missing, and what it is otherwise."""
        found = node.child(field_)
        writes = self.written.get(found.path)
        if writes is None:
            return found.missing, found.value
        kept = negated(either(*[guard for guard, _ in writes]))
        return both(kept, found.missing), merged([*writes, (both(kept, negated(found.missing)), found.value)])

    def touches(self, paths: Iterable[str]) -> bool:
        """Whether any of these paths may be another than in the request."""
        ours = [".".join(path) for path in self.written]
        return any(
            f"{path}.".startswith(f"{one}.") or f"{one}.".startswith(f"{path}.")
            for path in paths
            for one in ours
        )
