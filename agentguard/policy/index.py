"""Which rules concern a tool: dictionaries by exact name and by prefix, so that other rules cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from agentguard.policy.rules import Rule
from agentguard.policy.scalars import well_formed_tool

__all__ = ["Buckets", "Index"]

Buckets = tuple[tuple[Rule, ...], ...]
"""The rules that concern one tool, as the lists they are kept in."""

_CACHED: Final = 4096


class Index:
    """Rules by tool. Immutable but for a bounded cache, whose entries are always the same."""

    __slots__ = ("_cache", "_exact", "_prefix", "rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: Final = tuple(sorted(rules, key=lambda rule: rule.name))
        exact: dict[str, list[Rule]] = {}
        prefix: dict[str, list[Rule]] = {}
        for rule in sorted(self.rules, key=lambda rule: rule.order):
            for pattern in rule.tools:
                if pattern.endswith("*"):
                    prefix.setdefault(pattern[:-1], []).append(rule)
                else:
                    exact.setdefault(pattern, []).append(rule)
        self._exact = {tool: tuple(found) for tool, found in exact.items()}
        self._prefix = {begin: tuple(found) for begin, found in prefix.items()}
        self._cache: dict[str, Buckets] = {}

    def find(self, tool: str) -> Buckets | None:
        """The rules of a tool; None for a name that no policy can name."""
        try:
            return self._cache[tool]
        except KeyError:
            pass
        if not well_formed_tool(tool):
            return None
        found = tuple(self._buckets(tool))
        if len(self._cache) >= _CACHED:
            # Names come from outside: forget them all rather than grow.
            self._cache = {}
        self._cache[tool] = found
        return found

    def _buckets(self, tool: str) -> Iterator[tuple[Rule, ...]]:
        exact = self._exact.get(tool)
        if exact is not None:
            yield exact
        end = len(tool)
        while (end := tool.rfind(".", 0, end)) > 0:
            found = self._prefix.get(tool[: end + 1])
            if found is not None:
                yield found
        everything = self._prefix.get("")
        if everything is not None:
            yield everything
