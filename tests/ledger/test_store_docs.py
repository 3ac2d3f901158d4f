"""The documentation of approvals and the ledger: its code runs, its links and its figures are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from agentguard.ledger.checkpoint_options import CheckpointEntry
from agentguard.ledger.findings import Kind
from agentguard.ledger.records import _adapter
from agentguard.stepup.eligibility import MAX_QUORUM
from agentguard.stepup.model import State
from agentguard.store.counters import MAX_ROWS, SLOTS
from agentguard.store.sqlite_ledger import MAX_TAIL

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["approvals.md", "ledger.md"])
def test_the_code_runs_and_the_links_lead_somewhere(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block of Python by itself."""
    text = (DOCS / name).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), {})  # noqa: S102
    for link in re.findall(r"\]\((\.\./[^)#]+)\)", text):
        assert (DOCS / link).exists(), link


def test_every_state_and_every_type_of_event_is_documented() -> None:
    """Nothing is recorded that the documentation does not name."""
    approvals, ledger = (DOCS / "approvals.md").read_text(), (DOCS / "ledger.md").read_text()
    for state in State:
        assert f"`{state.value}`" in approvals
    schema = str(_adapter.json_schema())
    kinds = set(re.findall(r"'const': '([a-z.]+)'", schema)) | set(
        re.findall(r"'(approval\.[a-z]+)'", schema)
    )
    assert len(kinds) >= 14
    for kind in kinds:
        assert f"`{kind}`" in ledger or f"`.{kind.partition('.')[2]}`" in ledger, kind


def test_the_figures_are_those_of_the_code() -> None:
    """Where a bound is named, it is the one that is enforced."""
    approvals, ledger = (DOCS / "approvals.md").read_text(), (DOCS / "ledger.md").read_text()
    assert f"from 1 to {MAX_QUORUM}" in approvals
    assert f"every {MAX_TAIL} events" in ledger
    assert f"{MAX_ROWS:,}" in ledger
    assert f"{SLOTS:,}" in ledger


def test_every_finding_and_every_setting_of_checkpoints_is_documented() -> None:
    """And the section that is shown there is one that is taken."""
    text = (DOCS / "ledger.md").read_text()
    for kind in get_args(Kind):
        assert f"`{kind}`" in text, kind
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    shown = yaml.safe_load(block)["checkpoint"]
    assert set(shown) == set(CheckpointEntry.model_fields)
    CheckpointEntry.model_validate(shown)


def test_the_directory_of_the_documentation_is_valid(tmp_path: Path) -> None:
    """As it is printed there."""
    from agentguard.stepup.directory import FileDirectory

    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "approvals.md").read_text(), re.DOTALL)
    (tmp_path / "directory.yaml").write_text(block)
    assert FileDirectory(tmp_path / "directory.yaml").members("finance") == {"ana"}
