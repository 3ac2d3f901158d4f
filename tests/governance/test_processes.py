"""What one process decides is in force in another: the command line against a guard that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, ApprovalPending, Guard, ToolCallDenied
from tests.cli.conftest import work
from tests.governance.test_governance_commands import ASK, place

__all__ = ["place", "work"]

ROOT = Path(__file__).parents[2]


def other(*args: str) -> str:
    """The command in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-m", "agentguard", *args],
        capture_output=True, text=True, timeout=300, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return found.stdout


@pytest.fixture
def guard(place: Path) -> Any:
    with Guard.from_config("agentguard.yaml") as guard:
        yield guard


def payer(guard: Guard) -> Callable[[int], Any]:
    @guard.tool("pay")
    def tool(amount: int) -> dict[str, str]:
        return {"iban": "DE99"}

    def pay(amount: int) -> Any:
        with guard.session(agent=AgentIdentity("billing"), principal="zoe", pause="raise"):
            return tool(amount)

    return pay


def test_an_exception_of_another_process_is_in_force_and_ends_T05_T49(guard: Guard) -> None:
    """From its approval to its revocation, without a message between the processes."""
    import json

    pay = payer(guard)
    id = json.loads(other(*ASK, "--json"))["id"]
    with pytest.raises(ToolCallDenied, match="pay/night"):
        pay(6000)
    other("exceptions", "approve", id, "--as", "ana", "--yes")
    assert pay(6000) == {"iban": "[redacted by policy]"}
    other("exceptions", "revoke", id)
    with pytest.raises(ToolCallDenied, match="pay/night"):
        pay(6000)


def test_a_suspension_by_another_process_stops_an_approved_call_T05(guard: Guard) -> None:
    """Between the approval and the claim; and every call after."""
    pay = payer(guard)
    with pytest.raises(ApprovalPending) as pending:
        pay(500)
    other("approvals", "approve", pending.value.approval_id, "--as", "ana", "--yes", "--grant")
    other("agents", "suspend", "billing")
    import asyncio

    with pytest.raises(ToolCallDenied, match="agentguard/agent"):
        asyncio.run(guard.resume(pending.value.approval_id))
    for amount in (5, 500):
        with pytest.raises(ToolCallDenied, match="agentguard/agent"):
            pay(amount)
    other("agents", "restore", "billing", "--as", "ana")
    assert pay(5)
    assert pay(500)
