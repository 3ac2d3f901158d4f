"""What a run of the demo came to: verdicts, records and the ledger's verification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentguard import Effect
from agentguard.demo.story import CallStory, WorkItem
from agentguard.ledger.verify import Finding, Report, TenantReport

__all__ = ["Summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The end of a demo."""

    calls: tuple[CallStory, ...]
    types: Mapping[str, int]
    items: tuple[WorkItem, ...]
    state: Mapping[str, Any]
    report: Report

    @property
    def effects(self) -> dict[Effect, int]:
        """How many calls got each of the five verdicts."""
        counted = Counter(call.effect for call in self.calls)
        return {effect: counted[effect] for effect in Effect}

    @property
    def missing(self) -> list[Effect]:
        """Verdicts that no call got."""
        return [effect for effect, count in self.effects.items() if not count]

    @property
    def ledger(self) -> TenantReport:
        """The verified ledger."""
        return self.report.tenants[0]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the ledger."""
        return self.ledger.findings

    @property
    def ok(self) -> bool:
        """All five verdicts were shown, and the ledger is intact."""
        return not self.missing and self.report.ok
