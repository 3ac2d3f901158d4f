"""Other decision points that are configured beside the policies: what they may say is not in the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentguard.policy.proving.inputs import Inputs
from agentguard.policy.proving.solver import Truth, both, either, free, negated
from agentguard.policy.scalars import tool_matches

__all__ = ["Consulted", "Permitting", "assumptions_of"]


@dataclass(frozen=True, slots=True)
class Consulted:
    """An engine by its name, the tools that it is asked about, and whether its allow permits."""

    name: str
    tools: tuple[str, ...] = ("*",)
    permits: bool = False

    def concerns(self, tool: str) -> bool:
        """Whether it is asked about a tool."""
        return any(tool_matches(pattern, tool) for pattern in self.tools)

    @property
    def construct(self) -> str:
        """As an answer names it."""
        return f"`engine/{self.name}` may permit (`permits: true`)"


@dataclass(frozen=True, slots=True)
class Permitting:
    """That some engine permits a call outright, or once it is approved."""

    allows: Truth = False
    asks: Truth = False

    @classmethod
    def of(cls, engines: Iterable[Consulted], inputs: Inputs) -> Permitting:
        """Whatever these may say; what is looked for first is that they say nothing."""
        found: dict[str, list[Truth]] = {"allows": [], "asks": []}
        for engine in engines:
            for way, truths in found.items():
                name = ("engine", engine.name, way)
                truths.append(free(f"?{inputs.possible.number(name, engine.construct)}=true"))
            inputs.constraints.append(negated(both(found["allows"][-1], found["asks"][-1])))
            inputs.quiet += [negated(truths[-1]) for truths in found.values()]
        return cls(either(*found["allows"]), either(*found["asks"]))


def assumptions_of(engines: Sequence[Consulted], usual: Iterable[str], silent: str) -> tuple[str, ...]:
    """What is taken for granted, with engines by name in place of `silent`."""
    if not engines:
        return tuple(usual)
    permitting = [one for one in engines if one.permits]
    told = [f"{_named(engines)} makes no decision stricter"]
    told += [f"{_named(permitting)} may permit"] if permitting else []
    return tuple(text for one in usual for text in (told if one == silent else [one]))


def _named(engines: Iterable[Consulted]) -> str:
    return ", ".join(f"`engine/{one.name}`" for one in engines)
