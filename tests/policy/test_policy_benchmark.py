"""The benchmark compares like with like."""

from __future__ import annotations

import pytest

from tests.benchmarks.policy import SAME, agree
from tests.benchmarks.policy_contestants import CONTESTANTS, Absent, Decide
from tests.benchmarks.policy_rules import SHAPES, Shape, every, requests, specs


@pytest.mark.parametrize("shape", SHAPES)
def test_the_contestants_build_the_same_decisions(shape: Shape) -> None:
    """By hand, by Google's evaluator where it is installed, and by us: also where the index is used."""
    rules = specs(200, shape)
    contestants: dict[str, Decide] = {}
    for name in SAME:
        try:
            contestants[name] = CONTESTANTS[name](rules)
        except Absent:
            continue
    assert len(contestants) >= 2
    agree(contestants, [*every(rules), *requests(rules, 300, seed=1)])


def test_a_difference_stops_the_benchmark() -> None:
    """Figures of contestants that answer differently say nothing."""
    rules = specs(10, "tools")
    contestants = {name: CONTESTANTS[name](rules) for name in SAME[:2]}
    contestants[SAME[1]] = lambda request: None
    with pytest.raises(SystemExit, match="disagree"):
        agree(contestants, requests(rules, 1, seed=1))
