"""What replaying recorded decisions costs: `python -m tests.benchmarks.replay [--records 1000000]`.

Records are made as a guard makes them (event, arguments beside it, context once per content), with as many
distinct arguments as records; then read and decided again by a candidate of 200 rules. The floor, in the same
run, is reading the same rows out of the same file and decoding their JSON, event and arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pydantic_core

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.calls import Call, request_of
from agentguard.canonical import freeze
from agentguard.ids import uuid7
from agentguard.ledger.keys import known_key
from agentguard.ledger.recorded import StoreReader
from agentguard.policy.prepare import collector_paused
from agentguard.policy.replay import Replay, Report
from agentguard.recording import happened, payloads
from agentguard.remembering import remembered
from agentguard.store import open_store

TOOLS = 50
AGENTS = 20


def documents(limit: int) -> list[dict[str, Any]]:
    """Four rules a tool: an allow, a flag, a step-up and a deny."""
    return [
        {
            "policy": f"p{i}",
            "owner": "benchmark",
            "tools": [f"tool{i}.run"],
            "rules": [
                {"id": "permit", "effect": "allow", "when": 'agent.role == "billing"'},
                {
                    "id": "odd",
                    "effect": "flag",
                    "when": "args.amount % 10 == 1",
                    "flag": {"owner": "ops"},
                },
                {
                    "id": "large",
                    "effect": "step_up",
                    "when": f"args.amount > {limit}",
                    "approval": {"reviewers": ["group:finance"], "expires_in": "10m"},
                },
                {"id": "evil", "effect": "deny", "when": 'args.payee.startsWith("EVIL")'},
            ],
        }
        for i in range(TOOLS)
    ]


def fill(url: str, records: int) -> None:
    """Write so many decisions as a guard that records before the call does."""
    with Guard(snapshot=Snapshot.from_documents(documents(90_000)), store=url, replayable=True) as guard:
        tools = [guard.register(f"tool{i}.run", lambda **_: None) for i in range(TOOLS)]
        sessions = [
            guard.session(agent=AgentIdentity(f"a{i}", role="billing"), principal="ben")
            for i in range(AGENTS)
        ]
        decide, append = guard.snapshot.decide, guard.store.append
        for i in range(records):
            tool, session = tools[i % TOOLS], sessions[i % AGENTS]
            frozen = freeze(
                {"payee": "EVIL" if i % 100 == 0 else "ACME", "amount": i % 100_000, "note": f"invoice {i}"}
            )
            call = Call(tool=tool, arguments={}, session=session, call_id=uuid7(), digest=tool.digest)
            request = call.decided = request_of(guard, call, frozen.view)
            decision = decide(request)
            beside, digest = remembered(guard, call, decision), guard.hmac(frozen.canonical)
            written = happened(guard, request, decision, call.call_id, digest, runs=True, **beside.named)
            kept = {**payloads(guard, request, (digest, frozen)), **beside.payloads}
            append("default", written, payloads=kept, durable=False)


def floor(path: str) -> int:
    """The rows of the same decisions, their JSON decoded."""
    decode = pydantic_core.from_json
    count = 0
    with sqlite3.connect(path) as db:
        for leaf, content in db.execute("SELECT leaf, content FROM event WHERE type = 'decision'"):
            decode(leaf)
            if content is not None:
                decode(content)
            count += 1
    return count


def replayed(url: str, candidate: Snapshot, *, checked: bool = True) -> Report:
    store = open_store(url, create=False)
    try:
        reader = StoreReader(store, "default", key=known_key(url) if checked else None)
        running = Replay(candidate)
        take = running.take
        with collector_paused():
            for recorded in reader:
                take(recorded)
        return running.report(reader.approvals.values())
    finally:
        store.close()


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = function()
    return time.process_time() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ledger.db")
        url = f"sqlite:///{path}"
        fill(url, options.records)
        candidate = Snapshot.from_documents(documents(95_000))
        spent_floor, count = timed(lambda: floor(path))
        spent, report = timed(lambda: replayed(url, candidate))
        spent_floor = min(spent_floor, timed(lambda: floor(path))[0])
        size = os.path.getsize(path)
    assert count == report.replayed == options.records
    found = {
        "records": count,
        "bytes_a_record": size / count,
        "floor_s": spent_floor,
        "replay_s": spent,
        "us_a_record": spent / count * 1e6,
        "million_s": spent / count * 1e6,
        "ratio": spent / spent_floor,
        "loosened": report.count(report.groups[0].change.direction) if report.groups else 0,
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{count:,} decisions, {size / count:.0f} bytes each, 200 rules; processor time of one core")
    print(f"  read and decode  {spent_floor:7.2f} s  {spent_floor / count * 1e6:6.1f} us each")
    print(
        f"  replay           {spent:7.2f} s  {spent / count * 1e6:6.1f} us each   {spent / spent_floor:.1f}x"
    )
    print(f"  a million        {spent / count * 1e6:7.2f} s")


if __name__ == "__main__":
    main()
