"""`agentguard test`: what it runs, what it prints, and every exit code."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from agentguard.config import EXPLANATIONS as CONFIGURATION
from agentguard.policy.testing import EXPLANATIONS
from tests.cli.support import HOSTILE, RAW, run
from tests.policy_tests.support import HEAD, PAY, write

ROOT = Path(__file__).parents[2]
PASSES = """\
  - {name: small, request: base, want: allow}
  - {name: large, request: {extends: base, args: {amount: 500}}, want: step_up}
"""
FAILS = "  - {name: wrong, request: {extends: base, args: {amount: 500}}, want: allow}\n"


def project(work: Path, cases: str = PASSES, **more: str) -> Path:
    return write(work, policies__p=PAY, policies__p_test=f"{HEAD}cases:\n{cases}", **more)


def test_exit_0_when_all_pass(work: Path) -> None:
    """One line of counts, and the rules that no case matched."""
    project(work)
    out = run("test", "policies").stdout
    assert out.splitlines()[0].startswith("2 of 4 rules matched in no case: pay/cap, pay/night")
    assert out.splitlines()[-1].startswith("Tests: 2 passed in 1 file (4 rules, snapshot ")


def test_exit_1_when_a_case_fails_and_the_reason_is_shown_first(work: Path) -> None:
    """What was wanted and found, the rule with its place, the values, and the command that runs it again."""
    project(work, PASSES + FAILS)
    lines = run("test", "policies", code=1).stdout.splitlines()
    assert lines[0] == "FAIL  wrong  policies/p_test.yaml:7"
    assert (
        lines[1] == '  effect  wanted allow, found step_up  by pay/large  policies/p.yaml:8  "more than 100"'
    )
    assert "    pay/small  policies/p.yaml:5  false" in lines
    assert '        true         agent.role == "billing"   (agent.role = "billing")' in lines
    assert "        false        args.amount <= 100   (args.amount = 500)" in lines
    assert lines[-1].startswith("Tests: 1 failed, 2 passed in 1 file ")
    (again,) = (line.split("again  ")[1] for line in lines if "again  " in line)
    found = run(*shlex.split(again)[1:], code=1).stdout
    assert "Tests: 1 failed, 0 passed" in found


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"policies__p": "policy: p\nrules: [{id: a, efect: deny}]\n"}, "AG102"),
        ({"policies__p_test": "now: x\ncases: [{}]\n"}, "AG118"),
        ({"policies__p_test": f"{HEAD}cases:\n{PASSES}cases: []\n"}, "AG005"),
        ({"policies__p_test": f"{HEAD}cases: []\n"}, "AG405"),
    ],
)
def test_exit_2_when_a_file_is_not_right_and_nothing_runs(
    work: Path, files: dict[str, str], words: str
) -> None:
    """The findings are those of `agentguard check`."""
    write(project(work), **files)
    out = run("test", "policies", code=2).stdout
    assert words in out
    assert out.endswith("No case was run.\n")
    assert "passed" not in out


def test_exit_2_when_there_is_no_case(work: Path) -> None:
    """A run that tests nothing is not a good one."""
    write(work, policies__p=PAY)
    assert "no case: no `*_test.yaml` was found in `policies`" in run("test", "policies", code=2).stderr
    assert "no case" in run("test", "policies/p.yaml", code=2).stderr
    project(work)
    assert "none of the 2 cases holds `nothing`" in run("test", "policies", "-k", "nothing", code=2).stderr
    found = run("test", "policies", "--case", "policies/p_test.yaml::smal", code=2).stderr
    assert "did you mean `policies/p_test.yaml::small`?" in found


def test_exit_2_on_usage(work: Path) -> None:
    """Nothing named, a path that is not there, a number out of range, an option that means nothing."""
    assert "agentguard init" in run("test", code=2).stderr
    assert "AG001" in run("test", "nope", code=2).stdout
    project(work)
    run("test", "policies", "--fail-under", "101", code=2)
    run("test", "policies", "--format", "xml", code=2)
    run("test", "policies", "--max-mutants", "0", code=2)
    assert "--mutate" in run("test", "policies", "--min-score", "50", code=2).stderr


def test_a_report_that_cannot_be_written_is_exit_2(work: Path) -> None:
    """CI does not go on without it."""
    project(work)
    found = run("test", "policies", "--format", "junit", "--output", "no/where.xml", code=2)
    assert "no/where.xml" in found.stderr


def test_files_that_anybody_may_change_are_refused_T47(work: Path) -> None:
    """A policy, and a test: who can edit it decides what passes."""
    for name in ("policies/p.yaml", "policies/p_test.yaml"):
        project(work)
        (work / name).chmod(0o666)
        out = run("test", "policies", code=2).stdout
        assert f"{name}: AG301" in out
        (work / name).chmod(0o644)


def test_the_configuration_names_what_is_tested(work: Path) -> None:
    """Without paths; with `--config` also from elsewhere."""
    project(work, agentguard="policies: policies/\n")
    assert "2 passed" in run("test").stdout
    assert "2 passed" in run("test", "--config", "agentguard.yaml").stdout
    write(work, other="policies: nowhere/\n")
    assert "AG001" in run("test", "--config", "other.yaml", code=2).stdout


def test_what_is_named_decides_which_policies_are_asked(work: Path) -> None:
    """A folder: all of it. A policy: its own tests. A test file: the folder that it lies in."""
    project(work)
    write(work, policies__stop='policy: stop\ntools: ["*"]\nrules: [{id: all, effect: deny}]\n')
    assert "2 failed" in run("test", "policies", code=1).stdout
    assert "2 failed" in run("test", "policies/p_test.yaml", code=1).stdout
    assert "2 passed" in run("test", "policies/p.yaml").stdout
    assert "2 passed" in run("test", "policies", "--policies", "policies/p.yaml").stdout


def test_cases_are_chosen_by_id_name_and_text(work: Path) -> None:
    """All rows of a case with its id alone, one with the row's."""
    rows = "  - name: rows\n    requests: {a: base, b: base}\n    want: allow\n"
    project(work, PASSES + rows)
    assert "1 passed" in run("test", "policies", "--case", "small").stdout
    assert "2 passed" in run("test", "policies", "--case", "policies/p_test.yaml::rows").stdout
    assert "1 passed" in run("test", "policies", "--case", "policies/p_test.yaml::rows[b]").stdout
    assert "3 passed" in run("test", "policies", "--case", "small", "--case", "rows").stdout
    assert "1 passed" in run("test", "policies", "-k", "LARGE").stdout


def test_json_holds_everything(work: Path) -> None:
    """`--json` and `--format json` are the same."""
    project(work, PASSES + FAILS)
    found = json.loads(run("test", "policies", "--json", "--coverage", code=1).stdout)
    assert (found["passed"], found["failed"], found["files"], found["rules"]) == (2, 1, 2, 4)
    (failed,) = [case for case in found["cases"] if case["outcome"] == "failed"]
    assert failed["id"] == "policies/p_test.yaml::wrong"
    assert failed["at"] == "policies/p_test.yaml:7"
    assert failed["differences"][0] | {"rule": ""} == {
        "about": "effect",
        "sign": "different",
        "wanted": "allow",
        "found": "step_up",
        "rule": "",
    }
    assert {rule["rule"] for rule in failed["rules"]} == {"pay/small", "pay/large"}
    assert found["coverage"]["outcomes"] == 16
    other = json.loads(run("test", "policies", "--format", "json", "--coverage", code=1).stdout)
    assert other["coverage"] == found["coverage"]
    write(work, policies__p="policy: p\n")
    broken = json.loads(run("test", "policies", "--json", code=2).stdout)
    assert (broken["passed"], broken["findings"][0]["code"]) == (0, "AG101")


def test_junit_is_what_continuous_integration_reads(work: Path) -> None:
    """Suites by file, cases with file and line, failures with their differences."""
    project(work, PASSES + FAILS)
    root = xml.fromstring(run("test", "policies", "--format", "junit", code=1).stdout)
    assert root.attrib | {"time": ""} == {
        "name": "agentguard test",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "time": "",
    }
    (suite,) = root.findall("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == (
        "policies/p_test.yaml",
        "3",
        "1",
    )
    cases = suite.findall("testcase")
    assert [(case.get("name"), case.get("line")) for case in cases] == [
        ("small", "5"),
        ("large", "6"),
        ("wrong", "7"),
    ]
    failure = cases[2].find("failure")
    assert failure is not None
    assert failure.get("message") == "wanted allow, found step_up"
    assert "effect different: pay/large wanted allow found step_up" in str(failure.text)
    assert cases[0].find("failure") is None


def test_junit_says_that_a_file_cannot_be_read(work: Path) -> None:
    """An error in the report: a missing report would be taken for nothing wrong."""
    write(project(work), policies__p="policy: p\n")
    out = run("test", "policies", "--format", "junit", "--output", "report.xml", code=2).stdout
    assert "AG101" in out
    root = xml.parse(work / "report.xml").getroot()
    assert root.get("errors") == "1"
    error = root.find("testsuite/testcase/error")
    assert error is not None
    assert error.get("type") == "AG101"


def test_a_report_goes_to_a_file_and_text_to_the_terminal(work: Path) -> None:
    """Both are wanted in continuous integration."""
    project(work, PASSES + FAILS)
    out = run("test", "policies", "--format", "junit", "--output", "report.xml", code=1).stdout
    assert out.startswith("FAIL  wrong")
    assert xml.parse(work / "report.xml").getroot().get("failures") == "1"
    run("test", "policies", "--output", "report.txt", code=1)
    assert (work / "report.txt").read_text().startswith("FAIL  wrong")
    run("test", "policies", "--json", "--output", "report.json", code=1)
    assert json.loads((work / "report.json").read_text())["failed"] == 1


def test_what_a_terminal_would_obey_is_written_out_T57_T58(work: Path) -> None:
    """Values of arguments, reasons and errors stand in failures of every format."""
    text = json.dumps(HOSTILE)
    policy = PAY.replace("reason: more than 100", f"reason: {text}")
    case = f"""\
  - name: bad
    request: {{extends: base, args: {{amount: 500, note: {text}}}}}
    want: {{effect: constrain, obligations: [{{kind: set, path: args.note, value: {text}}}]}}
  - name: worse
    request: {{extends: base, args: {{amount: {text}}}}}
    want: allow
"""
    write(work, policies__p=policy, policies__p_test=f"{HEAD}cases:\n{case}")
    for form in ("text", "json", "junit"):
        out = run("test", "policies", "--format", form, code=1).stdout
        assert not any(raw in out for raw in RAW), form
        assert "bad" in out


def process(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentguard", *args],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


def test_a_pipe_gets_plain_text_of_the_width_that_is_wanted(work: Path) -> None:
    """No colour, no bar, no line that is too long."""
    project(work, PASSES + FAILS.replace("500", "501"))
    for env in ({}, {"NO_COLOR": "1"}, {"COLUMNS": "80"}, {"COLUMNS": "120"}):
        for more in ((), ("--case", "small", "--coverage", "--mutate", "--max-mutants", "40")):
            found = process("test", "policies", *more, cwd=work, **env)
            assert "Tests:" in found.stdout
            assert "\x1b" not in found.stdout + found.stderr
            assert found.stderr == ""
            assert max(map(len, found.stdout.splitlines())) <= int(env.get("COLUMNS", 100))


def test_five_thousand_cases(work: Path) -> None:
    """Read, decided, compared and counted."""
    cases = "".join(
        f"  - {{name: case {i}, request: {{extends: base, args: {{amount: {i % 100}}}}},"
        " want: {effect: allow, rules: [pay/small]}}\n"
        for i in range(5000)
    )
    project(work, cases)
    assert "5,000 passed" in run("test", "policies").stdout


def test_the_codes_are_explained(work: Path) -> None:
    """`agentguard check --explain` knows those of tests, and none has two meanings."""
    for code in EXPLANATIONS:
        assert run("check", "--explain", code).stdout.startswith(code)
        assert code not in CONFIGURATION
