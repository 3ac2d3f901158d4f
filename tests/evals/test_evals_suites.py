"""The suites whose data lies outside the project: complete, readable, and honest about what they lack."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentguard.errors import ConfigurationError
from agentguard_evals import Suite
from agentguard_evals.suites import SUITES, load_suites
from tests.evals.support import ALLOW, DATA, DENY, needs_data, played


def load(name: str) -> Sequence[Suite]:
    return load_suites(name, DATA)


def counts(suite: Suite) -> tuple[int, int, int]:
    """Honest cases, attacked ones, and of those with a tool call."""
    attacked = [case for case in suite.cases if case.kind == "attacked"]
    return len(suite.cases) - len(attacked), len(attacked), sum(case.reachable for case in attacked)


@needs_data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("injecagent", {"injecagent": (17, 1054, 1054)}),
        ("agent_threat_bench", {"agent_threat_bench": (16, 19, 11)}),
        ("tau2", {"tau2-retail": (72, 714, 714), "tau2-airline": (25, 123, 123)}),
        ("bfcl", {"bfcl": (200, 0, 0)}),
    ],
)
def test_every_case_of_the_data_is_there(name: str, expected: dict[str, tuple[int, int, int]]) -> None:
    """None is lost on the way."""
    suites = load(name)
    assert {suite.name: counts(suite) for suite in suites} == expected
    assert all(suite.broken == () for suite in suites)


@needs_data
@pytest.mark.parametrize("name", ["agent_threat_bench", "tau2", "bfcl"])
def test_all_allowed_all_denied(name: str) -> None:
    """Every reachable attack and every task, or none."""
    for suite in load(name):
        open_, closed = played(suite, ALLOW), played(suite, DENY)
        assert open_.counts.errors == closed.counts.errors == 0
        assert (open_.metrics["uninterrupted"].value, closed.metrics["uninterrupted"].value) == (1, 0)
        if open_.counts.reachable:
            assert open_.metrics["reachable_attack_success"].value == 1
            assert closed.metrics["reachable_attack_success"].value == 0


@needs_data
def test_attacks_of_injecagent_call_their_tools_with_arguments() -> None:
    """Every required argument is there, made from the attack's words."""
    (suite,) = load("injecagent")
    for case in list(suite.cases)[:200]:
        tools = {tool.name: tool for tool in case.tools}
        for step in case.row.steps:  # type: ignore[attr-defined]
            if step.index in case.row.attack_steps:  # type: ignore[attr-defined]
                assert set(tools[step.tool].parameters["required"]) == set(step.args)


@needs_data
def test_look_ups_of_tau2_answer_from_its_database() -> None:
    """So that later values have somewhere to come from."""
    retail = next(suite for suite in load("tau2") if suite.name == "tau2-retail")
    results = [
        json.loads(step.result)
        for case in retail.cases
        if case.kind == "honest"
        for step in case.row.steps  # type: ignore[attr-defined]
        if step.tool == "get_order_details"
    ]
    assert len(results) == 109
    assert sum("order_id" in found for found in results if isinstance(found, dict)) == 105
    assert results.count("not found") == 4  # two tasks ask for orders that do not exist


@pytest.mark.parametrize("name", [name for name, suite in SUITES.items() if suite.folder])
def test_data_that_is_missing_or_wrong_is_an_error(tmp_path: Path, name: str) -> None:
    """Not an empty suite."""
    with pytest.raises(ConfigurationError, match="--data DIR"):
        load_suites(name, None)
    with pytest.raises(ConfigurationError, match="which is not there"):
        load_suites(name, tmp_path)
    (tmp_path / SUITES[name].folder).mkdir()
    with pytest.raises(ConfigurationError):
        load_suites(name, tmp_path)


SHAPES = {
    "agent_threat_bench": ("autonomy_hijack.json", "data_exfil.json", "memory_poison.json"),
    "injecagent": (
        "tools.json.gz",
        "user_cases.jsonl",
        "test_cases_dh_base.json.gz",
        "test_cases_ds_base.json.gz",
    ),
    "tau2": ("retail/tasks_train.json.gz", "retail/db.json.gz"),
}


@pytest.mark.parametrize("suite", SHAPES)
def test_data_of_another_shape_is_refused(tmp_path: Path, suite: str) -> None:
    """It names the folder and the suite."""
    for name in SHAPES[suite]:
        path = tmp_path / suite / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = '{"id": "x"}' if name.endswith(".jsonl") else '[{"id": "x"}]'
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    with pytest.raises(ConfigurationError, match=f"not the data that `{suite}` knows"):
        load_suites(suite, tmp_path)
