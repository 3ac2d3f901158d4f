"""What the tests of the command line have in common: a folder with real files, a real store, the real app."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from agentguard.canonical import digest, freeze
from agentguard.cli.app import app
from agentguard.decision import Stage
from agentguard.stepup.model import Approval, Requirement
from agentguard.store.opening import open_store
from agentguard.store.protocol import Store
from tests.store.support import ask

POLICY = """\
policy: pay
tools: [pay]
rules:
  - id: small
    effect: allow
    when: args.amount <= 100
  - id: large
    effect: step_up
    when: args.amount > 100
    reason: more than 100
    approval: {reviewers: ["group:finance"], expires_in: 10m}
"""
TOOLS = "pay:\n  writes: true\n  sensitive: [iban]\n  arguments: [amount, iban, note]\n"
PEOPLE = "people:\n  ana: {groups: [finance]}\n  ben: {groups: [finance]}\n  eve: {}\n"
CONFIG = """\
policies: policies/
store: sqlite:///records.db
directory: directory.yaml
tools: tools.yaml
"""

HOSTILE = "\x1b[31m\x1b]8;;http://x\x07\u202egnp\u200b\x9b2J\r[bold]"
RAW = ("\x1b", "\u202e", "\u200b", "\x9b", "\x07", "\r")


def run(*args: str | Path, input: str | bytes | None = None, code: int | None = 0, **env: str) -> Result:
    """Run the command in this process; the exit code has to be `code`."""
    found = CliRunner().invoke(app, [str(arg) for arg in args], input=input, env=env, prog_name="agentguard")
    if code is not None:
        assert found.exit_code == code, (found.exit_code, found.output, found.exception)
    assert "Traceback" not in found.output
    return found


def folder(path: Path, **files: str) -> Path:
    """A folder as a user has it."""
    contents = {
        "agentguard.yaml": CONFIG,
        "policies/pay.yaml": POLICY,
        "tools.yaml": TOOLS,
        "directory.yaml": PEOPLE,
        **{name.replace("__", "/").replace("_yaml", ".yaml"): text for name, text in files.items()},
    }
    for name, text in contents.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o644)
    return path


def records(path: Path) -> Store:
    return open_store(f"sqlite:///{path / 'records.db'}")


def open_question(
    path: Path, *, local: bool = False, args: dict[str, Any] | None = None, **changes: Any
) -> Approval:
    """An approval in the folder's store, as the guard opens it."""
    arguments = freeze(args if args is not None else {"amount": 5000, "iban": "DE99SECRET", "note": "hi"})
    store = records(path)
    values: dict[str, Any] = {
        "tool": "pay",
        "arguments": arguments.canonical,
        "digest": digest(arguments.canonical),
        "excluded": frozenset({"ben", "owen", "billing"}),
        "requirement": Requirement(
            stages=(Stage(("group:finance",), 1),), expires_in_s=600, rules=("pay/large",), local=local
        ),
        "shown": {
            "tool": "pay",
            "agent": {"id": "billing", "owner": "owen"},
            "session": {"id": "s-1", "labels": ["untrusted"]},
            "facts": {"writes": True, "sensitive": ["iban"]},
            "secrets": ["pay:write"],
            "environment": "prod",
            "rules": [
                {
                    "rule": "pay/large",
                    "effect": "step_up",
                    "reason": "more than 100",
                    "at": "pay.yaml:7",
                    "error": None,
                }
            ],
            "changed": [],
        },
        **changes,
    }
    try:
        return ask(store, **values)
    finally:
        store.close()


def stored(path: Path, approval: Approval) -> Approval:
    store = records(path)
    try:
        return store.approval(approval.tenant, approval.id)
    finally:
        store.close()


def later(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
