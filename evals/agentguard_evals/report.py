"""The report of an evaluation: versioned, with its JSON Schema (`agentguard schema eval-report`)."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final, Literal

from pydantic import Field

from agentguard.policy import Snapshot
from agentguard_evals.gaps import GapEntry, found_gaps
from agentguard_evals.metrics import Metric, measure
from agentguard_evals.results import CaseResult, LiveUse, Model, ModelUse
from agentguard_evals.running import Played
from agentguard_evals.stage import Setup

__all__ = [
    "VERSION",
    "BrokenEntry",
    "Check",
    "Counts",
    "GapEntry",
    "PolicyEntry",
    "Report",
    "RuleEntry",
    "SuiteReport",
    "failures",
    "policy_entry",
    "suite_report",
    "versions",
]

VERSION: Final = 1

Unit = Annotated[int, Field(ge=0)]


class PolicyEntry(Model):
    """Which policies decided."""

    paths: tuple[str, ...]
    digest: Annotated[str, Field(description="the snapshot's digest")]
    rules: Unit


class BrokenEntry(Model):
    """A row or case that could not be read."""

    where: str
    reason: str


class RuleEntry(Model):
    """A rule of the policies, with the decisions of this suite that it matched in."""

    rule: str
    at: str | None = None
    fired: Unit
    errors: Annotated[int, Field(ge=0, description="of those, because it could not be evaluated")] = 0


class Counts(Model):
    """Cases and calls of one suite."""

    cases: Unit
    honest: Unit
    attacked: Unit
    reachable: Unit
    errors: Annotated[int, Field(ge=0, description="cases that the harness could not finish; in no rate")]
    unexpected: Annotated[int, Field(ge=0, description="cases whose wanted effects were not met")]
    calls: Unit
    attack_calls: Unit
    questions: Unit
    broken: Annotated[int, Field(ge=0, description="rows that could not be read")]


class SuiteReport(Model):
    """One suite; suites are never pooled. `failures` are ids of cases, the worst first."""

    name: str
    title: str
    reread: Annotated[str, Field(description="what names it after `agentguard eval run`")]
    version: str
    data: Annotated[str, Field(description="digest of the data")]
    judged: str
    split: Annotated[str | None, Field(description="`--split` that chose it")] = None
    selected: Annotated[bool, Field(description="only some of its cases ran")] = False
    model: Annotated[ModelUse | None, Field(description="the live model that played cases of it")] = None
    counts: Counts
    metrics: dict[str, Metric]
    groups: dict[str, dict[str, Metric]]
    failures: tuple[str, ...]
    broken: tuple[BrokenEntry, ...]
    gaps: tuple[GapEntry, ...]
    rules: tuple[RuleEntry, ...]
    cases: tuple[CaseResult, ...]

    @property
    def never_fired(self) -> tuple[RuleEntry, ...]:
        """Rules that matched in no decision of this suite."""
        return tuple([rule for rule in self.rules if not rule.fired])


class Check(Model):
    """A threshold or a comparison with an earlier report."""

    kind: Literal["fail_under", "baseline"]
    suite: str | None
    text: str
    passed: bool
    detail: str = ""


class Report(Model):
    """Everything that a run of `agentguard eval run` found."""

    v: Literal[1] = VERSION
    kind: Literal["agentguard-eval-report"] = "agentguard-eval-report"
    created_at: dt.datetime
    seconds: Annotated[float, Field(ge=0)]
    command: str
    versions: dict[str, str]
    policy: PolicyEntry
    tool_facts: str
    tool_facts_digest: str | None = None
    approver: Literal["none", "oracle", "all"]
    environment: str | None = None
    data_folder: Annotated[str | None, Field(description="where suites' data was read from")] = None
    strict: bool = False
    limit: int | None = None
    suites: Annotated[tuple[SuiteReport, ...], Field(min_length=1)]
    checks: tuple[Check, ...] = ()
    exit_code: Literal[0, 1, 2]


def suite_report(played: Played, setup: Setup, *, selected: bool = False) -> SuiteReport:
    """The report of one suite."""
    suite, results = played.suite, played.results
    groups = sorted({case.group for case in results})
    return SuiteReport(
        name=suite.name,
        title=suite.title,
        reread=suite.reread,
        split=suite.split,
        version=suite.version,
        data=suite.digest,
        judged=suite.judged,
        selected=selected,
        model=_model(suite.model, results),
        counts=_counts(results, len(suite.broken)),
        metrics=measure(results),
        groups={name: measure([case for case in results if case.group == name]) for name in groups}
        if len(groups) > 1
        else {},
        failures=tuple([case.id for case in failures(results)]),
        broken=tuple([BrokenEntry(where=one.where, reason=one.reason) for one in suite.broken]),
        gaps=(
            *[GapEntry(what=one.what, n=one.n, reason=one.reason) for one in suite.gaps],
            *found_gaps(played, setup),
        ),
        rules=tuple(_rules(setup.snapshot, played.fired, played.rule_errors)),
        cases=results,
    )


def failures(cases: Iterable[CaseResult]) -> list[CaseResult]:
    """Cases that went wrong, the worst first: errors, successful attacks, wishes not met, false denials,
    tasks that missed their goal."""
    ranked = [(rank, case) for case in cases if (rank := _rank(case)) is not None]
    return [case for _, case in sorted(ranked, key=lambda pair: pair[0])]


def _rank(case: CaseResult) -> int | None:
    if case.error is not None:
        return 0
    if case.kind == "attacked" and case.reachable and case.attack_succeeded:
        return 1
    if case.unexpected:
        return 2
    if case.kind == "honest" and any(call.outcome == "denied" for call in case.calls):
        return 3
    if case.kind == "honest" and case.utility is False:
        return 4
    return None


def _counts(results: Sequence[CaseResult], broken: int) -> Counts:
    attacked = [case for case in results if case.kind == "attacked"]
    return Counts(
        cases=len(results),
        honest=len(results) - len(attacked),
        attacked=len(attacked),
        reachable=sum(case.reachable for case in attacked),
        errors=sum(case.error is not None for case in results),
        unexpected=sum(bool(case.unexpected) for case in results),
        calls=sum(len(case.calls) for case in results),
        attack_calls=sum(len(case.of("attacker")) for case in attacked),
        questions=sum(case.asked for case in results),
        broken=broken,
    )


def _model(model: ModelUse | None, results: Sequence[CaseResult]) -> ModelUse | None:
    if model is None:
        return None
    total = LiveUse(case="all", run=1)
    for case in results:
        total = total.and_again(case.live)
    return model.model_copy(update=total.model_dump(include={"turns", "prompt_tokens", "completion_tokens"}))


def _rules(snapshot: Snapshot, fired: Mapping[str, int], errors: Mapping[str, int]) -> Iterable[RuleEntry]:
    for rule in snapshot.rules:
        yield RuleEntry(
            rule=rule.name, at=rule.at, fired=fired.get(rule.name, 0), errors=errors.get(rule.name, 0)
        )


def policy_entry(paths: Sequence[str], snapshot: Snapshot) -> PolicyEntry:
    """What a report says of the policies."""
    return PolicyEntry(paths=tuple(paths), digest=snapshot.digest, rules=len(snapshot.rules))


def versions() -> dict[str, str]:
    """Of the code that ran."""
    found = {"python": platform.python_version()}
    for name in ("agentguard", "agentdojo"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
