"""Checking policies: what is wrong, where, and what was meant; all of it in one run."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentguard.errors import PolicyError
from agentguard.policy import (
    EXPLANATIONS,
    Finding,
    Snapshot,
    Source,
    check_documents,
    check_files,
    read,
    read_files,
    render_github,
    render_json,
    render_sarif,
    render_text,
)
from tests.policy.support import PAYMENTS, exception, policy, rule

TOOLS = {"payments.transfer": ["payee", "amount", "note"], "delete_file": ["path"], "crm.read": None}


def source(text: str, file: str = "policy.yaml") -> Source:
    found, findings = read(text, file)
    assert findings == []
    assert found is not None
    return found


def check(text: str, **keys: Any) -> list[Finding]:
    return check_documents([source(text)], **keys)


def found(text: str, **keys: Any) -> list[tuple[str, int, int]]:
    return [(finding.code, finding.line, finding.col) for finding in check(text, **keys)]


def refused(*rules: dict[str, Any], **keys: Any) -> list[str]:
    """The codes with which a document is refused."""
    with pytest.raises(PolicyError) as caught:
        Snapshot.from_documents([policy(*rules, **keys)])
    return [finding.code for finding in caught.value.findings if isinstance(finding, Finding)]


SEEDED = """\
policy: files
tools: ["*"]
rules:
  - id: read
    effect: allow
    when: args.path.startsWith("/srv")
  - id: no-etc
    tools: [delete_file]
    efect: deny
    when: args.path.startsWith("/etc")
  - id: no-delete
    effect: deny
    tools: [delete_fil]
  - id: by-role
    effect: deny
    when: args.path != "" && agnt.role == "guest"
"""


def test_T48_the_three_typos_that_a_new_user_makes_are_three_findings_in_their_places() -> None:
    """A key, a tool name and an identifier inside a condition: line, column, word and what was meant."""
    findings = check(SEEDED, tools=TOOLS)
    assert [(f.code, f.line, f.col, f.length) for f in findings] == [
        ("AG102", 9, 5, 5),
        ("AG210", 13, 13, 10),
        ("AG202", 16, 30, 4),
    ]
    assert [f.hint for f in findings] == [
        "did you mean `effect`?",
        "did you mean `delete_file`?",
        "did you mean `agent`?",
    ]


def test_the_text_shows_the_place_the_lines_and_one_suggestion() -> None:
    """As people see it."""
    findings = check(SEEDED, tools=TOOLS)
    assert render_text(findings, files=1, rules=4) == (
        "policy.yaml:9:5: AG102 unknown key `efect` in rule `no-etc`\n"
        "   8 |     tools: [delete_file]\n"
        ">  9 |     efect: deny\n"
        "     |     ^^^^^ did you mean `effect`?\n"
        "policy.yaml:13:13: AG210 tool `delete_fil` is not registered\n"
        "  12 |     effect: deny\n"
        "> 13 |     tools: [delete_fil]\n"
        "     |             ^^^^^^^^^^ did you mean `delete_file`?\n"
        "policy.yaml:16:30: AG202 unknown name `agnt` in the condition of rule `by-role`\n"
        "  15 |     effect: deny\n"
        '> 16 |     when: args.path != "" && agnt.role == "guest"\n'
        "     |                              ^^^^ did you mean `agent`?\n"
        "Found 3 errors in 1 file (4 rules read). Nothing was loaded.\n"
    )


def test_T48_a_misspelt_key_anywhere_is_an_error() -> None:
    """In the policy, a rule and every block of a rule; the missing key is not reported beside it."""
    text = """\
polcy: p
tools: ["*"]
rules:
  - id: a
    effect: step_up
    aproval: {reviewers: [x]}
  - id: b
    effect: step_up
    approval: {reviewers: [x], quorm: 2}
  - id: c
    effect: flag
    flag: {owner: o, converts: {on: 2027-01-01, too: deny}}
"""
    assert found(text) == [("AG102", 1, 1), ("AG102", 6, 5), ("AG102", 9, 32), ("AG102", 12, 49)]


@pytest.mark.parametrize(
    "name", ["agnt.role == 'x'", "arg.amount > 1", "Args.amount > 1", "foo", "args.a && !sesion.calls"]
)
def test_T48_an_unknown_name_in_a_condition_is_refused_at_load(name: str) -> None:
    """The names of a condition are closed."""
    assert refused(rule("r", "deny", name)) == ["AG202"]


@pytest.mark.parametrize(
    "when", ["provenence(args.a).x", "args.a.startWith('x')", "within()", "secret('a', 'b')"]
)
def test_T48_an_unknown_function_or_a_wrong_number_of_arguments_is_refused_at_load(when: str) -> None:
    """The functions of a condition are closed."""
    assert refused(rule("r", "deny", when)) == ["AG204"]


@pytest.mark.parametrize("when", ["args.a >", "args.a = 1", "args.a and args.b", "(args.a", "'x", "1 2"])
def test_an_expression_that_is_not_CEL_is_refused_with_its_place(when: str) -> None:
    """Wherever it stands."""
    assert refused(rule("r", "deny", when)) == ["AG201"]
    assert refused(rule("r", "constrain", set={"args.a": when})) == ["AG201"]
    assert refused(rule("r", "allow", reserve={"key": "k", "amount": when, "limit": 1})) == ["AG201"]


@pytest.mark.parametrize(
    "when",
    [
        'within("Mon-Fri 07:00-20:00")',
        'within("Mon-Fri 07:00-20:00 Europe/Berln")',
        'in_network(args.ip, "10.0.0.0/99")',
        'glob(args.path, "a**")',
        'path_within(args.path, "srv")',
        'args.a.matches("(")',
    ],
)
def test_a_constant_that_can_never_work_is_refused_at_load(when: str) -> None:
    """Windows, networks, patterns and folders are read when the policy is."""
    (code,) = refused(rule("r", "deny", when))
    assert code in ("AG205", "AG201")


def test_T45_a_pattern_that_needs_backtracking_is_refused() -> None:
    """Look-around and back references do not exist on a linear engine."""
    assert refused(rule("r", "deny", r"args.a.matches('(?=a)b')")) != []


@pytest.mark.parametrize(
    ("one", "code"),
    [
        ({"id": "r", "effect": "forbid"}, "AG104"),
        ({"id": "r", "effect": "Deny"}, "AG104"),
        ({"id": "r"}, "AG101"),
        ({"effect": "deny"}, "AG101"),
        ({"id": "", "effect": "deny"}, "AG116"),
        ({"id": "a b", "effect": "deny"}, "AG116"),
        ({"id": 5, "effect": "deny"}, "AG103"),
        ({"id": "r", "effect": "deny", "when": 5}, "AG103"),
        ({"id": "r", "effect": "allow", "when": None}, "AG103"),
        ({"id": "r", "effect": "allow", "when": " "}, "AG103"),
        ({"id": "r", "effect": "deny", "tools": []}, "AG103"),
        ({"id": "r", "effect": "deny", "tools": "payments.*"}, "AG103"),
        ({"id": "r", "effect": "deny", "tools": ["pay*"]}, "AG108"),
        ({"id": "r", "effect": "deny", "tools": ["*.transfer"]}, "AG108"),
        ({"id": "r", "effect": "deny", "tools": ["p.**"]}, "AG108"),
        ({"id": "r", "effect": "deny", "tools": ["p.[ab]"]}, "AG108"),
        ({"id": "r", "effect": "deny", "tools": ["pаy"]}, "AG108"),
        ({"id": "r", "effect": "deny", "tools": [".*"]}, "AG108"),
        ({"id": "r", "effect": "step_up"}, "AG111"),
        ({"id": "r", "effect": "step_up", "approval": {}}, "AG111"),
        ({"id": "r", "effect": "step_up", "approval": {"reviewers": []}}, "AG103"),
        ({"id": "r", "effect": "step_up", "approval": {"reviewers": ["group:"]}}, "AG111"),
        ({"id": "r", "effect": "step_up", "approval": {"reviewers": ["*"]}}, "AG111"),
        ({"id": "r", "effect": "step_up", "approval": {"reviewers": ["principal", "ana"]}}, "AG111"),
        ({"id": "r", "effect": "step_up", "approval": {"reviewers": ["ana"], "quorum": 2}}, "AG111"),
        (
            {
                "id": "r",
                "effect": "step_up",
                "approval": {"reviewers": ["ana"], "stages": [{"reviewers": ["b"]}]},
            },
            "AG111",
        ),
        ({"id": "r", "effect": "step_up", "approval": {"reviewers": ["ana"], "expires_in": 30}}, "AG109"),
        ({"id": "r", "effect": "step_up", "approval": {"reviewers": ["ana"], "local": "yes"}}, "AG103"),
        ({"id": "r", "effect": "flag"}, "AG112"),
        ({"id": "r", "effect": "flag", "flag": {}}, "AG101"),
        ({"id": "r", "effect": "flag", "flag": {"owner": " "}}, "AG103"),
        (
            {
                "id": "r",
                "effect": "flag",
                "flag": {"owner": "o", "converts": {"on": "2027-01-01", "to": "step_up"}},
            },
            "AG115",
        ),
        (
            {
                "id": "r",
                "effect": "flag",
                "flag": {"owner": "o", "converts": {"on": "2027-01-01", "to": "allow"}},
            },
            "AG104",
        ),
        (
            {"id": "r", "effect": "flag", "flag": {"owner": "o", "converts": {"on": "soon", "to": "deny"}}},
            "AG118",
        ),
        ({"id": "r", "effect": "constrain"}, "AG101"),
        ({"id": "r", "effect": "constrain", "set": {}}, "AG101"),
        ({"id": "r", "effect": "constrain", "set": {"note": "1"}}, "AG117"),
        ({"id": "r", "effect": "constrain", "set": {"args": "1"}}, "AG117"),
        ({"id": "r", "effect": "constrain", "set": {"args.a[0]": "1"}}, "AG117"),
        ({"id": "r", "effect": "constrain", "set": {"args.a": ["x"]}}, "AG103"),
        ({"id": "r", "effect": "constrain", "redact_result": ["iban"]}, "AG117"),
        ({"id": "r", "effect": "deny", "observe": {"owner": "o"}}, "AG101"),
        ({"id": "r", "effect": "deny", "observe": {"until": "2027-01-01"}}, "AG101"),
        ({"id": "r", "effect": "deny", "mode": "observe"}, "AG113"),
        ({"id": "r", "effect": "deny", "mode": "watch"}, "AG104"),
        (
            {
                "id": "r",
                "effect": "deny",
                "mode": "enforce",
                "observe": {"owner": "o", "until": "2027-01-01"},
            },
            "AG113",
        ),
        (
            {
                "id": "r",
                "effect": "deny",
                "non_waivable": True,
                "observe": {"owner": "o", "until": "2027-01-01"},
            },
            "AG114",
        ),
        ({"id": "r", "effect": "deny", "non_waivable": "yes"}, "AG103"),
        ({"id": "r", "effect": "allow", "non_waivable": True}, "AG110"),
        ({"id": "r", "effect": "deny", "set": {"args.a": "1"}}, "AG110"),
        ({"id": "r", "effect": "deny", "flag": {"owner": "o"}}, "AG110"),
        ({"id": "r", "effect": "deny", "reserve": {"key": "k", "limit": 1}}, "AG110"),
        ({"id": "r", "effect": "allow", "approval": {"reviewers": ["a"]}}, "AG110"),
        ({"id": "r", "effect": "allow", "reserve": {"key": "k", "limit": -1}}, "AG103"),
        ({"id": "r", "effect": "allow", "reserve": {"key": "k", "limit": 1, "amount": -1}}, "AG103"),
    ],
)
def test_T48_a_rule_that_is_not_right_is_refused(one: dict[str, Any], code: str) -> None:
    """Every shape that could mean less than it seems to."""
    assert refused(one) == [code]


@pytest.mark.parametrize("quorum", [0, -1, 10**9, "2", 1.5, True, None, [2]])
def test_T12_a_quorum_is_a_whole_number_from_one(quorum: object) -> None:
    """Text, zero, negative, huge and missing numbers are refused."""
    approval = {"reviewers": ["group:f"], "quorum": quorum}
    assert refused(rule("r", "step_up", approval=approval)) == ["AG103"]


def test_T49_a_policy_that_is_observed_may_not_hold_a_non_waivable_rule_unless_it_is_enforced() -> None:
    """Observation would neutralise it."""
    observe = {"owner": "o", "until": "2027-01-01"}
    assert refused(rule("r", "deny", non_waivable=True), observe=observe) == ["AG114"]
    Snapshot.from_documents([policy(rule("r", "deny", non_waivable=True, mode="enforce"), observe=observe)])


@pytest.mark.parametrize("name", ["agentguard", "exception", "grant"])
def test_names_that_stand_for_the_guard_itself_are_reserved(name: str) -> None:
    """A rule cannot pass for the default."""
    assert refused(rule("default", "allow"), policy=name) == ["AG107"]


def test_ids_and_policy_names_are_unique() -> None:
    """`policy/rule` finds one rule."""
    assert refused(rule("r", "deny"), rule("r", "allow")) == ["AG105"]
    with pytest.raises(PolicyError) as caught:
        Snapshot.from_documents([policy(rule("r", "deny")), policy(rule("s", "allow"))])
    assert [f.code for f in caught.value.findings if isinstance(f, Finding)] == ["AG106"]


def test_tools_are_named_by_the_rule_or_its_policy() -> None:
    """A rule without tools concerns nothing, one outside its policy's tools neither."""
    assert "AG103" in refused(rule("r", "deny"), tools=None)
    with pytest.raises(PolicyError):
        Snapshot.from_documents([{"policy": "p", "rules": [rule("r", "deny")]}])
    assert refused(rule("r", "deny", tools=["crm.*"]), tools=["payments.*"]) == ["AG213"]


def test_every_error_of_every_document_is_reported_at_once() -> None:
    """One run shows everything, in the order of the files and lines."""
    one = source(
        'policy: a\ntools: ["*"]\nrules:\n  - id: x\n    effect: forbid\n    when: agnt.x\n', "a.yaml"
    )
    two = source("policy: b\nrules:\n  - id: x\n    efect: deny\n", "b.yaml")
    findings = check_documents([one, two])
    assert [(f.file, f.code, f.line) for f in findings] == [
        ("a.yaml", "AG104", 5),
        ("a.yaml", "AG202", 6),
        ("b.yaml", "AG102", 4),
    ]


@pytest.mark.parametrize(
    "data", [[], 5, None, {1: 2}, {"policy": "p", "rules": "x"}, {"policy": "p", "rules": [5]}]
)
def test_what_is_no_document_is_refused(data: Any) -> None:
    """Whatever it is, it is a finding and not a crash."""
    with pytest.raises(PolicyError):
        Snapshot.from_documents(
            [data] if isinstance(data, dict) else [{"policy": data, "tools": ["*"], "rules": []}]
        )
    assert check_documents([Source(data=data, file="x.yaml")]) != []


def test_odd_objects_in_a_document_are_refused() -> None:
    """Only plain data is a document: no objects, no cycles."""
    cycle: dict[str, Any] = {"policy": "p", "tools": ["*"], "rules": []}
    cycle["description"] = cycle
    for document in (
        cycle,
        policy(rule("r", "deny", reason=object())),
        policy({**rule("r", "deny"), "when": b"true"}),
    ):
        with pytest.raises(PolicyError):
            Snapshot.from_documents([document])


# Lint

SHADOW = ["AG221"]
FLAG = {"owner": "o", "review_in": "7d", "escalate_to": "p"}


def test_an_argument_that_no_tool_of_the_rule_has_is_a_finding_under_its_name() -> None:
    """In conditions, in what is written and in counters; names in texts do not count."""
    text = """\
policy: p
tools: ["payments.*"]
rules:
  - id: a
    effect: allow
    when: args.amuont < 10 && args.note != "args.nothing"
    reserve: {key: k, amount: args.amont, limit: 5}
  - id: c
    effect: constrain
    set: {args.not: 'args.note'}
"""
    findings = check(text, tools=TOOLS)
    assert [(f.code, f.line, f.col, f.hint) for f in findings] == [
        ("AG211", 6, 16, "did you mean `amount`?"),
        ("AG211", 7, 36, "did you mean `amount`?"),
        ("AG211", 10, 11, "did you mean `note`?"),
    ]
    assert check(text.replace("payments.*", "*"), tools=TOOLS) == []
    assert check(text) == []


def test_a_prefix_that_matches_no_tool_is_a_finding() -> None:
    """With the prefix that was meant."""
    (finding,) = list(
        check('policy: p\ntools: ["payment.*"]\nrules:\n  - {id: a, effect: allow}\n', tools=TOOLS)
    )
    assert (finding.code, finding.hint) == ("AG210", "did you mean `payments.*`?")


def test_a_field_one_letter_off_is_a_warning() -> None:
    """Other fields may be the operator's own."""
    text = """\
policy: p
tools: ["*"]
rules:
  - id: a
    effect: allow
    when: session.cals < 5 && agent.role == "x"
"""
    (finding,) = check(text)
    assert (finding.code, finding.severity, finding.line, finding.col) == ("AG212", "warning", 6, 19)


def test_a_set_in_which_nothing_permits_is_a_warning() -> None:
    """Everything would be denied."""
    assert [f.code for f in check('policy: p\ntools: ["*"]\nrules:\n  - {id: a, effect: deny}\n')] == [
        "AG220"
    ]


@pytest.mark.parametrize(
    ("rules", "codes"),
    [
        ([rule("a", "deny"), rule("b", "allow", "args.x")], ["AG221"]),
        ([rule("a", "deny", tools=["x.*"]), rule("b", "allow", "args.x")], []),
        (
            [rule("a", "deny"), rule("b", "deny", "args.x", tools=["x"]), rule("c", "allow")],
            ["AG221", "AG221"],
        ),
        ([rule("a", "allow"), rule("b", "allow", "args.x")], ["AG221"]),
        ([rule("a", "allow"), rule("b", "allow", "args.x", flag=FLAG)], []),
        ([rule("a", "deny", "args.x"), rule("b", "deny", "args.x "), rule("c", "allow")], ["AG222"]),
        ([rule("a", "deny", "args.x"), rule("b", "allow", "args.x"), rule("c", "allow", "args.y")], SHADOW),
        ([rule("a", "deny", "args.x"), rule("b", "allow", "args.y")], []),
        (
            [rule("a", "deny", observe={"owner": "o", "until": "2027-01-01"}), rule("b", "allow", "args.x")],
            [],
        ),
    ],
)
def test_rules_that_can_never_decide_are_warnings(rules: list[dict[str, Any]], codes: list[str]) -> None:
    """Shadowed and repeated rules, where their text makes it certain."""
    findings = check_documents([Source.from_mapping(policy(*rules))])
    assert [f.code for f in findings] == codes
    assert all(f.severity == "warning" for f in findings)


def test_dates_that_have_passed_are_warnings() -> None:
    """The file says something else than what happens."""
    text = """\
policy: p
tools: ["*"]
rules:
  - id: a
    effect: flag
    flag:
      owner: o
      review_in: 7d
      escalate_to: p
      converts: {on: 2026-01-01, to: deny}
  - id: b
    effect: allow
    observe: {owner: o, until: 2026-01-01}
"""
    now = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    assert found(text, now=now) == [("AG223", 10, 22), ("AG224", 13, 32)]
    assert found(text) == [("AG220", 1, 9)]


@pytest.mark.parametrize(
    ("effect", "flag", "missing"),
    [
        ("flag", {}, "`review_in` and no `escalate_to` and no `converts`"),
        ("flag", {"review_in": "3d", "escalate_to": "p"}, "`converts`"),
        ("allow", {"review_in": "3d"}, "`escalate_to`"),
        ("allow", {"review_in": "3d", "escalate_to": "p"}, None),
    ],
)
def test_a_flag_that_nobody_has_to_look_at_is_a_warning(
    effect: str, flag: dict[str, Any], missing: str | None
) -> None:
    """By when, to whom then, and until when; a flag on an allow rule may stay."""
    document = policy(
        rule("r", effect, flag={"owner": "o", **flag}), rule("a", "allow", "args.x", tools=["x"])
    )
    listed = [one for one in check_documents([Source.from_mapping(document)]) if one.code == "AG227"]
    assert [one.message for one in listed] == (
        [f"the flag of rule `r` has no {missing}"] if missing is not None else []
    )


def test_nothing_to_check_is_an_error() -> None:
    """Zero policies is never success."""
    assert [f.code for f in check_documents([])] == ["AG011"]
    assert [f.code for f in check("policy: p\ntools: ['*']\nrules: []\n")] == ["AG012"]
    assert [f.code for f in check("# nothing yet\n")] == ["AG012"]


# Files


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


GOOD = 'policy: {name}\ntools: ["*"]\nrules:\n  - {{id: a, effect: allow}}\n'


def test_a_folder_is_read_with_what_lies_in_it(tmp_path: Path) -> None:
    """Files of both endings, in sub-folders, without tests and hidden files."""
    (tmp_path / "sub").mkdir()
    write(
        tmp_path,
        a__yaml=GOOD.format(name="a"),
        b__yml=GOOD.format(name="b"),
        a_test__yaml="cases: []\n",
        notes__txt="x",
    )
    write(tmp_path / "sub", c__YAML=GOOD.format(name="c"), d_test__yml="x: [\n")
    (tmp_path / ".hidden.yaml").write_text("x: [\n", encoding="utf-8")
    snapshot = Snapshot.load(tmp_path)
    assert [rule.name for rule in snapshot.rules] == ["a/a", "b/a", "c/a"]
    assert snapshot.rules[0].at == f"{tmp_path / 'a.yaml'}:4"
    both = Snapshot.load([tmp_path / "a.yaml", tmp_path])
    assert both.digest == snapshot.digest


def test_the_digest_is_that_of_the_documents_wherever_they_come_from(tmp_path: Path) -> None:
    """Folders, names and order of files do not matter; any change of a document does."""
    write(tmp_path, z__yaml=GOOD.format(name="a"))
    mapping = {"policy": "a", "tools": ["*"], "rules": [{"id": "a", "effect": "allow"}]}
    assert Snapshot.load(tmp_path).digest == Snapshot.from_documents([mapping]).digest
    assert (
        Snapshot.from_documents([{**mapping, "owner": "x"}]).digest
        != Snapshot.from_documents([mapping]).digest
    )
    two = [PAYMENTS, mapping]
    assert Snapshot.from_documents(two).digest == Snapshot.from_documents(two[::-1]).digest


def load_codes(*paths: str | Path) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        Snapshot.load(list(paths))
    return [f.code for f in caught.value.findings if isinstance(f, Finding)]


def test_a_path_that_does_not_exist_is_an_error_and_never_text(tmp_path: Path) -> None:
    """A policy text where a path belongs does not become an empty policy."""
    assert load_codes("nope.yaml") == ["AG001"]
    assert load_codes(GOOD.format(name="a")) == ["AG001"]
    assert load_codes("x\x00y") == ["AG001"]
    assert load_codes(tmp_path) == ["AG011"]
    assert load_codes() == ["AG011"]
    (tmp_path / "a.yaml").write_text("# later\n", encoding="utf-8")
    assert load_codes(tmp_path) == ["AG012"]
    (tmp_path / "a.yaml").write_text("policy: p\ntools: [x]\nrules: []\n", encoding="utf-8")
    assert load_codes(tmp_path) == ["AG012"]


@pytest.mark.parametrize("name", ["b_test.yaml", "b_proofs.yml", "sub/B_PROOFS.YAML"])
@pytest.mark.parametrize(
    "text", [GOOD, "{{'policy': {name}, tools: [x], rules: []}}", "policy: {name}\n\tx: [\n"]
)
def test_a_policy_under_the_name_of_another_kind_is_refused(tmp_path: Path, name: str, text: str) -> None:
    """What is left out for its name must not be what somebody relies on; also where it is no YAML."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yaml").write_text(GOOD.format(name="a"), encoding="utf-8")
    (tmp_path / name).write_text("cases: []\n", encoding="utf-8")
    assert len(Snapshot.load(tmp_path).rules) > 0
    (tmp_path / name).write_text(text.format(name="b"), encoding="utf-8")
    assert load_codes(tmp_path) == ["AG013"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("loose", ["a.yaml", "."])
def test_files_that_anybody_may_change_are_refused_T47(tmp_path: Path, loose: str) -> None:
    """Whoever loads them; a folder as well as a file."""
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.yaml").write_text(GOOD.format(name="a"), encoding="utf-8")
    (folder / loose).chmod((folder / loose).stat().st_mode | 0o002)
    assert set(load_codes(folder)) == {"AG301"}
    assert set(load_codes(folder / "a.yaml")) == {"AG301"}


NO_TRUTHS = [
    ('"true"', '"true"', "text"),
    ("has(args.x) && 1", "1", "a number"),
    ("!(has(args.x) || [])", "[]", "a list"),
    ("has(args.x) ? {} : true", "{}", "a mapping"),
    ("size(args.x) || true", "size(args.x)", "a number"),
    ("args", "args", "a mapping"),
]


@pytest.mark.parametrize(("text", "part", "what"), NO_TRUTHS)
def test_a_part_that_is_never_true_or_false_is_said(text: str, part: str, what: str) -> None:
    """Whatever the tools are."""
    found = check(f"policy: p\ntools: [x]\nrules:\n  - {{id: a, effect: allow, when: {json.dumps(text)}}}\n")
    (one,) = [one for one in found if one.code == "AG206"]
    assert one.message == f"`{part}` is never true or false: it is {what}"


@pytest.mark.parametrize(
    ("kind", "told"), [("integer", True), ("string", True), ("boolean", False), (None, False)]
)
def test_an_argument_as_a_condition_has_to_be_a_truth_value(kind: str | None, told: bool) -> None:
    """By the schema of every tool of the rule."""
    text = "policy: p\ntools: [x]\nrules:\n  - {id: a, effect: allow, when: args.n}\n"
    schema = {"type": "object", "properties": {"n": {"type": kind} if kind else {}}, "required": ["n"]}
    found = check(text, tools={"x": ["n"]}, schemas={"x": schema})
    assert ("AG206" in [one.code for one in found]) is told


def test_one_bad_file_refuses_the_whole_set(tmp_path: Path) -> None:
    """Nothing is loaded by half, and the message says so."""
    write(
        tmp_path,
        a__yaml=GOOD.format(name="a"),
        b__yaml="policy: b\n  x: [\n",
        c__yaml=GOOD.format(name="c") + "extra: 1\n",
    )
    assert load_codes(tmp_path) == ["AG004", "AG102"]
    with pytest.raises(PolicyError, match="Nothing was loaded"):
        Snapshot.load(tmp_path)


def test_T46_links_must_stay_inside_the_folder(tmp_path: Path) -> None:
    """A link to elsewhere, a dangling one and a folder link out are errors; one inside is read once."""
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    write(outside, x__yaml=GOOD.format(name="x"))
    write(inside, a__yaml=GOOD.format(name="a"))
    (inside / "again.yaml").symlink_to(inside / "a.yaml")
    assert len(Snapshot.load(inside).rules) == 1
    (inside / "b.yaml").symlink_to(outside / "x.yaml")
    assert load_codes(inside) == ["AG002"]
    (inside / "b.yaml").unlink()
    (inside / "more").symlink_to(outside)
    assert load_codes(inside) == ["AG002"]
    (inside / "more").unlink()
    (inside / "c.yaml").symlink_to(inside / "gone.yaml")
    assert load_codes(inside) == ["AG002"]


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    """A pipe would block the loader."""
    import os

    os.mkfifo(tmp_path / "p.yaml")
    assert load_codes(tmp_path) == ["AG002"]


def test_check_counts_files_and_rules(tmp_path: Path) -> None:
    """The renderers get what was read."""
    write(tmp_path, a__yaml=SEEDED, b__yaml=GOOD.format(name="b").replace("*", "crm.read"))
    checked = check_files(read_files(tmp_path), tools=TOOLS)
    assert (checked.files, checked.rules) == (2, 5)
    text = render_text(checked.findings, files=checked.files, rules=checked.rules)
    assert text.endswith("Found 3 errors in 2 files (5 rules read). Nothing was loaded.\n")
    clean = check_files(read_files(tmp_path / "b.yaml"), tools=TOOLS)
    assert (
        render_text(clean.findings, files=clean.files, rules=clean.rules)
        == "Found no problems in 1 file (1 rule read).\n"
    )


# Renderers


def test_every_code_that_is_used_is_explained() -> None:
    """`explain CODE` always finds a paragraph."""
    import re

    folder = Path(__file__).parents[2] / "agentguard" / "policy"
    used = {
        code
        for file in folder.glob("*.py")
        if file.name != "findings.py"
        for code in re.findall(r'"(AG\d{3})"', file.read_text(encoding="utf-8"))
    }
    assert used == set(EXPLANATIONS)
    assert all(len(text) > 35 and text.endswith(".") for text in EXPLANATIONS.values())


def test_JSON_holds_everything() -> None:
    """For programs."""
    data = json.loads(render_json(check(SEEDED, tools=TOOLS), files=1, rules=4))
    assert (data["errors"], data["warnings"], data["loaded"]) == (3, 0, False)
    assert data["findings"][0]["line"] == 9
    assert data["findings"][0]["rule"] == "files/no-etc"


def test_GitHub_annotations_are_escaped() -> None:
    """A message cannot become another command."""
    finding = Finding(code="AG102", message="a\n::error::b%", file="x,y:z.yaml", line=3, col=5, length=2)
    assert render_github([finding]) == (
        "::error file=x%2Cy%3Az.yaml,line=3,col=5,endColumn=7,title=AG102::a%0A::error::b%25\n"
    )


def test_SARIF_names_rules_places_and_levels() -> None:
    """As code scanning reads it."""
    data = json.loads(render_sarif(check(SEEDED, tools=TOOLS), version="1.0"))
    run = data["runs"][0]
    assert data["version"] == "2.1.0"
    assert [r["ruleId"] for r in run["results"]] == ["AG102", "AG210", "AG202"]
    assert [r["id"] for r in run["tool"]["driver"]["rules"]] == ["AG102", "AG202", "AG210"]
    assert all(run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
    region = run["results"][2]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 16, "startColumn": 30, "endLine": 16, "endColumn": 34}


def test_a_long_line_is_cut_so_that_the_caret_stays_under_its_word() -> None:
    """A line that a terminal wraps would be beside its caret; where there is no terminal nothing is cut."""
    when = f'args.note == "{"x" * 60}" && agnt.role == "{"y" * 60}"'
    text = f'policy: p\ntools: ["*"]\nrules:\n  - id: r\n    effect: allow\n    when: {when}\n'
    for columns in (60, 80, 120, 200):
        lines = render_text(check(text), files=1, rules=1, width=columns).splitlines()
        code, caret = lines[2], lines[3]
        assert all(len(line) <= columns for line in lines[1:3])
        begin = caret.index("^")
        assert code[begin : begin + 4] == "agnt"
        assert caret == " " * 5 + "|" + " " * (begin - 6) + "^^^^ did you mean `agent`?"
    assert when in render_text(check(text), files=1, rules=1)


def test_sarif_is_what_code_scanning_takes() -> None:
    """A result without a place, an absolute one, a rule without help: GitHub refuses the whole file."""
    odd = [
        Finding(code="AG011", message="no policy was named"),
        Finding(code="AG001", file="a b/c:d%é.yaml", message="x"),
        Finding(code="AG301", file="/etc/p.yaml", message="y", severity="warning"),
    ]
    run = json.loads(render_sarif(odd, version="1.0", explanations={"AG301": "Why. And more."}))["runs"][0]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [place["artifactLocation"]["uri"] for place in places] == [
        ".",
        "a%20b/c%3Ad%25%C3%A9.yaml",
        "file:///etc/p.yaml",
    ]
    for place in places:
        assert place["region"] == {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 2}
    assert [result["level"] for result in run["results"]] == ["error", "error", "warning"]
    for rule_ in run["tool"]["driver"]["rules"]:
        assert all(rule_[key]["text"] for key in ("shortDescription", "fullDescription", "help"))
    assert run["tool"]["driver"]["rules"][2]["shortDescription"]["text"] == "Why"


def test_T57_a_report_shows_no_control_characters() -> None:
    """Neither from a file's text nor from its name."""
    finding = Finding(code="AG102", message="x\x1b[2J", file="a\x1b.yaml", line=1, col=1, hint="\x07")
    assert not set(render_text([finding], files=1, rules=0)) & {"\x1b", "\x07"}


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML without libyaml is ten times slower")
def test_ten_thousand_rules_load(tmp_path: Path) -> None:
    """Reading, checking and compiling a large set; how long it takes is a benchmark's affair."""
    text = 'policy: p\ntools: ["*"]\nrules:\n' + "".join(
        f"  - id: r{i}\n    effect: step_up\n    tools: [t{i}.x]\n"
        f'    when: args.amount > {i} && environment == "prod"\n'
        "    approval: {reviewers: [group:finance], quorum: 2, expires_in: 30m}\n"
        for i in range(10_000)
    )
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    assert len(Snapshot.load(tmp_path).rules) == 10_000


def test_an_exception_without_expiry_is_refused() -> None:
    """A document of the register is checked when it is read."""
    from agentguard.errors import ConfigurationError
    from agentguard.policy import ExceptionRecord

    record = {key: value for key, value in exception().items() if key not in ("kind", "expires")}
    with pytest.raises(ConfigurationError, match="expires"):
        ExceptionRecord.from_mapping(record)
