"""Every code block of the README runs."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's policy in `policies/`, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "payments.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    (tmp_path / "directory.yaml").write_text("people: {carl: {groups: [finance]}}\n", encoding="utf-8")
    return tmp_path


def test_the_decorator_example_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first Python block lets the small transfer run and asks about the large one."""
    space: dict[str, Any] = {}
    exec(compile(blocks("python")[0], "README.md", "exec", dont_inherit=True), space)  # noqa: S102
    space["guard"].close()
    said = capsys.readouterr().out
    assert "sent 500 to ACME" in said
    assert "`payments.transfer` waits for approval" in said


def test_the_adapter_lines_run(here: Path) -> None:
    """The second Python block runs with a model and a response of the frameworks' own kinds."""
    pytest.importorskip("langchain")
    pytest.importorskip("openai")
    from langchain.agents import create_agent
    from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
    from langchain_core.messages import AIMessage
    from langgraph.checkpoint.memory import InMemorySaver

    from agentguard import AgentIdentity, Guard
    from agentguard_langchain import GuardMiddleware
    from agentguard_openai import run_tool_calls

    class Model(FakeMessagesListChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

    with Guard("policies/", store="memory:") as guard:

        @guard.tool("payments.transfer")
        async def transfer(payee: str, amount: int, note: str = "") -> str:
            """Send money."""
            return f"sent {amount} to {payee}"

        agent = AgentIdentity("billing", role="billing")
        call = {"name": "transfer", "arguments": '{"payee": "ACME", "amount": 5}'}
        message = {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": call}]}
        space: dict[str, Any] = {
            "create_agent": create_agent,
            "GuardMiddleware": GuardMiddleware,
            "run_tool_calls": run_tool_calls,
            "guard": guard,
            "model": Model(responses=[AIMessage("done")]),
            "tools": [transfer],
            "saver": InMemorySaver(),
            "BILLING": agent,
            "transfer": transfer,
            "messages": [],
            "response": {"choices": [{"finish_reason": "tool_calls", "message": message}]},
        }
        body = "".join(f"    {line}\n" for line in blocks("python")[1].splitlines())
        code = f"async def main():\n    global agent, messages\n{body}"
        exec(compile(code, "README.md", "exec", dont_inherit=True), space)  # noqa: S102

        async def main() -> None:
            async with guard.session(agent=agent):
                await space["main"]()

        asyncio.run(main())
        (answer,) = space["messages"]
        assert answer["tool_call_id"] == "c1"
        assert "sent 5 to ACME" in answer["content"]


@pytest.mark.parametrize(
    "line", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("agentguard ")]
)
def test_every_command_exists(line: str) -> None:
    """Each `agentguard` line of the README names a command and options that its help knows."""
    words = line.split("#")[0].split()[1:]
    command = [word for word in words if re.fullmatch(r"[a-z]+", word)][:2]
    if command[0] in ("init", "check", "explain", "demo"):
        command = command[:1]
    run = [sys.executable, "-m", "agentguard", *command, "--help"]
    found = subprocess.run(
        run, capture_output=True, text=True, check=False, env={"COLUMNS": "200", "NO_COLOR": "1"}
    )
    assert found.returncode == 0, found.stderr
    for option in (word for word in words if word.startswith("--")):
        assert option in found.stdout
