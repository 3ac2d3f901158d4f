"""Test files together with the policies that their cases see."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentguard.policy.check import load_findings
from agentguard.policy.expressions import Expressions, Fault
from agentguard.policy.files import Files, read_files
from agentguard.policy.findings import Finding, closest, suggestion
from agentguard.policy.prepare import prepare
from agentguard.policy.snapshot import Snapshot
from agentguard.policy.source import Source
from agentguard.policy.testing.files import Case, TestFile, read_test
from agentguard.policy.testing.wanted import names_wanted

__all__ = ["Suite", "Suites", "load_suites", "suites_of"]

_SAID_BY_US = frozenset({"agentguard/default", "agentguard/tool-name", "agentguard/error"})


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    """The cases of one file, and the policies that decide them."""

    file: TestFile
    policies: tuple[Source, ...]
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Suites:
    """What was read: the suites, unless there are findings; and the names of all files."""

    suites: tuple[Suite, ...]
    findings: tuple[Finding, ...]
    names: tuple[str, ...]
    rules: int = 0

    @property
    def cases(self) -> Iterator[tuple[Suite, Case]]:
        """Every case, in the order of the files."""
        return ((suite, case) for suite in self.suites for case in suite.file.cases)


def load_suites(tests: Sequence[str], policies: Sequence[str]) -> Suites:
    """Read test files and folders of tests, and the policies they are about."""
    return suites_of(read_files(tests, tests=True), read_files(policies))


def suites_of(tests: Files, policies: Files) -> Suites:
    """The suites of files that were read; with any finding there are none, so that nothing passes by chance.

    Policies that a test file names are looked for among those that are there: it narrows, and opens nothing.
    """
    prepared = prepare(policies.sources)
    findings = [*load_findings(prepared, policies)]
    findings += [finding for finding in tests.findings if finding not in findings]
    loaded = not findings
    loader = _Loader()
    suites: list[Suite] = []
    for source in tests.sources:
        file, found = read_test(source)
        findings += found
        if file is None:
            continue
        listed = list(_narrowed(file, policies, findings))
        if loaded and len(listed) == len(file.policies or listed):
            suites.append(loader.suite(file, tuple(listed)))
            findings += _unknown(suites[-1])
    names = tuple(dict.fromkeys((*policies.names, *tests.names)))
    return Suites(() if findings else tuple(suites), tuple(findings), names, prepared.rules_read)


def _narrowed(file: TestFile, policies: Files, findings: list[Finding]) -> Iterator[Source]:
    """The policies that the cases of a file see."""
    if file.policies is None:
        yield from policies.sources
        return
    known = {os.path.realpath(source.file): source for source in policies.sources}
    for index, path in enumerate(file.policies):
        found = known.get(os.path.realpath(Path(file.name).parent / path))
        if found is not None:
            yield found
            continue
        findings.append(
            file.source.finding(
                "AG403",
                f"`{path[:100]}` is not among the policies of this run",
                ("policies", index),
                hint=suggestion(path, [os.path.basename(name) for name in policies.names], listed=8),
            )
        )


class _Loader:
    """Compiles each set of policies once for each default effect."""

    def __init__(self) -> None:
        self._snapshots: dict[tuple[Any, ...], Snapshot] = {}

    def suite(self, file: TestFile, sources: tuple[Source, ...]) -> Suite:
        default = file.default
        key = (*(source.file for source in sources), default.effect, default.owner, default.until)
        if key not in self._snapshots:
            self._snapshots[key] = Snapshot.from_sources(sources, default=default)
        return Suite(file, sources, self._snapshots[key].with_register(file.register))


def _unknown(suite: Suite) -> Iterator[Finding]:
    """Names that no rule, exception or grant has: a case that names one could pass for the wrong reason."""
    source, register = suite.file.source, suite.file.register
    rules = {rule.name for rule in suite.snapshot.rules}
    yield from _records(source, rules)
    exceptions = {record.id for record in register.exceptions}
    known = rules | _SAID_BY_US
    known |= {f"exception/{name}" for name in exceptions} | {f"grant/{one.id}" for one in register.grants}
    seen: set[int] = set()
    for case in suite.file.cases:
        if case.index in seen:
            continue
        seen.add(case.index)
        for about, name in names_wanted(case.want):
            names: Iterable[str] = exceptions if about == "exceptions" else known
            if name in names:
                continue
            near = closest(name, names) or _of_id(name, known)
            yield source.finding(
                "AG403",
                f"`{name[:100]}` is no {'exception of this file' if about == 'exceptions' else 'rule'} "
                f"(in case `{case.name}`)",
                _place(source, case, name),
                hint=_meant(near),
            )


def _records(source: Source, rules: set[str]) -> Iterator[Finding]:
    """Exceptions and grants that name what is not there or hold what is no expression.

    One that cannot work for another reason may be what a case is about: an exception for a non-waivable rule,
    a grant by fewer people than the rule asks for.
    """
    expressions = Expressions()
    for key in ("exceptions", "grants"):
        for index, record in enumerate(source.data.get(key, ())):
            label = f"{key.removesuffix('s')} `{record['id']}`"
            for i, name in enumerate(record["rules"]):
                if name not in rules:
                    hint = suggestion(name, rules, listed=0) or _meant(_of_id(name, rules))
                    message = f"`{name}` is no rule (in {label})"
                    yield source.finding("AG403", message, (key, index, "rules", i), hint=hint)
            for path, text in _expressions(record):
                found = expressions.compile(text)
                if isinstance(found, Fault):
                    at = (key, index, *path)
                    message = f"{found.message} (in {label})"
                    yield source.finding(found.code, message, at, offset=found.offset, hint=found.hint)


def _expressions(record: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The expressions of a record, and where in it they stand."""
    if isinstance(record.get("when"), str):
        yield ("when",), record["when"]
    reserve = record.get("control", {}).get("reserve", {})
    for i, text in enumerate(reserve.get("per", ())):
        yield ("control", "reserve", "per", i), text
    if isinstance(reserve.get("amount"), str):
        yield ("control", "reserve", "amount"), reserve["amount"]


def _meant(near: str | None) -> str:
    return f"did you mean `{near}`?" if near else ""


def _of_id(name: str, known: Iterable[str]) -> str | None:
    """The rule whose id this is, where the policy was forgotten."""
    return next((one for one in sorted(known) if one.endswith(f"/{name}")), None)


def _place(source: Source, case: Case, name: str) -> tuple[str | int, ...]:
    """Where in a case's `want` a name is written."""
    begin = ("cases", case.index, "want")
    return next(_find(source.data["cases"][case.index]["want"], name, begin), begin)


def _find(value: Any, name: str, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if value == name:
        yield at
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key == name:
                yield (*at, key)
            yield from _find(item, name, (*at, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _find(item, name, (*at, index))
