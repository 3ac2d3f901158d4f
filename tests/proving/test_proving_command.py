"""`agentguard prove`: the two questions of the issue, claims in files, exit codes, what is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agentguard.policy import read
from agentguard.policy.proving import solver
from agentguard.policy.testing import read_test
from tests.cli.support import run

POLICY = """\
policy: payments
owner: finance-security
tools: ["payments.*"]
rules:
  - id: small
    effect: allow
    when: agent.role == "billing" && args.amount <= 10000
  - id: tagged
    effect: step_up
    when: environment == "prod" && !("prod-approved" in agent.tags)
    approval: {reviewers: [group:finance]}
"""
CLAIMS = """\
since: 2026-11-20
proofs:
  - name: outside prod-approved nothing is paid in prod without a person
    never: runs
    tool: payments.transfer
    when: environment == "prod" && !("prod-approved" in agent.tags)
  - name: small transfers are possible
    reachable: payments/small
"""
QUESTION = (
    "--tool",
    "payments.transfer",
    "--when",
    'environment == "prod" && !("prod-approved" in agent.tags)',
)


def written(place: Path, **files: str) -> Path:
    place.mkdir(mode=0o755, exist_ok=True)
    for name, text in files.items():
        path = place / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
    return place


@pytest.fixture
def policies(work: Path) -> Path:
    return written(work / "policies", payments=POLICY)


def test_can_anyone_outside_the_tag_pay_in_prod_without_an_approval(policies: Path) -> None:
    """The first question of the issue: proved, and said under which assumptions."""
    found = run("prove", "never", "runs", "--policy", policies, *QUESTION).stdout
    assert found.startswith("PROVED  no call to `payments.transfer`")
    assert "the register holds no exceptions" in found.replace("\n           ", " ").replace("  ", " ")
    data = json.loads(run("prove", "never", "runs", "--policy", policies, *QUESTION, "--json").stdout)
    assert (data["answer"], data["tools"], data["counterexample"]) == ("proved", ["payments.transfer"], None)


def test_without_the_rule_the_call_that_gets_through_is_shown(policies: Path) -> None:
    """The same question to a set without the step-up: a call, its decision, and a case to paste."""
    written(policies, payments=POLICY.split("  - id: tagged")[0])
    result = run("prove", "never", "runs", "--policy", policies, *QUESTION, "--json", code=1)
    data = json.loads(result.stdout)
    assert data["answer"] == "refuted"
    assert data["counterexample"]["request"]["environment"] == "prod"
    assert data["counterexample"]["decisions"]["today"]["effect"] == "allow"
    text = run("prove", "never", "runs", "--policy", policies, *QUESTION, code=1, COLUMNS="80").stdout
    assert "REFUTED" in text
    assert "allow by payments/small" in text


def test_the_case_of_a_counterexample_is_one(policies: Path) -> None:
    """What is to be pasted is read as a case, and fails today, as it should."""
    written(policies, payments=POLICY.split("  - id: tagged")[0].replace("billing", r"b\u00fc\"\n"))
    data = json.loads(run("prove", "never", "runs", "--policy", policies, *QUESTION, "--json", code=1).stdout)
    body = "".join(f"  {line}\n" for line in data["case"].splitlines())
    source, findings = read(f"now: 2026-11-20T10:00:00Z\ncases:\n{body}", "x_test.yaml")
    assert findings == []
    assert source is not None
    file, wrong = read_test(source)
    assert wrong == []
    assert file is not None
    assert file.cases[0].want.effect == "deny"
    assert file.cases[0].request.agent["role"] == 'bü"\n'


def test_a_case_wants_what_is_not_decided_today(policies: Path) -> None:
    """A call that is denied and should not be is wanted as allowed."""
    data = json.loads(run("prove", "never", "denied", "--policy", policies, "--json", code=1).stdout)
    assert "want: allow" in data["case"]


def test_is_a_candidate_wider(policies: Path, work: Path) -> None:
    """The second question of the issue: a word, a call for each direction, an exit code."""
    wider = written(work / "wider", payments=POLICY.replace("10000", "20000"))
    narrower = written(work / "narrower", payments=POLICY.replace("10000", "5000"))
    other = written(
        work / "other", payments=POLICY.replace("10000", "20000").replace("prod-approved", "approved")
    )
    base = ("prove", "compare", "--policy", policies, "--candidate")
    assert run(*base, policies).stdout.startswith("EQUAL  ")
    assert run(*base, narrower).stdout.startswith("NARROWER  ")
    text = run(*base, wider, code=1).stdout
    assert text.startswith("WIDER  ")
    assert "A call that gets further than today:" in text
    assert "today     deny by agentguard/default" in text
    data = json.loads(run(*base, other, "--json", code=1).stdout)
    assert data["answer"] == "incomparable"
    assert data["lets_more_through"]["witness"]["decisions"]["today"]["effect"] in ("step_up", "deny")
    assert data["lets_less_through"]["witness"]["decisions"]["candidate"]["effect"] in ("step_up", "deny")
    assert run(*base, wider, "--tool", "files.*").stdout.startswith("EQUAL  ")


def test_an_unknown_is_exit_3_and_names_the_line(policies: Path) -> None:
    """Neither proved nor refuted is no success, and says which construct of which rule on which line."""
    written(policies, payments=POLICY.replace("args.amount <= 10000", "now.getHours() == 25"))
    text = run("prove", "never", "runs", "--policy", policies, code=3).stdout
    assert "UNKNOWN" in text
    assert "payments/small" in text
    assert "policies/payments.yaml:5" in "".join(text.split())  # a long folder wraps
    assert "`getHours(...)`" in text
    assert run("prove", "compare", "--policy", policies, "--candidate", policies).stdout.startswith("EQUAL")


def test_the_time_that_is_given_is_an_option(policies: Path) -> None:
    """A question that is too hard for its time is unknown, and says so."""
    hard = " && ".join(
        f"args.a{i} * args.a{i} * args.a{i} + args.b{i} * args.b{i} == {10**15 + i}" for i in range(6)
    )
    written(policies, payments=POLICY.replace("args.amount <= 10000", hard))
    text = run("prove", "never", "runs", "--policy", policies, "--timeout-s", "0.2", code=3).stdout
    assert "no answer within 0.2 s; give it more with --timeout-s" in " ".join(text.split())


def test_claims_beside_policies_are_proved(policies: Path) -> None:
    """A folder brings its proofs, as a file does those beside it; policies do not become proofs."""
    written(policies, payments_proofs=CLAIMS)
    for args in (
        ("policies",),
        ("files", "policies"),
        ("policies/payments.yaml",),
        ("policies/payments_proofs.yaml",),
    ):
        assert "Proofs: 2 proved, 0 refuted, 0 unknown" in run("prove", *args).stdout
    run("check", "policies")


def test_without_paths_the_configuration_says_which(policies: Path, work: Path) -> None:
    """`agentguard prove` alone is what the configuration names."""
    written(policies, payments_proofs=CLAIMS)
    written(work, agentguard="policies: policies/\n")
    assert "Proofs: 2 proved" in run("prove").stdout
    data = json.loads(run("prove", "--json").stdout)
    assert [one["holds"] for one in data["proofs"]] == [True, True]


def test_a_claim_that_does_not_hold_fails_the_run(policies: Path) -> None:
    """It is shown with its line and its call; a rule that nothing reaches fails as well."""
    more = "  - {name: nobody pays, never: passes}\n"
    more += "  - {name: huge, reachable: payments/small, when: args.amount > 99999}\n"
    written(policies, payments_proofs=CLAIMS + more)
    text = run("prove", "policies", code=1).stdout
    assert "REFUTED  nobody pays  policies/payments_proofs.yaml:9" in text
    assert "REFUTED  huge  policies/payments_proofs.yaml:10" in text
    assert "Proofs: 2 proved, 2 refuted, 0 unknown" in text
    held = json.loads(run("prove", "policies", "--json", code=1).stdout)
    assert [one["holds"] for one in held["proofs"]] == [True, True, False, False]


def test_an_unknown_claim_is_exit_3(policies: Path) -> None:
    """Unknown is never the same as proved."""
    written(policies, payments_proofs="proofs:\n  - {name: hours, never: runs, when: now.getHours() == 25}\n")
    assert "1 unknown" in run("prove", "policies", code=3).stdout


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("{name: x, never: runs, tol: pay}", "AG102 unknown key `tol`"),
        ("{name: x, never: run}", "AG104 unknown word for `never`"),
        ("{name: x}", "AG402 a proof needs `never` or `reachable`"),
        ("{name: x, never: runs, reachable: payments/small}", "AG402 a proof needs `never` or `reachable`"),
        ("{name: x, reachable: payments/smal}", "did you mean `payments/small`?"),
        ("{name: x, reachable: payments/small, tool: pay}", "`tool` does not belong to `reachable`"),
        ("{name: x, never: runs, when: args.a ==}", "AG201"),
        ("{name: x, never: runs, when: arg.a == 1}", "AG202 unknown name `arg`"),
        ("{name: x, never: runs, tool: 'pay*'}", "AG108"),
        ("{name: x, never: }", "AG103"),
        ("{name: x, never: runs}\n  - {name: x, never: asks}", "there are two proofs `x`"),
    ],
)
def test_claims_are_read_as_strictly_as_policies_T48(policies: Path, claim: str, message: str) -> None:
    """What cannot be meant is refused with its line, and nothing is proved."""
    written(policies, payments_proofs=f"proofs:\n  - {claim}\n")
    result = run("prove", "policies", code=2)
    assert message in result.stderr
    assert "policies/payments_proofs.yaml:2" in result.stderr or "proofs.yaml:3" in result.stderr
    assert result.stdout == ""


def test_nothing_to_prove_is_an_error(policies: Path, work: Path) -> None:
    """No file of proofs, an empty one, or none that is there."""
    assert "there is no proof" in run("prove", "policies", code=2).stderr
    written(policies, payments_proofs="description: none\n")
    assert "AG405" in run("prove", "policies", code=2).stderr
    run("prove", "elsewhere", code=2)
    written(policies, payments_proofs="since: 2026-11-20\nat: 2026-11-21\nproofs: [{name: x, never: runs}]\n")
    assert "contradict" in run("prove", "policies", code=2).stderr


def test_a_file_that_anybody_may_change_is_refused_T39(policies: Path) -> None:
    """Whoever can edit a claim decides what is checked."""
    written(policies, payments_proofs=CLAIMS)
    (policies / "payments_proofs.yaml").chmod(0o666)
    assert "AG301" in run("prove", "policies", code=2).stderr


@pytest.mark.parametrize(
    "args",
    [
        ("never", "sometimes"),
        ("never", "--when", "args.a =="),
        ("never", "--when", "arg.a == 1"),
        ("never", "--tool", "pay*"),
        ("never", "--at", "2026-11-20", "--since", "2026-11-20"),
        ("never", "--at", "yesterday"),
        ("reachable", "payments/smal"),
        ("reachable",),
        ("compare",),
    ],
)
def test_usage(policies: Path, args: tuple[str, ...]) -> None:
    """What cannot be asked is said in a line or two."""
    result = run("prove", *args, "--policy", policies, code=2)
    assert result.stdout == ""
    assert result.stderr


def test_a_rule_that_can_match_is_shown_matching(policies: Path) -> None:
    """Reachable is the success here; unreachable is a finding."""
    text = run("prove", "reachable", "payments/small", "--policy", policies).stdout
    assert text.startswith("REACHABLE  a call matches rule `payments/small`")
    text = run(
        "prove", "reachable", "payments/small", "--when", "args.amount > 10000", "--policy", policies, code=1
    ).stdout
    assert text.startswith("UNREACHABLE  rule `payments/small` matches no call with")


def test_what_comes_from_outside_is_shown_safely_T52(policies: Path) -> None:
    """A text of a policy that a terminal would obey is written out."""
    written(
        policies,
        payments=POLICY.replace('"billing"', '"\\e[31m\\u202e"')
        .replace("when: agent", "when: 'agent")
        .replace("10000", "10000'")
        .replace("\\e", "\\x1b"),
    )
    text = run("prove", "never", "runs", "--policy", policies, code=1).stdout
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_without_the_solver_one_line_says_what_to_install(
    policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named; no traceback."""
    monkeypatch.setattr(solver, "z3", None)
    written(policies, payments_proofs=CLAIMS)
    for args in (
        ("policies",),
        ("never", "--policy", policies),
        ("compare", "--policy", policies, "--candidate", policies),
    ):
        result = run("prove", *args, code=2)
        assert result.stderr == "agentguard: proofs need the solver z3: pip install 'agentguard[prove]'\n"


def test_a_missing_module_is_the_same_as_none(policies: Path) -> None:
    """In a process that cannot import z3, the command says the same, and all others work."""
    code = (
        "import sys; sys.modules['z3'] = None; from agentguard.cli import main; "
        "sys.argv = ['agentguard', *{}]; main()"
    )
    asked = ["prove", "never", "--policy", str(policies)]
    found = subprocess.run(
        [sys.executable, "-c", code.format(asked)], capture_output=True, text=True, timeout=300
    )
    assert (found.returncode, found.stderr) == (
        2, "agentguard: proofs need the solver z3: pip install 'agentguard[prove]'\n",
    )  # fmt: skip
    asked = ["schema", "proofs"]
    found = subprocess.run(
        [sys.executable, "-c", code.format(asked)], capture_output=True, text=True, timeout=300
    )
    assert (found.returncode, yaml.safe_load(found.stdout)["title"]) == (0, "agentguard policy proofs")


@pytest.mark.parametrize("columns", ["80", "120"])
def test_lines_fit_the_terminal(policies: Path, columns: str) -> None:
    """But for what is to be copied, nothing is wider than the terminal."""
    text = run("prove", "never", "passes", "--policy", policies, code=1, COLUMNS=columns).stdout
    assert all(
        len(line.rstrip()) <= int(columns) for line in text.splitlines() if not line.startswith("    ")
    )


TOOLS = "payments.transfer: {}\nfiles.read: {}\n"


def test_a_tool_that_tool_facts_do_not_know_is_an_error(policies: Path, work: Path) -> None:
    """On the command line and in a claim, with the name that was meant."""
    written(work, agentguard="policies: policies/\ntools: tools.yaml\n", tools=TOOLS)
    result = run("prove", "never", "runs", "--tool", "paymnts.transfer", code=2)
    assert "did you mean `payments.transfer`?" in result.stderr
    written(policies, payments_proofs="proofs:\n  - {name: x, never: runs, tool: paymnts.transfer}\n")
    result = run("prove", code=2)
    assert "did you mean `payments.transfer`?" in result.stderr
    assert "payments_proofs.yaml:2" in result.stderr


def test_a_tool_that_no_rule_concerns_is_a_warning(policies: Path) -> None:
    """Only the default decides about it; that is said."""
    base = ("prove", "never", "runs", "--policy", policies, "--tool", "paymnts.transfer")
    assert "warning  no rule names `paymnts.transfer`" in run(*base).stdout
    assert "no rule names" in json.loads(run(*base, "--json").stdout)["warnings"][0]


def test_a_premise_that_no_call_fulfils_is_exit_3(policies: Path) -> None:
    """Never a silent success."""
    text = run(
        "prove", "never", "--policy", policies, "--when", 'args.x == "5" && args.x == 5', code=3
    ).stdout
    assert "vacuous: no call fulfils the condition" in " ".join(text.split())


def test_what_the_configuration_contradicts_is_said(policies: Path, work: Path) -> None:
    """An engine that permits makes it unknown; a bundle that runs is a warning."""
    engine = "{kind: opa, name: eng, url: 'http://127.0.0.1:1', permits: true}"
    written(work, agentguard=f"policies: policies/\nengines: [{engine}]\n")
    assert "engine/eng" in run("prove", "never", "runs", "--when", "args.amount > 10000", code=3).stdout
    written(work, agentguard="policies: policies/\nbundle: a.bundle\ntrust: a.jwk\n")
    asked = ("prove", "never", "runs", "--when", "args.amount > 10000")
    assert "warning  `bundle:" in run(*asked).stdout
    assert "bundle" in json.loads(run(*asked, "--json").stdout)["warnings"][0]
