"""In which direction two decisions differ: what asks less is loosened, also under the same effect."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.decision import (
    Approve,
    Decision,
    Effect,
    Flag,
    Matched,
    Obligation,
    RedactResult,
    Reserve,
    SetArgument,
    Stage,
)
from agentguard.policy.replay import Direction, compare

TEN = 600


def decided(effect: str, *obligations: Obligation, rule: str = "r", error: str | None = None) -> Decision:
    match = Matched(rule_id=rule, policy="p", effect=Effect(effect), error=error, at="p.yaml:3")
    return Decision(effect=Effect(effect), matched=(match,), obligations=obligations)


def asks(*reviewers: str, quorum: int = 1, **more: Any) -> Approve:
    options = {"expires_in_s": TEN, "rules": ("p/r",), **more}
    return Approve(stages=(Stage(reviewers or ("group:finance",), quorum),), **options)


SET = SetArgument(path="args.note", value="x", rule="p/r")
MASK = RedactResult(paths=("$.iban", "$.name"), rule="p/r")
COUNT = Reserve(key="k", amount=1, limit=10, rule="p/r", window_s=60)
STRICTER = Reserve(key="z", amount=9, limit=9, rule="q/r")
FLAGGED = Flag(rule="p/r", owner="ops")
WATCHED = Flag(rule="p/r", owner="ops", observed=Effect.DENY)
WIDE = Approve(stages=(Stage(("a", "b")), Stage(("a",))), expires_in_s=TEN, rules=("p/r",))
TWO = Approve(stages=(Stage(("a",)), Stage(("b",))), expires_in_s=TEN, rules=("p/r",))

LESS = [
    (decided("deny"), decided("allow"), {"effect"}),
    (decided("step_up", asks()), decided("allow"), {"effect"}),
    (decided("flag", FLAGGED), decided("allow"), {"effect", "a flag"}),
    (decided("step_up", asks(quorum=2)), decided("step_up", asks()), {"approval by 2 of group:finance"}),
    (decided("step_up", asks("a")), decided("step_up", asks("a", "b")), {"approval by a"}),
    (
        decided("step_up", asks("group:finance")),
        decided("step_up", asks("principal")),
        {"approval by group:finance"},
    ),
    (decided("step_up", TWO), decided("step_up", asks("a")), {"approval by b"}),
    (decided("step_up", WIDE), decided("step_up", asks("a")), {"people who approve"}),
    (decided("step_up", asks()), decided("step_up", asks(local=True)), {"verified votes"}),
    (decided("step_up", asks(reason_required=True)), decided("step_up", asks()), {"reasons"}),
    (decided("step_up", asks()), decided("step_up", asks(expires_in_s=TEN + 1)), {"time to answer"}),
    (decided("constrain", SET, MASK), decided("constrain", SET), {"masking $.iban", "masking $.name"}),
    (decided("constrain", SET), decided("constrain", MASK), {"rewriting args.note"}),
    (decided("constrain", MASK), decided("step_up", asks()), {"masking $.iban", "masking $.name"}),
    (decided("allow", COUNT), decided("allow"), {"a limit of 10"}),
    (
        decided("allow", COUNT),
        decided("allow", Reserve(key="k", amount=1, limit=11, rule="p/r", window_s=60)),
        {"a limit of 10"},
    ),
    (
        decided("allow", COUNT),
        decided("allow", Reserve(key="k", amount=1, limit=10, rule="p/r", window_s=59)),
        {"a limit of 10"},
    ),
    (decided("constrain", SET, FLAGGED), decided("constrain", SET), {"a flag"}),
    (decided("flag", FLAGGED, asks()), decided("flag", FLAGGED), {"an approval"}),
]


@pytest.mark.parametrize(("before", "after", "less"), LESS)
def test_less_is_loosened_and_its_reverse_tightened(
    before: Decision, after: Decision, less: set[str]
) -> None:
    """Each weaker demand by its name; turned round it is tightened, unless it too asks less of something."""
    change = compare(before, after)
    assert change is not None
    assert (change.direction, set(change.less)) == (Direction.LOOSENED, less)
    back = compare(after, before)
    assert back is not None
    assert set(back.more) == less
    if not back.less:
        assert back.direction is Direction.TIGHTENED


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        (decided("allow"), decided("deny"), Direction.TIGHTENED),
        (decided("constrain", MASK), decided("deny"), Direction.TIGHTENED),
        (decided("allow"), decided("deny", error="no such key"), Direction.ERROR),
        (decided("deny"), decided("deny", rule="other"), Direction.REATTRIBUTED),
        (decided("deny"), decided("deny", error="no such key"), Direction.ERROR),
        (decided("deny", error="no such key"), decided("deny", error="no such key"), None),
        (decided("deny"), decided("allow", rule="other", error="x"), Direction.LOOSENED),
        (decided("allow"), decided("allow", WATCHED), None),
        (decided("allow", WATCHED), decided("allow"), None),
        (decided("step_up", asks()), decided("step_up", asks()), None),
        (decided("allow", COUNT), decided("allow", STRICTER), Direction.TIGHTENED),
    ],
)
def test_the_other_directions(before: Decision, after: Decision, direction: Direction | None) -> None:
    """A denial is never loosened; an observed rule asks nothing; errors are told apart."""
    change = compare(before, after)
    assert (change.direction if change is not None else None) is direction


def test_what_a_constraint_writes_is_compared_where_both_sides_know_it() -> None:
    """Another value has no direction, so it is loosened: somebody has to look. 1 and 1.0 are two values."""
    one = decided("constrain", SetArgument(path="args.amount", value=1, rule="p/r"))
    other = decided("constrain", SetArgument(path="args.amount", value=1.0, rule="p/r"))
    assert compare(one, other) is None
    change = compare(one, other, values=True)
    assert change is not None
    assert change.less == ("the same value for args.amount",)
    assert compare(one, one, values=True) is None


@pytest.mark.parametrize(("key", "amount", "less"), [("k", 1, 0), ("k", 2, 0), ("z", 1, 1), ("k", 0, 1)])
def test_what_is_counted_is_compared_where_both_sides_know_it(key: str, amount: int, less: int) -> None:
    """Another counter, or less of it, is loosened; a ledger holds neither key nor amount."""
    other = decided("allow", Reserve(key=key, amount=amount, limit=10, rule="p/r", window_s=60))
    change = compare(decided("allow", COUNT), other, values=True)
    assert len(change.less if change is not None else ()) == less
    assert compare(decided("allow", COUNT), other) is None


def test_both_sides_say_rule_and_place() -> None:
    """The rule that decided, with its file and line."""
    change = compare(decided("deny"), decided("allow", rule="small"))
    assert change is not None
    assert (change.before.rule, change.before.at, change.after.rule) == ("p/r", "p.yaml:3", "p/small")
