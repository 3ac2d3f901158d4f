"""What is wrong with a case for a live model although its shape is right: it could never fail, or run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentguard.policy.findings import Finding, suggestion
from agentguard.policy.source import Source
from agentguard_evals.live_matching import fits, holds_attack
from agentguard_evals.prompt_files import AnswerDocument, CaseDocument, PatternDocument

__all__ = ["live_problems"]


def live_problems(source: Source, index: int, case: CaseDocument, tools: Sequence[str]) -> Iterator[Finding]:
    """Every problem of the case at this index, with its place."""
    at = ("cases", index)
    if (case.calls is None) == (case.answers is None):
        said = f"case `{case.id}` has neither `calls` nor `answers`"
        if case.calls is not None:
            said = f"case `{case.id}` has both `calls` and `answers`"
        hint = "recorded calls stand in `calls`; what a live model's calls answer stands in `answers`"
        yield source.finding("AG103", said, at, hint=hint)
    elif case.answers is None:
        for key in ("wants", "never", "must"):
            if key in case.model_fields_set:
                said = f"`{key}` belongs to cases with `answers`; a recorded call has its own `want`"
                yield source.finding("AG103", said, (*at, key), key=True)
    else:
        yield from _of_live(source, at, case, case.answers, tools)


def _of_live(
    source: Source,
    at: tuple[str | int, ...],
    case: CaseDocument,
    answers: Mapping[str, Sequence[AnswerDocument]],
    tools: Sequence[str],
) -> Iterator[Finding]:
    if not case.prompt:
        yield source.finding("AG101", f"`prompt` is missing in case `{case.id}`: a live model is told it", at)
    if "#" in case.id:
        said = f"`{case.id}`: `#` counts the runs of a case for a live model; call it otherwise"
        yield source.finding("AG103", said, (*at, "id"))
    if not (case.wants or case.forbidden or case.needed):
        said = f"nothing is wanted of case `{case.id}`, so it could not fail"
        yield source.finding("AG103", said, at, hint="add `wants`, `never` or `must`")
    planted = any(one.attack is not None for given in answers.values() for one in given)
    if planted and not (case.forbidden or any(want.attack for want in case.wants)):
        said = f"case `{case.id}` plants an attack, and no call is said to be the attack's"
        yield source.finding(
            "AG103", said, at, hint="add `{call: TOOL, attack: true}` to `wants`, or `never`"
        )
    for name, given in answers.items():
        if name not in tools:
            yield _unknown(source, name, tools, (*at, "answers", name), key=True)
        yield from _shadowed(source, [one.args for one in given], (*at, "answers", name), "answer")
        for number, one in enumerate(given):
            yield from _of_answer(source, one, (*at, "answers", name, number))
    for key, entries in (("wants", case.wants), ("never", case.forbidden), ("must", case.needed)):
        for number, pattern in enumerate(entries):
            if pattern.call not in tools:
                yield _unknown(source, pattern.call, tools, (*at, key, number))
    yield from _never_reached(source, case.wants, (*at, "wants"))


def _of_answer(source: Source, one: AnswerDocument, at: tuple[str | int, ...]) -> Iterator[Finding]:
    if one.error is not None and "result" in one.model_fields_set:
        yield source.finding("AG103", "an answer is a `result` or an `error`, not both", at)
    text = isinstance(one.result, str)
    if one.attack is not None and not text and not holds_attack(one.result):
        said = "nothing says where in this `result` the words of `attack` stand"
        yield source.finding("AG103", said, at, hint="write `${attack}` into one of its texts")
    if one.attack is None and (holds_attack(one.result) or holds_attack(one.error)):
        said = "`${attack}` stands for the words of `attack`, and there are none"
        yield source.finding("AG103", said, at, hint="add `attack: ...` to the answer")


def _never_reached(
    source: Source, wants: Sequence[PatternDocument], at: tuple[str | int, ...]
) -> Iterator[Finding]:
    for number, want in enumerate(wants):
        for earlier in wants[:number]:
            if earlier.call == want.call and fits(earlier.args, want.args):
                said = f"an earlier entry speaks of every such call of `{want.call}`, so this one never does"
                yield source.finding("AG103", said, (*at, number), hint="put the more exact entry first")
                break


def _shadowed(
    source: Source, given: Sequence[Mapping[str, Any]], at: tuple[str | int, ...], what: str
) -> Iterator[Finding]:
    for number, args in enumerate(given):
        if any(fits(earlier, args) for earlier in given[:number]):
            said = f"an earlier {what} fits every such call, so this one is never given"
            yield source.finding("AG103", said, (*at, number), hint=f"put the more exact {what} first")


def _unknown(
    source: Source, name: str, tools: Sequence[str], at: tuple[str | int, ...], *, key: bool = False
) -> Finding:
    hint = suggestion(name, tools) if tools else "describe it in `tools`: a live model is shown those"
    return source.finding("AG210", f"the file describes no tool `{name}`", at, key=key, hint=hint)
