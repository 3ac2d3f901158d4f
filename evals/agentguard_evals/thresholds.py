"""`--fail-under`: conditions on metrics, such as `reachable_attack_success<=0,uninterrupted>=0.9`.

The grammar is `name op number`, separated by commas; `op` is `<=`, `>=`, `<` or `>`, a number is decimal.
Each condition is checked in every suite that measures its metric, and has to be measured in one at least:
what was not measured did not pass.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agentguard.errors import ConfigurationError
from agentguard.policy.findings import suggestion
from agentguard_evals.metrics import METRICS
from agentguard_evals.report import Check, SuiteReport

__all__ = ["Threshold", "check_thresholds", "parse_thresholds"]

_ONE: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=|<|>)\s*(\d{1,9}(?:\.\d{1,9})?)\s*", re.ASCII)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition."""

    metric: str
    op: str
    limit: float

    def __str__(self) -> str:
        return f"{self.metric}{self.op}{self.limit:g}"

    def holds(self, value: float) -> bool:
        """Whether a value meets it."""
        return _COMPARE[self.op](value, self.limit)


def parse_thresholds(text: str) -> tuple[Threshold, ...]:
    """The conditions of an option.

    Raises:
        ConfigurationError: a condition is no such condition, or its metric is unknown.
    """
    return tuple([_threshold(part) for part in text.split(",")])


def _threshold(text: str) -> Threshold:
    found = _ONE.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            f"`{text.strip()[:80]}` is no threshold; write a metric, one of <= >= < >, and a number, such as "
            "`uninterrupted>=0.9`"
        )
    name, op, number = found.groups()
    if name not in METRICS:
        raise ConfigurationError(f"there is no metric `{name}`; {suggestion(name, METRICS, listed=20)}")
    return Threshold(name, op, float(number))


def check_thresholds(thresholds: Sequence[Threshold], suites: Sequence[SuiteReport]) -> Iterator[Check]:
    """How each condition stands in each suite that measures it."""
    for threshold in thresholds:
        measured = False
        for suite in suites:
            metric = suite.metrics[threshold.metric]
            if metric.value is None:
                continue
            measured = True
            yield Check(
                kind="fail_under",
                suite=suite.name,
                text=str(threshold),
                passed=threshold.holds(metric.value),
                detail=f"it is {metric.value:.6g} (n = {metric.n})",
            )
        if not measured:
            detail = "no suite of this run measures it"
            yield Check(kind="fail_under", suite=None, text=str(threshold), passed=False, detail=detail)
