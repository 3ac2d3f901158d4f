"""Tool facts of an evaluation: from a file, from a function, or none; and what is consequential."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentguard.errors import ConfigurationError
from agentguard_evals import facts_from
from agentguard_evals.facts import consequential
from tests.evals.support import ALLOW, honest, only, played, recordings


@pytest.mark.parametrize(
    ("facts", "weighty"),
    [
        ({}, True),
        ({"reads": True}, False),
        ({"read_only": True}, False),
        ({"reads": True, "writes": True}, True),
        ({"reads": True, "external": True}, True),
        ({"reads": True, "destructive": True}, True),
        ({"reads": False}, True),
        ({"writes": False}, True),
        ({"idempotent": True}, True),
    ],
)
def test_what_is_not_known_to_be_harmless_is_consequential(facts: Mapping[str, Any], weighty: bool) -> None:
    """An absent fact is unknown, not false."""
    assert consequential(facts) is weighty


def test_facts_of_a_file_count_and_what_it_leaves_out_is_listed(tmp_path: Path) -> None:
    """The report names the file by its digest."""
    file = tmp_path / "tools.yaml"
    file.write_text("read: {reads: true}\n", encoding="utf-8")
    facts = facts_from(str(file))
    report = played(only(recordings(tmp_path, honest())), ALLOW, facts=facts)
    assert [one.consequential for one in report.cases[0].calls] == [False, True]
    assert facts.digest is not None
    assert [gap.n for gap in report.gaps if gap.what == "tools without facts"] == [1]


def test_a_function_may_infer_facts_from_definitions(tmp_path: Path) -> None:
    """It is given name, description, parameters and annotations; conditions see what it says."""
    seen: list[Mapping[str, Any]] = []

    def infer(definition: Mapping[str, Any]) -> Mapping[str, Any]:
        seen.append(definition)
        return {"reads": True} if definition["name"] == "read" else {"writes": True, "external": True}

    writes = {"id": "writes", "effect": "deny", "when": "facts.writes"}
    facts = facts_from("inferred", infer)
    report = played(only(recordings(tmp_path, honest())), ALLOW, writes, facts=facts)
    assert set(seen[0]) == {"name", "description", "parameters", "annotations"}
    assert [one.consequential for one in report.cases[0].calls] == [False, True]
    assert report.cases[0].calls[1].outcome == "denied"
    assert not any(gap.what.startswith("tool") for gap in report.gaps)


def test_an_inference_that_answers_nonsense_is_an_error_of_the_case(tmp_path: Path) -> None:
    """Not a guess."""
    facts = facts_from("inferred", lambda definition: {"reeds": True})
    (found,) = played(only(recordings(tmp_path, honest())), ALLOW, facts=facts).cases
    assert found.error is not None
    assert "reeds" in found.error


def test_a_facts_file_that_is_refused_stops_the_run(tmp_path: Path) -> None:
    """Unknown keys, files that anybody may change, no file."""
    file = tmp_path / "tools.yaml"
    file.write_text("read: {reeds: true}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="reeds"):
        facts_from(str(file))
    file.write_text("read: {reads: true}\n", encoding="utf-8")
    file.chmod(0o666)
    with pytest.raises(ConfigurationError, match="AG301"):
        facts_from(str(file))
    with pytest.raises(ConfigurationError, match="no tool-facts file"):
        facts_from(str(tmp_path / "none.yaml"))
