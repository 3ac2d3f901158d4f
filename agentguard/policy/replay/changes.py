"""How two decisions about one call differ, and in which direction.

Loosened is what lets a call run with less: a weaker effect, or the same one that asks fewer people, rewrites
or masks less, counts less. Where the direction cannot be told, it is loosened: somebody has to look at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from agentguard.canonical import freeze
from agentguard.decision import (
    Approve,
    Decision,
    Effect,
    Flag,
    Matched,
    RedactResult,
    Reserve,
    SetArgument,
    Stage,
    plain,
)

__all__ = ["Change", "Direction", "Side", "compare"]


class Direction(StrEnum):
    """What a change means, most important first."""

    LOOSENED = "loosened"
    TIGHTENED = "tightened"
    REATTRIBUTED = "re-attributed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Side:
    """Who decided what: the rule's name, and `file:line` where known."""

    effect: Effect
    rule: str
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `less` and `more` say in words what the candidate asks less and more than before."""

    direction: Direction
    before: Side
    after: Side
    less: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


def compare(before: Decision, after: Decision, *, values: bool = False) -> Change | None:
    """The difference between what was decided and what a candidate decides; None where there is none.

    `values` says that both know the values which constraints write: a ledger keeps none.
    """
    was, now = before.deciding, after.deciding
    same_rule = _name(was) == _name(now)
    failed = now is not None and now.error is not None and (was is None or was.error is None)
    plainly = not before.obligations and not after.obligations
    if before.effect is after.effect and same_rule and not failed and plainly:
        return None
    less, more = tuple(_less(before, after, values)), tuple(_less(after, before, values))
    sides = _side(before, was), _side(after, now)
    if after.effect is Effect.DENY:
        # Nothing runs, whatever else would have been asked.
        less, more = (), () if before.effect is Effect.DENY else ("effect",)
    if less:
        return Change(Direction.LOOSENED, *sides, less, more)
    if failed:
        return Change(Direction.ERROR, *sides, (), more)
    if more:
        return Change(Direction.TIGHTENED, *sides, (), more)
    return None if same_rule else Change(Direction.REATTRIBUTED, *sides)


def _name(deciding: Matched | None) -> tuple[str, str] | None:
    return None if deciding is None else (deciding.policy, deciding.rule_id)


def _side(decision: Decision, deciding: Matched | None) -> Side:
    if deciding is None:
        return Side(decision.effect, "agentguard/default")
    return Side(decision.effect, deciding.name, deciding.at)


def _less(before: Decision, after: Decision, values: bool) -> Iterator[str]:
    """In what `after` asks less than `before`."""
    if after.effect.rank < before.effect.rank:
        yield "effect"
    if before.effect is Effect.DENY:
        return  # what observed rules raised, which asks nothing
    was, now = before.approval, after.approval
    if was is not None:
        if now is not None:
            yield from _approval(was, now)
        elif after.effect.rank >= before.effect.rank:
            yield "an approval"
    if before.obligations:
        yield from _obligations(before, after, values)


def _approval(was: Approve, now: Approve) -> Iterator[str]:
    missing = [asked for asked in was.stages if not any(_covers(one, asked) for one in now.stages)]
    for stage in missing:
        people = f"{stage.quorum} of " if stage.quorum > 1 else ""
        yield f"approval by {people}{', '.join(stage.reviewers)}"
    if not missing and sum(stage.quorum for stage in now.stages) < sum(stage.quorum for stage in was.stages):
        yield "people who approve"
    if now.local and not was.local:
        yield "verified votes"
    if was.reason_required and not now.reason_required:
        yield "reasons"
    if now.expires_in_s > was.expires_in_s:
        yield "time to answer"


def _covers(stage: Stage, asked: Stage) -> bool:
    """Whether whoever meets `stage` meets what was asked."""
    return stage.quorum >= asked.quorum and set(stage.reviewers) <= set(asked.reviewers)


def _obligations(before: Decision, after: Decision, values: bool) -> Iterator[str]:
    sets = {item.path: item for item in after.obligations if isinstance(item, SetArgument)}
    masked = {path for item in after.obligations if isinstance(item, RedactResult) for path in item.paths}
    counted = [item for item in after.obligations if isinstance(item, Reserve)]
    for item in before.obligations:
        match item:
            case SetArgument():
                found = sets.get(item.path)
                if found is None:
                    yield f"rewriting {item.path}"
                elif values and _differs(item, found):
                    yield f"the same value for {item.path}"
            case RedactResult():
                for path in item.paths:
                    if path not in masked:
                        yield f"masking {path}"
            case Reserve():
                if not any(_counts(one, item, values) for one in counted):
                    yield f"a limit of {item.limit:,}"
            case _:
                pass
    if _flagged(before) and not _flagged(after):
        yield "a flag"


def _differs(one: SetArgument, other: SetArgument) -> bool:
    return freeze({"": plain(one.value)}).canonical != freeze({"": plain(other.value)}).canonical


def _counts(one: Reserve, asked: Reserve, values: bool) -> bool:
    """Whether a counter is at least as strict as another; without a window it never forgets."""
    if one.limit > asked.limit or (values and (one.key != asked.key or one.amount < asked.amount)):
        return False
    return one.window_s is None or (asked.window_s is not None and one.window_s >= asked.window_s)


def _flagged(decision: Decision) -> bool:
    return any(isinstance(item, Flag) and item.observed is None for item in decision.obligations)
