"""`agentguard test`: the cases beside policies, what they exercise, and which changes they notice."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentguard.cli.terminal import fail
from agentguard.cli.workspace import ConfigOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agentguard.policy.testing import Case, Mutation, Report, Suite, Suites

__all__ = ["run_cases"]

Format = Literal["text", "json", "junit"]


def run_cases(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATHS]...", help="Folders, policy files and test files; default: the configuration's."
        ),
    ] = None,
    policies: Annotated[
        list[Path] | None,
        typer.Option("--policies", metavar="PATH", help="The policies to ask, instead of those in PATHS."),
    ] = None,
    cases: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID", help="Run this case only; may be repeated.")
    ] = None,
    keyword: Annotated[
        str | None, typer.Option("-k", metavar="TEXT", help="Run the cases whose id holds this text.")
    ] = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show which rules and sub-conditions the cases exercise.")
    ] = False,
    fail_under: Annotated[
        float | None,
        typer.Option("--fail-under", metavar="PERCENT", min=0, max=100, help="Exit 1 below this coverage."),
    ] = None,
    mutants: Annotated[
        bool, typer.Option("--mutate", help="Change the policies one thing at a time; which do tests notice?")
    ] = False,
    most: Annotated[
        int, typer.Option("--max-mutants", metavar="N", min=1, help="A sample of at most so many.")
    ] = 1000,
    seconds: Annotated[
        float, typer.Option("--max-seconds", metavar="S", min=0.1, help="Stop changing after this time.")
    ] = 120.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed, another sample.")] = 0,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score", metavar="PERCENT", min=0, max=100, help="Exit 1 when fewer changes are noticed."
        ),
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", help="How the result is printed.")] = "text",
    as_json: JsonOption = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write the result there, and text to the terminal."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run the cases of `*_test.yaml` files that lie beside policies.

    A case is a call and what has to be decided about it; docs/testing.md shows all that one can say. All
    policies that are named decide together, unless a test file names its own.

    \b
    Examples:
      agentguard test
      agentguard test policies/ --coverage --fail-under 90
      agentguard test policies/ -k transfer
      agentguard test policies/ --format junit --output report.xml
      agentguard test policies/ --mutate --max-mutants 500

    Exit codes: 0 all pass, 1 a case fails or a percentage is missed, 2 usage, unreadable files or no case.
    """
    from agentguard.policy.testing import cover, mutate, run

    if min_score is not None and not mutants:
        fail("`--min-score` is about `--mutate`: add it")
    named = _Named(ctx, paths or (), policies or (), config)
    loaded = named.load()
    finish = _Finish("json" if as_json else output_format, output, named.typed)
    if loaded.findings:
        finish(_report(loaded, findings=True))
        raise typer.Exit(2)
    import time

    begin = time.perf_counter()
    chosen = _chosen(loaded.cases, cases or (), keyword, named.tests)
    results = tuple(run(chosen))
    failed = any(not result.passed for result in results)
    covered = cover(chosen) if coverage or fail_under is not None else None
    mutation = None
    if mutants and not failed:
        mutation = _with_progress(
            lambda progress: mutate(
                loaded.suites, cases=[case for _, case in chosen], most=most, seconds=seconds, seed=seed,
                progress=progress,
            )
        )  # fmt: skip
    report = _report(
        loaded,
        results=results,
        partial=bool(cases or keyword),
        coverage=covered,
        mutation=mutation,
        seconds=time.perf_counter() - begin,
    )
    missed = list(_missed(report, fail_under, min_score, mutants))
    finish(report, missed)
    raise typer.Exit(1 if failed or missed else 0)


def _report(loaded: Suites, *, findings: bool = False, **found: object) -> Report:
    from agentguard.policy.testing import Report

    return Report(
        findings=loaded.findings if findings else (),
        files=len(loaded.names),
        rules=loaded.rules,
        **found,  # type: ignore[arg-type]  # the caller names fields of the report
    )


def _missed(
    report: Report, fail_under: float | None, min_score: float | None, mutants: bool
) -> Iterable[str]:
    """Percentages that were asked for and are not reached."""
    covered, mutation = report.coverage, report.mutation
    if covered is not None and fail_under is not None and covered.percent < fail_under:
        yield f"coverage {covered.percent:.1f} % is below {fail_under:g} %"
    if mutants and mutation is None:
        yield "no mutants were run: every case has to pass first"
    if mutation is not None and min_score is not None and (mutation.score or 0.0) < min_score:
        yield f"the mutation score {mutation.score or 0.0:.1f} % is below {min_score:g} %"


class _Named:
    """What is to be run on which policies, as named on the command line or in the configuration."""

    def __init__(
        self, ctx: typer.Context, paths: Sequence[Path], policies: Sequence[Path], config: Path | None
    ) -> None:
        from agentguard.access import near
        from agentguard.cli.workspace import configuration
        from agentguard.packs import located
        from agentguard.policy.files import is_test

        self.typed = [os.fspath(path) for path in paths]
        named = [*self.typed]
        if not named:
            found = configuration(ctx, config)
            named = [near(path) for path in found.policies]
        if not named:
            fail(
                "name a folder with policies and their tests, or run this beside `agentguard.yaml` "
                "(`agentguard init` writes both)"
            )
        self.tests: list[str] = []
        self.policies: list[str] = []
        for name in (os.fspath(path) for path in located(named)):
            if is_test(name) and not os.path.isdir(name):
                self.tests.append(name)
            elif os.path.isfile(name):
                self.policies.append(name)
                self.tests += _beside(name)
            else:
                self.policies.append(name)
                self.tests.append(name)
        if policies:
            self.policies = [os.fspath(path) for path in located(policies)]
            self.typed += [word for path in self.policies for word in ("--policies", path)]
        elif not self.policies:
            self.policies = list(dict.fromkeys(os.path.dirname(test) or "." for test in self.tests))

    def load(self) -> Suites:
        """The suites, with every finding; files that anybody may change are findings too."""
        import dataclasses

        from agentguard.access import check_access
        from agentguard.policy.testing import load_suites

        loaded = load_suites(self.tests, self.policies)
        loose = check_access(dict.fromkeys([*self.policies, *loaded.names]))
        return dataclasses.replace(loaded, findings=(*loose, *loaded.findings)) if loose else loaded


def _beside(policy: str) -> list[str]:
    """The tests of a policy file, where there are any."""
    stem, suffix = os.path.splitext(policy)
    return [name for name in (f"{stem}_test{suffix}",) if os.path.exists(name)]


def _chosen(
    every: Iterable[tuple[Suite, Case]], wanted: Sequence[str], keyword: str | None, tests: Sequence[str]
) -> list[tuple[Suite, Case]]:
    """The cases to run; ends the command where there is none."""
    from agentguard.policy.findings import closest

    listed = list(every)
    if not listed:
        where = ", ".join(f"`{name}`" for name in tests) or "beside these policies"
        fail(f"there is no case: no `*_test.yaml` was found in {where}")
    chosen = listed
    if wanted:
        for one in wanted:
            if not any(one in _ids(case) for _, case in listed):
                near = closest(one, [case.id for _, case in listed])
                fail(f"there is no case `{one}`" + (f"; did you mean `{near}`?" if near else ""))
        chosen = [(suite, case) for suite, case in chosen if not _ids(case).isdisjoint(wanted)]
    if keyword is not None:
        chosen = [(suite, case) for suite, case in chosen if keyword.lower() in case.id.lower()]
    if not chosen:
        fail(f"none of the {len(listed):,} cases holds `{keyword}`")
    return chosen


def _ids(case: Case) -> set[str]:
    """What a case answers to: its id, that of all its rows, its name."""
    return {case.id, case.id.removesuffix(f"[{case.row}]") if case.row else case.id, case.name}


def _with_progress(work: Callable[[Callable[[int, int], None]], Mutation]) -> Mutation:
    """Do something that takes a while; a bar on standard error where a person looks at it."""
    if not sys.stderr.isatty():
        return work(lambda done, total: None)
    from rich.progress import Progress

    from agentguard.cli.terminal import console

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("mutants")
        return work(lambda done, total: bar.update(task, completed=done, total=total))


class _Finish:
    """Prints the report, or writes it to a file and prints text."""

    def __init__(self, output_format: Format, output: Path | None, typed: Sequence[str]) -> None:
        self.format: Format = output_format
        self.output = output
        self.typed = typed

    def __call__(self, report: Report, missed: Sequence[str] = ()) -> None:
        from agentguard.cli import case_text
        from agentguard.cli.terminal import complain
        from agentguard.policy.testing import render_json, render_junit

        render = {"json": render_json, "junit": render_junit}.get(self.format)
        if render is None or self.output is not None:
            case_text.show(report, self.typed)
        if render is not None and self.output is None:
            sys.stdout.write(render(report))
        for one in missed:
            complain(one)
        if self.output is not None:
            text = render(report) if render is not None else case_text.plain(report, self.typed)
            self.output.write_text(text, encoding="utf-8", newline="\n")
