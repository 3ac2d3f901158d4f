"""What a configuration says beside the policies that a proof is about: tools, decision points, a bundle."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from agentguard.cli.replay import time_of
from agentguard.cli.terminal import fail

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.policy.proving import Answer, Bounds, Comparison

__all__ = ["Setting"]

_Told = TypeVar("_Told", "Answer", "Comparison")


@dataclass(frozen=True, eq=False)
class Setting:
    """A configuration as proofs read it."""

    config: Config

    @cached_property
    def tools(self) -> frozenset[str] | None:
        """The tools that are known; None where no tool facts are configured, so that no name is unknown.

        Raises:
            ConfigurationError: the tool facts are refused.
        """
        from agentguard.access import near
        from agentguard.config import load_tool_facts

        named = self.config.tools
        return None if named is None else frozenset(load_tool_facts(near(named)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What runs instead of the policies that are asked about."""
        bundle = self.config.bundle
        if bundle is None:
            return ()
        from agentguard.access import near
        from agentguard.bundled import BundleEntry

        name = bundle.url if isinstance(bundle, BundleEntry) else near(bundle)
        return (
            f"`bundle: {name}` of the configuration is what runs; this is about the policy files, "
            "which may be another set",
        )

    def known(self, tool: str) -> str:
        """A tool or pattern of the command line; ends the command where nothing is called so."""
        from agentguard.policy.proving.tools import unknown_tool

        unknown = unknown_tool(tool, self.tools)
        if unknown is not None:
            fail("; ".join(part for part in unknown if part))
        return tool

    def bounds(self, at: str | None, since: str | None, timeout_s: float) -> Bounds:
        """For which times an answer holds, and beside which other decision points."""
        from agentguard.policy.proving import Bounds, Consulted

        if at is not None and since is not None:
            fail("name `--at` or `--since`, and not both")
        begin = time_of(since, "--since") or dt.datetime.now(dt.UTC).replace(microsecond=0)
        engines = tuple(
            Consulted(one.name or one.kind, tuple(one.tools), one.permits) for one in self.config.engines
        )
        return Bounds(begin=begin, at=time_of(at, "--at"), timeout_s=timeout_s, engines=engines)

    def told(self, found: _Told) -> _Told:
        """An answer with the warnings that belong to it."""
        return replace(found, warnings=(*self.warnings, *found.warnings))
