"""A guard that infers what nobody declared about its tools, visibly, and notices changed definitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, ConfigurationError, Guard, Snapshot
from agentguard.provenance.definitions import Definition

ALLOW = Snapshot.from_documents(
    [{"policy": "all", "tools": ["*"], "rules": [{"id": "all", "effect": "allow"}]}]
)
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "pin": {"type": "string"}}}


@contextmanager
def guard(**options: Any) -> Iterator[Guard]:
    """A guard in memory."""
    with Guard(snapshot=ALLOW, store="memory:", sweep_s=None, **options) as made:
        yield made


def test_facts_that_nobody_declared_are_inferred_and_named() -> None:
    """From the definition with which a tool was registered."""
    with guard(infer_facts=True) as one:
        facts = one.register("remove_file", definition={"parameters": SCHEMA, "description": "Remove."}).facts
    assert facts["action"] == "delete"
    assert facts["roles"]["pin"] == "credential"
    assert {"action", "destructive", "roles"} <= set(facts["inferred"])


def test_nothing_is_inferred_unless_it_is_switched_on() -> None:
    """The default is what somebody said."""
    with guard() as one:
        assert not {"action", "destructive", "inferred"} & one.register("remove_file").facts.keys()


def test_what_a_person_said_wins_over_what_is_inferred() -> None:
    """Fact by fact and argument by argument; a promise to read only takes back what was inferred."""
    filed = {"remove_file": {"destructive": False, "roles": {"path": "object"}}, "frob": {"read_only": True}}
    with guard(infer_facts=True, tool_facts=filed) as one:
        facts = one.register("remove_file", definition={"parameters": SCHEMA}).facts
        quiet = one.register("frob", definition={"description": "It frobs."}).facts
    assert facts["destructive"] is False
    assert facts["roles"] == {"path": "object", "pin": "credential"}
    assert "destructive" not in facts["inferred"]
    assert (quiet["read_only"], quiet["writes"], quiet["action"]) == (True, False, "read")
    assert "uncertain" not in quiet


def test_a_decorated_function_is_read_by_its_signature_and_documentation() -> None:
    """Parameters that the framework injects are no arguments."""
    with guard(infer_facts=True) as one:

        @one.tool("mail.send", injected=["handle"])
        def send(handle: object, to: str, body: str = "") -> None:
            """Send a mail."""

        facts = one.tools["mail.send"].facts
    assert facts["roles"] == {"to": "recipient", "body": "content"}


def test_conditions_see_inferred_facts() -> None:
    """The policy decides by them."""
    never = {"id": "never", "effect": "deny", "when": "facts.destructive"}
    rules = [{"id": "all", "effect": "allow"}, never]
    snapshot = Snapshot.from_documents([{"policy": "p", "tools": ["*"], "rules": rules}])
    with Guard(snapshot=snapshot, store="memory:", sweep_s=None, infer_facts=True) as one:
        tool = one.register("remove_file", lambda path: None)
        with one.session(agent=AgentIdentity("a")), pytest.raises(Exception, match="never"):
            one.call(tool, {"path": "x"}, lambda given: None)


def pinned(schema: Any) -> dict[str, Any]:
    """Tool facts with the pin of a definition."""
    digest = Definition(name="get_page", description="Get a page.", parameters=schema).digest
    return {"get_page": {"reads": True, "definition": digest}}


def test_a_definition_that_is_not_the_pinned_one_is_a_fact_T06() -> None:
    """Another schema, or none at all."""
    same = {"parameters": SCHEMA, "description": "Get a page."}
    for definition, changed in ((same, None), ({**same, "parameters": {}}, True), ({}, True)):
        with guard(tool_facts=pinned(SCHEMA)) as one:
            facts = one.register("get_page", definition=definition).facts
        assert facts.get("changed") is changed


def test_a_strict_guard_starts_no_session_with_a_changed_tool_T06() -> None:
    """It says which, and what to do."""
    with guard(tool_facts=pinned(SCHEMA), strict=True) as one:
        one.register("get_page", definition={"parameters": {}})
        with pytest.raises(ConfigurationError, match="`get_page` is not the one that was pinned"):
            one.session(agent=AgentIdentity("a"))


def test_the_configuration_switches_it_on(tmp_path: Path) -> None:
    """`infer_facts: true`; packs are named beside files."""
    file = tmp_path / "agentguard.yaml"
    file.write_text("policies: [pack:permit]\nstore: 'memory:'\ninfer_facts: true\n", encoding="utf-8")
    with Guard.from_config(file) as one:
        assert one.register("remove_file").facts["action"] == "delete"


def test_a_pack_that_is_not_there_is_a_finding_of_the_configuration(tmp_path: Path) -> None:
    """With what may have been meant."""
    file = tmp_path / "agentguard.yaml"
    file.write_text("policies: [pack:permitt]\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="did you mean `permit`"):
        Guard.from_config(file)


@pytest.mark.parametrize(
    "definition",
    [
        {"parameters": SCHEMA, "description": "Remove."},
        {"schema": {**SCHEMA, "title": "remove_file", "description": "Remove."}, "coroutine": "x"},
        {"tool": {"type": "function", "function": {"name": "remove_file", "parameters": SCHEMA}}},
        {"tool": {"name": "remove_file", "input_schema": SCHEMA}},
        {"inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
    ],
)
def test_definitions_are_found_as_frameworks_give_them(definition: Any) -> None:
    """A schema, a provider's form, the form of MCP."""
    with guard(infer_facts=True) as one:
        facts = one.register("remove_file", definition=definition).facts
    assert facts["action"] == "delete"
    assert facts["roles"] == {"path": "path", "pin": "credential"}
