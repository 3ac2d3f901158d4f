"""A process with a real guard and a tool that leaves a durable mark each time it runs."""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentguard import (
    AgentGuardError,
    AgentIdentity,
    Answer,
    ApprovalPending,
    Guard,
    Snapshot,
    ToolCallDenied,
)
from agentguard.errors import OutcomeUnknown, StoreError
from agentguard.stepup.directory import StaticDirectory
from agentguard.stepup.model import State
from agentguard.store import open_store
from tests.chaos import killing

__all__ = ["LARGE", "SMALL", "Task", "make_guard", "marks", "work"]

SMALL, LARGE = 1, 500
AGENT = AgentIdentity("billing", owner="owen")
PEOPLE = StaticDirectory({"ana": {"groups": ["finance"]}, "owen": {}}, {"finance": {}})
POLICY: dict[str, Any] = {
    "policy": "bank",
    "owner": "secops",
    "tools": ["bank.*"],
    "rules": [
        {"id": "small", "effect": "allow", "when": "args.amount <= 100"},
        {
            "id": "large",
            "effect": "step_up",
            "when": "args.amount > 100",
            "approval": {"reviewers": ["group:finance"], "expires_in": "1h"},
        },
    ],
}


@dataclass(frozen=True, slots=True)
class Task:
    """What one process does: `calls` calls, or as many as it can until `seconds` are over.

    `nth` and `after` say at which statement of its first call (of `amount`) it kills itself; 0 is never.
    """

    url: str
    folder: Path
    tenant: str
    name: str
    amount: int | None = None
    nth: int = 0
    after: bool = False
    seconds: float = 0.0
    seed: int = 0


def make_guard(task: Task) -> Guard:
    return Guard(
        snapshot=Snapshot.from_documents([POLICY]),
        store=open_store(task.url, timeout_s=60 if task.nth else 5),
        directory=PEOPLE,
        tenant=task.tenant,
        pause="raise",
    )


def marks(folder: Path, name: str) -> list[str]:
    """The lines of a file that were written whole."""
    path = folder / name
    return path.read_text().split("\n")[:-1] if path.exists() else []


def _mark(folder: Path, name: str, line: str) -> None:
    """Append a line and wait for the disk: whoever returns from here has left a trace that stays."""
    handle = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def work(task: Task) -> None:
    """The process: first what others left behind, then its own calls."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("agentguard", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    dice = random.Random(task.seed)
    guard = _patiently(lambda: make_guard(task), task.seconds)

    @guard.tool("bank.transfer")
    def transfer(ref: str, amount: int) -> str:
        _mark(task.folder, "effects", f"{ref} {amount}")
        return ref

    def call(number: int, amount: int) -> None:
        ref = f"{task.name}-{number}"
        with guard.session(agent=AGENT):
            try:
                transfer(ref, amount)
            except ApprovalPending as pending:
                _mark(task.folder, "acks", f"asked {pending.approval_id} {ref}")
                _vote(guard, task, pending.approval_id)
                _resume(guard, task, pending.approval_id)
            else:
                _mark(task.folder, "acks", f"ran {ref} {amount}")

    if task.nth:
        with guard.session(agent=AGENT):
            transfer(f"{task.name}-warm", SMALL)  # connections and tenants are there
        guard.flush()
        killing.arm(guard.store, task.nth, after=task.after)
        call(0, task.amount or SMALL)
        guard.flush()
        if killing.disarm():
            _mark(task.folder, "unreached", task.name)
        guard.close()
        return
    ends = time.monotonic() + task.seconds
    _sweep(guard, task)
    number = 0
    while not number or time.monotonic() < ends:  # one at least, however slow the machine is
        number += 1
        try:
            call(number, dice.choice((SMALL, SMALL, LARGE)))
            if number % 20 == 0:
                _sweep(guard, task)
        except (ToolCallDenied, StoreError):
            time.sleep(0.01)  # the store is away for a moment: nothing ran
    guard.close()
    guard.store.close()


def _vote(guard: Guard, task: Task, approval_id: str) -> None:
    answer = Answer(
        subject="ana", verdict="approve", assurance="login", digest=guard.approval(approval_id).digest
    )
    guard.vote(approval_id, answer)
    _mark(task.folder, "acks", f"voted {approval_id}")


def _resume(guard: Guard, task: Task, approval_id: str) -> None:
    """Twice, as a confused caller would."""
    for _ in range(2):
        try:
            found = guard.resume_sync(approval_id)
        except OutcomeUnknown:
            return
        except AgentGuardError:
            continue
        if found.ran:
            _mark(task.folder, "acks", f"ran {found.result} {LARGE}")


def _sweep(guard: Guard, task: Task) -> None:
    """Answer and resume whatever others left open."""
    states = (State.REQUESTED, State.APPROVED, State.CLAIMED)
    try:
        for approval in guard.store.approvals(task.tenant, states=states, limit=50):
            if approval.state is State.REQUESTED:
                _vote(guard, task, approval.id)
            _resume(guard, task, approval.id)
    except AgentGuardError:
        pass


def _patiently(make: Any, seconds: float) -> Any:
    """A guard is made when its store can be reached."""
    ends = time.monotonic() + max(seconds, 60)
    while True:
        try:
            return make()
        except StoreError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)
