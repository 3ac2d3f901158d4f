"""The JSON Schemas: what the package ships is what the models say, and what the command prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from agentguard import schemas
from agentguard.cli import templates
from agentguard.config import ConfigDocument, ToolDocument
from agentguard.policy import read
from agentguard.policy.document import PolicyDocument
from agentguard.policy.testing import TestDocument
from agentguard.schemas import KINDS, made, render
from tests.cli.support import run

MODELS = {"policy": PolicyDocument, "test": TestDocument, "config": ConfigDocument, "tools": ToolDocument}


@pytest.mark.parametrize("kind", KINDS)
def test_the_shipped_schema_is_current(kind: schemas.Kind) -> None:
    """Written anew by `agentguard schema KIND > agentguard/schemas/KIND.schema.json`."""
    shipped = files("agentguard.schemas").joinpath(f"{kind}.schema.json").read_text(encoding="utf-8")
    assert shipped == render(kind)
    assert run("schema", kind).stdout == shipped


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


@pytest.mark.parametrize("kind", MODELS)
def test_a_schema_is_closed_and_knows_no_null_T48(kind: schemas.Kind) -> None:
    """An unknown key is marked in the editor, and so is one without a value."""
    schema = made(kind)
    keys = schema["properties"] if kind != "tools" else schema["$defs"]["ToolDocument"]["properties"]
    assert set(keys) == {field.alias or name for name, field in MODELS[kind].model_fields.items()}
    for node in nodes(schema):
        assert node.get("type") != "null"
        if node.get("type") == "object" and "properties" in node:
            assert node["additionalProperties"] is False
    refs = {node["$ref"] for node in nodes(schema) if "$ref" in node}
    assert refs <= {f"#/$defs/{name}" for name in schema.get("$defs", {})}


def test_short_forms_are_part_of_the_schemas() -> None:
    """An effect for what is wanted, a name for a request, an id for an agent, one folder for policies."""
    test = made("test")["$defs"]
    case = test["CaseDocument"]["properties"]
    assert {"type": "string"} in case["request"]["anyOf"]
    assert {"enum": ["allow", "flag", "constrain", "step_up", "deny"], "type": "string"} in case["want"][
        "anyOf"
    ]
    assert {"type": "string"} in test["RequestDocument"]["properties"]["agent"]["anyOf"]
    names = test["WantDocument"]["properties"]["rules"]["anyOf"]
    assert {one.get("type", one.get("$ref")) for one in names} == {"array", "#/$defs/NamesDocument"}
    kinds = [one.get("type") for one in made("config")["properties"]["policies"]["anyOf"]]
    assert kinds == ["string", "array"]


@pytest.mark.parametrize("kind", MODELS)
def test_the_files_of_init_are_valid(kind: schemas.Kind) -> None:
    """By a validator that is not ours, where one is installed."""
    jsonschema = pytest.importorskip("jsonschema")
    name = {
        "policy": "policies/starter.yaml",
        "test": "policies/starter_test.yaml",
        "config": "agentguard.yaml",
        "tools": "tools.yaml",
    }
    source, findings = read(templates.files(templates.DENY)[name[kind]], name[kind])
    assert findings == []
    assert source is not None
    validator = jsonschema.Draft202012Validator(made(kind))
    assert list(validator.iter_errors(source.data)) == []
    assert list(validator.iter_errors({**source.data, "unknown": 1})) != []


def test_init_writes_the_schemas_and_the_headers_by_which_editors_find_them(work: Path) -> None:
    """Each header names a file that is there."""
    run("init")
    for name in ("agentguard.yaml", "policies/starter.yaml", "policies/starter_test.yaml", "tools.yaml"):
        path = work / name
        header = path.read_text(encoding="utf-8").splitlines()[0]
        schema = path.parent / header.removeprefix("# yaml-language-server: $schema=")
        assert json.loads(schema.read_text(encoding="utf-8"))["title"].startswith("agentguard ")


def test_another_kind_is_a_usage_error() -> None:
    """The error names every kind that there is."""
    found = run("schema", "rules", code=None)
    assert found.exit_code == 2
    assert all(f"'{kind}'" in found.output for kind in KINDS)
