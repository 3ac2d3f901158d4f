"""A context request as AuthZEN 1.0 and back, held against the specification's own schema."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentguard import ConfigurationError, ContextRequest

SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "authzen"

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = TEXT.filter(bool)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
MAPS = st.dictionaries(TEXT, TREES, max_size=3)
PEOPLE = st.builds(lambda name, more: {**more, "id": name}, NAMES, MAPS)
THINGS = st.builds(
    lambda kind, name, more: {**more, "type": kind, "id": name},
    NAMES | st.just("tool"),
    NAMES | st.just("t"),
    MAPS,
)
RESOURCES = st.none() | MAPS | THINGS
REQUESTS = st.fixed_dictionaries(
    {"tool": NAMES | st.just("t"), "agent": PEOPLE, "args": MAPS},
    optional={
        "tenant": NAMES,
        "call_id": TEXT,
        "tool_digest": TEXT,
        "principal": PEOPLE,
        "chain": st.lists(PEOPLE, max_size=2),
        "environment": TEXT,
        "secrets": st.lists(TEXT, max_size=2),
        "session": MAPS,
        "resource": RESOURCES,
        "workload": MAPS,
        "facts": MAPS,
        "context": MAPS,
        "now": st.datetimes(timezones=st.just(dt.UTC)).map(lambda at: at.isoformat()),
        "supplied": st.dictionaries(TEXT, MAPS, max_size=2),
    },
)
SMALL: dict[str, Any] = {
    "subject": {"type": "agent", "id": "billing"},
    "action": {"name": "bank.transfer"},
    "resource": {"type": "account", "id": "ACME"},
}


@given(REQUESTS)
def test_there_and_back_is_the_same_request(data: dict[str, Any]) -> None:
    """Also through JSON text, with whole numbers and fractions kept apart."""
    request = ContextRequest.from_mapping(data)
    text = json.dumps(request.to_authzen())
    found = ContextRequest.from_authzen(json.loads(text))
    assert found == request
    assert json.dumps(found.to_mapping()) == json.dumps(request.to_mapping())


def test_what_we_send_fits_the_specification() -> None:
    """The schemas of the OpenID foundation."""
    schema_of = pytest.importorskip("jsonschema").Draft202012Validator
    if not SCHEMAS.exists():
        pytest.skip("the AuthZEN schemas are not part of this checkout")
    validator = schema_of(json.loads((SCHEMAS / "evaluation-request.schema.json").read_text()))

    @given(REQUESTS)
    def fits(data: dict[str, Any]) -> None:
        validator.validate(ContextRequest.from_mapping(data).to_authzen())

    fits()
    (example,) = validator.schema["examples"]
    with pytest.raises(ConfigurationError, match="agent"):
        ContextRequest.from_authzen(example)  # its subject is a person
    example["subject"]["type"] = "agent"
    found = ContextRequest.from_authzen(example)
    assert (found.tool, found.args, found.resource) == (
        "can_read",
        {"method": "GET"},
        {"type": "account", "id": "123"},
    )


def test_other_peoples_requests_need_nothing_of_ours() -> None:
    """The action's properties are the arguments, the context is context."""
    found = ContextRequest.from_authzen(
        {
            **SMALL,
            "action": {"name": "bank.transfer", "properties": {"amount": 5}},
            "context": {"ip": "10.0.0.1", "time": "2026-11-20T10:00:00Z"},
        }
    )
    assert found.args == {"amount": 5}
    assert found.context == {"ip": "10.0.0.1"}
    assert found.now.isoformat() == "2026-11-20T10:00:00+00:00"
    assert (
        ContextRequest.from_authzen({**SMALL, "resource": {"type": "tool", "id": "bank.transfer"}}).resource
        is None
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"subject": None}, "subject"),
        ({"subject": {"type": "user", "id": "ana"}}, "has to be an `agent`"),
        ({"subject": {"type": "agent"}}, "subject.id"),
        ({"subject": {"type": "agent", "id": 5}}, "subject.id"),
        ({"subject": {"type": "agent", "id": "a", "properties": {"id": "root"}}}, "cannot hold `id`"),
        ({"subject": {"type": "agent", "id": "a", "properties": []}}, "subject.properties"),
        ({"action": {}}, "action.name"),
        ({"action": {"name": ""}}, "action.name"),
        ({"resource": "ACME"}, "resource"),
        ({"context": []}, "context"),
        ({"context": {"agentguard": 5}}, "context.agentguard"),
        ({"context": {"agentguard": {"v": 2}}}, "reads 1"),
        ({"context": {"agentguard": {"tennant": "x"}}}, "tennant"),
        ({"context": {"agentguard": {}}, "action": {"name": "t", "properties": {"arg": {}}}}, "`arg`"),
        ({"context": {"time": "yesterday"}}, "ISO 8601"),
        ({"context": {"time": "2026-11-20T10:00:00"}}, "zone"),
    ],
)
def test_what_is_no_evaluation_request_is_refused_T48(change: dict[str, Any], match: str) -> None:
    """With the part that is wrong."""
    data = {key: value for key, value in {**SMALL, **change}.items() if value is not None}
    with pytest.raises(ConfigurationError, match=match):
        ContextRequest.from_authzen(data)
