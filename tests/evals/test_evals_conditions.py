"""Thresholds and baselines: what is not met, not measured or not comparable does not pass."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from agentguard.errors import ConfigurationError
from agentguard_evals.baseline import compare, load_report
from agentguard_evals.report import Report, SuiteReport, policy_entry, versions
from agentguard_evals.thresholds import check_thresholds, parse_thresholds
from tests.evals.support import ALLOW, ASK_TO_SEND, READ, honest, only, played, policies, recordings, row


def checked(text: str, *suites: SuiteReport) -> list[tuple[str | None, bool]]:
    return [(check.suite, check.passed) for check in check_thresholds(parse_thresholds(text), suites)]


def test_conditions_are_compared_with_each_suite(tmp_path: Path) -> None:
    """Met and missed, one check each."""
    report = played(only(recordings(tmp_path, row(), honest())), READ, ASK_TO_SEND, approver="oracle")
    assert checked("reachable_attack_success<=0,uninterrupted>=0.9", report) == [
        ("mail", True),
        ("mail", False),
    ]


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("utility>=1", True),
        ("utility>1", False),
        ("utility<=1.0", True),
        ("utility<1", False),
        (" utility >= 1 ", True),
    ],
)
def test_each_comparison_means_what_it_says(tmp_path: Path, condition: str, met: bool) -> None:
    """At the very limit."""
    assert checked(condition, played(only(recordings(tmp_path, honest())), ALLOW)) == [("mail", met)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "utility", "utility=1", "utility==1", ">=1", "utility>=", "utility>=x", "utility>=-1"),
        *("utility>=1e3", "utility>=1,", "utility>=1;false_denials<=0", "utility >= 1 or 1", "utility>=nan"),
        *("utility>=٣", "UTILITY>=1", "utilty>=1"),
    ],
)
def test_anything_else_is_an_error(text: str) -> None:
    """A threshold that is misread is a gate that is open."""
    with pytest.raises(ConfigurationError):
        parse_thresholds(text)


def test_a_misspelt_metric_is_told_the_right_name() -> None:
    """It names the closest one."""
    with pytest.raises(ConfigurationError, match="did you mean `uninterrupted`"):
        parse_thresholds("uninterupted>=0.9")


def test_what_no_suite_measures_is_missed(tmp_path: Path) -> None:
    """There is no attack here; that is not zero attacks."""
    quiet = played(only(recordings(tmp_path, honest())), ALLOW)
    assert checked("reachable_attack_success<=0", quiet) == [(None, False)]
    both = played(only(recordings(tmp_path, row(), name="b.jsonl")), READ)
    assert checked("reachable_attack_success<=0", quiet, both) == [("mail", True)]


def saved(report: SuiteReport, path: Path) -> Report:
    found = Report(
        created_at=dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
        seconds=1,
        command="agentguard eval run",
        versions=versions(),
        policy=policy_entry(["p"], policies(ALLOW)),
        tool_facts="none",
        approver="none",
        suites=(report,),
        exit_code=0,
    )
    path.write_text(found.model_dump_json(), encoding="utf-8")
    return load_report(path)


def test_the_same_run_is_no_worse(tmp_path: Path) -> None:
    """A report that was written can be read."""
    report = played(only(recordings(tmp_path, row(), honest())), READ, ASK_TO_SEND)
    (check,) = compare(saved(report, tmp_path / "old.json"), [report])
    assert check.passed
    assert load_report(tmp_path / "old.json").suites[0].cases == report.cases


def test_what_is_worse_is_missed_and_what_is_better_is_not(tmp_path: Path) -> None:
    """With the metric, both values, and the cases that newly went wrong."""
    suite = only(recordings(tmp_path, row(), honest()))
    strict, loose = played(suite, READ, ASK_TO_SEND, approver="oracle"), played(suite, ALLOW)
    worse = list(compare(saved(strict, tmp_path / "strict.json"), [loose]))
    assert {check.text for check in worse if not check.passed} >= {
        "reachable_attack_success",
        "cases that went wrong",
    }
    assert any("runs.jsonl:1" in check.detail for check in worse)
    better = list(compare(saved(loose, tmp_path / "loose.json"), [strict]))
    assert "reachable_attack_success" not in {check.text for check in better}


def test_other_cases_are_not_comparable(tmp_path: Path) -> None:
    """Other data, fewer cases, another suite: said, and missed."""
    report = played(only(recordings(tmp_path, row(), honest())), READ)
    old = saved(report, tmp_path / "old.json")
    others = [
        played(only(recordings(tmp_path, row(), honest(prompt="else"), name="runs.jsonl")), READ),
        report.model_copy(update={"cases": report.cases[:1]}),
        report.model_copy(update={"name": "other"}),
    ]
    for other in others:
        (check,) = compare(old, [other])
        assert (check.text, check.passed) == ("not compared", False)


def test_a_file_that_is_no_report_is_refused(tmp_path: Path) -> None:
    """Missing, not JSON, another version, unknown keys."""
    path = tmp_path / "old.json"
    for text in (None, "x", "{}", '{"v": 2}', '{"v": 1, "verdict": "fine"}'):
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"old\.json"):
            load_report(path)
