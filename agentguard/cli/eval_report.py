"""The report of one `agentguard eval run`: what was played, checked, and with which command."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from agentguard.cli.eval_live import model_words

if TYPE_CHECKING:
    from agentguard_evals.report import Check, Report, SuiteReport
    from agentguard_evals.stage import Setup

__all__ = ["command_of", "report_of"]


def report_of(
    reports: Sequence[SuiteReport],
    checks: Sequence[Check],
    setup: Setup,
    *,
    paths: Sequence[str],
    seconds: float,
    data_folder: str | None,
    strict: bool,
    limit: int | None,
    command: str,
) -> Report:
    """The report, with the exit code that it comes to."""
    from agentguard_evals.report import Report, policy_entry, versions

    return Report(
        created_at=dt.datetime.now(dt.UTC),
        seconds=seconds,
        command=command,
        versions=versions(),
        policy=policy_entry(paths, setup.snapshot),
        tool_facts=setup.facts.source,
        tool_facts_digest=setup.facts.digest,
        approver=setup.approver,
        environment=setup.environment,
        data_folder=data_folder,
        strict=strict,
        limit=limit,
        suites=tuple(reports),
        checks=tuple(checks),
        exit_code=_exit_code(reports, checks, strict),
    )


def _exit_code(reports: Sequence[SuiteReport], checks: Sequence[Check], strict: bool) -> Literal[0, 1, 2]:
    if strict and any(suite.counts.broken for suite in reports):
        return 2
    # Suites with halves are measured; what is good enough there `--fail-under` says.
    wrong = any(suite.counts.errors or (suite.counts.unexpected and suite.split is None) for suite in reports)
    return 1 if wrong or not all(check.passed for check in checks) else 0


def command_of(
    targets: Sequence[str],
    split: str | None,
    policy: Sequence[str] | None,
    tool_facts: str | None,
    approver: str,
    fail_under: str | None,
    strict: bool,
    reports: Sequence[SuiteReport],
) -> str:
    """The command, as it can be given again."""
    words = ["agentguard", "eval", "run", *targets]
    words += ["--split", split] if split is not None else []
    words += [word for name in policy or () for word in ("--policy", name)]
    words += ["--tool-facts", tool_facts] if tool_facts is not None else []
    words += ["--approver", approver, *_live_words(reports)]
    words += ["--fail-under", fail_under] if fail_under is not None else []
    words += ["--strict"] if strict else []
    return shlex.join(words)


def _live_words(reports: Sequence[SuiteReport]) -> list[str]:
    used = next((suite.model for suite in reports if suite.model is not None), None)
    again = [] if used is None or used.repeat == 1 else ["--repeat", str(used.repeat)]
    return [*model_words(used), *again]
