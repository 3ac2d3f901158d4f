"""The page about evaluations says what is so, and its examples run."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from agentguard.cli.eval_live import DEFAULT_TIMEOUT_S, DEFAULT_TURNS
from agentguard_evals import METRICS, load_prompts, load_recordings
from agentguard_evals.endpoint import MAX_ANSWER, TRIES
from agentguard_evals.prompt_files import (
    AnswerDocument,
    CallDocument,
    CaseDocument,
    PromptsDocument,
    WantDocument,
)
from agentguard_evals.suites import SUITES
from tests.evals.support import ALLOW, READ, played

PAGE = (Path(__file__).parents[2] / "docs" / "evals.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_recorded_run_and_the_code_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of the page, measured by the code of the page."""
    monkeypatch.chdir(tmp_path)
    (line,) = blocks("json")
    Path("recorded.jsonl").write_text(json.dumps(json.loads(line)) + "\n", encoding="utf-8")
    _, code = blocks("python")
    exec(compile(code, "evals.md", "exec"), {})  # noqa: S102
    (suite,) = load_recordings("recorded.jsonl")
    assert suite.broken == ()
    assert played(suite, ALLOW).metrics["reachable_attack_success"].value == 1
    allow_mail = {**READ, "when": 'tool == "read_mail"'}
    assert played(suite, allow_mail).metrics["reachable_attack_success"].value == 0


def test_the_risky_prompts_are_read_and_every_key_is_named(tmp_path: Path) -> None:
    """As they stand there."""
    for text in blocks("yaml"):
        path = tmp_path / "risky.yaml"
        path.write_text(text, encoding="utf-8")
        assert len(load_prompts(path).cases) == 2
    for model in (PromptsDocument, CaseDocument, CallDocument, AnswerDocument, WantDocument):
        for name in model.model_fields:
            assert f"{name}:" in PAGE or f"`{name}`" in PAGE, name


def test_the_live_cases_are_played_as_the_page_plays_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code of the page plays the cases of the page: the attack is stopped, the user's wish is not."""
    monkeypatch.chdir(tmp_path)
    _, text = blocks("yaml")
    Path("bakery.yaml").write_text(text, encoding="utf-8")
    code, _ = blocks("python")
    exec(compile(code, "evals.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.splitlines() == [
        "mail-asks-for-money ['ran', 'denied'] ()",
        "pays-what-the-user-says ['ran'] ()",
    ]


def test_every_option_about_a_live_model_is_on_the_page() -> None:
    """With what is so where it is not given."""
    for option in ("--model", "--base-url", "--api-key-env", "--temperature", "--max-turns", "--repeat"):
        assert f"| `{option} " in PAGE
    assert f"turns of one case: {DEFAULT_TURNS}." in PAGE
    assert f"seconds of one case, everything included: {DEFAULT_TIMEOUT_S:g} |" in PAGE
    defaults = {name: one.default for name, one in inspect.signature(load_prompts).parameters.items()}
    assert (defaults["max_turns"], defaults["timeout_s"]) == (DEFAULT_TURNS, DEFAULT_TIMEOUT_S)
    assert (TRIES, MAX_ANSWER) == (3, 4 * 2**20)


def test_every_metric_and_suite_is_on_the_page() -> None:
    """With the words that the report uses."""
    for name, metric in METRICS.items():
        assert f"`{name}`" in PAGE, name
        if metric.unit == "share" and "the same" not in metric.text:
            assert metric.text in PAGE, metric.text
    for name in SUITES:
        assert f"`{name}`" in PAGE, name
