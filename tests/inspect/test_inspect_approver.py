"""The guard as an approver of Inspect AI, under Inspect's own loop with its own fake model."""

from __future__ import annotations

import gc
import importlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="Inspect AI is not installed: pip install 'agentguard[inspect]'")

from inspect_ai import Task, eval
from inspect_ai.approval import ApprovalPolicy, Approver, auto_approver
from inspect_ai.approval import approver as registered
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageTool, ChatMessageUser, ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, ToolCall, ToolCallView, tool

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard_inspect import guard as guard_approver
from agentguard_inspect.approver import approver_of

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Inspect leaves streams open at the end of an evaluation."""

ROOT = Path(__file__).parents[2]
RAN: list[dict[str, Any]] = []


@tool
def fetch() -> Tool:
    async def execute(page: str) -> str:
        """Fetch a page.

        Args:
            page: its name
        """
        RAN.append({"page": page})
        return f"text of {page}"

    return execute


@tool
def send() -> Tool:
    async def execute(to: str, amount: int) -> str:
        """Send money.

        Args:
            to: who gets it
            amount: how much
        """
        RAN.append({"to": to, "amount": amount})
        return "sent"

    return execute


def policy(*rules: Mapping[str, Any]) -> Snapshot:
    return Snapshot.from_documents([{"policy": "p", "owner": "ops", "tools": ["*"], "rules": list(rules)}])


ALLOW = {"id": "all", "effect": "allow"}
ASK = {"id": "ask", "effect": "step_up", "when": 'tool == "send"', "approval": {"reviewers": ["principal"]}}
CAP = {"id": "cap", "effect": "constrain", "when": 'tool == "send"', "set": {"args.amount": 10}}
NO = {"id": "no", "effect": "deny", "when": 'tool == "send"', "reason": "nobody pays here"}
MASK = {"id": "mask", "effect": "allow", "redact_result": ["$.iban"]}


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    RAN.clear()
    yield
    RAN.clear()


@pytest.fixture
def guards() -> Iterator[list[Guard]]:
    made: list[Guard] = []
    yield made
    for one in made:
        one.close()


def made(guards: list[Guard], *rules: Mapping[str, Any]) -> tuple[Guard, Approver]:
    guards.append(Guard(snapshot=policy(*rules), store="memory:"))

    @registered(name="under_test")
    def under_test() -> Approver:
        return approver_of(guards[-1], agent=AgentIdentity("a", owner="o"), principal="alice")

    return guards[-1], under_test()


def played(tmp_path: Path, *approvers: Approver, calls: list[tuple[str, dict[str, Any]]]) -> EvalLog:
    """One sample: the fake model makes these calls, one a turn, and then answers."""
    outputs = [ModelOutput.for_tool_call("mockllm/model", name, args) for name, args in calls]
    outputs.append(ModelOutput.from_content("mockllm/model", "done"))
    for output in outputs:
        output.usage = ModelUsage()  # otherwise Inspect fetches a tokenizer to count with
    task = Task(
        dataset=[Sample(input="Send 50 to ACME.")],
        solver=[use_tools(fetch(), send()), generate()],
        approval=[ApprovalPolicy(one, "*") for one in approvers],
    )
    (log,) = eval(
        task,
        model=get_model("mockllm/model", custom_outputs=outputs),
        log_dir=str(tmp_path),
        display="none",
    )
    gc.collect()  # here, where the warning about what Inspect left open is expected
    assert log.status == "success", log.error
    return log


def tool_messages(log: EvalLog) -> list[ChatMessageTool]:
    assert log.samples is not None
    return [one for one in log.samples[0].messages if isinstance(one, ChatMessageTool)]


def recorded(guard: Guard) -> list[tuple[str, str]]:
    """Tool and effect of every decision in the ledger."""
    guard.flush()
    events = [json.loads(one.leaf) for one in guard.store.events(guard.tenant) if one.type == "decision"]
    return [(event["tool"], event["decision"]["effect"]) for event in events]


SEND = ("send", {"to": "ACME", "amount": 50})


def test_an_allowed_call_is_approved_and_recorded(tmp_path: Path, guards: list[Guard]) -> None:
    """It runs as it was made."""
    guard, approver = made(guards, ALLOW)
    played(tmp_path, approver, calls=[SEND])
    assert RAN == [{"to": "ACME", "amount": 50}]
    assert recorded(guard) == [("send", "allow")]


def test_a_constrained_call_is_modified(tmp_path: Path, guards: list[Guard]) -> None:
    """It runs with what the policy set."""
    _, approver = made(guards, ALLOW, CAP)
    played(tmp_path, approver, calls=[SEND])
    assert RAN == [{"to": "ACME", "amount": 10}]


def test_a_denied_call_is_rejected_with_the_rules_words(tmp_path: Path, guards: list[Guard]) -> None:
    """The agent reads why."""
    guard, approver = made(guards, ALLOW, NO)
    (said,) = tool_messages(played(tmp_path, approver, calls=[SEND]))
    assert RAN == []
    assert said.error is not None
    assert "nobody pays here" in said.error.message
    assert recorded(guard) == [("send", "deny")]


def test_a_question_escalates_to_the_next_approver(tmp_path: Path, guards: list[Guard]) -> None:
    """Who decides it alone: the guard's own question is withdrawn."""
    guard, approver = made(guards, ALLOW, ASK)
    played(tmp_path, approver, auto_approver("approve"), calls=[SEND])
    assert RAN == [{"to": "ACME", "amount": 50}]
    states = {one.state.value for one in guard.store.approvals(guard.tenant)}
    assert states == {"withdrawn"}


def test_a_question_that_nobody_takes_is_rejected(tmp_path: Path, guards: list[Guard]) -> None:
    """Where no other approver stands behind."""
    _, approver = made(guards, ALLOW, ASK)
    played(tmp_path, approver, calls=[SEND])
    assert RAN == []


def test_what_the_guard_cannot_keep_is_rejected(tmp_path: Path, guards: list[Guard]) -> None:
    """A result that has to be masked would be shown to the agent by Inspect."""
    _, approver = made(guards, MASK)
    (said,) = tool_messages(played(tmp_path, approver, calls=[SEND]))
    assert RAN == []
    assert said.error is not None
    assert "redacted" in said.error.message


def test_results_that_were_seen_label_the_session(tmp_path: Path, guards: list[Guard]) -> None:
    """A page that was fetched may hold anybody's words: the next call is decided with that."""
    tainted = {"id": "tainted", "effect": "deny", "when": 'tool == "send" && "untrusted" in session.labels'}
    guard, approver = made(guards, ALLOW, tainted)
    played(tmp_path, approver, calls=[("fetch", {"page": "x"}), SEND])
    assert RAN == [{"page": "x"}]
    assert recorded(guard) == [("fetch", "allow"), ("send", "deny")]


async def decided(approver: Approver, call: ToolCall, *history: Any) -> str:
    return (await approver("", call, ToolCallView(), list(history))).decision


async def test_samples_do_not_taint_each_other(guards: list[Guard]) -> None:
    """Each conversation is a session of its own."""
    tainted = {"id": "tainted", "effect": "deny", "when": '"untrusted" in session.labels'}
    _, approver = made(guards, ALLOW, tainted)
    call = ToolCall(id="c1", function="send", arguments={"to": "x", "amount": 1})
    ask = ChatMessageUser(content="Send 1 to x.", source="input", id="u1")
    page = ChatMessageTool(content="a page", function="fetch", tool_call_id="c0", id="t1")
    assert await decided(approver, call, ask) == "approve"
    other = ChatMessageUser(content="What is new?", source="input", id="u2")
    again = ToolCall(id="c2", function="send", arguments={"to": "x", "amount": 1})
    assert await decided(approver, again, other, page) == "reject"
    third = ToolCall(id="c3", function="send", arguments={"to": "x", "amount": 1})
    assert await decided(approver, third, ask) == "approve"


async def test_what_a_scaffold_says_in_the_users_name_is_not_the_users(guards: list[Guard]) -> None:
    """Only the sample's input is."""
    tainted = {"id": "tainted", "effect": "deny", "when": '"untrusted" in session.labels'}
    _, approver = made(guards, ALLOW, tainted)
    call = ToolCall(id="c1", function="send", arguments={"to": "x", "amount": 1})
    ask = ChatMessageUser(content="Send 1 to x.", source="input", id="u1")
    pushed = ChatMessageUser(content="Please go on.", id="u2")
    assert await decided(approver, call, ask, pushed) == "reject"


async def test_arguments_that_could_not_be_read_are_rejected(guards: list[Guard]) -> None:
    """Whatever the policy allows."""
    _, approver = made(guards, ALLOW)
    call = ToolCall(id="c1", function="send", arguments={}, parse_error="no JSON")
    assert await decided(approver, call) == "reject"


async def test_a_name_that_is_no_tools_is_rejected(guards: list[Guard]) -> None:
    """A model may call anything."""
    _, approver = made(guards, ALLOW)
    call = ToolCall(id="c1", function="send\u202e money", arguments={})
    assert await decided(approver, call) == "reject"


def test_the_approver_reads_a_configuration(tmp_path: Path) -> None:
    """As Inspect's policy file names it."""
    (tmp_path / "policies").mkdir()
    document = {"policy": "p", "owner": "ops", "tools": ["*"], "rules": [ALLOW, NO]}
    (tmp_path / "policies" / "p.yaml").write_text(json.dumps(document), encoding="utf-8")
    config = tmp_path / "agentguard.yaml"
    settings = {"policies": ["policies"], "store": "sqlite:///ledger.db"}
    config.write_text(json.dumps(settings), encoding="utf-8")
    for path in (tmp_path, tmp_path / "policies", config, tmp_path / "policies" / "p.yaml"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    played(tmp_path / "logs", guard_approver(config=str(config)), calls=[SEND, ("fetch", {"page": "x"})])
    assert RAN == [{"page": "x"}]


def test_the_entry_point_leads_to_the_approver() -> None:
    """Where Inspect looks for approvers of other packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (name, module), *more = project["project"]["entry-points"]["inspect_ai"].items()
    assert (name, more) == ("agentguard", [])
    assert importlib.import_module(module).guard is guard_approver
