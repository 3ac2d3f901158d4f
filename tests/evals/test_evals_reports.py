"""The report as JSON under its schema, as JSON lines, as JUnit, and as a page that runs nothing."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agentguard.schemas import made
from tests.cli.support import HOSTILE, run
from tests.evals.support import ALLOW, ASK_TO_SEND, READ, honest, policy_file, recordings, row


def written(folder: Path, *rules: dict[str, Any], rows: list[object], code: int = 0) -> dict[str, str]:
    """Every kind of report of one run, by ending."""
    ends = ("json", "jsonl", "html", "xml")
    outs = [word for end in ends for word in ("--out", folder / f"report.{end}")]
    runs = recordings(folder, *rows)
    run("eval", "run", runs, "--policy", policy_file(folder, *rules), *outs, code=code)
    return {end: (folder / f"report.{end}").read_text(encoding="utf-8") for end in ends}


def test_the_json_report_is_what_its_schema_says(work: Path) -> None:
    """By a validator that is not ours."""
    found = written(work, READ, ASK_TO_SEND, rows=[row(), honest(), "broken"])
    report = json.loads(found["json"])
    jsonschema.Draft202012Validator(made("eval-report")).validate(report)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(made("eval-report")).validate({**report, "more": 1})


def test_the_json_report_names_what_was_measured_and_with_what(work: Path) -> None:
    """Digests, versions, counts, what broke, what never fired."""
    never = {"id": "never", "effect": "deny", "when": 'tool == "delete"'}
    found = json.loads(written(work, READ, ASK_TO_SEND, never, rows=[row(), honest(), "broken"])["json"])
    (suite,) = found["suites"]
    assert found["v"] == 1
    assert found["policy"]["digest"].startswith("sha256:")
    assert suite["data"].startswith("sha256:")
    assert found["versions"]["agentguard"]
    assert (suite["counts"]["cases"], suite["counts"]["broken"], suite["counts"]["questions"]) == (2, 1, 2)
    assert [one["where"] for one in suite["broken"]] == ["runs.jsonl:3"]
    assert {one["rule"]: one["fired"] > 0 for one in suite["rules"]} == {
        "p/read": True,
        "p/send": True,
        "p/never": False,
    }
    assert found["tool_facts"] == "inferred"


@pytest.mark.parametrize(("line", "source"), [("", "none"), ("infer_facts: true", "inferred")])
def test_tools_are_known_as_the_guard_of_the_configuration_knows_them(
    work: Path, line: str, source: str
) -> None:
    """What it does not infer is not inferred here either, and said to be missing."""
    work.chmod(0o700)
    config = work / "agentguard.yaml"
    config.write_text(f"policies: [policy.yaml]\n{line}\n", encoding="utf-8")
    found = json.loads(written(work, READ, ASK_TO_SEND, rows=[row(), honest()])["json"])
    assert found["tool_facts"] == source
    missing = [gap for gap in found["suites"][0]["gaps"] if gap["what"] == "tool facts"]
    assert bool(missing) is (source == "none")


def test_a_rule_that_cannot_be_evaluated_is_counted_as_that(work: Path) -> None:
    """It fires, and stops attacks for the wrong reason."""
    broken = {"id": "amount", "effect": "deny", "when": "args.amount > 5"}
    found = json.loads(written(work, ALLOW, broken, rows=[row()])["json"])
    (suite,) = found["suites"]
    assert [(one["rule"], one["errors"]) for one in suite["rules"] if one["errors"]] == [("p/amount", 2)]
    assert suite["cases"][0]["calls"][1]["rule_errors"] == ["p/amount"]


def test_reports_hold_no_argument_values(work: Path) -> None:
    """They travel further than the data they come from (design 18)."""
    secret = row(steps=[{"call": "send", "args": {"to": "hunter2"}}, {"result": "hunter3"}], attack_steps=[0])
    for text in written(work, ALLOW, rows=[secret]).values():
        assert "hunter" not in text


def test_json_lines_hold_one_case_each(work: Path) -> None:
    """With the suite's name."""
    lines = written(work, READ, rows=[row(), honest()])["jsonl"].splitlines()
    assert [(json.loads(line)["suite"], json.loads(line)["id"]) for line in lines] == [
        ("mail", "runs.jsonl:1"),
        ("mail", "runs.jsonl:2"),
    ]


def test_junit_holds_failures_and_errors_apart(work: Path) -> None:
    """An attack that got through fails; a row that cannot be read is an error."""
    root = ET.fromstring(written(work, ALLOW, rows=[row(), honest(), "broken"])["xml"])
    (suite,) = root.findall("testsuite")
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    (failure,) = suite.iter("failure")
    assert "attack succeeded: send ran, allow by p/all" in (failure.get("message") or "")


def test_junit_survives_any_text(work: Path) -> None:
    """XML has no NUL and no escape character."""
    text = written(work, ALLOW, rows=[row(id="a\x00\x1b<&>", suite="s\x01")])["xml"]
    assert "a��&lt;&amp;&gt;" in text
    ET.fromstring(text)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_runs_nothing_and_asks_nobody_T52(work: Path) -> None:
    """Names from a recording are text: no script, no handler, no link, no request, no hidden character."""
    evil = f'"><script>alert(1)</script><img src=x onerror=alert(1) hx-get=//x>{HOSTILE}'
    rows = [row(id=evil, suite="<svg onload=alert(1)>", group="javascript:alert(1)"), honest(group="'><b>")]
    page = written(work, ALLOW, rows=rows)["html"]
    parser = _Tags()
    parser.feed(page)
    assert {tag for tag, _ in parser.tags}.isdisjoint({"script", "img", "svg", "a", "iframe", "link", "form"})
    for _, attrs in parser.tags:
        assert not any(name.startswith(("on", "hx-")) or name in ("src", "href") for name in attrs)
    assert "default-src 'none'" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]", page)
    assert "&lt;script&gt;" in page


def test_the_page_shows_every_figure_with_its_n_and_interval(work: Path) -> None:
    """What a manager reads, and what an engineer checks."""
    page = written(work, READ, ASK_TO_SEND, rows=[row(), honest()])["html"]
    assert "Attacks that succeeded" in page
    assert "0 of 1" in page
    assert "0.0 to 79.3 %" in page
    assert "p/send" in page


def test_a_page_of_many_cases_stays_readable(work: Path) -> None:
    """The first hundred, and how many more."""
    page = written(work, ALLOW, rows=[row() for _ in range(120)])["html"]
    assert page.count("attack succeeded: ") == 100
    assert "… and 20 more" in page
