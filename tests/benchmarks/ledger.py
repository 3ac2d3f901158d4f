"""What the ledger costs: `python -m tests.benchmarks.ledger [--events 1000000] [--appends 2000] [--json]`.

Appends: decisions with their arguments, each durable before the next, by one process and by four at once;
beside each, in the same run and on the same disk, bare commits of the same rows: one prepared `INSERT` a
transaction into a table of the same columns, write-ahead log and `synchronous=FULL` as the store has them.
With `--store postgres` on a PostgreSQL server that is started for it and forces every commit to the disk, or
on the one that a URL names; verification is measured on SQLite.
Verification: so many events, decisions and outcomes in turn, checked from their stored bytes; with
`--checkpoints` signed checkpoints among them, and the payloads with `--payloads`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psycopg

from agentguard.call import ContextRequest
from agentguard.canonical import freeze
from agentguard.decision import Decision, Effect, Matched
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.ledger.checkpoints import Checkpoint, checkpoint_of
from agentguard.ledger.kept import Kept
from agentguard.ledger.keys import args_hmac
from agentguard.ledger.notes import Signer, VerifierKey
from agentguard.ledger.verify import verify
from agentguard.stepup.signing import generate_key
from agentguard.store import open_store
from agentguard.store.protocol import Event, Payload
from tests.postgres.server import Server, drop, fresh_url

KEY = b"k" * 32
WRITERS = (1, 4)
ROUNDS = 3
CHUNK = 500
REQUEST = ContextRequest.from_mapping(
    {
        "tool": "payments.transfer",
        "args": {},
        "agent": {"id": "billing", "owner": "owen"},
        "principal": "ben",
        "call_id": "call-1",
        "tool_digest": "sha256:" + "3" * 64,
        "session": {"id": "s-1", "labels": [], "calls": 1},
        "environment": "prod",
        "now": "2026-11-20T10:00:00+00:00",
    }
)
DECISION = Decision(
    effect=Effect.ALLOW,
    matched=(Matched(rule_id="small", policy="payments", effect=Effect.ALLOW, at="payments.yaml:7"),),
    snapshot="sha256:" + "a" * 64,
)


def decided(number: int) -> tuple[Event, str, Payload]:
    """One decision as a guard records it, and its arguments."""
    content = freeze({"payee": "ACME", "amount": number, "note": f"invoice {number}"}).canonical
    key = args_hmac(KEY, content)
    event = events.decision(
        id=uuid7(),
        tenant="default",
        at=REQUEST.now,
        request=REQUEST,
        decision=DECISION,
        args_hmac=key,
        runs=True,
    )
    return event, key, Payload("ben", content)


def ended(decision: Event, key: str) -> Event:
    return events.outcome(
        id=uuid7(),
        tenant="default",
        at=REQUEST.now,
        request=REQUEST,
        decision_id=decision["id"],
        status="succeeded",
        args_hmac=key,
        duration_us=1200,
    )


# Appends


def append(url: str, count: int, ready: Barrier, took: Any) -> None:
    """One writer: durable decisions, one transaction each."""
    store = open_store(url, timeout_s=60)
    made = [decided(number) for number in range(count)]
    store.head("default")
    ready.wait()
    start = time.perf_counter()
    for event, key, payload in made:
        store.append("default", [event], payloads={key: payload})
    took.put((start, time.perf_counter()))
    store.close()


def commit(path: str, count: int, ready: Barrier, took: Any) -> None:
    """One bare writer: the same rows, one transaction each."""
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    db.execute("PRAGMA synchronous = FULL")
    rows = []
    for number in range(count):
        event, key, payload = decided(number)
        when = events.instant(REQUEST.now)
        edge = os.urandom(32)
        rows.append((event["id"], "decision", when, edge, key, "ben", events.leaf(event), payload.content))
    sql = (
        "INSERT INTO event (id, type, at, edge, payload_key, subject, leaf, content) VALUES (?,?,?,?,?,?,?,?)"
    )
    ready.wait()
    start = time.perf_counter()
    for row in rows:
        db.execute(sql, row)
    took.put((start, time.perf_counter()))
    db.close()


def commit_postgres(url: str, count: int, ready: Barrier, took: Any) -> None:
    """The same on PostgreSQL."""
    rows = []
    for number in range(count):
        event, key, payload = decided(number)
        when = events.instant(REQUEST.now)
        rows.append(
            (event["id"], "decision", when, os.urandom(32), key, "ben", events.leaf(event), payload.content)
        )
    sql = (
        "INSERT INTO bare_event (id, type, at, edge, payload_key, subject, leaf, content)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    )
    with psycopg.connect(url, autocommit=True) as db:
        ready.wait()
        start = time.perf_counter()
        for row in rows:
            db.execute(sql, row, prepare=True)
        took.put((start, time.perf_counter()))


def bare_postgres(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS bare_event")
        db.execute(
            "CREATE TABLE bare_event (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL,"
            " type text NOT NULL, at text NOT NULL, edge bytea NOT NULL, payload_key text, subject text,"
            " leaf bytea NOT NULL, content bytea)"
        )


def bare(path: str) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(
        "CREATE TABLE event (key INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, at TEXT NOT NULL,"
        " edge BLOB NOT NULL, payload_key TEXT, subject TEXT, leaf BLOB NOT NULL, content BLOB)"
    )
    db.close()


def rate(target: Callable[..., None], where: str, writers: int, count: int) -> float:
    """Events a second of so many processes together, from the first one's start to the last one's end."""
    context = multiprocessing.get_context("spawn")
    ready, took = context.Barrier(writers), context.Queue()
    each = count // writers
    processes = [context.Process(target=target, args=(where, each, ready, took)) for _ in range(writers)]
    for process in processes:
        process.start()
    spans: list[tuple[float, float]] = [took.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    return each * writers / (max(end for _, end in spans) - min(start for start, _ in spans))


Round = Callable[[str, int], tuple[float, float]]
"""One round by so many writers: appends and bare commits a second."""


def on_sqlite(folder: Path, count: int) -> Round:
    def one(name: str, writers: int) -> tuple[float, float]:
        bare(str(folder / f"bare-{name}.db"))
        floor = rate(commit, str(folder / f"bare-{name}.db"), writers, count)
        url = f"sqlite:///{folder / f'store-{name}.db'}"
        open_store(url).close()
        return rate(append, url, writers, count), floor

    return one


def on_postgres(dsn: str, count: int) -> Round:
    def one(name: str, writers: int) -> tuple[float, float]:
        bare_postgres(dsn)
        floor = rate(commit_postgres, dsn, writers, count)
        url = fresh_url(dsn)
        open_store(url).close()
        found = rate(append, url, writers, count)
        drop(url)
        return found, floor

    return one


def appends(measure: Round) -> list[dict[str, Any]]:
    found = []
    for writers in WRITERS:
        ours, floor = zip(*(measure(f"{writers}-{number}", writers) for number in range(ROUNDS)), strict=True)
        a, b = statistics.median(ours), statistics.median(floor)
        found.append({"writers": writers, "appends_s": a, "bare_commits_s": b, "ratio": a / b})
    return found


# Verification


def fill(url: str, number: int) -> None:
    """Decisions with arguments and their outcomes, in turn."""
    store = open_store(url)
    written: list[Event] = []
    kept: dict[str, Payload] = {}
    for index in range(number // 2):
        event, key, payload = decided(index)
        written += [event, ended(event, key)]
        kept[key] = payload
        if len(written) >= CHUNK:
            store.append("default", written, payloads=kept)
            written, kept = [], {}
    store.append("default", written, payloads=kept)
    store.close()


def marks(url: str, every: int) -> tuple[list[Checkpoint], VerifierKey]:
    """Signed checkpoints as a running guard would have left them."""
    signer = Signer.from_jwk("bench/default", generate_key().private)
    store = open_store(url, create=False)
    try:
        return list(_marks(store, signer, every)), signer.verifier
    finally:
        store.close()


def _marks(store: Any, signer: Signer, every: int) -> Iterator[Checkpoint]:
    from agentguard.ledger.log import Frontier

    frontier = Frontier()
    for row in store.events("default"):
        frontier.add(row.leaf)
        if frontier.size % every == 0:
            yield checkpoint_of(signer, frontier.size, frontier.root())


def verification(folder: Path, number: int, checkpoints: int, payloads: bool) -> dict[str, Any]:
    path = folder / "ledger.db"
    url = f"sqlite:///{path}"
    fill(url, number)
    kept = marks(url, max(1, number // checkpoints))[0] if checkpoints else []
    store = open_store(url, create=False)
    start, spent = time.perf_counter(), time.process_time()
    report = verify(
        store, checkpoints=Kept(tuple(("marks", one) for one in kept)), payloads_key=KEY if payloads else None
    )
    took, cpu = time.perf_counter() - start, time.process_time() - spent
    store.close()
    assert report.ok, report.tenants[0].findings[:3]
    return {
        "events": report.size,
        "checkpoints": len(kept),
        "payloads": payloads,
        "bytes": path.stat().st_size,
        "verify_s": took,
        "verify_cpu_s": cpu,
        "us_an_event": took / max(1, report.size) * 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


@contextlib.contextmanager
def postgres(store: str) -> Iterator[str | None]:
    """Where the server is; None for SQLite."""
    if store == "sqlite":
        yield None
    elif store == "postgres":
        server = Server(durable=True)
        try:
            yield server.dsn
        finally:
            server.remove()
    else:
        yield store


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="sqlite", help="`sqlite`, `postgres`, or a PostgreSQL URL")
    parser.add_argument("--events", type=int, default=100_000, help="to verify; 0 for none")
    parser.add_argument("--appends", type=int, default=2_000, help="a round; 0 for none")
    parser.add_argument("--checkpoints", type=int, default=0, help="signed ones to verify with")
    parser.add_argument("--payloads", action="store_true", help="verify the arguments too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.appends:
            with postgres(options.store) as dsn:
                measure = on_sqlite(folder, options.appends) if dsn is None else None
                found["appends"] = appends(measure or on_postgres(str(dsn), options.appends))
        if options.events:
            found["verify"] = verification(folder, options.events, options.checkpoints, options.payloads)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for one in found.get("appends", ()):
        print(
            f"{one['writers']} writer{'s' if one['writers'] > 1 else ' '}  {one['appends_s']:8,.0f} appends/s"
            f"  {one['bare_commits_s']:8,.0f} bare commits/s  {one['ratio']:.2f} of them"
        )
    if "verify" in found:
        one = found["verify"]
        print(
            f"{one['events']:,} events verified in {one['verify_s']:.2f} s"
            f" ({one['us_an_event']:.2f} us each, {one['verify_cpu_s']:.2f} s of processor time),"
            f" {one['checkpoints']} checkpoints, {one['peak_mb']:.0f} MB"
        )


if __name__ == "__main__":
    main()
