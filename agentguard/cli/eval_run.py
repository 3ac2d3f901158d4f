"""`agentguard eval`: how many attacks a policy stops, and how much honest work it disturbs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentguard.cli.eval_live import (
    BaseUrlOption,
    KeyOption,
    ModelOption,
    RepeatOption,
    TemperatureOption,
    TimeoutOption,
    TurnsOption,
    opened,
)
from agentguard.cli.eval_report import command_of, report_of
from agentguard.cli.terminal import columns, complain, fail
from agentguard.cli.workspace import ConfigOption, JsonOption, configuration, snapshot_of

if TYPE_CHECKING:
    from agentguard_evals.report import Report

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Measure policies against attacks and honest work.")


@app.command("suites")
def suites() -> None:
    """List the suites, what data each needs, and the policy packs.

    \b
    Example:
      agentguard eval suites
    """
    from agentguard_evals.policies import pack_names
    from agentguard_evals.suites import SUITES

    columns(("suite", "what", "data"), [(name, one.text, one.folder or "-") for name, one in SUITES.items()])
    packs = pack_names()
    typer.echo(f"policy packs: {', '.join(packs) if packs else 'none are installed'}")


@app.command("run")
def run(
    ctx: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(metavar="SUITE-OR-FILE", help="Names of suites, `.jsonl` recordings, `.yaml` cases."),
    ],
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", metavar="PACK-OR-PATH", help="What decides; default: the configuration's."),
    ] = None,
    tool_facts: Annotated[
        str | None,
        typer.Option(
            "--tool-facts",
            metavar="inferred|FILE",
            help="What tools do; default: as the configuration; without one inferred.",
        ),
    ] = None,
    approver: Annotated[
        Literal["none", "oracle", "all"],
        typer.Option("--approver", help="Who answers step-ups: `oracle` approves the user's calls only."),
    ] = "none",
    out: Annotated[
        list[Path] | None,
        typer.Option("--out", metavar="FILE", help="Write a report: .json, .jsonl, .html or .xml (JUnit)."),
    ] = None,
    fail_under: Annotated[
        str | None,
        typer.Option("--fail-under", metavar="CONDITIONS", help="Exit 1 unless met: `uninterrupted>=0.9,…`."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", metavar="OLD.JSON", help="Exit 1 where this run is worse than that report."
        ),
    ] = None,
    cases: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID", help="Run this case only; may be repeated.")
    ] = None,
    split: Annotated[
        Literal["dev", "held_out", "all"] | None,
        typer.Option("--split", help="The half of a suite that has two; default: dev."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="At most N honest and N attacked cases a suite."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The folder of suites' data; or AGENTGUARD_EVALS_DATA."),
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", metavar="NAME", help="The `environment` of conditions.")
    ] = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    api_key_env: KeyOption = None,
    temperature: TemperatureOption = None,
    max_turns: TurnsOption = None,
    timeout: TimeoutOption = None,
    repeat: RepeatOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 2 where a row cannot be read.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Play suites of honest work and of attacks through a real guard, and count.

    Every call is decided, recorded, asked about and run as in production; docs/evals.md defines each figure.

    \b
    Examples:
      agentguard eval run agentdojo --policy policies/ --approver oracle
      agentguard eval run recorded.jsonl --tool-facts tools.yaml --out report.html
      agentguard eval run agentdojo --fail-under "reachable_attack_success<=0,uninterrupted>=0.9"
      agentguard eval run recorded.jsonl --baseline report.json --strict
      agentguard eval run prompts.yaml --model NAME --base-url http://127.0.0.1:8000/v1 --repeat 5

    Exit codes: 0 measured and every condition met, 1 a condition is missed or a case ends in an error,
    2 usage, unreadable files, broken rows with `--strict`, or no case.
    """
    _need_evals()
    from agentguard.access import near
    from agentguard.cli import eval_files
    from agentguard.cli.eval_playing import load, play
    from agentguard_evals.baseline import compare, load_report
    from agentguard_evals.facts import facts_from, facts_like_a_guard
    from agentguard_evals.policies import policy_paths
    from agentguard_evals.stage import Setup
    from agentguard_evals.suites import DATA_VARIABLE
    from agentguard_evals.thresholds import check_thresholds, parse_thresholds

    for path in out or ():
        eval_files.check_out(path)
    thresholds = parse_thresholds(fail_under) if fail_under is not None else ()
    before = load_report(baseline) if baseline is not None else None
    found = configuration(ctx, config)
    paths = policy_paths(policy or ())
    setup = Setup(
        snapshot=snapshot_of(found, paths),
        facts=facts_like_a_guard(
            None if found.tools is None else near(found.tools),
            infers=found.infer_facts or found.file is None,
        )
        if tool_facts is None
        else facts_from(tool_facts),
        approver=approver,
        environment=environment if environment is not None else found.environment,
    )
    if found.engines:
        complain("the engines of the configuration are not asked in an evaluation; only the policies decide")
    begin = time.perf_counter()
    selected = bool(cases) or limit is not None
    folder = data or (Path(named) if (named := os.environ.get(DATA_VARIABLE)) else None)
    with opened(
        model,
        base_url=base_url,
        key_variable=api_key_env,
        temperature=temperature,
        max_turns=max_turns,
        timeout=timeout,
        repeat=repeat,
    ) as live:
        loaded = load(targets, folder, cases or (), limit, split, live, repeat)
        reports = play(setup, loaded, selected)
    checks = [*check_thresholds(thresholds, reports)]
    if before is not None:
        checks += compare(before, reports)
    report = report_of(
        reports,
        checks,
        setup,
        paths=[os.fspath(path) for path in paths] or [os.fspath(path) for path in found.policies],
        seconds=time.perf_counter() - begin,
        data_folder=None if folder is None else os.fspath(folder),
        strict=strict,
        limit=limit,
        command=command_of(
            targets,
            split,
            policy,
            tool_facts,
            approver,
            fail_under,
            strict,
            reports,
        ),
    )
    for path in out or ():
        path.write_text(eval_files.render(report, path), encoding="utf-8", newline="\n")
    _show(report, [os.fspath(path) for path in out or ()], as_json)
    raise typer.Exit(report.exit_code)


def _need_evals() -> None:
    try:
        import agentguard_evals  # noqa: F401 (a broken installation says so before anything is read)
    except ImportError as error:
        fail(f"the evaluation suites cannot be loaded: {error}; install agentguard again")


def _show(report: Report, files: Sequence[str], as_json: bool) -> None:
    from agentguard.cli import eval_files, eval_text

    if as_json:
        sys.stdout.write(eval_files.render_json(report))
        return
    eval_text.show(report, files)
