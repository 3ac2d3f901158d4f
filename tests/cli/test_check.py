"""`agentguard check`: every problem of every file at its place, and silence only where nothing is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agentguard.config import EXPLANATIONS as CONFIGURATION
from agentguard.policy import EXPLANATIONS
from tests.cli.support import CONFIG, POLICY, folder, run

TYPOS = """\
policy: files
tools: [delete_fil]
rules:
  - id: no-etc
    efect: deny
    when: args.path.startsWith("/etc/")
  - id: big
    effect: deny
    when: arg.size > 3
  - id: ok
    effect: allow
"""


def test_a_clean_folder_is_clean(project: Path) -> None:
    assert run("check").stdout == "Found no problems in 4 files (2 rules read).\n"


def test_three_seeded_typos_are_three_findings_at_their_places(work: Path) -> None:
    """A key, a tool name and an identifier inside a condition; one run, one count line, exit 1."""
    folder(work, policies__pay_yaml=TYPOS, tools_yaml="delete_file: {}\n")
    found = run("check", code=1).stdout
    assert "policies/pay.yaml:2:9: AG210 tool `delete_fil` is not registered" in found
    assert "did you mean `delete_file`?" in found
    assert "policies/pay.yaml:5:5: AG102 unknown key `efect` in rule `no-etc`" in found
    assert "    |     ^^^^^ did you mean `effect`?" in found
    assert "policies/pay.yaml:9:11: AG202" in found
    assert found.endswith("Found 3 errors in 4 files (3 rules read). Nothing was loaded.\n")


def test_paths_on_the_command_line_replace_the_configuration(work: Path) -> None:
    folder(work)
    (work / "other.yaml").write_text(POLICY.replace("amount", "amont"))
    (work / "other.yaml").chmod(0o644)
    assert run("check", "other.yaml").stdout == "Found no problems in 1 file (2 rules read).\n"
    found = run("check", "other.yaml", "--tools", "tools.yaml", code=1).stdout
    assert "AG211" in found
    assert "did you mean" in found


@pytest.mark.parametrize("text", ["", "policy: p\nrules: []\n"])
def test_no_rules_is_an_error_and_not_an_empty_success(work: Path, text: str) -> None:
    folder(work, policies__pay_yaml=text)
    assert "AG012" in run("check", code=1).stdout


def test_an_empty_folder_and_a_missing_path_are_findings(project: Path) -> None:
    (project / "policies" / "pay.yaml").unlink()
    assert "AG011" in run("check", code=1).stdout
    assert "AG001 the policy path does not exist" in run("check", "deny everything", code=1).stdout


def test_the_configuration_tool_facts_and_directory_are_checked_too(work: Path) -> None:
    config = "policies: policies/\ndirectory: directory.yaml\ntools: tools.yaml\nrecrod: before\n"
    folder(work, agentguard_yaml=config, tools_yaml="pay: {write: true}\n", directory_yaml="people: [ana]\n")
    first = run("check", code=1).stdout
    assert "agentguard.yaml:4:1: AG102 unknown key `recrod`; did you mean `record`?" in first.replace(
        "\n   3 | tools: tools.yaml\n>  4 | recrod: before\n     | ^^^^^^ ", "; "
    )
    assert "tools.yaml:1:7: AG102 unknown key `write` in `pay`" in first
    assert "directory.yaml:1:1: AG303 `people` must be a mapping in the directory" in first
    assert "policies/pay.yaml:2:9: AG210 tool `pay` is not registered" in first
    assert first.endswith("Found 4 errors in 4 files (2 rules read). Nothing was loaded.\n")


def test_every_mistake_of_a_directory_has_its_place_and_a_suggestion(work: Path) -> None:
    folder(work, directory_yaml="people:\n  ana: {alias: [a]}\n  ben: {grups: [x]}\n")
    found = run("check", code=1).stdout
    assert "directory.yaml:2:9: AG303 unknown key `alias`" in found
    assert "did you mean `aliases`?" in found
    assert "directory.yaml:3:9: AG303 unknown key `grups`" in found
    assert "did you mean `groups`?" in found


@pytest.mark.parametrize("kind", ["tests", "proofs"])
def test_a_policy_that_is_named_as_tests_or_proofs_is_an_error(work: Path, kind: str) -> None:
    """It would not be in force, whatever it denies."""
    name = {"tests": "no_test.yaml", "proofs": "no_proofs.yaml"}[kind]
    folder(work)
    (work / "policies" / name).write_text(POLICY.replace("policy: ", "policy: not-"))
    (work / "policies" / name).chmod(0o644)
    found = run("check", code=1).stdout
    assert f"policies/{name}:1:1: AG013 this policy is not loaded: by its name the file holds {kind}" in found
    assert "rename the file" in found
    assert "Found 1 error " in found


def test_a_hidden_file_is_a_warning(work: Path) -> None:
    """It is left out of the folder, which an operator has to see."""
    folder(work)
    (work / "policies" / ".more.yaml").write_text(POLICY)
    found = run("check", code=1).stdout
    assert "policies/.more.yaml: AG014 warning: a hidden file is not loaded" in found


@pytest.mark.parametrize("where", ["policies", "policies/pay.yaml", "policies/pay_proofs.yaml"])
def test_proofs_are_checked_for_their_shape(work: Path, where: str) -> None:
    """By their folder, with the policy that they lie beside, or by name."""
    folder(work)
    text = "proofs:\n  - {name: a, nevr: runs}\n  - {name: b, reachable: pay/none}\n"
    (work / "policies" / "pay_proofs.yaml").write_text(text)
    (work / "policies" / "pay_proofs.yaml").chmod(0o644)
    found = run("check", where, code=1).stdout
    assert "policies/pay_proofs.yaml:2:15: AG102 unknown key `nevr`" in found
    (work / "policies" / "pay_proofs.yaml").write_text(text.replace("nevr", "never"))
    assert "AG403 `pay/none` is no rule" in run("check", where, code=1).stdout


@pytest.mark.parametrize("permits", [True, False])
def test_what_another_engine_permits_counts_as_permitted(work: Path, permits: bool) -> None:
    """No rule has to permit anything then."""
    url = "http://127.0.0.1:8181/v1/data/a"
    engine = f"engines:\n  - {{kind: opa, url: '{url}', permits: {str(permits).lower()}}}\n"
    only = "policy: p\ntools: ['*']\nrules:\n  - {id: no, effect: deny, when: args.x == 1}\n"
    folder(work, agentguard_yaml=f"policies: policies/\n{engine}", policies__pay_yaml=only)
    assert ("AG220" in run("check", code=None).stdout) is not permits


def test_a_directory_that_is_missing_or_no_yaml_has_its_place(work: Path) -> None:
    folder(work, directory_yaml="people:\n  ana: {}\n  ana: {}\n")
    assert "directory.yaml:3:3: AG303 the key `ana` is there twice" in run("check", code=1).stdout
    (work / "directory.yaml").unlink()
    assert "directory.yaml: AG303 cannot be read" in run("check", code=1).stdout


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize(
    "name", ["policies/pay.yaml", "policies", "tools.yaml", "directory.yaml", "agentguard.yaml"]
)
def test_T47_what_anybody_may_change_is_a_finding(project: Path, name: str) -> None:
    path = project / name
    path.chmod(path.stat().st_mode | 0o002)
    found = run("check", code=1).stdout
    assert f"{name}: AG301" in found
    assert "chmod o-w" in found


def test_every_format_says_the_same(work: Path) -> None:
    folder(work, policies__pay_yaml=TYPOS, tools_yaml="delete_file: {}\n")
    data = json.loads(run("check", "--format", "json", code=1).stdout)
    codes = [one["code"] for one in data["findings"]]
    assert codes == ["AG210", "AG102", "AG202"]
    assert (data["errors"], data["files"], data["loaded"]) == (3, 4, False)
    github = run("check", "--format", "github", code=1).stdout.splitlines()
    assert github[1].startswith("::error file=policies/pay.yaml,line=5,col=5,endColumn=10,title=AG102::")
    sarif = json.loads(run("check", "--format", "sarif", code=1).stdout)
    assert [one["ruleId"] for one in sarif["runs"][0]["results"]] == codes
    assert "AG104" not in run("check", "--format", "text", code=1).stdout
    run("check", "--format", "xml", code=2)


def test_T57_no_format_prints_what_a_terminal_obeys(work: Path) -> None:
    text = POLICY.replace("more than 100", '"\\x9b2J\\u202e\\x1b[31m"').replace("pay]", '"p\\x9by"]')
    folder(work, policies__pay_yaml=text)
    for form in ("text", "json", "sarif"):
        out = run("check", "--format", form, code=1).stdout
        assert all(char.isprintable() or char == "\n" for char in out), form


def test_every_code_is_explained() -> None:
    for code in (*EXPLANATIONS, *CONFIGURATION):
        assert run("check", "--explain", code.lower()).stdout.startswith(f"{code}\n  ")
    assert "there is no finding `AG99`" in run("check", "--explain", "AG99", code=2).stderr


def test_nothing_to_check_is_a_usage_error(work: Path) -> None:
    assert "agentguard init" in run("check", code=2).stderr
    assert "does not exist" in run("check", "--config", "no.yaml", code=2).stderr
    assert "does not exist" in run("--config", "no.yaml", "check", code=2).stderr


def test_the_configuration_is_found_by_option_or_variable(work: Path) -> None:
    other = work / "elsewhere"
    other.mkdir(mode=0o755)
    folder(other)
    name = "elsewhere/agentguard.yaml"
    for args, env in (
        (("check", "--config", name), {}),
        (("--config", name, "check"), {}),
        (("check",), {"AGENTGUARD_CONFIG": name}),
    ):
        assert "Found no problems in 4 files" in run(*args, **env).stdout


SCHEMA = """\
pay:
  schema:
    type: object
    properties: {amount: {type: integer}, iban: {type: string}, note: {type: string}}
    required: [amount, iban]
"""
BAD_TESTS = """\
now: 2026-11-20T10:00:00Z
exceptions:
  - {id: EX-1, agent: a, rules: [pay/large], tools: [pay], owner: o, approver: b, reason: r,
     approved_at: 2026-11-01, control: {redact_result: ["$.x"]}}
cases:
  - name: small ones run
    request: {tool: pay, agent: a, args: {amount: 5}}
    wnat: allow
"""


def test_the_schemas_of_the_tool_facts_are_held_against_conditions(work: Path) -> None:
    """Types, names further in, and what may be absent, in one run with the rest."""
    policy = POLICY.replace("args.amount <= 100", 'args.amount == "5" && size(args.note) > 3')
    folder(work, policies__pay_yaml=policy, tools_yaml=SCHEMA)
    found = run("check", code=1).stdout
    assert (
        'policies/pay.yaml:6:27: AG214 warning: comparing `args.amount` with `"5"` is always false' in found
    )
    assert "AG216 warning: `args.note` may be absent in `pay`: then this rule does not permit" in found
    assert 'write `has(args.note) && size(args.note) > 3`, or `args.?note.orValue("")`' in found
    assert found.endswith("Found 2 warnings in 4 files (2 rules read).\n")


def test_tests_beside_policies_are_checked_too_T49(work: Path) -> None:
    """A misspelt key with its frame, an exception without an end; also where the file itself is named."""
    folder(work, policies__pay_test_yaml=BAD_TESTS)
    found = run("check", code=1).stdout
    assert "policies/pay_test.yaml:3:5: AG101 `expires` is missing in `exceptions` of the test file" in found
    assert "policies/pay_test.yaml:8:5: AG102 unknown key `wnat` in case `small ones run`" in found
    assert "     |     ^^^^ did you mean `want`?" in found
    assert found.endswith("Found 2 errors in 5 files (2 rules read). Nothing was loaded.\n")
    for path in ("policies/pay_test.yaml", "policies/pay.yaml", "policies"):
        assert "AG102 unknown key `wnat`" in run("check", path, code=1).stdout
    fixed = BAD_TESTS.replace("wnat", "want").replace("2026-11-01,", "2026-11-01, expires: 2026-12-01,")
    folder(work, policies__pay_test_yaml=fixed)
    assert run("check").stdout == "Found no problems in 5 files (2 rules read).\n"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_T47_tests_that_anybody_may_change_are_a_finding(work: Path) -> None:
    """They say what a policy has to decide."""
    folder(work, policies__pay_test_yaml=BAD_TESTS.replace("wnat", "want"))
    (work / "policies/pay_test.yaml").chmod(0o666)
    assert "policies/pay_test.yaml: AG301" in run("check", code=1).stdout


def test_files_are_named_as_the_repository_knows_them(work: Path) -> None:
    """Absolute paths in the working folder are relative for GitHub and SARIF, with version and help."""
    folder(work, policies__pay_yaml=TYPOS)
    path = work / "policies"
    github = run("check", path, "--format", "github", code=1).stdout
    assert "file=policies/pay.yaml," in github
    made = json.loads(run("check", path, "--format", "sarif", code=1).stdout)["runs"][0]
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in made["results"]]
    assert set(places) == {"policies/pay.yaml"}
    assert made["tool"]["driver"]["version"]
    (work / "agentguard.yaml").chmod(0o666)
    loose = json.loads(run("check", "--format", "sarif", code=1).stdout)["runs"][0]["tool"]["driver"]["rules"]
    assert "chmod" in next(one["help"]["text"] for one in loose if one["id"] == "AG301")


def test_a_default_that_lets_calls_run_is_no_set_that_denies_everything(work: Path) -> None:
    """A first rollout begins without an allow rule."""
    deny = "policy: pay\ntools: [pay]\nrules:\n  - {id: no, effect: deny, when: args.amount > 5}\n"
    config = CONFIG + "default: {effect: flag, owner: ana, until: 2099-01-31}\n"
    folder(work, policies__pay_yaml=deny)
    assert "AG220" in run("check", code=1).stdout
    folder(work, policies__pay_yaml=deny, agentguard_yaml=config)
    assert "Found no problems" in run("check").stdout
