"""The index by constant texts: it may skip only what is certainly false."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.policy import Register, Snapshot, explain, index
from agentguard.policy.discriminators import discriminators
from agentguard.policy.functions import ENVIRONMENT
from tests.policy import naive
from tests.policy.support import exception, policy, request, rule

LAW = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NOW = dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC)
NAMES = ["a0", "a1", "a2", "é", ""]
PATHS = ["agent.id", "agent.role", "environment", "args.kind", "tool"]
TESTS = [
    '{path} == "{name}"', '"{name}" == {path}', '{path} in ["{name}", "{other}"]', "{path} in []",
    '{path} != "{name}"', '!({path} == "{name}")', '{path} == "{name}" || {path} == "{other}"',
    '{path} in ["{name}", 5]', '"{name}" in agent.tags', '{path} == args.kind',
    'has({path2}) && {path2} == "{name}"',    '{path2} == "{name}"', '{path} == 5',
]  # fmt: skip
OTHERS = [
    "args.amount > 10", 'args.note.startsWith("x")', "args.lines.all(l, l > 0)", "context.hold", "1 / 0 > 0",
    "true", "false", "args.amount", 'args.note < "m"', "!(args.amount == 5)", "args.deep.kind == 1.5",
]  # fmt: skip
JOINS = [
    "{d}", "{d} && {o}", "{o} && {d}", "({d}) || {o}", "({d}) && ({e})", "(({d}) && {o}) || (({e}) && {o})",
    "({d}) ? {o} : ({e})", "{o} && {o} && ({d}) && {o}", "!(({d}) && {o})", "(({d}) || ({e})) && {o}",
]  # fmt: skip
ODD = [None, True, 5, 5.0, "a0", "a1", "é", "", "\ud800", "a" * 5_000, "é" * 5_000, ["a0"], {"a": "a0"}]


@st.composite
def conditions(draw: st.DrawFn) -> str:
    def test() -> str:
        path = draw(st.sampled_from(PATHS))
        path2 = draw(st.sampled_from([path for path in PATHS if "." in path]))
        name, other = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
        form = draw(st.sampled_from(TESTS))
        return form.format(path=path, path2=path2, name=name, other=other)

    other = draw(st.sampled_from(OTHERS))
    return draw(st.sampled_from(JOINS)).format(d=test(), e=test(), o=other)


@st.composite
def documents(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lists long enough to be divided by tables."""
    found = []
    for name in ("p", "q"):
        rules = []
        for number in range(draw(st.integers(index._LONG, 12))):
            effect = draw(st.sampled_from(["allow", "allow", "flag", "step_up", "deny"]))
            keys: dict[str, Any] = {}
            if draw(st.integers(0, 5)) == 0:
                keys["observe"] = {"owner": "o", "until": "2027-01-01"}
            if effect == "flag" and draw(st.booleans()):
                keys["flag"] = {"owner": "o", "converts": {"on": "2026-01-01", "to": "deny"}}
            rules.append(rule(f"r{number}", effect, draw(conditions()), **keys))
        tools = draw(st.sampled_from([["*"], ["t.*"]]))
        found.append({"policy": name, "tools": tools, "rules": rules})
    return found


def mapping(draw: st.DrawFn, values: dict[str, list[Any]]) -> MappingProxyType[str, Any]:
    """Some of the keys, with a fitting or an odd value."""
    found = {}
    for key, ordinary in values.items():
        if draw(st.integers(0, 5)):
            found[key] = draw(st.sampled_from(ordinary if draw(st.integers(0, 2)) else ODD))
    return MappingProxyType(found)


@st.composite
def requests(draw: st.DrawFn) -> ContextRequest:
    return ContextRequest(
        tool="t.x",
        agent=mapping(draw, {"id": ["a0", "a1", "b"], "role": ["a0", "a2"], "tags": [["a1"], ["b"]]}),
        args=mapping(draw, {"kind": ["a0", "b"], "amount": [5, 11], "note": ["x", "y"], "lines": [[1], [0]]}),
        environment=draw(st.sampled_from(["a0", "a1", None, "prod"])),
        context=mapping(draw, {"hold": [True, False]}),
        now=NOW,
    )


def without_index(found: list[dict[str, Any]], register: Register | None = None) -> Snapshot:
    with mock.patch.object(index, "_LONG", 1 << 30):
        return Snapshot.from_documents(found, register=register)


@LAW
@given(documents(), requests())
def test_a_decision_is_the_same_with_and_without_the_index(
    found: list[dict[str, Any]], asked: ContextRequest
) -> None:
    """The whole record, errors and observed rules included."""
    register = Register.from_mapping(
        {"version": 1, "exceptions": [exception(agent="a0", rules=["p/r1"], tools=["t.*"])]}
    )
    with_index = Snapshot.from_documents(found, register=register).decide(asked)
    assert with_index == without_index(found, register).decide(asked)


@LAW
@given(documents(), requests())
def test_long_lists_decide_as_the_reference_does(found: list[dict[str, Any]], asked: ContextRequest) -> None:
    """The reference goes through all rules with the interpreter."""
    decision = Snapshot.from_documents(found).decide(asked)
    expected = naive.decide(found, {**asked.bindings(), "args": dict(asked.args)})
    assert decision.effect == expected["effect"]
    assert {match.name: match.effect.value for match in decision.matched} == expected["matched"]
    assert {match.name: match.effect.value for match in decision.observed} == expected["observed"]


@LAW
@given(conditions(), requests())
def test_a_skipped_condition_is_false(condition: str, asked: ContextRequest) -> None:
    """Not an error: an error makes a rule fire."""
    program = cel.compile(condition, environment=ENVIRONMENT)
    bindings = asked.bindings()
    for path, texts in discriminators(program).items():
        table = index.Table(path, [(mock.sentinel.rule, texts)])
        if table.select(bindings) == ():
            assert program.interpret(bindings) is False


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('agent.id == "x"', {("agent", "id"): {"x"}}),
        ('"x" == agent.id', {("agent", "id"): {"x"}}),
        ('environment == "prod"', {("environment", None): {"prod"}}),
        ('agent.id in ["x", "y"]', {("agent", "id"): {"x", "y"}}),
        ('agent.id == "x" || agent.id == "y"', {("agent", "id"): {"x", "y"}}),
        ('agent.id == "x" && args.n > 5', {("agent", "id"): {"x"}}),
        ('args.n > 5 && agent.id == "x"', {("agent", "id"): {"x"}}),
        ('agent.id == "x" && environment == "p"', {("agent", "id"): {"x"}, ("environment", None): {"p"}}),
        ('agent.id == "x" && agent.id == "y"', {("agent", "id"): set()}),
        ('(agent.id == "x" && args.n > 5) || (agent.id == "y" && args.m)', {("agent", "id"): {"x", "y"}}),
        # Nothing is known of these.
        ('agent.id != "x"', {}),
        ('!(agent.id == "x")', {}),
        ('agent.id == "x" || args.n > 5', {}),
        ('agent.id == "x" || environment == "p"', {}),
        ("agent.id == args.id", {}),
        ("agent.n == 5", {}),
        ('agent.?id == optional.of("x")', {}),
        ('agent.id in ["x", 5]', {}),
        ('"x" in agent.tags', {}),
        ('args.deep.kind == "x"', {}),
        ('args.l.exists(agent, agent.id == "x")', {}),
        # What stands before may spend the budget, which no false operand absorbs.
        ('args.l.all(x, x > 0) && agent.id == "x"', {}),
        ('args.a.matches("a+") && agent.id == "x"', {}),
        ('args.a == args.b && agent.id == "x"', {}),
        ('args.a in args.b && agent.id == "x"', {}),
        ('args.a + args.b == "c" && agent.id == "x"', {}),
    ],
)
def test_what_tells_conditions_apart(condition: str, expected: dict[Any, set[str]]) -> None:
    """Equality of a variable or one of its fields with constant texts."""
    assert discriminators(cel.compile(condition, environment=ENVIRONMENT)) == expected


def test_what_may_spend_the_budget_before_is_not_skipped() -> None:
    """Texts as large as they can be, in several operands of a disjunction."""
    costly = " && ".join(f'args.{name} != "k"' for name in "abc")
    source = f'({costly} && agent.id == "x") || ({costly} && agent.id == "y")'
    program = cel.compile(source, environment=ENVIRONMENT)
    large = "é" * (1 << 24)
    with pytest.raises(cel.CelError, match="too costly"):
        program.interpret({"args": {"a": large, "b": large, "c": large}, "agent": {"id": "z"}})
    assert ("agent", "id") not in discriminators(program)


def test_names_that_may_be_bound_with_their_dots_tell_nothing_apart() -> None:
    """`agent.id` may be a binding of its own where the environment does not rule it out."""
    dotted = cel.Environment(["agent", "agent.id"], closed=True)
    program = cel.compile('agent.id == "x"', environment=dotted)
    assert program.interpret({"agent.id": "x", "agent": {"id": "y"}}) is True
    assert discriminators(program) == {}
    assert discriminators(cel.compile('agent.id == "x"')) == {}
    assert discriminators(cel.compile('agent.id == "x"', environment=ENVIRONMENT)) != {}


BY_AGENT = [
    *[rule(f"allow-{i}", "allow", f'agent.id == "agent-{i}"') for i in range(20)],
    *[rule(f"deny-{i}", "deny", f'agent.id == "agent-{i}" && args.amount > {i}') for i in range(20)],
]


def asked(agent: Any, **args: Any) -> ContextRequest:
    held = MappingProxyType(agent) if type(agent) is dict else agent
    return replace(request(), agent=held, args=MappingProxyType(args))


def test_rules_of_other_agents_are_not_looked_at() -> None:
    """What a decision costs does not depend on how many agents there are."""
    snapshot = Snapshot.from_documents([policy(*BY_AGENT)])
    with mock.patch("agentguard.policy.deciding.exact_truth", return_value=False) as truth:
        snapshot.decide(asked({"id": "agent-7"}, amount=5))
    assert truth.call_count == 2


class Other(dict[str, Any]):
    """A map of a type that only the interpreter reads."""


@pytest.mark.parametrize(
    ("agent", "errors"),
    [
        ({}, True),
        ({"id": None}, False),
        ({"id": 7}, False),
        ({"id": "\ud800"}, True),
        ({"id": object()}, True),
        ({"id": "x" * 10_000}, False),
        ({"id": "x" * ((1 << 24) + 1)}, True),
        (None, True),
        ("agent-7", True),
        (Other(id="agent-99"), False),
        (Other(), True),
    ],
)
def test_an_attribute_that_is_absent_or_no_text_makes_every_rule_look(agent: Any, errors: bool) -> None:
    """The error of a missing attribute fires what is no allow rule, with the index as without."""
    with_index, without = Snapshot.from_documents([policy(*BY_AGENT)]), without_index([policy(*BY_AGENT)])
    decision = with_index.decide(asked(agent, amount=50))
    assert decision == without.decide(asked(agent, amount=50))
    assert len([match for match in decision.matched if match.error]) == (20 if errors else 0)


def test_explanations_know_the_rules_that_the_index_skips() -> None:
    """A rule that nearly matched is one that another agent's id would have made match."""
    snapshot = Snapshot.from_documents([policy(*BY_AGENT)])
    found = explain(snapshot, asked({"id": "agent-3"}, amount=5))
    assert found.decision == snapshot.decide(asked({"id": "agent-3"}, amount=5))
    assert len(snapshot.rules_for("payments.transfer")) == 40


def test_selections_are_kept_in_a_bounded_number() -> None:
    """Tools' names come from outside."""
    snapshot = Snapshot.from_documents([policy(*BY_AGENT)])
    for number in range(5_000):
        snapshot.decide(replace(request(), tool=f"t{number}.x"))
    assert len(snapshot._policies.index._cache) <= 4096


def test_the_documentation_says_where_the_index_begins_and_ends() -> None:
    """The bounds are on the page about conditions."""
    text = (Path(__file__).parents[2] / "docs" / "cel.md").read_text(encoding="utf-8")
    assert f"lists of at least {index._LONG} rules" in text
    assert f"no text of at most {index._READABLE:,} characters" in text
