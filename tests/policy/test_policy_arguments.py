"""Conditions against the schemas of tools: names, types, allowed values, and what may be absent."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.policy import Finding, Source, check_documents
from agentguard.policy.shapes import ANY, Shape, shape_of
from tests.policy.support import decide, policy, rule

TRANSFER = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer"},
        "rate": {"type": "number"},
        "currency": {"enum": ["EUR", "USD"]},
        "note": {"type": "string"},
        "urgent": {"type": "boolean", "default": False},
        "tags": {"type": "array", "items": {"type": "string"}},
        "payee": {"$ref": "#/$defs/Payee"},
        "meta": {"type": "object"},
        "ref": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["amount", "rate", "currency", "tags", "payee", "meta", "ref"],
    "$defs": {
        "Payee": {
            "type": "object",
            "properties": {"iban": {"type": "string"}, "bic": {"type": "string"}},
            "required": ["iban"],
            "additionalProperties": False,
        }
    },
}
LIST = {"type": "object", "properties": {"limit": {"type": "integer"}}, "required": ["limit"]}
TOOLS: dict[str, Any] = {
    "payments.transfer": TRANSFER["properties"],
    "payments.list": LIST["properties"],
    "crm.read": None,
}
SCHEMAS = {"payments.transfer": TRANSFER, "payments.list": LIST}
WANTED = ("AG211", "AG214", "AG215", "AG216")


def found(*rules: dict[str, Any], tools: str = "payments.transfer") -> list[Finding]:
    document = policy(*rules, rule("other", "allow", tools=["payments.*"]), tools=[tools])
    listed = check_documents([Source.from_mapping(document)], tools=TOOLS, schemas=SCHEMAS)
    return [one for one in listed if one.code in WANTED]


def said(when: str, effect: str = "deny", tools: str = "payments.transfer") -> list[tuple[str, str]]:
    return [(one.code, one.message) for one in found(rule("r", effect, when), tools=tools)]


def codes(when: str, effect: str = "deny", tools: str = "payments.transfer") -> list[str]:
    return [code for code, _ in said(when, effect, tools)]


@pytest.mark.parametrize(
    ("when", "hint"),
    [
        ("args.amuont > 1", "did you mean `amount`?"),
        ('args["amuont"] > 1', "did you mean `amount`?"),
        ("has(args.amuont)", "did you mean `amount`?"),
        ("args.?amuont.orValue(1) > 1", "did you mean `amount`?"),
        ('args.payee.ibann == "x"', "did you mean `iban`?"),
        ("provenance(args.payye).from_user", "did you mean `payee`?"),
        ("args.tags.exists(t, t == args.nte)", "did you mean `note`?"),
    ],
)
def test_a_name_that_is_in_no_schema_is_an_error_T48(when: str, hint: str) -> None:
    """However it is read, and further in."""
    (one,) = found(rule("r", "deny", when))
    assert (one.code, one.hint, one.severity) == ("AG211", hint, "error")


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ('args.amount == "5"', 'comparing `args.amount` with `"5"` is always false: it is a whole number'),
        ('"5" != args.amount', 'comparing `args.amount` with `"5"` is always true: it is a whole number'),
        ('args.rate > "5"', 'comparing `args.rate` with `"5"` is an error on every call: it is a number'),
        ("args.rate in [1, true]", "comparing `args.rate` with `true` is always false: it is a number"),
        ("args.amount == 2.5", "`args.amount` is never `2.5`: it is a whole number"),
        ("args.payee.iban == 5", "comparing `args.payee.iban` with `5` is always false: it is text"),
        ("args.ref == 5", "comparing `args.ref` with `5` is always false: it is null or text"),
        ('args.rate.trim()', "`trim` of `args.rate` is an error on every call: it is a number"),
    ],
)  # fmt: skip
def test_a_comparison_that_types_make_pointless_is_a_warning(when: str, message: str) -> None:
    """With what happens, and what the argument is."""
    assert said(when) == [("AG214", message)]


def test_what_was_meant_is_said_where_it_is_only_quotes() -> None:
    """`"5"` and 5."""
    assert found(rule("r", "deny", 'args.amount > "5"'))[0].hint == "remove the quotes"
    assert found(rule("r", "deny", "args.payee.iban == 5"))[0].hint == "put quotes around it"


@pytest.mark.parametrize("when", ['args.currency == "EURO"', 'args.currency in ["EUR", "EURO"]'])
def test_a_value_that_is_not_allowed_is_a_warning(when: str) -> None:
    """With the one that is near."""
    (one,) = found(rule("r", "deny", when))
    assert (one.code, one.hint) == ("AG215", "did you mean `EUR`?")
    assert one.message == '`args.currency` is never `"EURO"`: its schema does not have it'


ABSENT = [
    "size(args.note) > 140",
    "args.amount > 5 && size(args.note) > 140",
    "args.amount > 5 || size(args.note) > 140",
    "!(size(args.note) > 140)",
    "has(args.payee.bic) || size(args.note) > 140",
    "has(args.note) || size(args.note) > 140",
    "args.amount > 5 ? size(args.note) > 1 : true",
    'args.tags.exists(t, t == args.note)',
]  # fmt: skip
GUARDED = [
    "has(args.note) && size(args.note) > 140",
    "size(args.note) > 140 && has(args.note)",
    "!has(args.note) || size(args.note) > 140",
    '"note" in args && size(args.note) > 140',
    "!(!has(args.note) || size(args.note) > 140)",
    "has(args.note) ? size(args.note) > 140 : false",
    'args.?note.orValue("") != ""',
    'args.payee.?bic.orValue("") != ""',
    "args.amount > 5 && args.urgent",
    'args.meta.anything == 1 || args.meta["x"].y == 2',
    'provenance(args.note).from_user',
]  # fmt: skip


@pytest.mark.parametrize("when", ABSENT)
def test_what_may_be_absent_and_is_read_is_a_warning(when: str) -> None:
    """An argument that is not required and has no default."""
    assert codes(when) == ["AG216"]


@pytest.mark.parametrize("when", GUARDED)
def test_what_is_asked_for_first_is_not(when: str) -> None:
    """On whichever side; a default counts as there, and what has no schema is not spoken of."""
    assert codes(when) == []


def test_the_warning_says_what_happens_and_what_to_write() -> None:
    """For an allow rule and for others; what is written then is no finding, and decides as it says."""
    (one,) = found(rule("r", "deny", "args.amount > 5 && size(args.note) > 140"))
    assert one.message == "`args.note` may be absent in `payments.transfer`: then this rule fires (`deny`)"
    assert one.hint == 'write `has(args.note) && size(args.note) > 140`, or `args.?note.orValue("")`'
    (one,) = found(rule("r", "allow", "args.payee.bic == 'x'"))
    assert one.message.endswith("then this rule does not permit")
    assert one.hint.startswith("write `has(args.payee.bic) && args.payee.bic == 'x'`, or `args.payee.?bic")
    assert decide(rule("r", "deny", "size(args.none) > 1"), rule("a", "allow")).effect == "deny"
    assert (
        decide(rule("r", "deny", "has(args.none) && size(args.none) > 1"), rule("a", "allow")).effect
        == "allow"
    )


def test_another_tool_without_the_argument_is_named() -> None:
    """A deny would fire on each of its calls; an allow only does not concern it."""
    (one,) = found(rule("r", "deny", "args.amount > 1000"), tools="payments.*")
    assert one.message == "`args.amount` may be absent in `payments.list`: then this rule fires (`deny`)"
    assert codes("args.amount > 1000", "allow", "payments.*") == []
    assert codes('tool == "payments.transfer" && args.amount > 1000', tools="payments.*") == []
    assert codes('tool in ["payments.transfer"] && args.amount > 1000', tools="payments.*") == []
    assert codes('tool.startsWith("payments.t") && args.amount > 1000', tools="payments.*") == []


def test_what_is_right_for_one_of_the_tools_is_no_finding() -> None:
    """The same name may be text here and a number there."""
    schemas = {
        "a.text": {"properties": {"x": {"type": "string"}}, "required": ["x"]},
        "a.number": {"properties": {"x": {"enum": [1, 2]}}, "required": ["x"]},
    }
    tools: dict[str, Any] = {name: ["x"] for name in schemas}
    for when, wanted in [('args.x == "b"', []), ("args.x == 3", []), ("args.x == true", ["AG214"])]:
        document = policy(rule("r", "deny", when), rule("other", "allow"), tools=["a.*"])
        listed = check_documents([Source.from_mapping(document)], tools=tools, schemas=schemas)
        assert [one.code for one in listed] == wanted


@pytest.mark.parametrize(
    "when", ["args.anything > 1", 'args.amount == "5"', "args.x.y.z"]
)  # fmt: skip
def test_tools_of_which_nothing_is_known_are_not_spoken_of(when: str) -> None:
    """No finding is better than a wrong one."""
    assert codes(when, tools="crm.read") == []
    assert codes(when, "allow", "*") == []


@pytest.mark.parametrize(
    ("schema", "shape"),
    [
        (True, ANY),
        ({}, ANY),
        ({"type": "unheard"}, ANY),
        ({"$ref": "https://example.com/schema"}, ANY),
        ({"$ref": "#"}, ANY),
        ({"not": {"type": "string"}}, ANY),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, ANY),
        ({"allOf": [{"type": "string"}]}, Shape(frozenset({"text"}))),
        ({"type": ["string", "null"]}, Shape(frozenset({"text", "null"}))),
        ({"anyOf": [{"type": "string"}, {}]}, ANY),
        ({"enum": ["a", 1]}, Shape(frozenset({"text", "number"}), ("a", 1))),
        ({"const": None}, Shape(frozenset({"null"}), (None,))),
        ({"type": "object", "patternProperties": {}}, Shape(frozenset({"map"}))),
    ],
)
def test_what_is_not_understood_of_a_schema_is_anything(schema: Any, shape: Shape) -> None:
    """References that go in circles or out, and words that only narrow."""
    assert shape_of(schema) == shape
