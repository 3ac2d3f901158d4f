"""Which rules concern a call: by exact tool, by prefix of the tool, and by texts that conditions ask for.

Rules that cannot hold for a call cost nothing: those of other tools, and of a long list those whose condition
compares an attribute with another text than the call has (`agent.id == "billing"`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from agentguard.policy.discriminators import Path, discriminators
from agentguard.policy.rules import Rule
from agentguard.policy.scalars import well_formed_tool

__all__ = ["Bucket", "Index", "Selection"]

_CACHED: Final = 4096
_MAPPINGS: Final = frozenset({dict, MappingProxyType})
_LONG: Final = 8
"""A list of fewer rules is gone through: looking something up costs as much as a few conditions."""
_READABLE: Final = 4096
"""Longer texts are none to look up."""


class Table:
    """Rules whose condition is false where `path` holds another text than theirs."""

    __slots__ = ("_by_text", "_field", "_name", "rules")

    def __init__(self, path: Path, found: list[tuple[Rule, frozenset[str]]]) -> None:
        self._name, self._field = path
        self.rules: Final = tuple(rule for rule, _ in found)
        by_text: dict[str, list[Rule]] = {}
        for rule, texts in found:
            for text in texts:
                by_text.setdefault(text, []).append(rule)
        self._by_text: Final = {text: tuple(rules) for text, rules in by_text.items()}

    def select(self, bindings: Mapping[str, Any]) -> tuple[Rule, ...]:
        """The rules whose condition may be other than false."""
        try:
            value = bindings[self._name]
            if self._field is not None:
                # INVARIANT: read as a condition reads it; any doubt, and all rules are looked at.
                if type(value) not in _MAPPINGS:
                    return self.rules
                value = value[self._field]
            if type(value) is not str:
                return self.rules
            found = self._by_text.get(value)
            if found is not None:
                return found
            if len(value) > _READABLE:
                return self.rules
            if not value.isascii():
                value.encode()
        except Exception:
            # Absent, or no Unicode: the error that makes a rule fire.
            return self.rules
        return ()


class Bucket:
    """The rules of one exact name or prefix: `always` to be looked at, the others by table."""

    __slots__ = ("always", "needs", "rules", "tables")

    def __init__(self, rules: list[Rule]) -> None:
        self.rules: Final = tuple(rules)
        self.needs: Final = frozenset[str]().union(*[rule.needs for rule in rules])
        self.always, self.tables = _tables(self.rules)


def _tables(rules: tuple[Rule, ...]) -> tuple[tuple[Rule, ...], tuple[Table, ...]]:
    """A long list, divided by the paths that tell most of its rules apart."""
    if len(rules) < _LONG:
        return rules, ()
    found = [discriminators(rule.condition) if rule.condition is not None else {} for rule in rules]
    texts: dict[Path, set[str]] = {}
    for one in found:
        for path, wanted in one.items():
            texts.setdefault(path, set()).update(wanted)
    # The path with most texts first; equal ones by name, so that a set of rules has one index.
    best = [
        min(one, key=lambda path: (-len(texts[path]), path[0], path[1] or "")) if one else None
        for one in found
    ]
    used = Counter(path for path in best if path is not None)
    tables = tuple(
        Table(
            path, [(rule, one[path]) for rule, one, by in zip(rules, found, best, strict=True) if by == path]
        )
        for path, count in sorted(used.items(), key=lambda item: (item[0][0], item[0][1] or ""))
        if count >= _LONG
    )
    kept = {id(rule) for table in tables for rule in table.rules}
    return tuple(rule for rule in rules if id(rule) not in kept), tables


@dataclass(frozen=True, slots=True)
class Selection:
    """What is known of one tool: its buckets, the lists to go through in any case, the tables, the needs."""

    buckets: tuple[Bucket, ...]
    always: tuple[tuple[Rule, ...], ...]
    tables: tuple[Table, ...]
    needs: frozenset[str]

    def rules(self) -> Iterator[Rule]:
        """Every rule of the tool."""
        for bucket in self.buckets:
            yield from bucket.rules


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
        self._exact = {tool: Bucket(found) for tool, found in exact.items()}
        self._prefix = {begin: Bucket(found) for begin, found in prefix.items()}
        self._cache: dict[str, Selection] = {}

    def find(self, tool: str) -> Selection | None:
        """What concerns a tool; None for a name that no policy can name."""
        try:
            return self._cache[tool]
        except KeyError:
            pass
        if not well_formed_tool(tool):
            return None
        buckets = tuple(self._buckets(tool))
        found = Selection(
            buckets,
            tuple(bucket.always for bucket in buckets if bucket.always),
            tuple(table for bucket in buckets for table in bucket.tables),
            frozenset[str]().union(*[bucket.needs for bucket in buckets]),
        )
        if len(self._cache) >= _CACHED:
            # Names come from outside: forget them all rather than grow.
            self._cache = {}
        self._cache[tool] = found
        return found

    def _buckets(self, tool: str) -> Iterator[Bucket]:
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
