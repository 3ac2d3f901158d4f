"""The documentation of policies says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentguard.policy import Snapshot, Source, check_documents, read
from agentguard.policy.document import (
    ApprovalDocument,
    FlagDocument,
    PolicyDocument,
    ReserveDocument,
    RuleDocument,
)
from agentguard.policy.functions import FUNCTIONS, VARIABLES
from agentguard.policy.register import ExceptionRecord, Grant

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
POLICIES = [block for block in BLOCKS if block.startswith("policy:")]


def source(block: str) -> Source:
    found, findings = read(block, "policies.md")
    assert findings == []
    assert found is not None
    return found


@pytest.mark.parametrize("block", POLICIES)
def test_every_policy_on_the_page_loads_without_an_error_or_a_warning(block: str) -> None:
    """What a reader copies works."""
    assert [f for f in check_documents([source(block)]) if f.code != "AG220"] == []
    Snapshot.from_documents([source(block).data])


def test_the_page_has_policies() -> None:
    """The test above looks at something."""
    assert len(POLICIES) >= 7


@pytest.mark.parametrize(
    "model", [PolicyDocument, RuleDocument, FlagDocument, ApprovalDocument, ReserveDocument]
)
def test_every_key_of_a_document_is_on_the_page(model: type) -> None:
    """A key that nobody can read about is not a feature."""
    for key in model.model_fields:  # type: ignore[attr-defined]
        assert f"`{key}`" in PAGE, key


def test_every_variable_and_function_is_on_the_page() -> None:
    """And none that does not exist."""
    for name in VARIABLES:
        assert f"| `{name}` |" in PAGE, name
    for name in FUNCTIONS:
        assert f"| `{name}(" in PAGE, name
    listed = PAGE.split("| function | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([\w.]+)\(", listed, re.M)) == set(FUNCTIONS)


@pytest.mark.parametrize("record", [ExceptionRecord, Grant])
def test_every_key_of_a_record_is_on_the_page(record: type) -> None:
    """The register's records are documented too."""
    for key in record.__dataclass_fields__:  # type: ignore[attr-defined]
        assert f"`{key.removesuffix('_s')}`" in PAGE, key
