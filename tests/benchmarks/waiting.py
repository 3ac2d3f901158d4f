"""What thousands of waiting approvals cost: `python -m tests.benchmarks.waiting --store sqlite|postgres|URL`.

One process waits for `--waiting` approvals (10,000) in as many tasks: through `ApprovalWaiter`, or with
`--through guard` as calls of a guarded tool that needs approval and then runs. Measured are its share of a
core while nothing happens (`--seconds`, at least 30 for a figure that means something), the memory that the
waiting takes on top, and the time from a vote in another process until the task goes on: from before the vote
was cast, and from when the store had acknowledged it.

Aims: under 1 % of a core on PostgreSQL and 3 % on SQLite, under 60 MB, and a median under 50 ms and 250 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agentguard import AgentIdentity, Guard, Snapshot
from agentguard.decision import Stage
from agentguard.ledger.keys import VARIABLE
from agentguard.store import open_store
from tests.store.support import PEOPLE, answer, ask, needs

MEBI = 2**20
WAVE = 100
"""Calls that are opened at the same time."""
AGENT = AgentIdentity("billing", owner="owen")
POLICY: dict[str, Any] = {
    "policy": "bank",
    "owner": "benchmark",
    "tools": ["bank.*"],
    "rules": [
        {"id": "all", "effect": "step_up", "approval": {"reviewers": ["group:finance"], "expires_in": "2h"}}
    ],
}


@contextlib.contextmanager
def place(store: str) -> Iterator[str]:
    """The URL of an empty store."""
    if store == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/store.db"
    elif store == "postgres":
        from tests.postgres.server import Server

        server = Server()
        try:
            yield server.dsn
        finally:
            server.remove()
    else:
        yield store


def open_all(url: str, count: int) -> list[str]:
    """As many questions as will be waited for; their ids."""
    store = open_store(url, timeout_s=60)
    one = needs(Stage(("group:finance",), 1))

    def some(first: int) -> list[str]:
        return [
            ask(store, call_id=f"call-{number}", requirement=one, expires_in_s=7200).id
            for number in range(first, count, 4)
        ]

    with ThreadPoolExecutor(4) as pool:
        found = [id_ for part in pool.map(some, range(4)) for id_ in part]
    store.close()
    return found


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def wait(url: str, through: str, count: int, seconds: float, votes: int) -> dict[str, Any]:
    """Be the process that waits; it is told what for on its standard input."""
    ids: list[str] = json.load(sys.stdin)
    store = open_store(url, timeout_s=60)
    resumed: dict[str, float] = {}
    policies = Snapshot.from_documents([POLICY])
    guard = Guard(snapshot=policies, store=store, directory=PEOPLE, max_pending=count, channels=[])

    async def one(approval_id: str) -> None:
        await guard.waiter.wait(approval_id)
        resumed[approval_id] = time.monotonic()

    @guard.tool("bank.transfer")
    async def transfer(number: int) -> None:
        raise NotImplementedError

    async def call(number: int) -> None:
        async def run(_: dict[str, Any]) -> None:
            resumed[f"call-{number}"] = time.monotonic()

        async with guard.session(agent=AGENT):
            await guard.acall("bank.transfer", {"number": number}, run, call_id=f"call-{number}")

    gc.collect()
    before, started = resident(), time.perf_counter()
    work = [call(number) for number in range(count)] if through == "guard" else [one(id_) for id_ in ids]
    tasks = []
    for number, each in enumerate(work):
        tasks.append(asyncio.create_task(each))
        while number - guard.waiter.waiting >= WAVE:  # as they come over a day, not all at one instant
            await asyncio.sleep(0.01)
    while len(guard.waiter._deadlines) < count:  # all of them were looked at
        assert not any(task.done() for task in tasks)
        await asyncio.sleep(0.5)
    ready = time.perf_counter() - started
    await asyncio.sleep(2)
    idle_from, cpu_from = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu_from) / (time.perf_counter() - idle_from)
    memory = resident() - before
    voted = await cast_elsewhere(url, votes)
    while len(resumed) < votes:
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    guard.close()
    store.close()
    at = {name: resumed[name] for found in voted for name in found[0] if name in resumed}
    when = [(at[next(name for name in names if name in at)], begun, done) for names, begun, done in voted]
    return {
        "ready_s": round(ready, 2),
        "idle_share_percent": round(100 * share, 3),
        "memory_mb": round(memory / MEBI, 1),
        **milliseconds("from_before_the_vote", [end - begun for end, begun, _ in when]),
        **milliseconds("from_its_acknowledgement", [end - done for end, _, done in when]),
    }


Cast = tuple[list[str], float, float]
"""The names of a question (its id, the call's), when the vote began, and when it was acknowledged."""


async def cast_elsewhere(url: str, votes: int) -> list[Cast]:
    """Have another process vote, one after the other."""
    voter = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.benchmarks.waiting", "--as-voter", url, f"--votes={votes}"],
        stdout=subprocess.PIPE,
    )
    out, _ = await voter.communicate()
    return [(names, begun, done) for names, begun, done in json.loads(out)]


def vote(url: str, votes: int) -> list[Cast]:
    """Be the process that votes. The monotonic clock is one for all processes of a machine."""
    store = open_store(url, timeout_s=60)
    dice = random.Random(1)
    told: list[Cast] = []
    for approval in dice.sample(store.approvals("default", limit=10**6), votes):
        time.sleep(dice.uniform(0.05, 0.3))
        begun = time.monotonic()
        answer(store, approval)
        told.append(([approval.id, approval.call_id], begun, time.monotonic()))
    store.close()
    return told


def milliseconds(name: str, found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {
        f"{name}_median_ms": round(statistics.median(ordered) * 1000, 1),
        f"{name}_p95_ms": round(ordered[int(len(ordered) * 0.95)] * 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.waiting", description=__doc__)
    parser.add_argument("--store", default="sqlite", help="`sqlite`, `postgres`, or a URL")
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30, help="how long to watch it do nothing")
    parser.add_argument("--votes", type=int, default=100)
    parser.add_argument("--through", choices=("waiter", "guard"), default="waiter")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--as-waiter", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--as-voter", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_voter:
        print(json.dumps(vote(given.as_voter, given.votes)))
        return
    if given.as_waiter:
        done = asyncio.run(wait(given.as_waiter, given.through, given.waiting, given.seconds, given.votes))
        print(json.dumps(done))
        return
    with place(given.store) as url:
        os.environ.setdefault(VARIABLE, os.urandom(32).hex())
        ids = open_all(url, given.waiting) if given.through == "waiter" else []
        terms = [f"--{name}={getattr(given, name)}" for name in ("through", "waiting", "seconds", "votes")]
        child = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.waiting", "--as-waiter", url, *terms],
            stdout=subprocess.PIPE,
            input=json.dumps(ids).encode(),
            check=True,
        )
        found = {
            "store": url.partition(":")[0],
            "through": given.through,
            "waiting": given.waiting,
            **json.loads(child.stdout),
        }
    if given.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:>40} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
