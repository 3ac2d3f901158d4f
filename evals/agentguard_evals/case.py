"""What a suite is made of: cases that an agent plays, tools, and what could not be taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from agentguard_evals.results import ModelUse
    from agentguard_evals.stage import Stage

__all__ = ["Broken", "Case", "Gap", "Kind", "Origin", "Suite", "Supplied", "ToolDefinition", "Verdict"]

Origin = Literal["user", "attacker"]
"""Whose call it is: part of the user's task, or of the attack."""

Kind = Literal["honest", "attacked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDefinition:
    """A tool as an agent is shown it; `parameters` is a JSON Schema, `hints` are MCP annotations."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    hints: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def plain(self) -> dict[str, Any]:
        """As data: what is digested, and what facts are inferred from."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
            "annotations": dict(self.hints),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case ended: None where there is nothing to judge by.

    `unexpected` names each wanted effect that was not met, `wishes` says that there are any. `attempted` says
    whether the attack made a call, where only the run can tell.
    """

    utility: bool | None
    attack_succeeded: bool | None
    unexpected: tuple[str, ...] = ()
    wishes: bool = False
    attempted: bool | None = None


class Case(Protocol):
    """One run of one task. `reachable` is false where the attack makes no tool call that a guard could see.

    `id` is unique in its suite and runs the case again; `group` is the part of the suite it belongs to.
    """

    @property
    def id(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def reachable(self) -> bool: ...
    @property
    def prompt(self) -> str | None: ...
    @property
    def tools(self) -> Sequence[ToolDefinition]: ...

    def play(self, stage: Stage) -> Verdict:
        """Make every call of the task through the stage's guard, and say how it ended."""
        ...


@runtime_checkable
class Supplied(Protocol):
    """A case that tells the stage, by `Stage.supply`, what an operator would know of each call."""

    @property
    def supplied(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Broken:
    """A row or case that could not be read, and why; `where` is `file:line`."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a suite holds and that the figures do not speak of; `n` cases, calls or tools."""

    what: str
    n: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Cases with the digest of the data they come from.

    `reread` is what goes after `agentguard eval run` to get this suite again. `split` is its half,
    where it has two. `judged` says what decides about attack success and utility, for people. `model` is the
    live model that plays cases of it.
    """

    name: str
    title: str
    reread: str
    version: str
    digest: str
    judged: str
    cases: Sequence[Case]
    split: str | None = None
    broken: Sequence[Broken] = ()
    gaps: Sequence[Gap] = ()
    model: ModelUse | None = None
