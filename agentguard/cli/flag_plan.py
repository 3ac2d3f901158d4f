"""The change of a rule behind a flag: its file as it is and as it would be, and how often it was flagged."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pydantic_core

from agentguard.cli.workspace import policies_of
from agentguard.errors import ConfigurationError
from agentguard.policy import Snapshot, Source
from agentguard.policy.converting import Converted, enforce
from agentguard.policy.converting import convert as converted

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.governance.flag_item import Item
    from agentguard.store.protocol import Store

__all__ = ["Flagged", "Plan", "flagged_by", "planned"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The rule to change, its file as it is and as it would be, and all policies both ways."""

    rule: str
    before: Source
    done: Converted
    old: Snapshot
    new: Snapshot

    @property
    def file(self) -> str:
        return self.before.file

    @property
    def named(self) -> str:
        return f"`{self.rule}` ({self.file}:{self.done.line})"

    def diff(self) -> list[str]:
        old, new = (text.splitlines() for text in (self.before.text, self.done.source.text))
        return list(difflib.unified_diff(old, new, self.file, self.file, lineterm="", n=2))


@dataclass(slots=True)
class Flagged:
    """How often a rule was flagged, whatever can be replayed of it."""

    calls: int = 0
    agents: Counter[str] = field(default_factory=Counter)
    tools: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""

    def add(self, event: Mapping[str, Any]) -> None:
        self.calls += 1
        for counter, name in ((self.agents, event.get("agent")), (self.tools, event.get("tool"))):
            if name in counter or len(counter) < 1000:
                counter[str(name)] += 1
        self.first, self.last = self.first or str(event.get("at")), str(event.get("at"))

    def to_json(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "agents": dict(self.agents.most_common(100)),
            "tools": dict(self.tools.most_common(100)),
            "first": self.first or None,
            "last": self.last or None,
        }


def planned(config: Config, item: Item, to: Literal["step_up", "deny"] | None) -> Plan:
    """The change of the rule behind an item.

    Raises:
        ConfigurationError: there is no such rule in the files, or it cannot be changed.
        PolicyError: the policies are refused, as they are or as they would be.
    """
    name, _, rule = item.rule.partition("/")
    if item.policy.exception is not None:
        raise ConfigurationError(
            f"this is the use of exception `{item.policy.exception}`; to enforce the rule again, revoke it: "
            f"`agentguard exceptions revoke {item.policy.exception}`"
        )
    if item.rule == "agentguard/default":
        raise ConfigurationError(
            "this is the default effect: allow by rules what shall run, then take `default` out of "
            "`agentguard.yaml`"
        )
    _checked_access(config)
    sources = policies_of(config).sources
    source = next(
        (one for one in sources if isinstance(one.data, Mapping) and one.data.get("policy") == name), None
    )
    if source is None:
        raise ConfigurationError(f"no policy file here holds `{item.rule}`; is it the right configuration?")
    if item.policy.observed is None:
        done = converted(source, rule, to)
    elif to is not None:
        raise ConfigurationError(
            "`--to` is for flags; an observed rule is enforced with the effect that it has"
        )
    else:
        done = enforce(source, rule)
    old = Snapshot.from_sources(sources, default=config.default)
    changed = [done.source if one is source else one for one in sources]
    return Plan(item.rule, source, done, old, Snapshot.from_sources(changed, default=config.default))


def _checked_access(config: Config) -> None:
    """Refuse files that anybody may change: what is written there would be approved by nobody."""
    from agentguard.access import check_access, near

    files = policies_of(config)
    for one in check_access(dict.fromkeys([*map(near, config.policies), *files.names])):
        raise ConfigurationError(f"{one.file}: {one.code} {one.message}; {one.hint}")
    for finding in files.findings:
        raise ConfigurationError(f"{finding.at or finding.file}: {finding.code} {finding.message}")


def flagged_by(store: Store, tenant: str, rule: str) -> Flagged:
    """Every call that the ledger has as flagged by a rule, exceptions left out."""
    found = Flagged()
    for row in store.events(tenant, types=("flag.raised",)):
        event = pydantic_core.from_json(row.leaf)
        flag = event.get("flag")
        if isinstance(flag, Mapping) and flag.get("rule") == rule and not flag.get("exception"):
            found.add(event)
    return found
