"""What tools do, for a run of an evaluation: from a file, inferred, or unknown.

Inference is another part's work. What this one needs is one function from a tool's definition to facts
(`FactsOf`); it is looked up under `INFERENCE`, and where it is not there `inferred` is refused.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from agentguard.canonical import digest
from agentguard.errors import ConfigurationError
from agentguard.tools import tool_entries
from agentguard_evals.case import ToolDefinition

__all__ = ["INFERENCE", "OTHERS", "Facts", "FactsOf", "consequential", "facts_from", "facts_like_a_guard"]

INFERENCE: Final = ("agentguard.provenance.facts", "infer")
"""Module and function that infer facts, where the installed agentguard can."""


OTHERS: Final = ", others inferred"
"""After the name of a file that does not speak of every tool."""


class FactsOf(Protocol):
    """From a tool's definition (`name`, `description`, `parameters`, `annotations`) to the keys of
    `agentguard.ToolFacts`; what it does not know it leaves out."""

    def __call__(self, definition: Mapping[str, Any], /) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Where tool facts come from in one run. `entries` are those of a file, by tool."""

    source: str = "none"
    digest: str | None = None
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    infer: FactsOf | None = None

    def of(self, tool: ToolDefinition) -> Mapping[str, Any] | None:
        """Inferred facts of a tool; a file's are applied by the guard itself, and win."""
        return None if self.infer is None else self.infer(tool.plain())

    def known(self, tool: str) -> bool:
        """Whether anything is said about a tool."""
        return self.infer is not None or tool in self.entries


def facts_from(option: str | None, infer: FactsOf | None = None) -> Facts:
    """The facts that `--tool-facts` names: a file, `inferred`, or None for no facts at all.

    Raises:
        ConfigurationError: the file is refused or may be changed by anybody; nothing here can infer.
    """
    if option is None:
        return Facts()
    if option == "inferred":
        return Facts(source="inferred", infer=infer if infer is not None else _inference())
    path = Path(option)
    if not path.exists():
        raise ConfigurationError(f"there is no tool-facts file `{option}`; name a file, or `inferred`")
    return Facts(source=option, digest=digest(path.read_bytes()), entries=tool_entries(path))


def facts_like_a_guard(tools: str | None, *, infers: bool) -> Facts:
    """The facts that a guard has whose configuration names this file, and infers the others or not."""
    found = facts_from(tools)
    if not infers:
        return found
    source = "inferred" if tools is None else f"{tools}{OTHERS}"
    return replace(found, source=source, infer=_inference())


def _inference() -> FactsOf:
    module, name = INFERENCE
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    function = getattr(importlib.import_module(module), name, None) if found else None
    if function is None:
        raise ConfigurationError(
            f"this agentguard cannot infer tool facts: it has no `{module}.{name}`; name a file with "
            "`--tool-facts FILE`, or leave the option out, and every tool counts as unknown"
        )
    infer: FactsOf = function
    return infer


def consequential(facts: Mapping[str, Any]) -> bool:
    """Whether a call has consequences, by the facts of its tool. What is not known to be harmless is.

    Harmless is a tool that is declared `read_only`, or that `reads` and neither writes, destroys nor reaches
    outside.
    """
    if facts.get("read_only") is True:
        return False
    acts = any(facts.get(name) is True for name in ("writes", "destructive", "external"))
    return acts or facts.get("reads") is not True
