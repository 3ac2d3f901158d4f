"""What governance reads cost: `python -m tests.benchmarks.report [--events 1000000] [--store URL] [--json]`.

A ledger of 30 days: decisions with their arguments and outcomes by ten agents, one in a hundred denied as a
deviation. Then a baseline is learned for one of the agents, a report is made with and without verifying the
ledger, and the facts of one call are computed. For each: seconds, and by how much the memory of the process
grew at most, measured in a process of its own (on Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agentguard.call import ContextRequest
from agentguard.canonical import freeze
from agentguard.decision import Decision, Effect, Matched
from agentguard.governance.baseline_content import read_content
from agentguard.governance.baseline_facts import facts_of
from agentguard.governance.baseline_learning import learn
from agentguard.governance.baselines import Baseline
from agentguard.governance.report import make
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.ledger.keys import args_hmac
from agentguard.recent import Recent
from agentguard.stepup.directory import StaticDirectory
from agentguard.store import open_store
from agentguard.store.protocol import Event, Payload

KEY = b"k" * 32
BEGIN = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
END = BEGIN + dt.timedelta(days=30)
CHUNK = 10_000
AGENTS = 10
TOOLS = ("payments.transfer", "crm.read", "mail.send", "files.read", "search")
ALLOWED = Matched(rule_id="small", policy="payments", effect=Effect.ALLOW, at="payments.yaml:7")
DEVIATED = Matched(rule_id="new", policy="payments", effect=Effect.DENY, deviation=True)


def digest(content: bytes) -> str:
    """The keyed digest of this ledger."""
    return args_hmac(KEY, content)


def request(number: int, at: dt.datetime) -> ContextRequest:
    """One of the calls."""
    return ContextRequest.from_mapping(
        {
            "tool": TOOLS[number // AGENTS % len(TOOLS)],
            "args": {"payee": f"payee {number % 5}", "amount": number % 900, "note": f"invoice {number}"},
            "agent": {"id": f"agent-{number % AGENTS}", "owner": "owen"},
            "principal": "ben",
            "call_id": f"call-{number}",
            "session": {"id": f"s-{number // 100}", "labels": [], "calls": 1},
            "environment": "prod",
            "secrets": ["payments:write"],
            "now": at.isoformat(),
        }
    )


def written(count: int) -> Iterator[tuple[Event, dict[str, Payload]]]:
    """Decisions and outcomes in turn, one in a hundred denied as a deviation."""
    step = (END - BEGIN) / count
    for number in range(count // 2):
        at = BEGIN + step * 2 * number
        asked = request(number, at)
        content = freeze(dict(asked.args)).canonical
        key = digest(content)
        deviates = number % 100 == 99
        match = DEVIATED if deviates else ALLOWED
        decision = Decision(effect=match.effect, matched=(match,), snapshot="sha256:" + "a" * 64)
        event = events.decision(
            id=uuid7(), tenant="default", at=at, request=asked, decision=decision, args_hmac=key,
            runs=not deviates,
        )  # fmt: skip
        yield event, {key: Payload("ben", content)}
        if not deviates:
            yield events.outcome(
                id=uuid7(), tenant="default", at=at, request=asked, decision_id=event["id"],
                status="succeeded", args_hmac=key, duration_us=900,
            ), {}  # fmt: skip


def fill(url: str, count: int) -> None:
    """Write the ledger."""
    store = open_store(url)
    batch: list[Event] = []
    payloads: dict[str, Payload] = {}
    for event, more in written(count):
        batch.append(event)
        payloads.update(more)
        if len(batch) == CHUNK:
            store.append("default", batch, payloads=payloads)
            batch, payloads = [], {}
    if batch:
        store.append("default", batch, payloads=payloads)
    store.close()


def learning(url: str) -> dict[str, Any]:
    """Learn the baseline of one agent in ten."""
    store = open_store(url)
    found = learn(
        store, "default", "agent-0", begin=BEGIN, end=END, zone=ZoneInfo("UTC"), digest=digest
    )  # fmt: skip
    store.close()
    return {"calls": found["learned"]["calls"], "tools": len(found["tools"])}


def reporting(url: str) -> dict[str, Any]:
    """A report without verifying the ledger."""
    return _report(url, verify=False)


def verifying(url: str) -> dict[str, Any]:
    """A report that verifies the ledger first."""
    return _report(url, verify=True)


def _report(url: str, *, verify: bool) -> dict[str, Any]:
    store = open_store(url)
    found = make(store, "default", begin=BEGIN, end=END, directory=StaticDirectory(), verify=verify)
    store.close()
    return {"events": found.events, "deviating": found.deviating_calls, "verified": found.ledger.verified}


def comparing(url: str) -> dict[str, Any]:
    """The facts of one call: the first count of the last hour, the next ones, and the comparison."""
    store = open_store(url)
    parts = learn(store, "default", "agent-0", begin=BEGIN, end=END, zone=ZoneInfo("UTC"), digest=digest)
    content = read_content(
        {**parts, "v": 1, "kind": "baseline", "tenant": "default", "agent": "agent-0", "version": 1,
         "owner": "owen", "proposer": "ben", "ends": events.instant(END), "zone": "UTC"}
    )  # fmt: skip
    baseline, recent, now = Baseline(content, BEGIN), Recent(store, "default"), END - dt.timedelta(minutes=1)
    first = timed(lambda: recent.count("agent-0", TOOLS[0], now))
    counts = min(timed(lambda: recent.count("agent-0", TOOLS[0], now)) for _ in range(200))
    asked = request(0, now)
    canonical = freeze(dict(asked.args)).canonical
    compared = min(
        timed(lambda: facts_of(baseline, asked, canonical, calls=3, digest=digest)) for _ in range(500)
    )
    store.close()
    return {
        "first_count_ms": round(first * 1e3, 2),
        "next_count_us": round(counts * 1e6, 1),
        "compare_us": round(compared * 1e6, 1),
    }


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _apart(work: Callable[[str], dict[str, Any]], url: str, answers: Any) -> None:
    before = _resident("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the largest size so far counts from here
    begin = time.perf_counter()
    found = work(url)
    seconds = time.perf_counter() - begin
    grown = _resident("VmHWM") - before
    answers.put({"seconds": round(seconds, 2), "grew_mb": round(grown / 1024, 1), **found})


def _resident(name: str) -> int:
    """Memory in kB as the kernel counts it; 0 where it does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(name)), 0)


def measured(work: Callable[[str], dict[str, Any]], url: str) -> dict[str, Any]:
    """The same in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_apart, args=(work, url, answers))
    process.start()
    found = dict(answers.get(timeout=1800))
    process.join(timeout=60)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument(
        "--store", default="", help="an empty store; default: a SQLite file in a folder of its own"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.store or f"sqlite:///{Path(folder) / 'ledger.db'}"
        filled = timed(lambda: fill(url, options.events))
        found: dict[str, Any] = {"events": options.events, "filled_s": round(filled, 1)}
        for work in (learning, reporting, verifying, comparing):
            found[work.__name__] = measured(work, url)
            if not options.json:
                sys.stdout.write(f"{work.__name__:10} {found[work.__name__]}\n")
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
