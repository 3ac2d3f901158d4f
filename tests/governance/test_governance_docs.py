"""The documentation of exceptions, grants and agents: its code runs, its document is valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentguard.governance.agents import AgentState
from agentguard.governance.deviation import ExceptionDocument, content_of
from agentguard.governance.exceptions import ExceptionState
from agentguard.governance.findings import Kind
from agentguard.governance.grants import GrantState
from agentguard.governance.report.model import FindingKind
from agentguard.policy import Snapshot
from agentguard.policy.functions import BASELINE_FACTS
from agentguard.policy.reader import read
from agentguard.terms import Terms

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    name: (DOCS / name).read_text(encoding="utf-8")
    for name in ("exceptions.md", "agents.md", "baselines.md", "report.md")
}


@pytest.mark.parametrize("name", PAGES)
def test_the_code_runs_and_the_links_lead_somewhere(name: str) -> None:
    """Each block of Python by itself."""
    blocks = re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), {})  # noqa: S102
    for link in re.findall(r"\]\(([^)#]+)", PAGES[name]):
        assert (DOCS / link).exists(), link


def test_the_exception_of_the_documentation_is_valid() -> None:
    """As it is printed, and every key that there is stands on the page."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGES["exceptions.md"], re.DOTALL)
    source, findings = read(block, "exception.yaml")
    assert source is not None, findings
    content_of(source.data, tenant="default", id="EX-00000001", requester="ben")
    for key in ExceptionDocument.model_fields:
        assert re.search(rf"\b{key}\b", block), key


def test_every_state_finding_and_term_is_documented() -> None:
    """Nothing can be read in a list that no page explains."""
    for state in (*ExceptionState, *GrantState):
        assert f"`{state.value}`" in PAGES["exceptions.md"]
    for agent in AgentState:
        assert f"`{agent.value}`" in PAGES["agents.md"]
    for kind in Kind.__args__:  # type: ignore[attr-defined]
        assert f"`{kind}`" in PAGES["agents.md"]
    for term in Terms.__dataclass_fields__:
        assert re.search(rf"\b{term}\b", PAGES["exceptions.md"])
    assert f"({Terms().max_renewals} where nothing is said)" in PAGES["exceptions.md"]
    assert f"({Terms().max_days} where nothing is said)" in PAGES["exceptions.md"]


def test_every_fact_of_a_baseline_and_every_finding_of_the_report_is_documented() -> None:
    """Nothing can be asked for, or found, that no page explains; the policy on the page loads."""
    for fact in BASELINE_FACTS:
        assert f"| `baseline.{fact}` |" in PAGES["baselines.md"]
    for kind in FindingKind.__args__:  # type: ignore[attr-defined]
        assert f"`{kind}`" in PAGES["report.md"]
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGES["baselines.md"], re.DOTALL)
    source, findings = read(block, "deviations.yaml")
    assert source is not None, findings
    Snapshot.from_documents([source.data])
