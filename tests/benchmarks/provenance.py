"""What provenance costs: `python -m tests.benchmarks.provenance`.

A session of 200 kB is filled with records and texts; then calls with short values and with a text of 2 kB are
judged, each time anew. Memory is that of the index. Hostile strings must not cost more than their length.
"""

from __future__ import annotations

import json
import statistics
import time
import tracemalloc
from collections.abc import Callable

from agentguard.provenance.tracker import Tracker

SEND = {
    "action": "send",
    "topics": ("mail",),
    "roles": {"to": "recipient", "subject": "content", "body": "content"},
}
READ = {"action": "read", "topics": ("mail",), "roles": {"query": "query"}}
_WORDS = ["meeting", "budget", "garden", "letter", "river", "orange"]
_WORDS += ["window", "paper", "market", "summer", "yellow", "planet"]


def filled(size: int) -> Tracker:
    """A session that has seen `size` characters of mail."""
    tracker = Tracker()
    tracker.says("Please send Carol Jones the summary of the mails about the garden project.")
    seen = 0
    for number in range(10_000):
        mails = [
            {
                "id": f"m{number}-{item}",
                "from": f"person{number}{item}@firm{number}.example",
                "subject": f"Report {number} {_WORDS[item]}",
                "body": " ".join(
                    _WORDS[(number * 7 + item * 3 + word) % 12] + str(word) for word in range(120)
                ),
            }
            for item in range(4)
        ]
        content = json.dumps(mails)
        seen += len(content)
        tracker.returned("search_mail", content, facts=READ, args={"query": f"garden {number}"})
        if seen >= size:
            return tracker
    return tracker


def timed(act: Callable[[], object], rounds: int = 200) -> tuple[float, float]:
    """Median and 95th percentile in microseconds."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        act()
        times.append((time.perf_counter_ns() - begin) / 1000)
    return statistics.median(times), sorted(times)[int(rounds * 0.95)]


def main() -> None:
    begin = time.perf_counter()
    tracker = filled(200_000)
    print(f"taking up 200 kB: {(time.perf_counter() - begin) * 1000:.0f} ms")
    short = {"to": "person31@firm3.example", "subject": "Report 3 letter"}
    text = " ".join(_WORDS[word % 12] + str(word) for word in range(290))
    for name, args in (("short values", short), (f"a text of {len(text)}", {**short, "body": text})):
        tracker.facts("send_mail", SEND, args)
        median, late = timed(lambda args=args: tracker.facts("send_mail", SEND, args))
        print(f"{name}: {median:.0f} us median, {late:.0f} us p95")
    tracemalloc.start()
    kept = filled(200_000)
    print(
        f"memory of 200 kB: {tracemalloc.get_traced_memory()[0] / 1e6:.1f} MB, "
        f"{len(kept.seen.sources)} results"
    )
    tracemalloc.stop()
    for size in (1, 4, 16):
        begin = time.perf_counter()
        big = filled(size * 1_000_000)
        took = time.perf_counter() - begin
        median, _ = timed(lambda big=big: big.facts("send_mail", SEND, {**short, "body": text}), 20)
        print(f"{size} MB: {took:.2f} s to take up, full {big.seen.full}, {median:.0f} us a call")
    hostile()


def hostile() -> None:
    """The same length in shapes that make careless matching quadratic."""
    for name, bad in (
        ("one letter", "a" * 200_000),
        ("at signs", "@" * 200_000),
        ("a@a@a@", "a@" * 100_000),
        ("digits", "1 " * 100_000),
        ("IBAN-like", "DE12 ABCD " * 20_000),
        ("quotes", '"' * 200_000),
        ("brackets", "[" * 200_000),
        ("dots", "a." * 100_000),
        ("combining", "e\u0301" * 100_000),
    ):
        tracker = Tracker()
        tracker.says("Send it to bob@firm.example")
        begin = time.perf_counter()
        tracker.returned("read_mail", bad, facts=READ, args={"query": "x"})
        tracker.returned("read_mail", {"body": bad}, facts=READ, args={"query": "x"})
        tracker.facts("send_mail", SEND, {"to": "bob@firm.example", "subject": "Hi", "body": bad[:20_000]})
        print(f"hostile, {name}: {(time.perf_counter() - begin) * 1000:.0f} ms")
        begin = time.perf_counter()
        other = Tracker()
        other.says(bad)
        other.facts("send_mail", SEND, {"to": "bob@firm.example"})
        print(f"  as the prompt: {(time.perf_counter() - begin) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
