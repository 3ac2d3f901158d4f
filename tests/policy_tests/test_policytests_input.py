"""Test files that are not right: each mistake is found, at its place, and no case is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentguard.policy import read, read_files
from agentguard.policy.testing import EXPLANATIONS, load_suites, read_test
from agentguard.policy.testing.document import FactsDocument
from agentguard.tools import ToolFacts
from tests.policy_tests.support import HEAD, PAY, findings, suites, write

CASE = "  - {name: x, request: base, want: allow}\n"


def only(text: str) -> tuple[str, str, str, str]:
    """Code, place, message and hint of the one finding."""
    (found,) = findings(text)
    return found.code, f"{found.line}:{found.col}", found.message, found.hint


# The head of a file, a right case and the beginning of a list of cases are written in angle brackets.
MISTAKES = [
    (
        "noww: 2026-01-01\ncases:\n<case>",
        "AG102", "noww", "unknown key `noww`", "`now`",
    ),
    (
        "<head>polices: [a]\ncases:\n<case>",
        "AG102", "polices", "`polices`", "`policies`",
    ),
    (
        "<head><cases>{name: x, request: base, wnat: deny, want: deny}\n",
        "AG102", "wnat", "`wnat`", "`want`",
    ),
    (
        "<head><cases>{name: x, request: base, want: dney}\n",
        "AG104", "dney", "`dney`", "`deny`",
    ),
    (
        "<head><cases>{name: x, request: base, want: {efect: deny, effect: deny}}\n",
        "AG102", "efect", "`efect`", "`effect`",
    ),
    (
        "<head><cases>{name: x, request: base, want: {effect: deny, rules: {exactyl: []}}}\n",
        "AG102", "exactyl", "`exactyl`", "`exactly`",
    ),
    (
        "<head><cases>{name: x, request: base, want: {effect: deny, obligations: [{kind: falg}]}}\n",
        "AG104", "{kind: falg", "`falg`", "`flag`",
    ),
    (
        "<head><cases>{name: x, request: base, want: {effect: deny, obligations: [{kind: set, pth: x}]}}\n",
        "AG102", "pth", "`pth`", "`path`",
    ),
    (
        "<head><cases>{name: x, request: {extends: base, facts: {wrties: true}}, want: deny}\n",
        "AG102", "wrties", "`wrties`", "`writes`",
    ),
    (
        "<head><cases>{name: x, request: {extends: base, supplied: {provenence: {}}}, want: deny}\n",
        "AG102", "provenence", "`provenence`", "`provenance`",
    ),
    (
        "<head>  odd: {tol: pay}\ncases:\n<case>",
        "AG102", "tol", "`tol` in request `odd`", "`tool`",
    ),
    (
        "<head><cases>{name: x, request: bsae, want: deny}\n",
        "AG401", "bsae", "no request `bsae`", "`base`",
    ),
    (
        "<head><cases>{name: x, request: {extends: base, without: [args.amuont]}, want: deny}\n",
        "AG401", "without", "no `args.amuont`", "",
    ),
    (
        "<head><cases>{name: x, request: {tool: pay}, want: deny}\n",
        "AG401", "request", "no `agent`", "say it here",
    ),
    (
        "<head>  loop: {extends: loop}\ncases:\n<case>",
        "AG401", "loop}", "extends itself", "",
    ),
    (
        "<head>cases:\n<case><case>",
        "AG402", "x, request", "two cases `x`", "",
    ),
    (
        "<head><cases>{name: x, want: deny}\n",
        "AG402", "x, want", "needs `request` or `requests`", "",
    ),
    (
        "<head><cases>{name: x, requests: {}, want: deny}\n",
        "AG402", "requests", "`requests` of case `x` is empty", "",
    ),
    (
        "<head>cases: []\n",
        "AG405", "now", "no `cases`", "",
    ),
    (
        "<head><cases>{name: x, request: base, want: }\n",
        "AG103", "want", "`want` has no value", "",
    ),
    (
        "<head><cases>{name: x, request: base}\n",
        "AG101", "{name", "`want` is missing", "",
    ),
    (
        "<head>defaults: {extends: base}\ncases:\n<case>",
        "AG401", "defaults", "extend nothing", "",
    ),
    (
        "<head>default: {effect: flag}\ncases:\n<case>",
        "AG303", "default", "needs an `owner`", "",
    ),
    (
        "<head>policies: [q.yaml]\ncases:\n<case>",
        "AG403", "q.yaml", "not among the policies of this run", "`p.yaml`",
    ),
    (
        "now: noon\n<cases>{name: x, request: {tool: t, agent: a}, want: deny}\n",
        "AG118", "noon", "`noon` is not a date", "",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "word", "message", "hint"), MISTAKES)
def test_a_mistake_is_found_at_its_place_T48(
    text: str, code: str, word: str, message: str, hint: str
) -> None:
    """File, line, column, and what was probably meant."""
    text = text.replace("<head>", HEAD).replace("<cases>", "cases:\n  - ").replace("<case>", CASE)
    (found,) = findings(text)
    assert found.code == code
    assert text.splitlines()[found.line - 1][found.col - 1 :].startswith(word), found.at
    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("want", "name"),
    [
        ("{effect: allow, rules: {none_of: [pay/lagre]}}", "pay/lagre"),
        ("{effect: allow, rules: {none_of: [large]}}", "large"),
        ("{effect: allow, observed: {none_of: [pay/lagre]}}", "pay/lagre"),
        ("{effect: allow, errors: [pay/lagre]}", "pay/lagre"),
        ("{effect: allow, obligations: {none_of: [{kind: flag, rule: pay/lagre}]}}", "pay/lagre"),
    ],
)
def test_a_name_that_no_rule_has_is_an_error_T48(want: str, name: str) -> None:
    """`none_of` with a misspelt rule would pass forever."""
    text = f"{HEAD}cases:\n  - {{name: x, request: base, want: {want}}}\n"
    code, place, message, hint = only(text)
    assert (code, message) == ("AG403", f"`{name}` is no rule (in case `x`)")
    assert int(place.split(":")[1]) == text.splitlines()[4].index(name) + 1
    assert hint == "did you mean `pay/large`?"


def test_an_exception_that_can_never_apply_is_an_error_T49() -> None:
    """One without a control, and one for a rule that does not exist, are refused as the register does."""
    record = (
        "exceptions:\n  - {id: E, agent: a, rules: [pay/RULE], tools: [pay], owner: o, approver: c,\n"
        "     reason: r, approved_at: 2026-11-01, expires: 2026-12-01, control: {CONTROL}}\n"
    )
    prose = record.replace("RULE", "large").replace("CONTROL", "description: be careful")
    code, place, message, _ = only(f"{HEAD}{prose}cases:\n{CASE}")
    assert (code, place) == ("AG404", "5:10")
    assert "only prose" in message
    unknown = record.replace("RULE", "lagre").replace("CONTROL", "reserve: {key: k, limit: 1}")
    code, place, message, hint = only(f"{HEAD}{unknown}cases:\n{CASE}")
    assert (code, place, hint) == ("AG403", "5:31", "did you mean `pay/large`?")
    assert message == "`pay/lagre` is no rule (in exception `E`)"
    wrong = record.replace("RULE", "large").replace("CONTROL", "reserve: {key: k, limit: 1, per: [agnt.id]}")
    assert only(f"{HEAD}{wrong}cases:\n{CASE}")[0] == "AG202"


@pytest.mark.parametrize("name", ["a\\u202eb", " a", "a::b", "a\\nb", ""])
def test_a_name_that_cannot_be_typed_is_refused_T57(name: str) -> None:
    """Names stand in ids, on terminals and in reports."""
    for text in (
        f'{HEAD}cases:\n  - {{name: "{name}", request: base, want: deny}}\n',
        f'{HEAD}cases:\n  - {{name: x, requests: {{"{name}": base}}, want: deny}}\n',
        f'{HEAD}  "{name}": base\ncases:\n{CASE}'.replace(": base\n", ": {tool: t}\n"),
    ):
        assert "AG103" in {one.code for one in findings(text)}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("now: 2026-01-01\nnow: 2026-01-02\ncases: []\n", "AG005"),
        ("now: &a 2026-01-01\ncases: [*a]\n", "AG006"),
        ("now: !!python/object:os.system x\n", "AG006"),
        ("now: 012\ncases: []\n", "AG007"),
        ("now: 2026-01-01\n---\nnow: 2026-01-01\n", "AG009"),
        ("[" * 100, "AG008"),
        ("now: \x1b\n", "AG003"),
    ],
)
def test_the_reader_of_policies_refuses_what_is_not_plain_yaml_T46(text: str, code: str) -> None:
    """Duplicate keys, aliases, tags, octal numbers, depth, control characters."""
    assert [one.code for one in read(text, "x_test.yaml")[1]] == [code]


@pytest.mark.parametrize("text", ["", "- 1\n", "just text\n", "policy: p\nrules: []\n"])
def test_what_is_no_test_file_is_an_error(text: str) -> None:
    """An empty file would pass."""
    found, _ = read(text, "x_test.yaml")
    assert found is not None
    file, problems = read_test(found)
    assert file is None
    assert [one.code for one in problems] == ["AG405"]


def test_a_test_file_opens_no_other_file_T46(work: Path) -> None:
    """`policies` chooses among those of the run: a path that leads elsewhere is refused unread."""
    write(work, secret="policy: x\n", set__p=PAY)
    for path in ("../secret.yaml", str(work / "secret.yaml"), "/etc/passwd", "."):
        write(work, set__p_test=f'{HEAD}policies: ["{path}"]\ncases:\n{CASE}')
        found = load_suites(["set"], ["set"])
        assert [(one.code, one.file) for one in found.findings] == [("AG403", "set/p_test.yaml")]
        assert found.suites == ()


def test_links_that_lead_out_of_the_folder_are_refused_T46(work: Path) -> None:
    """For tests as for policies."""
    write(work, elsewhere=f"{HEAD}cases:\n{CASE}", set__p=PAY)
    (work / "set" / "p_test.yaml").symlink_to(work / "elsewhere.yaml")
    assert [one.code for one in read_files("set", tests=True).findings] == ["AG002"]
    assert load_suites(["set"], ["set"]).suites == ()


def test_tests_and_policies_of_a_folder_are_told_apart(work: Path) -> None:
    """By the end of their names; neither is read as the other."""
    write(work, set__p=PAY, set__p_test=f"{HEAD}cases:\n{CASE}", set__sub__q_test=f"{HEAD}cases:\n{CASE}")
    assert read_files("set").names == ("set/p.yaml",)
    assert read_files("set", tests=True).names == ("set/p_test.yaml", "set/sub/q_test.yaml")


def test_one_broken_file_stops_all() -> None:
    """No case of another file passes beside it."""
    found = suites(f"{HEAD}cases:\n{CASE}", PAY, "policy: q\nrules: [{id: a, effect: nope}]\n")
    assert found.suites == ()
    assert {one.file for one in found.findings} == {"p1.yaml"}


def test_the_facts_of_a_test_are_those_of_a_tool() -> None:
    """A fact that a tool can have can be tested, and no other."""
    assert set(FactsDocument.model_fields) == set(ToolFacts.model_fields)


def test_every_code_is_explained() -> None:
    """`agentguard check --explain` knows them."""
    assert sorted(EXPLANATIONS) == ["AG401", "AG402", "AG403", "AG404", "AG405"]
