"""Compiled code, interpreter and Google's evaluator beside each other for as long as asked.

`python -m tests.cel.fuzz --seconds 300 --json` prints what was compared and every difference; it exits with 1
where there is one. `--seed` repeats a run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from tests.cel import agreement, expressions, hostile, oracle

T = TypeVar("T")
_KEPT = 20


class Chance:
    """Picks from a pool with a seed of its own."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)

    def __call__(self, pool: Sequence[T], /) -> T:
        return pool[self.random.randrange(len(pool))]


def compiled_and_interpreted(choose: Chance, found: dict[str, Any]) -> str | None:
    """One hostile case; a difference as text."""
    source, environment, bindings = hostile.case(choose)
    found["compared"] += 1
    try:
        found["answered_by_compiled_code"] += agreement.check(source, environment, bindings)
    except AssertionError:
        number = hostile.ENVIRONMENTS.index(environment)
        return f"compiled code and interpreter on {source} in environment {number}: {bindings!r:.400}"
    return None


def ours_and_googles(choose: Chance, found: dict[str, Any]) -> str | None:
    """One ordinary case; a difference as text."""
    source = expressions.expression(choose)
    bindings = {name: choose(pool) for name, pool in expressions.VARIABLES.items()}
    ours, googles = oracle.ours(source, bindings), oracle.googles(source, bindings)
    found["compared_with_google"] += 1
    if ours == googles:
        return None
    if oracle.order_is_open(source, bindings):
        found["left_open_by_the_order_of_a_map"] += 1
        return None
    return f"ours and Google's on {source} with {bindings!r:.400}: {ours!r:.200} and {googles!r:.200}"


def run(seconds: float, seed: int) -> dict[str, Any]:
    """What was compared within the time, and the first differences."""
    found: dict[str, Any] = {
        "seed": seed,
        "compared": 0,
        "answered_by_compiled_code": 0,
        "compared_with_google": 0,
        "left_open_by_the_order_of_a_map": 0,
        "differences": 0,
        "first": [],
    }
    checks = (
        [compiled_and_interpreted] if oracle.google is None else [compiled_and_interpreted, ours_and_googles]
    )
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline:
        for check in checks:
            difference = check(Chance(f"{seed}/{number}/{check.__name__}"), found)
            if difference is not None:
                found["differences"] += 1
                found["first"] = [*found["first"], f"case {number}: {difference}"][:_KEPT]
        number += 1
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cel.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the result as data")
    options = parser.parse_args(arguments)
    found = run(options.seconds, options.seed)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name.replace('_', ' ')}: {value}" if name != "first" else "\n".join(value))
        if oracle.google is None:
            print("Google's evaluator was not compared: pip install cel-expr-python")
    return 1 if found["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
