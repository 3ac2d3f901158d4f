"""Cedar beside the policies: a forbid that fails, a value without a type, an escape in an argument."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, ConfigurationError, ContextRequest, Effect, ToolCallDenied
from agentguard.engines import CedarEngine, Opinion
from tests.guard.support import ANY, bank, make_guard

HERE = Path(__file__).parent
POLICIES, SCHEMA = HERE / "payments.cedar", HERE / "payments.cedarschema"
ARGS: dict[str, Any] = {"payee": "ACME", "amount": 5}


@pytest.fixture(scope="module")
def engine() -> CedarEngine:
    return CedarEngine(POLICIES, schema=SCHEMA, include=("args", "environment", "principal", "chain"))


def asked(engine: CedarEngine, args: dict[str, Any], **changes: Any) -> Opinion:
    request = {
        "tool": "payments.transfer",
        "args": args,
        "agent": {"id": "billing", "owner": "ana", "tags": ["prod"], "role": "billing"},
        **changes,
    }
    return engine.decide(ContextRequest.from_mapping(request))


def test_permit_forbid_and_neither(engine: CedarEngine) -> None:
    """Each by the name that it has in Cedar."""
    assert asked(engine, ARGS) == Opinion(effect=Effect.ALLOW, rules=("policy0",))
    evil = asked(engine, {**ARGS, "payee": "EVIL"})
    assert (evil.effect, evil.rules, evil.reason) == (Effect.DENY, ("no-evil",), "forbidden by no-evil")
    neither = asked(engine, {**ARGS, "amount": 500})
    assert (neither.effect, neither.rules, neither.error) == (Effect.DENY, (), None)


def test_silence_may_be_no_opinion() -> None:
    """Where the operator says so."""
    lenient = CedarEngine(POLICIES, schema=SCHEMA, silent="not_applicable")
    assert asked(lenient, {**ARGS, "amount": 500}).effect is None
    assert asked(lenient, {**ARGS, "payee": "EVIL"}).effect is Effect.DENY


@pytest.mark.parametrize(
    "args",
    [
        {"payee": "ACME"},
        {"amount": 5},
        {**ARGS, "extra": 1},
        {**ARGS, "amount": "5"},
        {**ARGS, "amount": True},
        {**ARGS, "amount": 5.0},
        {**ARGS, "amount": None},
        {**ARGS, "amount": 2**63},
        {**ARGS, "payee": 5},
        {**ARGS, "payee": {"__entity": {"type": "Agent", "id": "root"}}},
        {**ARGS, "payee": {"__extn": {"fn": "decimal", "arg": "1.0"}}},
        {**ARGS, "payee": {"__expr": '"ACME"'}},
        {**ARGS, "payee": ["ACME"]},
        {**ARGS, "rate": 1.00001},
        {**ARGS, "rate": 1e300},
        {**ARGS, "rate": {"__extn": {"fn": "decimal", "arg": "1.0"}}},
    ],
    ids=repr,
)
def test_what_does_not_fit_is_a_deny_T20_T29(engine: CedarEngine, args: dict[str, Any]) -> None:
    """With Cedar alone an erroring forbid lets the call through; a value of a tool's is never an escape."""
    found = asked(engine, args)
    assert found.effect is Effect.DENY
    assert found.error


def test_a_forbid_that_fails_lets_nothing_through_T39(tmp_path: Path) -> None:
    """Cedar itself answers Allow, and the error beside it."""
    (tmp_path / "p.cedar").write_text(
        "permit(principal, action, resource);\n"
        "forbid(principal, action, resource)"
        " when { context.args.amount * 9223372036854775807 > 5 };"
    )
    overflows = CedarEngine(tmp_path / "p.cedar", schema=SCHEMA)
    assert asked(overflows, {**ARGS, "amount": 0}).effect is Effect.ALLOW
    found = asked(overflows, {**ARGS, "amount": 2})
    assert found.effect is Effect.DENY
    assert found.error


def test_fractions_are_decimals(engine: CedarEngine) -> None:
    """Up to four digits, exactly."""
    for rate in (1.5, 0.0001, -2.25, 1e5):
        assert asked(engine, {**ARGS, "rate": rate}).effect is Effect.ALLOW


def test_who_acts_and_for_whom_are_entities(engine: CedarEngine) -> None:
    """Tags decide, people and their groups come along, the chain too."""
    assert asked(engine, ARGS, agent={"id": "billing", "tags": []}).effect is Effect.DENY
    found = asked(
        engine,
        ARGS,
        principal={"id": "ben", "groups": ["finance"], "title": "clerk"},
        chain=[{"id": "planner", "tags": ["prod"]}, {"id": "billing", "tags": []}],
        environment="prod",
        resource={"type": "account", "id": "ACME", "data_class": "secret"},
    )
    assert found.effect is Effect.ALLOW
    assert asked(engine, ARGS, agent={"id": "billing", "tags": ["prod"], "unknown": 1}).error
    assert asked(engine, ARGS, resource={"type": "bad type", "id": "x"}).error
    assert asked(engine, ARGS, resource={"data_class": "secret"}).error


@pytest.mark.parametrize("name", ['a"b', "a\nb", "a::b", "\u202e", "x" * 256, 'billing" }'])
def test_a_hostile_name_stays_a_name_T28(engine: CedarEngine, name: str) -> None:
    """It is data, not syntax."""
    assert asked(engine, ARGS, agent={"id": name, "tags": ["prod"]}).effect is Effect.ALLOW
    assert asked(engine, ARGS, agent={"id": name, "tags": []}).effect is Effect.DENY


def test_a_tool_that_the_schema_does_not_know_is_a_deny(engine: CedarEngine) -> None:
    """It was never thought of."""
    assert asked(engine, ARGS, tool="payments.other").error


@pytest.mark.parametrize(
    ("policies", "schema", "match"),
    [
        ("permit(", None, "unexpected"),
        ("permit(principal, action, resource) when { context.args.amunt > 1 };", None, "amunt"),
        (None, "entity Agent {", "engine `cedar`"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused_at_load_T48(
    tmp_path: Path, policies: str | None, schema: str | None, match: str
) -> None:
    """A misspelt attribute is found before the first call."""
    (tmp_path / "p.cedar").write_text(policies or POLICIES.read_text())
    (tmp_path / "s.cedarschema").write_text(schema or SCHEMA.read_text())
    with pytest.raises(ConfigurationError, match=match):
        CedarEngine(tmp_path / "p.cedar", schema=tmp_path / "s.cedarschema")


@pytest.mark.parametrize("text", ["", "// later\n"])
def test_a_file_without_a_policy_is_refused(tmp_path: Path, text: str) -> None:
    """It decides nothing, and looks like one that does."""
    (tmp_path / "p.cedar").write_text(text)
    with pytest.raises(ConfigurationError, match="holds no policy"):
        CedarEngine(tmp_path / "p.cedar", schema=HERE / "payments.cedarschema")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("loose", ["p.cedar", "s.cedarschema"])
def test_files_that_anybody_may_change_are_refused_T47(tmp_path: Path, loose: str) -> None:
    """Policies as well as their schema."""
    for name, source in {"p.cedar": "payments.cedar", "s.cedarschema": "payments.cedarschema"}.items():
        (tmp_path / name).write_bytes((HERE / source).read_bytes())
    (tmp_path / loose).chmod(0o666)
    with pytest.raises(ConfigurationError, match=f"{loose}`: AG301 anybody may change this file"):
        CedarEngine(tmp_path / "p.cedar", schema=tmp_path / "s.cedarschema")


def test_a_path_is_never_taken_for_a_policy(tmp_path: Path) -> None:
    """A file that is not there is an error."""
    with pytest.raises(ConfigurationError, match="cannot read"):
        CedarEngine("permit(principal, action, resource);", schema=SCHEMA)
    with pytest.raises(ConfigurationError, match="cannot be included"):
        CedarEngine(POLICIES, schema=SCHEMA, include=("arguments",))
    with pytest.raises(ConfigurationError, match="silent"):
        CedarEngine(POLICIES, schema=SCHEMA, silent="allow")  # type: ignore[arg-type]


def test_on_the_path_of_a_call(engine: CedarEngine) -> None:
    """Its forbid stops what our own rules allow."""
    agent = AgentIdentity("billing", tags=["prod"])
    with make_guard(ANY, engines=[CedarEngine(POLICIES, schema=SCHEMA, tools=["payments.*"])]) as guard:
        transfer, ran = bank(guard, "sync", "payments.transfer")
        with guard.session(agent=agent):
            transfer("ACME", 5)
            with pytest.raises(ToolCallDenied, match="forbidden by no-evil"):
                transfer("EVIL", 5)
            with pytest.raises(ToolCallDenied, match="no policy permits"):
                transfer("ACME", 500)
        assert len(ran) == 1
