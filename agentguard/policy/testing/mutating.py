"""Running mutants: which of them no case notices."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from agentguard.errors import PolicyError
from agentguard.policy.default import Default
from agentguard.policy.scalars import tool_matches
from agentguard.policy.snapshot import Snapshot
from agentguard.policy.source import Source
from agentguard.policy.testing.files import Case
from agentguard.policy.testing.mutants import Mutant, mutants_of
from agentguard.policy.testing.suite import Suite
from agentguard.policy.testing.wanted import differences

__all__ = ["Fate", "Mutation", "Survivor", "mutate"]

Fate = Literal["killed", "survived", "uncalled", "invalid"]
"""`uncalled`: no case calls a tool of the rule; `invalid`: the change makes no policy."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change that no case notices."""

    mutant: Mutant
    fate: Fate

    def to_json(self) -> dict[str, Any]:
        return {**self.mutant.to_json(), "fate": self.fate}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """What became of the mutants. `made` is how many there are, `chosen` how many were to be run, and
    `left` how many of those time did not suffice for."""

    made: int
    chosen: int
    left: int
    killed: int
    invalid: int
    survivors: tuple[Survivor, ...]
    seed: int
    seconds: float

    @property
    def score(self) -> float | None:
        """Percent of the mutants that some case noticed; None where none was run."""
        run = self.killed + len(self.survivors)
        return 100 * self.killed / run if run else None

    def to_json(self) -> dict[str, Any]:
        return {
            "made": self.made,
            "chosen": self.chosen,
            "left": self.left,
            "killed": self.killed,
            "invalid": self.invalid,
            "survived": len(self.survivors),
            "score": None if self.score is None else round(self.score, 2),
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "survivors": [one.to_json() for one in self.survivors],
        }


def mutate(
    suites: Sequence[Suite],
    *,
    cases: Iterable[Case],
    most: int,
    seconds: float,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Mutation:
    """Make every mutant of the policies, run at most so many for at most so long, and say which survive.

    `cases` are those of the suites that count; every one has to pass on the policies as they are. Of more
    than `most` mutants a sample is taken, the same for the same `seed`.
    """
    begin = clock()
    counted = {id(case) for case in cases}
    sources = {id(source): source for suite in suites for source in suite.policies}
    made = [mutant for source in sources.values() for mutant in mutants_of(source)]
    chosen = made
    if len(made) > most:
        picked = sorted(random.Random(seed).sample(range(len(made)), most))
        chosen = [made[index] for index in picked]
    fields = [_Field(suite, counted) for suite in suites]
    counts: dict[Fate, int] = {"killed": 0, "survived": 0, "uncalled": 0, "invalid": 0}
    survivors: list[Survivor] = []
    run = 0
    for mutant in chosen:
        if clock() - begin >= seconds:
            break
        fate = _fate(mutant, fields)
        counts[fate] += 1
        if fate in ("survived", "uncalled"):
            survivors.append(Survivor(mutant, fate))
        run += 1
        progress(run, len(chosen))
    return Mutation(
        made=len(made),
        chosen=len(chosen),
        left=len(chosen) - run,
        killed=counts["killed"],
        invalid=counts["invalid"],
        survivors=tuple(survivors),
        seed=seed,
        seconds=clock() - begin,
    )


def _fate(mutant: Mutant, fields: Iterable[_Field]) -> Fate:
    called = False
    document = mutant.document()
    for field in fields:
        if not any(source is mutant.source for source in field.suite.policies):
            continue
        try:
            cases = field.cases(mutant)
            if not cases:
                continue
            called = True
            snapshot = field.snapshot(mutant, document, cases)
        except PolicyError:
            return "invalid"
        for case in cases:
            if differences(case.want, snapshot.decide(case.request, exhausted=case.exhausted)):
                return "killed"
    return "survived" if called else "uncalled"


class _Field:
    """A suite by tools: a decision depends only on the rules of the tool that is called."""

    def __init__(self, suite: Suite, counted: Container[int]) -> None:
        self.suite = suite
        self.by_tool: dict[str, list[Case]] = {}
        self._rules: dict[str, frozenset[str]] = {}
        for case in suite.file.cases:
            if id(case) in counted:
                self.by_tool.setdefault(case.request.tool, []).append(case)
        register = suite.file.register
        self.kept = {rule for exception in register.exceptions for rule in exception.rules}
        self.kept |= {rule for grant in register.grants for rule in grant.rules}

    def cases(self, mutant: Mutant) -> list[Case]:
        """The cases that the mutant could make a difference to."""
        patterns = [*_patterns(mutant.source.data, mutant.index)]
        if mutant.index is not None and mutant.changed is not None:
            patterns += mutant.changed.get("tools") or mutant.source.data.get("tools") or ()
        return [
            case
            for tool, cases in self.by_tool.items()
            if any(tool_matches(pattern, tool) for pattern in patterns)
            for case in cases
        ]

    def snapshot(self, mutant: Mutant, document: Mapping[str, Any], cases: Iterable[Case]) -> Snapshot:
        """The changed policies, as far as they concern the tools of these cases."""
        kept = self.kept | {mutant.rule}
        for tool in {case.request.tool for case in cases}:
            kept |= self.rules(tool)
        sources = [
            _part(source, document if source is mutant.source else source.data, kept)
            for source in self.suite.policies
        ]
        default: Default = self.suite.file.default
        return Snapshot.from_sources(sources, default=default, register=self.suite.file.register)

    def rules(self, tool: str) -> frozenset[str]:
        """The names of the rules that concern a tool."""
        if tool not in self._rules:
            self._rules[tool] = frozenset(rule.name for rule in self.suite.snapshot.rules_for(tool))
        return self._rules[tool]


def _part(source: Source, data: Mapping[str, Any], kept: Container[str]) -> Source:
    """A policy with those of its rules that are named."""
    rules = [rule for rule in data["rules"] if f"{data['policy']}/{rule['id']}" in kept]
    return replace(source, data={**data, "rules": rules}, root=None, text="")


def _patterns(data: Mapping[str, Any], index: int | None) -> Iterator[str]:
    """The tools that a rule, or every rule, is about."""
    for i, rule in enumerate(data["rules"]):
        if index is None or i == index:
            yield from rule.get("tools") or data.get("tools") or ()
