"""The suites of one `agentguard eval run`: loaded, narrowed to the cases that were asked for, played."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentguard.cli.eval_live import played_by
from agentguard.cli.terminal import complain, fail

if TYPE_CHECKING:
    from agentguard_evals.asking import Live
    from agentguard_evals.case import Suite
    from agentguard_evals.halves import Split
    from agentguard_evals.report import SuiteReport
    from agentguard_evals.running import Played
    from agentguard_evals.stage import Setup

__all__ = ["load", "play"]


def load(
    targets: Sequence[str],
    data: Path | None,
    ids: Sequence[str],
    limit: int | None,
    split: Split | None = None,
    live: Live | None = None,
    repeat: int | None = None,
) -> list[Suite]:
    """The suites, with the cases that were asked for; ends the command where there is none."""
    from agentguard.policy.findings import closest
    from agentguard_evals.running import chosen
    from agentguard_evals.suites import load_suites

    every = [suite for target in dict.fromkeys(targets) for suite in load_suites(target, data, split, live)]
    names = [suite.name for suite in every]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        fail(f"two of these hold a suite `{twice}`; run them one after the other")
    known = {case.id for suite in every for case in suite.cases}
    for one in ids:
        if one not in known:
            near = closest(one, known)
            fail(f"there is no case `{one}`" + (f"; did you mean `{near}`?" if near else ""))
    found = [chosen(suite, ids, limit) for suite in every]
    if ids:
        found = [suite for suite in found if suite.cases]
    for suite in found:
        if not suite.cases:
            for broken in suite.broken[:5]:
                complain(f"{broken.where}: {broken.reason}")
            fail(f"`{suite.reread}` holds no case ({len(suite.broken):,} broken rows): nothing was measured")
    return played_by(found, live, repeat)


def play(setup: Setup, loaded: Sequence[Suite], selected: bool) -> list[SuiteReport]:
    """Play them all and make their reports; a bar on standard error where a person looks at it."""
    from agentguard_evals.report import suite_report
    from agentguard_evals.running import play_suite

    total = sum(len(suite.cases) for suite in loaded)

    def work(advance: Callable[[], None]) -> list[Played]:
        return [play_suite(setup, suite, advance) for suite in loaded]

    return [suite_report(played, setup, selected=selected) for played in _with_progress(work, total)]


def _with_progress(work: Callable[[Callable[[], None]], list[Played]], total: int) -> list[Played]:
    """A bar on standard error where a person looks at it."""
    if not sys.stderr.isatty():
        return work(lambda: None)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from agentguard.cli.terminal import console

    shown = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*shown, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("cases", total=total)
        return work(lambda: bar.advance(task))
