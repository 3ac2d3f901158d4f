"""`--baseline`: a comparison with an earlier report of the same cases.

Runs are deterministic, so any metric that is worse than before is a regression, and so is every case that
went wrong now and did not before. Latencies vary by themselves and are not compared. Other data or other
cases are not comparable, which is said and does not pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from agentguard.errors import ConfigurationError
from agentguard_evals.metrics import METRICS
from agentguard_evals.report import Check, Report, SuiteReport

__all__ = ["compare", "load_report"]

_NAMED: Final = 5
_EPSILON: Final = 1e-12


def load_report(path: Path) -> Report:
    """A report that `--out report.json` wrote.

    Raises:
        ConfigurationError: it cannot be read, or is none of this version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    try:
        return Report.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{path}: no report of `agentguard eval run --out report.json` of this version: "
            f"`{where}`: {first['msg'].lower()}"
        ) from None


def compare(old: Report, suites: Sequence[SuiteReport]) -> Iterator[Check]:
    """Each suite against the one of the same name."""
    known = {suite.name: suite for suite in old.suites}
    for suite in suites:
        before = known.get(suite.name)
        if before is None:
            yield _check(suite, "not compared", False, "the baseline has no such suite")
        elif before.data != suite.data or {c.id for c in before.cases} != {c.id for c in suite.cases}:
            yield _check(suite, "not compared", False, "the baseline has other data or other cases")
        elif _played_by(before) != _played_by(suite):
            yield _check(suite, "not compared", False, "another live model played the baseline")
        else:
            yield from _compared(before, suite)


def _played_by(suite: SuiteReport) -> object:
    used = suite.model
    return used and (used.name, used.url, used.temperature, used.max_turns)


def _compared(before: SuiteReport, now: SuiteReport) -> Iterator[Check]:
    worse = False
    for name, definition in METRICS.items():
        if definition.unit == "ms":
            continue
        old, new = before.metrics[name].value, now.metrics[name].value
        if old is None and new is None:
            continue
        if old is None or new is None:
            yield _check(now, name, False, "measured in one of the two only")
            worse = True
            continue
        change = new - old if definition.better == "lower" else old - new
        if change > _EPSILON:
            yield _check(now, name, False, f"was {old:.6g}, is {new:.6g}")
            worse = True
    fresh = [name for name in now.failures if name not in set(before.failures)]
    if fresh:
        more = f" and {len(fresh) - _NAMED} more" if len(fresh) > _NAMED else ""
        yield _check(now, "cases that went wrong", False, ", ".join(fresh[:_NAMED]) + more)
    elif not worse:
        yield _check(now, "no worse than the baseline", True, "")


def _check(suite: SuiteReport, text: str, passed: bool, detail: str) -> Check:
    return Check(kind="baseline", suite=suite.name, text=text, passed=passed, detail=detail)
