"""Failure and contention, tried for real: `python -m tests.chaos race|faults --store URL --seconds N --json`.

`--store` is `sqlite` or `postgres` (a file, a server of our own, gone afterwards) or a store's URL. The last
line holds the counts; with `--json` it is one JSON object. The exit code is 1 where one of them is not 0 that
must be: a call claimed twice, an effect twice or without a record, something lost that had been acknowledged,
a limit passed, a finding in the ledger.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from typing import Any

from tests.chaos.audit import forbidden
from tests.chaos.faults import faults
from tests.chaos.places import opened
from tests.chaos.race import race


def main(arguments: list[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("run", choices=("race", "faults"))
    parser.add_argument("--store", default="sqlite", help="`sqlite`, `postgres`, or a URL (default: sqlite)")
    parser.add_argument("--seconds", type=float, default=60, help="at most, without making ready and looking")
    parser.add_argument("--approvals", type=int, default=5000, help="of a race (default: 5000)")
    parser.add_argument("--processes", type=int, default=6, help="of a race (default: 6)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    logging.getLogger("agentguard").setLevel(logging.CRITICAL)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    with opened(given.store) as place:
        if given.run == "race":
            found: dict[str, Any] = race(
                place,
                seconds=given.seconds,
                approvals=given.approvals,
                processes=given.processes,
                seed=given.seed,
            )
        else:
            found = faults(place, seconds=given.seconds, seed=given.seed)
        found = {"run": given.run, "store": place.kind, **found}
    wrong = forbidden(found)
    if given.json:
        print(json.dumps(found))
    else:
        print("forbidden: " + ", ".join(wrong) if wrong else "nothing forbidden happened")
        print("  ".join(f"{name} {value}" for name, value in found.items()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
