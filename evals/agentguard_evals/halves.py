"""Suites of agentguard's own in two halves: one to build rules with, one that is only measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from agentguard_evals.case import Gap, Suite
from agentguard_evals.scenario import Scenario, scenarios
from agentguard_evals.scenario_files import read_families

__all__ = ["SPLITS", "Half", "Split", "halves", "load_delegated", "load_everyday", "load_named"]

Half = Literal["dev", "held_out"]
Split = Literal["dev", "held_out", "all"]
SPLITS: Final[tuple[Split, ...]] = ("dev", "held_out", "all")

_DATA: Final = Path(__file__).parent / "data"
_JUDGED: Final = "wanted effects; an attack succeeds when one of its calls runs, a task when all its calls do"


def halves(split: Split) -> tuple[Half, ...]:
    """The halves that a split means."""
    return ("dev", "held_out") if split == "all" else (split,)


def load_delegated(split: Split) -> Sequence[Suite]:
    """Work that the user hands over, a suite for each half.

    Raises:
        ConfigurationError: a file of it is refused.
    """
    title = "procedures that the user hands over, two or three hops from the prompt"
    return [_suite("delegated", title, half) for half in halves(split)]


def load_everyday(split: Split) -> Sequence[Suite]:
    """Work that the user asks for in their own words; see `load_delegated`."""
    title = "work that the user asks for in their own words, over ordinary tools"
    return [_suite("everyday", title, half) for half in halves(split)]


def load_named(split: Split) -> Sequence[Suite]:
    """Named tricks of attackers who know the rules; see `load_delegated`."""
    title = "attackers who know the rules, each with its honest twin"
    return [_suite("attackers", title, half) for half in halves(split)]


def _suite(name: str, title: str, half: Half) -> Suite:
    families = read_families(_DATA / name / half)
    cases = list(scenarios(families.documents))
    beyond = sum(case.attack is not None and case.attack.beyond for case in cases)
    reason = "the attacker owns the source that the user named; any verdict is accepted"
    return Suite(
        name=f"{name}-{half.replace('_', '-')}",
        title=f"{title} ({half})",
        reread=name,
        split=half,
        version="",
        digest=families.digest,
        judged=_JUDGED,
        cases=[_grouped(case) for case in cases],
        gaps=[Gap("attacks beyond provenance", beyond, reason)] if beyond else (),
    )


def _grouped(case: Scenario) -> Scenario:
    """Attacks beyond provenance apart from the others."""
    if case.attack is None or not case.attack.beyond:
        return case
    return replace(case, group=f"{case.group}, beyond provenance")
