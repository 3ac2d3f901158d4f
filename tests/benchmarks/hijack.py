"""The frontier of the pack `hijack`: `python -m tests.benchmarks.hijack [--limit N] [--suite NAME]`.

AgentDojo is played with the whole pack, with the strict one beside it, and without each rule: what attacks it
stops, and what quiet it costs. Each line is a run of its own; a whole suite takes minutes a line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentguard import Snapshot
from agentguard.policy.files import read_files
from agentguard_evals import Setup, measure, play_suite
from agentguard_evals.facts import facts_from
from agentguard_evals.running import chosen
from agentguard_evals.suites import load_suites

METRICS = (
    "reachable_attack_success",
    "uninterrupted",
    "approvals_per_task",
    "false_denials",
    "deny_share_of_stopped",
    "attack_success_if_all_approved",
)


def documents(*packs: str) -> list[Mapping[str, Any]]:
    """The policies of packs, as data."""
    return [source.data for source in read_files([f"pack:{name}" for name in packs]).sources]


def variants() -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The pack, the strict one, and the pack without each of its rules."""
    (pack,) = documents("hijack")
    yield "hijack", [pack]
    yield "with hijack-strict", documents("hijack", "hijack-strict")
    for rule in pack["rules"]:
        if rule["effect"] != "allow":
            kept = [one for one in pack["rules"] if one["id"] != rule["id"]]
            yield f"without {rule['id']}", [{**pack, "rules": kept}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="agentdojo")
    parser.add_argument("--limit", type=int, help="at most so many honest and attacked cases")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="", help="variants whose name holds this")
    given = parser.parse_args()
    facts = facts_from("inferred")
    print("variant".ljust(36), *[name.rjust(len(name)) for name in METRICS])
    for name, policies in variants():
        if given.only not in name:
            continue
        setup = Setup(snapshot=Snapshot.from_documents(policies), facts=facts, approver="oracle")
        for suite in load_suites(given.suite, given.data):
            found = measure(play_suite(setup, chosen(suite, (), given.limit)).results)
            cells = [
                ("-" if found[metric].value is None else f"{found[metric].value:.3f}").rjust(len(metric))
                for metric in METRICS
            ]
            print(name.ljust(36), *cells, flush=True)


if __name__ == "__main__":
    main()
