"""`agentguard eval run` as a person and as a pipeline use it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import HOSTILE, RAW, run
from tests.evals.support import ALLOW, ASK_TO_SEND, DENY, READ, honest, policy_file, recordings, row


def test_what_went_wrong_comes_first_and_can_be_run_again(work: Path) -> None:
    """The line that the screen shows is a command that runs exactly that case."""
    runs = recordings(work, row(), honest(), row())
    said = run("eval", "run", "runs.jsonl", "--policy", policy_file(work, ALLOW)).stdout
    assert runs.exists()
    assert said.index("went wrong: 2 cases") < said.index("metric")
    (again,) = re.findall(r"one of them again: agentguard (.*)", said)
    once = run(*again.split()).stdout
    assert "runs.jsonl:1" in once
    assert "runs.jsonl:3" not in once
    assert "only some of the cases" in once


def test_the_last_line_counts_and_names_the_report_and_the_exit_code(work: Path) -> None:
    """One line that a log keeps."""
    recordings(work, row(), honest(), "broken")
    said = run("eval", "run", "runs.jsonl", "--policy", policy_file(work, READ), "--out", "r.json").stdout
    assert said.splitlines()[-1] == (
        "Eval: 1 suite, 2 cases, 1 went wrong, 0 errors, 1 broken row; report in r.json; exit 0."
    )


@pytest.mark.parametrize("columns", ["80", "120"])
def test_every_rate_stands_with_n_and_interval(work: Path, columns: str) -> None:
    """On narrow and wide terminals."""
    recordings(work, row(), honest())
    said = run("eval", "run", "runs.jsonl", "--policy", policy_file(work, READ), COLUMNS=columns).stdout
    assert re.search(r"reachable_attack_success +0\.0 % +0 of 1 +0\.0 to 79\.3 %", said)
    assert "never fired" not in said


def test_thresholds_decide_the_exit_code(work: Path) -> None:
    """0 met, 1 missed, 2 misread."""
    recordings(work, row(), honest())
    policy = policy_file(work, READ, ASK_TO_SEND)
    common = ("eval", "run", "runs.jsonl", "--policy", policy, "--approver", "oracle", "--fail-under")
    assert "--fail-under met" in run(*common, "reachable_attack_success<=0,utility>=1").stdout
    assert (
        "--fail-under missed: mail: uninterrupted>=0.9" in run(*common, "uninterrupted>=0.9", code=1).stdout
    )
    assert "did you mean" in run(*common, "uninterupted>=0.9", code=2).stderr


def test_broken_rows_are_named_and_strict_ends_in_2(work: Path) -> None:
    """Never skipped in silence."""
    recordings(work, row(), row(attack_step=[2], attack_steps=...))
    policy = policy_file(work, READ)
    assert (
        "broken: runs.jsonl:2: unknown key `attack_step`"
        in run("eval", "run", "runs.jsonl", "--policy", policy).stdout
    )
    assert "exit 2." in run("eval", "run", "runs.jsonl", "--policy", policy, "--strict", code=2).stdout


@pytest.mark.parametrize("rows", [[], ["broken", "{}"]])
def test_no_case_is_a_failure(work: Path, rows: list[str]) -> None:
    """A gate that measured nothing does not open."""
    recordings(work, *rows)
    found = run("eval", "run", "runs.jsonl", "--policy", policy_file(work, DENY), code=2)
    assert "nothing was measured" in found.stderr


def test_a_case_that_ends_in_an_error_is_no_pass(work: Path) -> None:
    """A tool that cannot be registered: it is in no figure, is listed first, and makes the exit code 1."""
    recordings(work, row(), row(tools=[{"name": "read", "description": "\ud800"}]))
    common = ("eval", "run", "runs.jsonl", "--policy", policy_file(work, READ))
    said = run(*common, "--fail-under", "reachable_attack_success<=0", code=1).stdout
    assert re.search(r"runs\.jsonl:2 +error: ", said)
    assert "1 error," in said.splitlines()[-1]
    assert re.search(r"reachable_attack_success +0\.0 % +0 of 1 ", said)


def test_a_baseline_decides_the_exit_code(work: Path) -> None:
    """The same passes; a loosened policy does not."""
    recordings(work, row(), honest())
    policy = policy_file(work, READ)
    run("eval", "run", "runs.jsonl", "--policy", policy, "--out", "old.json")
    again = ("eval", "run", "runs.jsonl", "--policy", policy, "--baseline", "old.json")
    assert "--baseline met: mail: no worse than the baseline" in run(*again).stdout
    policy_file(work, ALLOW)
    assert "reachable_attack_success: was 0, is 1" in run(*again, code=1).stdout


def test_names_that_do_not_exist_are_told_what_does(work: Path) -> None:
    """A suite, a file, a pack, a case, an ending of a report, a folder of data."""
    recordings(work, row())
    policy = policy_file(work, READ)
    ends = {
        ("agentdoj", "--policy", policy): "did you mean `agentdojo`",
        ("nothing.jsonl", "--policy", policy): "there is no file `nothing.jsonl`",
        ("runs.jsonl", "--policy", "hijakc"): "there is no policy file or folder `hijakc`",
        ("runs.jsonl", "--policy", policy, "--case", "runs.jsonl:7"): "did you mean `runs.jsonl:1`",
        ("runs.jsonl", "--policy", policy, "--out", "r.pdf"): "a report ends in .json, .jsonl, .html, .xml",
        ("runs.jsonl", "--policy", policy, "--out", "no/r.json"): "there is no folder `no`",
        ("runs.jsonl", "--policy", policy, "--tool-facts", "no.yaml"): "there is no tool-facts file",
        ("policy.yaml", "--policy", policy): "missing",
        ("bfcl", "--policy", policy, "--data", "."): "which is not there",
        ("bfcl", "--policy", policy): "--data DIR",
        ("runs.jsonl",): "no policies are named",
    }
    for args, said in ends.items():
        assert said in run("eval", "run", *args, code=2, AGENTGUARD_EVALS_DATA="").stderr, args


def test_inferred_facts_are_refused_where_nothing_infers(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that does nothing would be worse than none."""
    monkeypatch.setattr("agentguard_evals.facts.INFERENCE", ("agentguard.no_such_module", "infer"))
    recordings(work, row())
    found = run(
        "eval", "run", "runs.jsonl", "--policy", policy_file(work, READ), "--tool-facts", "inferred", code=2
    )
    assert "cannot infer tool facts" in found.stderr


def test_the_configuration_is_used_where_no_policy_is_named(project: Path) -> None:
    """As by every other command, with its tool facts."""
    recordings(project, honest(tools=[], steps=[{"call": "pay", "args": {"amount": 5}}, {"result": "paid"}]))
    said = run("eval", "run", "runs.jsonl").stdout
    assert "Eval: 1 suite, 1 case, 0 went wrong" in said
    assert "tool facts: tools.yaml (sha256:" in said


def test_json_on_standard_output_is_the_report(work: Path) -> None:
    """And nothing else."""
    recordings(work, row())
    found = json.loads(run("eval", "run", "runs.jsonl", "--policy", policy_file(work, READ), "--json").stdout)
    assert found["kind"] == "agentguard-eval-report"


def test_a_limit_takes_evenly_of_both_kinds(work: Path) -> None:
    """And the report says that it did."""
    recordings(work, *(row(id=f"a{n}") for n in range(10)), *(honest(id=f"h{n}") for n in range(4)))
    policy = policy_file(work, READ)
    report = json.loads(run("eval", "run", "runs.jsonl", "--policy", policy, "--limit", "5", "--json").stdout)
    (suite,) = report["suites"]
    assert [one["id"] for one in suite["cases"]] == ["a0", "a2", "a4", "a6", "a8", "h0", "h1", "h2", "h3"]
    assert (suite["selected"], report["limit"]) == (True, 5)


def test_names_from_recordings_are_made_visible_T57(work: Path) -> None:
    """No escape sequence reaches the terminal."""
    recordings(work, row(id=HOSTILE, suite=HOSTILE), "broken")
    said = run("eval", "run", "runs.jsonl", "--policy", policy_file(work, ALLOW)).stdout
    assert not any(raw in said for raw in RAW)


def test_a_policy_that_anybody_may_change_is_refused(work: Path) -> None:
    """As everywhere."""
    recordings(work, row())
    policy = policy_file(work, READ)
    policy.chmod(0o666)
    assert "AG301" in run("eval", "run", "runs.jsonl", "--policy", policy, code=2).stderr


def test_the_environment_of_conditions_can_be_named(work: Path) -> None:
    """Policies that ask for it are measured in it."""
    recordings(work, honest())
    policy = policy_file(work, {"id": "prod", "effect": "allow", "when": 'environment == "prod"'})
    common = ("eval", "run", "runs.jsonl", "--policy", policy, "--json")
    for options, value in (((), 1.0), (("--environment", "prod"), 0.0)):
        found = json.loads(run(*common, *options).stdout)
        assert found["suites"][0]["metrics"]["false_denials"]["value"] == value


def test_suites_are_listed(work: Path) -> None:
    """With what they need."""
    said = run("eval", "suites").stdout
    assert "agentdojo-late" in said
    assert "policy packs:" in said


def test_neither_agentguard_nor_the_command_line_loads_the_suites() -> None:
    """They come with the first evaluation."""
    code = (
        "import sys, agentguard, agentguard.cli.app;"
        "print([name for name in sys.modules if name.startswith(('agentguard_evals', 'agentdojo'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_engines_of_the_configuration_are_said_not_to_be_asked(project: Path) -> None:
    """What decides in production and not here has to be known."""
    recordings(project, honest(tools=[], steps=[{"call": "pay", "args": {"amount": 5}}, {"result": "paid"}]))
    with (project / "agentguard.yaml").open("a", encoding="utf-8") as config:
        config.write("engines: [{kind: opa, url: 'https://opa.example/v1/data/x', tools: [pay]}]\n")
    assert "engines of the configuration are not asked" in run("eval", "run", "runs.jsonl").stderr


def test_a_suite_whose_package_is_missing_says_what_to_install(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback."""
    for name in ("dojo", "dojo_world", "dojo_attacks"):
        monkeypatch.delitem(sys.modules, f"agentguard_evals.{name}", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "agentdojo"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "agentdojo", None)
    found = run("eval", "run", "agentdojo", "--policy", policy_file(work, READ), code=2)
    assert "pip install 'agentguard[evals]'" in found.stderr


def test_a_half_is_chosen_and_named_in_the_command_that_runs_a_case_again(work: Path) -> None:
    """The half to build with where nothing is said."""
    file = policy_file(work, ALLOW)
    said = run("eval", "run", "delegated", "--policy", file, "--limit", "1").stdout
    assert said.startswith("delegated-dev ")
    said = run("eval", "run", "delegated", "--split", "held_out", "--policy", file, "--limit", "1").stdout
    assert said.startswith("delegated-held-out ")
    (again,) = re.findall(r"one of them again: agentguard (.*)", said)
    assert "--split held_out" in again
    assert "only some of the cases" in run(*again.split()).stdout


def test_what_went_wrong_in_the_half_kept_aside_is_counted_and_not_listed(work: Path) -> None:
    """Nobody looks at it by accident."""
    file = policy_file(work, ALLOW)
    options = ("--split", "held_out", "--policy", file, "--out", "r.html")
    said = run("eval", "run", "delegated", *options).stdout
    page = Path("r.html").read_text(encoding="utf-8")
    assert "went wrong: 148 cases\nnot listed: " in said
    assert "Not listed: " in page
    assert "/injected-1" not in said + page


def test_a_suite_with_halves_is_gated_by_conditions(work: Path) -> None:
    """Wishes that are not met are figures there, and no exit code."""
    file = policy_file(work, DENY)
    run("eval", "run", "delegated", "--policy", file)
    said = run("eval", "run", "delegated", "--policy", file, "--fail-under", "as_wanted>=1", code=1).stdout
    assert "as_wanted" in said


def test_both_halves_are_two_suites(work: Path) -> None:
    """Never pooled; one report."""
    run("eval", "run", "delegated", "--split", "all", "--policy", policy_file(work, DENY), "--out", "r.json")
    report = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert [suite["name"] for suite in report["suites"]] == ["delegated-dev", "delegated-held-out"]
    assert [suite["split"] for suite in report["suites"]] == ["dev", "held_out"]
    assert "--split all" in report["command"]


def test_a_half_of_a_suite_without_halves_is_a_usage_error(work: Path) -> None:
    """Nobody believes that the other half was kept aside."""
    recordings(work, row())
    said = run("eval", "run", "runs.jsonl", "--split", "dev", "--policy", policy_file(work, ALLOW), code=2)
    assert "`runs.jsonl` has no halves" in said.stderr
    assert "`delegated`" in said.stderr
