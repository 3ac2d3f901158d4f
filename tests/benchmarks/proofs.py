"""What a proof costs: `python -m tests.benchmarks.proofs`.

The two questions of the issue, on 10, 100 and 1,000 rules in two shapes: spread over many tools, and all on
the tool that is asked about. CPU seconds of one run each; `--sizes` sets the size, `--json` prints data.
"""

from __future__ import annotations

import argparse
import copy
import datetime as dt
import json
import time
from collections.abc import Callable
from typing import Any

from agentguard import Snapshot
from agentguard.policy.proving import Bounds, compare, never

SIZES = (10, 100, 1_000)
TOOL = "payments.transfer"
OUTSIDE = 'environment == "prod" && !("prod-approved" in agent.tags)'
LARGE = 'args.amount > 1000 && environment == "prod"'
NIGHT = '!within("Mon-Fri 07:00-20:00 UTC")'
BOUNDS = Bounds(begin=dt.datetime(2026, 11, 20, tzinfo=dt.UTC), timeout_s=300)
_APPROVAL = {"reviewers": ["group:finance"]}


def rule(number: int) -> dict[str, Any]:
    """One of many rules, of four forms."""
    match number % 4:
        case 0:
            when = (
                f'agent.id == "a{number}" && "prod-approved" in agent.tags && args.amount <= {1000 + number}'
            )
            return {"effect": "allow", "when": when}
        case 1:
            when = f'args.payee == "p{number}" || (has(args.note) && args.note.contains("n{number}"))'
            return {"effect": "deny", "when": when}
        case 2:
            when = f'environment == "prod" && args.amount > {10 + number}'
            return {"effect": "step_up", "when": when, "approval": _APPROVAL}
        case _:
            when = f'size(args.note) > {100 + number} || args.payee.startsWith("x{number}")'
            return {"effect": "flag", "when": when, "flag": {"owner": "ana"}}


def document(size: int, spread: bool) -> dict[str, Any]:
    """A policy of so many rules; the last four are those that the questions are about."""
    tools = max(size // 5, 1)
    rules = [
        {"id": f"r{number}", "tools": [f"tool{number % tools}.run" if spread else TOOL], **rule(number)}
        for number in range(size - 4)
    ]
    own: list[dict[str, Any]] = [
        {"id": "small", "effect": "allow", "when": 'agent.role == "billing" && args.amount <= 10000'},
        {"id": "large", "effect": "step_up", "when": LARGE, "approval": _APPROVAL},
        {"id": "tagged", "effect": "step_up", "when": OUTSIDE, "approval": _APPROVAL},
        {"id": "night", "effect": "flag", "when": NIGHT, "flag": {"owner": "ana"}},
    ]  # fmt: skip
    rules += [{"tools": ["payments.*"], **one} for one in own]
    return {"policy": "p", "owner": "sec", "rules": rules}


def timed(ask: Callable[[], str]) -> tuple[str, float]:
    begin = time.process_time()
    answer = ask()
    return answer, round(time.process_time() - begin, 3)


def measured(size: int, spread: bool) -> dict[str, Any]:
    """The answers and their seconds."""
    today = document(size, spread)
    candidate = copy.deepcopy(today)
    candidate["rules"][-4]["when"] = 'agent.role == "billing" && args.amount <= 20000'
    one, other = Snapshot.from_documents([today]), Snapshot.from_documents([candidate])
    asked = {
        "never": lambda: never(one, "runs", tool=TOOL, when=OUTSIDE, bounds=BOUNDS).found,
        "without the rule": lambda: never(
            Snapshot.from_documents([{**today, "rules": [r for r in today["rules"] if r["id"] != "tagged"]}]),
            "runs", tool=TOOL, when=OUTSIDE, bounds=BOUNDS,
        ).found,
        "wider": lambda: compare(one, other, bounds=BOUNDS).relation,
        "equal": lambda: compare(one, one, bounds=BOUNDS).relation,
    }  # fmt: skip
    shape = "many tools" if spread else "one tool"
    return {"rules": size, "shape": shape, **{name: timed(ask) for name, ask in asked.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [measured(size, spread) for spread in (True, False) for size in asked.sizes]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        told = "  ".join(f"{key}: {found[0]} {found[1]} s" for key, found in list(row.items())[2:])
        print(f"{row['rules']:>6,} rules on {row['shape']:<10}  {told}")


if __name__ == "__main__":
    main()
