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
from agentguard.policy.functions import PROVENANCE
from agentguard.policy.rules import Rule
from agentguard.policy.scalars import well_formed_tool
from agentguard.policy.steps import Step, step_of

__all__ = ["Bucket", "Index", "Selection"]

_CACHED: Final = 4096
_MAPPINGS: Final = frozenset({dict, MappingProxyType})
_LONG: Final = 8
"""A list of fewer rules is gone through: looking something up costs as much as a few conditions."""
_READABLE: Final = 4096
"""Longer texts are none to look up."""


class Table:
    """Rules whose condition is false where `path` holds another text than theirs."""

    __slots__ = ("_by_text", "_field", "_name", "steps")

    def __init__(self, path: Path, found: list[tuple[Step, frozenset[str]]]) -> None:
        self._name, self._field = path
        self.steps: Final = tuple(step for step, _ in found)
        by_text: dict[str, list[Step]] = {}
        for step, texts in found:
            for text in texts:
                by_text.setdefault(text, []).append(step)
        self._by_text: Final = {text: tuple(steps) for text, steps in by_text.items()}

    def select(self, bindings: Mapping[str, Any]) -> tuple[Step, ...]:
        """The rules whose condition may be other than false."""
        try:
            value = bindings[self._name]
            if self._field is not None:
                # INVARIANT: read as a condition reads it; any doubt, and all rules are looked at.
                if type(value) not in _MAPPINGS:
                    return self.steps
                value = value[self._field]
            if type(value) is not str:
                return self.steps
            found = self._by_text.get(value)
            if found is not None:
                return found
            if len(value) > _READABLE:
                return self.steps
            if not value.isascii():
                value.encode()
        except Exception:
            # Absent, or no Unicode: the error that makes a rule fire.
            return self.steps
        return ()


class Bucket:
    """The rules of one exact name or prefix: `always` to be looked at, the others by table."""

    __slots__ = ("always", "needs", "steps", "tables")

    def __init__(self, steps: list[Step]) -> None:
        self.steps: Final = tuple(steps)
        self.needs: Final = frozenset[str]().union(*[step.rule.needs for step in steps])
        self.always, self.tables = _tables(self.steps)


def _tables(steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[Table, ...]]:
    """A long list, divided by the paths that tell most of its rules apart."""
    if len(steps) < _LONG:
        return steps, ()
    found = [discriminators(step.condition) if step.condition is not None else {} for step in steps]
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
            path, [(step, one[path]) for step, one, by in zip(steps, found, best, strict=True) if by == path]
        )
        for path, count in sorted(used.items(), key=lambda item: (item[0][0], item[0][1] or ""))
        if count >= _LONG
    )
    kept = {id(step) for table in tables for step in table.steps}
    return tuple(step for step in steps if id(step) not in kept), tables


@dataclass(frozen=True, slots=True)
class Selection:
    """What is known of one tool: its buckets, the lists to go through in any case, the tables, the needs."""

    buckets: tuple[Bucket, ...]
    always: tuple[tuple[Step, ...], ...]
    tables: tuple[Table, ...]
    needs: frozenset[str]

    def rules(self) -> Iterator[Rule]:
        """Every rule of the tool."""
        for bucket in self.buckets:
            yield from [step.rule for step in bucket.steps]


class Index:
    """Rules by tool. Immutable but for a bounded cache, whose entries are always the same."""

    __slots__ = ("_cache", "_exact", "_prefix", "rules", "tracks")

    def __init__(self, rules: Iterable[Rule]) -> None:
        # In the order of the documents: rules about one tool then lie beside each other in memory.
        steps = [step_of(rule) for rule in rules]
        self.rules: Final = tuple(sorted([step.rule for step in steps], key=lambda rule: rule.name))
        self.tracks: Final = any(rule.needs & PROVENANCE for rule in self.rules)
        exact: dict[str, list[Step]] = {}
        prefix: dict[str, list[Step]] = {}
        for step in sorted(steps, key=lambda step: step.entry[0]):
            for pattern in step.rule.tools:
                if pattern.endswith("*"):
                    prefix.setdefault(pattern[:-1], []).append(step)
                else:
                    exact.setdefault(pattern, []).append(step)
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
