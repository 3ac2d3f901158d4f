"""What a decision costs, beside code by hand and peers in the same run: `python -m tests.benchmarks.policy`.

Medians in microseconds of complete decisions on distinct requests that no contestant has seen; the rounds of
all contestants are interleaved, so that a busy machine is busy for all. Two shapes: 1 to 5 rules a tool,
and all rules on `*`, 1 to 5 for each agent. By hand are closures behind a dictionary by tool or agent that
build the same decision object; Google's CEL runs behind the same dictionary. Cedar and the
agent-governance-toolkit answer with no more than an effect. Then, of ours: loading, the memory it takes,
and the first decision for a tool or an agent.

Peers are measured where they are installed (`pip install cel-expr-python cedarpy
'agent-governance-toolkit[core]'`). `--sizes`, `--rounds` and `--requests` set the size, `--json` prints data.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from agentguard import Snapshot
from agentguard.call import ContextRequest
from tests.benchmarks.policy_contestants import CONTESTANTS, Absent, Decide
from tests.benchmarks.policy_rules import SHAPES, Shape, documents, every, requests, specs, yaml

SIZES = (10, 100, 1_000, 10_000)
OURS, BY_HAND = "agentguard", "closures by hand"
SAME = (OURS, BY_HAND, "Google CEL, same index")
"""The contestants that build the same decision object."""
_PATIENCE_S = 0.5
"""How long a round of one contestant may take; slow ones answer fewer requests."""


def median(decide: Decide, asked: list[ContextRequest]) -> float:
    """Microseconds of one decision."""
    found: list[int] = []
    clock = time.perf_counter_ns
    end = clock() + int(_PATIENCE_S * 1e9)
    for request in asked:
        start = clock()
        decide(request)
        now = clock()
        found.append(now - start)
        if now > end:
            break
    return statistics.median(found) / 1000


def measure(size: int, shape: Shape, rounds: int, count: int) -> tuple[dict[str, float], dict[str, str]]:
    """The median of each contestant, and what is not installed."""
    rules = specs(size, shape)
    contestants: dict[str, Decide] = {}
    absent: dict[str, str] = {}
    for name, make in CONTESTANTS.items():
        try:
            contestants[name] = make(rules)
        except Absent as error:
            absent[name] = str(error)
    agree(contestants, requests(rules, 200, seed=0))
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for name in SAME:
        # Loading may leave work for a rule's first evaluations; what those cost is measured apart.
        for request in [*every(rules), *every(rules)] if name in contestants else ():
            contestants[name](request)
    for seed in range(rounds + 1):
        for name, decide in contestants.items():
            value = median(decide, requests(rules, count, seed + 1))
            if seed:  # the first round warms up
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}, absent


def agree(contestants: dict[str, Decide], asked: list[ContextRequest]) -> None:
    """Those that build the same decision must; else there is nothing to compare."""
    for request in asked:
        decisions = {name: contestants[name](request) for name in SAME if name in contestants}
        if any(decision != decisions[OURS] for decision in decisions.values()):
            raise SystemExit(f"the contestants disagree on {request}: {decisions}")


def resident_mb() -> float:
    """The memory of this process in MB; where the system does not say, the most that it ever was."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def loading(size: int, shape: Shape, source: str) -> dict[str, float]:
    """Seconds to load, MB taken on top, and microseconds of the first decision for each tool or agent."""
    rules = specs(size, shape)
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(yaml(rules)):
            Path(folder, f"p{number}.yaml").write_text(text)
        held = documents(rules)
        Snapshot.from_documents(documents(specs(10, shape))).decide(requests(rules, 1, seed=1)[0])
        gc.collect()
        before, start = resident_mb(), time.perf_counter()
        snapshot = Snapshot.load([folder]) if source == "YAML" else Snapshot.from_documents(held)
        seconds = time.perf_counter() - start
    gc.collect()
    taken = resident_mb() - before
    asked = {request.tool if shape == "tools" else request.agent["id"]: request
             for request in requests(rules, 4_000, seed=2)}  # fmt: skip
    found: list[float] = []
    for request in asked.values():
        begin = time.perf_counter_ns()
        snapshot.decide(request)
        found.append((time.perf_counter_ns() - begin) / 1000)
    return {
        "seconds": seconds,
        "mb": taken,
        "very_first_us": found[0],
        "first_us": statistics.median(found),
        "first_99th_us": statistics.quantiles(found, n=100)[-1],
    }


def loadings(size: int) -> dict[str, dict[str, float]]:
    """Each in a process of its own, so that none profits from another."""
    found: dict[str, dict[str, float]] = {}
    context = multiprocessing.get_context("spawn")
    for shape in SHAPES:
        for source in ("documents", "YAML"):
            with context.Pool(1) as pool:
                found[f"{shape}, from {source}"] = pool.apply(loading, (size, shape, source))
    return found


def table(shape: Shape, found: dict[int, dict[str, float]]) -> str:
    """One line per contestant: microseconds by size, and the ratio to what is written by hand."""
    lines = [f"  {'rules':<28}" + "".join(f"{size:>20,}" for size in found)]
    for name in CONTESTANTS:
        if all(name not in values for values in found.values()):
            continue
        cells = [
            f"{values[name]:>11.2f} {values[name] / values[BY_HAND]:>7.2f}x" for values in found.values()
        ]
        lines.append(f"  {name:<28}" + "".join(cells))
    title = "1 to 5 rules a tool" if shape == "tools" else "all rules on `*`, 1 to 5 an agent"
    return "\n".join([f"{title}: microseconds a decision, and times the closures by hand", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    us: dict[str, dict[int, dict[str, float]]] = {}
    absent: dict[str, str] = {}
    for shape in SHAPES:
        found = us[shape] = {}
        for size in options.sizes:
            found[size], absent = measure(size, shape, options.rounds, options.requests)
        if not options.json:
            print(table(shape, found) + "\n", flush=True)
    loaded = loadings(max(options.sizes))
    if options.json:
        print(json.dumps({"us": us, "loading": loaded, "absent": absent}, indent=2))
        return
    for name, package in absent.items():
        print(f"  {name}: not installed; pip install '{package}' to compare")
    print(f"loading {max(options.sizes):,} rules, and the first decisions for their tools or agents")
    for name, values in loaded.items():
        print(
            f"  {name:<28}{values['seconds']:>6.2f} s {values['mb']:>6.1f} MB; first decision"
            f" {values['first_us']:.0f} us, 99th {values['first_99th_us']:.0f} us,"
            f" the very first {values['very_first_us']:.0f} us"
        )


if __name__ == "__main__":
    main()
