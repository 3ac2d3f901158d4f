"""What the cases exercise: whether each rule and each part of its condition was true, false, in error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from agentguard.cel import ast
from agentguard.policy.functions import bindings_for
from agentguard.policy.rules import Rule
from agentguard.policy.source import Source
from agentguard.policy.testing.files import Case
from agentguard.policy.testing.suite import Suite

__all__ = ["Coverage", "PartCoverage", "RuleCoverage", "cover"]

_LOGIC: Final = frozenset({ast.AND, ast.OR, ast.NOT, ast.CONDITIONAL})


@dataclass(slots=True)
class Tally:
    """How often something was true, false, in error."""

    true: int = 0
    false: int = 0
    error: int = 0

    def to_json(self) -> dict[str, int]:
        return {"true": self.true, "false": self.false, "error": self.error}


@dataclass(slots=True, kw_only=True)
class PartCoverage:
    """A sub-condition, one that `&&`, `||`, `!` or `? :` combine; counted only where it was evaluated."""

    text: str
    line: int
    col: int
    tally: Tally = field(default_factory=Tally)

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of true and false no case has seen."""
        return tuple(name for name in ("true", "false") if not getattr(self.tally, name))


@dataclass(slots=True, kw_only=True)
class RuleCoverage:
    """A rule: how often its condition was true, false, in error; `parts` where it has several."""

    name: str
    file: str
    line: int
    conditional: bool
    tally: Tally = field(default_factory=Tally)
    parts: tuple[PartCoverage, ...] = ()

    @property
    def outcomes(self) -> int:
        """How many outcomes there are to see: matched, not matched, true and false of each part."""
        return (2 if self.conditional else 1) + 2 * len(self.parts)

    @property
    def seen(self) -> int:
        """How many of them were seen."""
        return self.outcomes - len(self.missing) - sum(len(part.missing) for part in self.parts)

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of matched and not matched no case has seen."""
        found = () if self.tally.true else ("matched",)
        return found if self.tally.false or not self.conditional else (*found, "not matched")

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.name,
            "at": f"{self.file}:{self.line}",
            "matched": self.tally.true,
            "not_matched": self.tally.false,
            "error": self.tally.error,
            "outcomes": self.outcomes,
            "seen": self.seen,
            "conditions": [
                {"text": part.text, "at": f"{self.file}:{part.line}:{part.col}", **part.tally.to_json()}
                for part in self.parts
            ],
        }


@dataclass(frozen=True, slots=True)
class Coverage:
    """All rules that some case could see, in the order of their files.

    Errors are counted beside and are no part of the percentage: not every condition can be in error. The
    call is looked at as it came, before any constraint.
    """

    rules: tuple[RuleCoverage, ...]

    @property
    def seen(self) -> int:
        return sum(rule.seen for rule in self.rules)

    @property
    def outcomes(self) -> int:
        return sum(rule.outcomes for rule in self.rules)

    @property
    def percent(self) -> float:
        """Outcomes seen, of all there are."""
        return 100 * self.seen / self.outcomes if self.outcomes else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "percent": round(self.percent, 2),
            "seen": self.seen,
            "outcomes": self.outcomes,
            "rules": [rule.to_json() for rule in self.rules],
        }


def cover(cases: Iterable[tuple[Suite, Case]]) -> Coverage:
    """Evaluate the conditions that concern each case, with all their parts."""
    known: dict[tuple[str, str], RuleCoverage] = {}
    places: dict[tuple[str, str], dict[tuple[int, int], PartCoverage]] = {}
    prepared: set[int] = set()
    for suite, case in cases:
        for source in suite.policies:
            if id(source) not in prepared:
                prepared.add(id(source))
                _prepare(suite, source, known, places)
        bindings: dict[str, Any] | None = None
        for rule in suite.snapshot.rules_for(case.request.tool):
            key = _key(rule)
            if rule.condition is None:
                known[key].tally.true += 1
                continue
            bindings = bindings if bindings is not None else bindings_for(case.request)
            _count(rule, bindings, known[key], places[key])
    return Coverage(tuple(sorted(known.values(), key=lambda rule: (rule.file, rule.line))))


def _key(rule: Rule) -> tuple[str, str]:
    return (rule.at or "").rpartition(":")[0], rule.name


def _prepare(
    suite: Suite,
    source: Source,
    known: dict[tuple[str, str], RuleCoverage],
    places: dict[tuple[str, str], dict[tuple[int, int], PartCoverage]],
) -> None:
    rules = {_key(rule): rule for rule in suite.snapshot.rules}
    for index, raw in enumerate(source.data["rules"]):
        key = (source.file, f"{source.data['policy']}/{raw['id']}")
        rule = rules[key]
        condition = rule.condition
        nodes = list(_leaves(condition.ast)) if condition is not None else []
        places[key] = {}
        if len(nodes) > 1:
            for node in nodes:
                place = source.inside(("rules", index, "when"), node.start)
                text = " ".join(rule.text[node.start : node.end].split())
                part = PartCoverage(text=text, line=place.line, col=place.col)
                places[key].setdefault((node.start, node.end), part)
        known[key] = RuleCoverage(
            name=rule.name,
            file=source.file,
            line=source.place(("rules", index, "id")).line,
            conditional=condition is not None,
            parts=tuple(places[key].values()),
        )


def _leaves(node: ast.Node) -> Iterator[ast.Node]:
    """The sub-conditions of a condition; constants have no outcome to be seen."""
    if isinstance(node, ast.Call) and node.function in _LOGIC:
        for child in ast.children(node):
            if not isinstance(child, ast.Literal):
                yield from _leaves(child)
    else:
        yield node


def _count(
    rule: Rule, bindings: dict[str, Any], known: RuleCoverage, places: dict[tuple[int, int], PartCoverage]
) -> None:
    assert rule.condition is not None  # INVARIANT: asked for conditional rules only
    traced = rule.condition.trace(bindings)
    _add(known.tally, traced.state, traced.value)
    for found in traced.conditions() if places else ():
        part = places.get((found.start, found.end))
        if part is not None:
            _add(part.tally, found.state, found.value)


def _add(tally: Tally, state: str, value: object) -> None:
    if state == "skipped":
        return
    if state == "value" and value is True:
        tally.true += 1
    elif state == "value" and value is False:
        tally.false += 1
    else:
        tally.error += 1
