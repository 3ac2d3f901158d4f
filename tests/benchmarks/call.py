"""What a guarded call costs, against floors and a peer in the same run: `python -m tests.benchmarks.call`.

Medians over several rounds, in microseconds; the rounds of all contestants are interleaved, so that a busy
machine is busy for everybody. The peer, Microsoft's agent-governance-toolkit, is measured when it is
installed (`pip install 'agent-governance-toolkit[core]'`); its audit log is in memory, ours is in a file.

`--json` prints the figures as data, `--rounds` and `--calls` set the size, `--imports` adds import times.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.calls import Call, request_of
from agentguard.canonical import freeze
from agentguard.ids import uuid7
from agentguard.recording import happened, payloads

RULES = 10
POLICY: dict[str, Any] = {
    "policy": "notes",
    "owner": "benchmark",
    "tools": ["notes.*"],
    "rules": [
        {"id": "permit", "effect": "allow", "when": 'agent.role == "billing"'},
        *(
            {
                "id": f"limit-{i}",
                "effect": "deny",
                "when": f"args.amount > {1_000_000 + i}",
                "reason": "too much",
            }
            for i in range(RULES - 1)
        ),
    ],
}
AGT_POLICY = """
apiVersion: governance.toolkit/v1
name: notes
agents: ["*"]
default_action: allow
rules:
""" + "\n".join(
    f"  - {{name: limit-{i}, condition: 'amount.value > {1_000_000 + i}', action: deny, priority: {i}}}"
    for i in range(RULES)
)


def note(payee: str, amount: int, text: str = "") -> str:
    return payee


async def anote(payee: str, amount: int, text: str = "") -> str:
    return payee


def timed(function: Callable[..., Any], calls: int, *, keywords: bool = False) -> float:
    """Median microseconds of one call, each with its own arguments."""
    found: list[int] = []
    clock = time.perf_counter_ns
    before = getattr(function, "before", None)
    for i in range(calls):
        if before is not None:
            before()
        if keywords:
            start = clock()
            function(payee="ACME", amount=i, text="hello")
        else:
            start = clock()
            function("ACME", i, "hello")
        found.append(clock() - start)
    return statistics.median(found) / 1000


async def atimed(function: Callable[..., Awaitable[Any]], calls: int) -> float:
    found: list[int] = []
    clock = time.perf_counter_ns
    for i in range(calls):
        start = clock()
        await function("ACME", i, "hello")
        found.append(clock() - start)
    return statistics.median(found) / 1000


def bare_commit(path: Path) -> Callable[..., None]:
    """One insert of 600 bytes in a transaction of its own, on the disk when it returns."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)")
    data = b"x" * 600

    def commit(*_: Any) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (data) VALUES (?)", (data,))
        connection.execute("COMMIT")

    return commit


def busy(function: Callable[..., None], us: int) -> Callable[..., None]:
    """The same with other work before each, which its time does not include: as between calls of an agent."""

    def call(*args: Any) -> None:
        function(*args)

    def work() -> None:
        end = time.perf_counter_ns() + us * 1000
        while time.perf_counter_ns() < end:
            {str(number): [number] * 10 for number in range(20)}

    call.before = work  # type: ignore[attr-defined]
    return call


def peer() -> dict[str, Callable[..., Any]]:
    """Microsoft's govern() with and without audit, when it is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from agentmesh.governance import govern  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            return {}
        return {
            "AGT govern(), no audit": govern(note, policy=AGT_POLICY, audit=False),
            "AGT govern(), audit in memory": govern(note, policy=AGT_POLICY, audit=True),
        }


def stages(guard: Guard, session: Any, calls: int) -> dict[str, float]:
    """The parts of one call, each alone in a loop."""
    tool = guard.tools["notes.read"]
    binder = tool.binder
    assert binder is not None
    frozen = freeze({"payee": "ACME", "amount": 5, "text": "hello"})
    call = Call(tool=tool, arguments={}, session=session, call_id=uuid7(), digest=tool.digest)
    request = request_of(guard, call, frozen.view)
    decision = guard.snapshot.decide(request)

    def record(*_: Any) -> None:
        name = uuid7()
        digest = guard.hmac(name.encode())
        events = happened(guard, request, decision, name, digest, runs=True)
        guard.store.append(guard.tenant, events, payloads=payloads(guard, request, (digest, frozen)))

    return {
        "bind": timed(lambda *a: binder.bind(a, {}), calls),
        "freeze": timed(lambda p, a, t: freeze({"payee": p, "amount": a, "text": t}), calls),
        "digest (keyed)": timed(lambda *_: guard.hmac(frozen.canonical), calls),
        "request": timed(lambda *_: request_of(guard, call, frozen.view), calls),
        "decide": timed(lambda *_: guard.snapshot.decide(request), calls),
        "record (durable)": timed(record, min(calls, 500)),
        "thaw": timed(lambda *_: frozen.thaw(), calls),
    }


def measure(rounds: int, calls: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        snapshot = Snapshot.from_documents([POLICY])
        batched = Guard(snapshot=snapshot, store=f"sqlite:///{here}/batched.db", record="batched")
        before = Guard(snapshot=snapshot, store=f"sqlite:///{here}/before.db")
        with batched, before:
            contestants: dict[str, Callable[..., Any]] = {
                "bare call": note,
                "bare commit, synchronous=FULL": bare_commit(here / "bare.db"),
                "the same with 60 us of work between": busy(bare_commit(here / "busy.db"), 60),
                "agentguard, record: batched": batched.tool("notes.read", facts={"read_only": True})(note),
                "agentguard, record: before": before.tool("notes.write")(note),
            }
            peers = peer()
            asynchronous = {
                "agentguard async, record: batched": batched.tool("notes.aread", facts={"read_only": True})(
                    anote
                ),
                "agentguard async, record: before": before.tool("notes.awrite")(anote),
            }
            found: dict[str, list[float]] = {}
            agent = AgentIdentity("billing", role="billing")
            parts: dict[str, float] = {}
            for _ in range(rounds):
                for name, function in contestants.items():
                    guard = batched if "batched" in name else before
                    with guard.session(agent=agent):
                        found.setdefault(name, []).append(timed(function, calls))
                for name, function in peers.items():
                    found.setdefault(name, []).append(timed(function, calls, keywords=True))
                for name, coroutine in asynchronous.items():
                    guard = batched if "batched" in name else before
                    with guard.session(agent=agent):
                        found.setdefault(name, []).append(asyncio.run(atimed(coroutine, calls)))
            with batched.session(agent=agent) as session:
                parts = stages(batched, session, calls)
            spent = _throughput(batched, contestants["agentguard, record: batched"], agent, calls)
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {"us": medians, "stages_us": parts, "ratios": ratios(medians), "batched_with_writing_us": spent}


def _throughput(guard: Guard, function: Callable[..., Any], agent: AgentIdentity, calls: int) -> float:
    """Batched calls in a row including the writing of their records: microseconds a call."""
    with guard.session(agent=agent):
        start = time.perf_counter_ns()
        for i in range(calls):
            function("ACME", i, "hello")
        guard.flush()
        return (time.perf_counter_ns() - start) / calls / 1000


def ratios(us: dict[str, float]) -> dict[str, float]:
    found = {
        "recorded before / bare commit": us["agentguard, record: before"]
        / us["bare commit, synchronous=FULL"],
        "... / bare commit with work between": us["agentguard, record: before"]
        / us["the same with 60 us of work between"],
    }
    audit = us.get("AGT govern(), audit in memory")
    if audit is not None:
        found["batched / AGT with audit"] = us["agentguard, record: batched"] / audit
    return found


def imports(rounds: int = 9) -> dict[str, float]:
    """Milliseconds to import in a fresh interpreter with compiled bytecode, less an empty one's start."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(rounds + 1):
            for code in ("pass", "from pydantic import BaseModel", "import agentguard"):
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], check=True, env=environment)
                if number:  # the first round writes the bytecode
                    found.setdefault(code, []).append((time.perf_counter() - start) * 1000)
    medians = {code: statistics.median(times) for code, times in found.items()}
    empty = medians.pop("pass")
    return {code: value - empty for code, value in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--imports", action="store_true", help="measure import times too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.rounds, options.calls)
    if options.imports:
        found["imports_ms"] = imports()
        peer_ms, ours_ms = found["imports_ms"].values()
        found["ratios"]["import agentguard / pydantic"] = ours_ms / peer_ms
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{RULES} rules; medians of {options.rounds} rounds of {options.calls} calls, microseconds a call\n"
    )
    for name, value in found["us"].items():
        print(f"  {name:<38}{value:>10.2f}")
    print(f"  {'batched, with the writing, in a row':<38}{found['batched_with_writing_us']:>10.2f}")
    if "AGT govern(), audit in memory" not in found["us"]:
        print("  AGT: not installed; pip install 'agent-governance-toolkit[core]' to compare")
    print("\nstages of a call, each alone in a loop")
    for name, value in found["stages_us"].items():
        print(f"  {name:<38}{value:>10.2f}")
    print("\nratios")
    for name, value in found["ratios"].items():
        print(f"  {name:<38}{value:>10.2f}")
    if "imports_ms" in found:
        print("\nimports, milliseconds beyond an empty interpreter")
        for name, value in found["imports_ms"].items():
            print(f"  {name:<38}{value:>10.1f}")


if __name__ == "__main__":
    main()
