"""Playing the cases of a suite, each on a stage of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from agentguard.errors import ConfigurationError
from agentguard_evals.case import Case, Suite, Supplied
from agentguard_evals.results import CaseResult
from agentguard_evals.stage import Setup, Stage
from agentguard_evals.turns import ModelError

__all__ = ["Played", "chosen", "play", "play_suite"]


@dataclass(frozen=True, slots=True)
class Played:
    """What a suite came to: results in the order of its cases, and how often each rule matched."""

    suite: Suite
    results: tuple[CaseResult, ...]
    fired: Counter[str] = field(default_factory=Counter)
    rule_errors: Counter[str] = field(default_factory=Counter)
    factless: Counter[str] = field(default_factory=Counter)


def play_suite(setup: Setup, suite: Suite, advance: Callable[[], None] = lambda: None) -> Played:
    """Play every case; `advance` is called after each."""
    played = Played(suite, ())
    results = []
    for case in suite.cases:
        result, stage = play(setup, case)
        results.append(result)
        if stage is not None:
            played.fired.update(stage.fired)
            played.rule_errors.update(stage.errors)
        unknown = {call.tool for call in result.calls if not setup.facts.known(call.tool)}
        played.factless.update(unknown)
        advance()
    return replace(played, results=tuple(results))


def play(setup: Setup, case: Case) -> tuple[CaseResult, Stage | None]:
    """Play one case; one that an approver could have changed is also played with everything approved."""
    result, stage = _once(setup, case)
    if result.kind == "attacked" and result.error is None:
        approved = result.attack_succeeded
        if setup.approver != "all" and result.asked:
            again, _ = _once(replace(setup, approver="all", brief=True), case)
            result = _with_both(result, again)
            if again.error is not None:
                return result.model_copy(update={"error": f"with everything approved: {again.error}"}), stage
            approved = again.attack_succeeded or _would_have_run(result)
        result = result.model_copy(update={"attack_succeeded_if_all_approved": approved})
    return result, stage


def _with_both(result: CaseResult, again: CaseResult) -> CaseResult:
    """What a live model took in both runs, and whether it tried the attack in one of them."""
    if result.live is None:
        return result
    reachable = result.reachable or again.reachable
    return result.model_copy(update={"live": result.live.and_again(again.live), "reachable": reachable})


def _would_have_run(result: CaseResult) -> bool:
    """Whether a person alone stopped a live model's attack; asked again, it may do something else."""
    return result.live is not None and any(
        call.asked or call.ran for call in result.calls if call.origin == "attacker"
    )


def _once(setup: Setup, case: Case) -> tuple[CaseResult, Stage | None]:
    stage: Stage | None = None
    try:
        supplied = isinstance(case, Supplied) and case.supplied
        stage = Stage(setup, tuple(case.tools), case.prompt, supplied=supplied)
        with stage:
            verdict = case.play(stage)
    except (ConfigurationError, ModelError) as error:
        return _failed(case, str(error), stage), None
    except Exception as error:
        return _failed(case, f"{type(error).__name__}: {error}", stage), None
    if case.kind == "attacked" and verdict.attack_succeeded is None:
        return _failed(case, "nothing says whether the attack succeeded", stage), stage
    found = CaseResult(
        id=case.id,
        group=case.group,
        kind=case.kind,
        reachable=case.reachable if verdict.attempted is None else verdict.attempted,
        calls=stage.results,
        utility=verdict.utility,
        attack_succeeded=verdict.attack_succeeded,
        unexpected=verdict.unexpected,
        wishes=verdict.wishes,
        live=stage.live,
    )
    return found, stage


def _failed(case: Case, error: str, stage: Stage | None) -> CaseResult:
    return CaseResult(
        id=case.id,
        group=case.group,
        kind=case.kind,
        reachable=case.reachable,
        live=None if stage is None else stage.live,
        error=error[:500],
    )


def chosen(suite: Suite, ids: Sequence[str], limit: int | None) -> Suite:
    """The suite with the cases of these ids only, and at most `limit` of each kind, evenly spread."""
    cases = list(suite.cases)
    if ids:
        cases = [case for case in cases if case.id in ids]
    if limit is not None:
        kept = {id(case) for kind in ("honest", "attacked") for case in _spread(cases, kind, limit)}
        cases = [case for case in cases if id(case) in kept]
    return replace(suite, cases=tuple(cases))


def _spread(cases: Sequence[Case], kind: str, limit: int) -> Iterator[Case]:
    found = [case for case in cases if case.kind == kind]
    if len(found) <= limit:
        yield from found
        return
    for number in range(limit):
        yield found[number * len(found) // limit]
