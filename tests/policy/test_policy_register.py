"""Exceptions and grants: what they waive, what they satisfy, and what they never do."""

from __future__ import annotations

from typing import Any

import pytest

from agentguard.decision import AppliedException, Approve, Effect, Flag, RedactResult, Reserve, Stage
from agentguard.errors import ConfigurationError
from agentguard.policy import ExceptionRecord, Grant, Register, Snapshot
from tests.policy.support import exception, grant, kinds, names, policy, request, rule, snapshot

ALLOW = rule("a", "allow")
NO = rule("no", "deny", "args.amount > 100")
ASK = rule("ask", "step_up", "args.amount > 100")


def register(*records: dict[str, Any]) -> Register:
    found = Register.from_records(3, records)
    assert found.refused == ()
    return found


def waiving(*rules: dict[str, Any], **keys: Any) -> Snapshot:
    return snapshot(*rules, register=register(exception(**keys)))


# Exceptions


def test_law_6_an_exception_waives_the_rule_it_names_and_is_seen() -> None:
    """The result is a flag that somebody answers for, with the control as an obligation."""
    decision = waiving(ALLOW, NO).decide(request())
    assert decision.effect is Effect.FLAG
    assert decision.exceptions == (AppliedException("EX-1", ("p/no",)),)
    assert names(decision) == ["exception/EX-1", "p/a"]
    flag, redact = decision.obligations
    assert isinstance(flag, Flag)
    assert (flag.rule, flag.owner) == ("p/no", "ana")
    assert "EX-1" in flag.reason
    assert redact == RedactResult(paths=("$.iban",), rule="exception/EX-1")
    assert decision.register == 3


def test_law_6_a_control_may_ask_people_or_take_from_a_counter() -> None:
    """What replaces the rule is enforced, not described."""
    asked = waiving(ALLOW, NO, control={"approval": {"reviewers": ["ana"], "expires_in": "5m"}}).decide(
        request()
    )
    assert asked.effect is Effect.STEP_UP
    assert asked.approval == Approve(
        stages=(Stage(("ana",), 1),), expires_in_s=300, rules=("exception/EX-1",), reason="migration"
    )
    limited = waiving(
        ALLOW, NO, uses=5, control={"reserve": {"key": "ex", "amount": "args.amount", "limit": 900}}
    ).decide(request())
    assert [o for o in limited.obligations if isinstance(o, Reserve)] == [
        Reserve(key="exception:EX-1", amount=1, limit=5, rule="exception/EX-1"),
        Reserve(key="ex", amount=500, limit=900, rule="exception/EX-1"),
    ]


@pytest.mark.parametrize("key", ["exception:EX-1", "ex"])
def test_T49_an_exhausted_exception_does_not_apply(key: str) -> None:
    """Who loses the race for the last use is decided again without it."""
    found = waiving(ALLOW, NO, uses=5, control={"reserve": {"key": "ex", "limit": 9}})
    assert found.decide(request(), exhausted={key}).effect is Effect.DENY


@pytest.mark.parametrize(
    ("keys", "changes"),
    [
        ({"agent": "other"}, {}),
        ({"tools": ["crm.*"]}, {}),
        ({"principal": "eve"}, {}),
        ({"principal": "ben"}, {"principal": None}),
        ({"when": "args.amount < 100"}, {}),
        ({"when": "args.gone == 1"}, {}),
        ({"when": "args.amount"}, {}),
        ({"when": False}, {}),
        ({"expires": "2026-11-20T10:00:00Z"}, {}),
        ({"expires": "2026-11-19"}, {}),
        ({"not_before": "2026-11-20T10:00:01Z"}, {}),
        ({"revalidate_by": "2026-11-20T10:00:00Z"}, {}),
        ({"control": {"reserve": {"key": "k", "amount": "args.gone", "limit": 1}}}, {}),
        ({"rules": ["p/other"]}, {}),
        ({"rules": ["q/no"]}, {}),
    ],
)
def test_T49_law_6_an_exception_holds_only_within_its_scope_and_time(
    keys: dict[str, Any], changes: dict[str, Any]
) -> None:
    """For the agent, tools, condition and period it names; its errors mean no; the expiry is exclusive."""
    assert waiving(ALLOW, NO, **keys).decide(request(**changes)).effect is Effect.DENY


def test_law_6_an_error_is_not_waived() -> None:
    """A rule that could not be evaluated was not foreseen by who approved the exception."""
    assert waiving(ALLOW, NO).decide(request(args={})).effect is Effect.DENY


def test_T49_law_6_a_non_waivable_rule_is_not_waived_and_the_record_says_why() -> None:
    """Nor is the default, nor an allow rule."""
    found = waiving(ALLOW, {**NO, "non_waivable": True})
    assert found.decide(request()).effect is Effect.DENY
    assert "non-waivable" in found.refused[0].message
    only_default = waiving(NO)
    assert only_default.decide(request()).effect is Effect.DENY
    assert "agentguard/default" in names(only_default.decide(request()))


def test_law_6_a_waived_step_up_no_longer_permits() -> None:
    """With an allow rule the call proceeds flagged; without one the question is still asked, not denied."""
    with_allow = waiving(ALLOW, {**ASK, "id": "no"}).decide(request())
    assert with_allow.effect is Effect.FLAG
    without = waiving({**ASK, "id": "no"}).decide(request())
    assert without.effect is Effect.STEP_UP
    assert without.exceptions == ()


def test_law_6_a_control_never_permits() -> None:
    """The approval of an exception is no grant where nothing else permits."""
    decision = waiving(NO, control={"approval": {"reviewers": ["ana"]}}).decide(request())
    assert decision.effect is Effect.DENY


def test_T49_of_overlapping_exceptions_the_weakest_applies_so_that_removing_one_never_loosens() -> None:
    """A control stronger than the rule leaves the rule as it is."""
    strong = exception(id="EX-0", control={"approval": {"reviewers": ["ana"]}})
    both = snapshot(ALLOW, NO, register=register(exception(), strong)).decide(request())
    assert both.effect is Effect.FLAG
    assert [x.id for x in both.exceptions] == ["EX-1"]
    flagged = snapshot(ALLOW, rule("no", "flag"), register=register(strong)).decide(request())
    assert flagged.effect is Effect.FLAG
    assert flagged.exceptions == ()


def test_an_exception_waives_a_constraint_and_nothing_is_written() -> None:
    """What a waived rule would have written is not."""
    decision = waiving(ALLOW, rule("no", "constrain", set={"args.note": '"x"'})).decide(request())
    assert decision.effect is Effect.FLAG
    assert "set" not in kinds(decision)


@pytest.mark.parametrize(
    "keys",
    [
        {"expires": None},
        {"approver": None},
        {"owner": None},
        {"reason": None},
        {"control": None},
        {"rules": None},
        {"rules": []},
        {"rules": ["no"]},
        {"rules": ["p/*"]},
        {"tools": None},
        {"tools": ["*"]},
        {"tools": ["pay*"]},
        {"agent": None},
        {"agent": "*"},
        {"agent": "bill*"},
        {"control": {}},
        {"control": {"description": "we look at it weekly"}},
        {"control": {"approval": {}}},
        {"control": {"approval": {"reviewers": ["ana"], "quorum": "2"}}},
        {"control": {"prose": "x"}},
        {"expires": "2036-01-01"},
        {"expires": "9999-12-31"},
        {"expires": "2026-10-01"},
        {"expires": "2026-12-01T00:00:00"},
        {"not_before": "2026-10-01"},
        {"approver": "billing"},
        {"uses": 0},
        {"uses": "5"},
        {"unknown": 1},
        {"id": ""},
    ],
)
def test_T49_an_exception_that_is_incomplete_or_unbounded_is_refused(keys: dict[str, Any]) -> None:
    """No expiry, approver, owner, scope or enforceable control; too long, backdated, self-approved."""
    record = {key: value for key, value in exception(**keys).items() if value is not None and key != "kind"}
    with pytest.raises(ConfigurationError, match="exception"):
        ExceptionRecord.from_mapping(record)


def test_a_register_decides_without_the_records_that_it_refused_and_shows_them() -> None:
    """One broken record does not switch off the others, nor itself on."""
    found = Register.from_records(
        4,
        [
            exception(),
            exception(),
            exception(id="EX-2", expires="soon"),
            {"kind": "amnesty", "id": "x"},
            exception(id="EX-3", when="agnt.role == 'x'"),
        ],
    )
    assert [one.id for one in found.refused] == ["EX-1", "EX-2", "x"]
    compiled = snapshot(ALLOW, NO, register=found)
    assert [one.id for one in compiled.refused] == ["EX-1", "EX-2", "x", "EX-3"]
    assert compiled.decide(request()).exceptions == (AppliedException("EX-1", ("p/no",)),)
    with pytest.raises(ConfigurationError, match="EX-2"):
        Register.from_mapping({"version": 1, "exceptions": [exception(id="EX-2", expires="soon")]})


def test_a_register_is_swapped_without_touching_the_policies() -> None:
    """The digest stays, the version changes, the old snapshot decides as before."""
    old = snapshot(ALLOW, NO)
    new = old.with_register(register(exception()))
    assert new.digest == old.digest
    assert old.decide(request()).effect is Effect.DENY
    assert new.decide(request()).effect is Effect.FLAG
    assert new.with_register(Register()).decide(request()).effect is Effect.DENY


def test_needs_includes_what_exceptions_read() -> None:
    """A fact that only an exception's condition reads is fetched too."""
    assert "rates" in waiving(ALLOW, NO, when='rates["x"] < 3').needs("payments.transfer")
    assert waiving(ALLOW, NO, when='rates["x"] < 3').needs("crm.read") == frozenset()


@pytest.mark.parametrize(
    ("policy_says", "rule_says", "waived"),
    [
        (None, None, True),
        ("30d", None, False),
        (None, "30d", False),
        ("60d", "30d", False),
        ("60d", "60d", True),
    ],
)
def test_T49_a_policy_says_how_long_an_exception_may_last(
    policy_says: str | None, rule_says: str | None, waived: bool
) -> None:
    """On itself or on a rule; the shortest counts, from the approval, and a longer one waives nothing."""
    keys = {} if rule_says is None else {"max_exception": rule_says}
    header = {} if policy_says is None else {"max_exception": policy_says}
    record = exception(approved_at="2026-11-01", expires="2026-12-10")
    found = Snapshot.from_documents([policy(ALLOW, {**NO, **keys}, **header)], register=register(record))
    assert found.decide(request()).effect is (Effect.FLAG if waived else Effect.DENY)
    assert bool(found.refused) is not waived


# Grants


def granting(*rules: dict[str, Any], **keys: Any) -> Snapshot:
    return snapshot(*rules, register=register(grant(**keys)))


def test_law_7_a_grant_satisfies_the_step_up_it_was_approved_for() -> None:
    """It permits like a completed step-up, by its own name."""
    decision = granting(ASK).decide(request())
    assert decision.effect is Effect.ALLOW
    assert decision.granted_by == ("grant/G-1",)
    assert names(decision) == ["grant/G-1"]


def test_law_7_a_use_of_a_grant_is_a_reservation() -> None:
    """Who loses the race is asked again."""
    found = granting(ASK, uses=3)
    assert found.decide(request()).obligations == (
        Reserve(key="grant:G-1", amount=1, limit=3, rule="grant/G-1"),
    )
    assert found.decide(request(), exhausted={"grant:G-1"}).effect is Effect.STEP_UP


def test_law_7_a_grant_never_satisfies_a_deny() -> None:
    """Neither a deny rule nor a flag that became one."""
    assert granting(ASK, NO).decide(request()).effect is Effect.DENY
    assert granting(rule("ask", "deny")).decide(request()).effect is Effect.DENY
    assert granting(rule("no", "deny"), rules=["p/no"]).decide(request()).effect is Effect.DENY


@pytest.mark.parametrize(
    ("approval", "keys"),
    [
        ({"reviewers": ["group:finance"], "quorum": 2}, {}),
        ({"reviewers": ["group:security"]}, {}),
        ({"reviewers": ["principal"]}, {}),
        ({"reviewers": ["group:finance"]}, {"local": True}),
        ({"stages": [{"reviewers": ["group:finance"]}, {"reviewers": ["ana"]}]}, {}),
        ({"reviewers": ["group:finance"]}, {"stages": [{"reviewers": ["group:finance", "eve"]}]}),
    ],
)
def test_law_7_a_grant_whose_approval_met_less_does_not_satisfy(
    approval: dict[str, Any], keys: dict[str, Any]
) -> None:
    """Fewer people, other people, a missing stage, an unverified answer."""
    decision = granting(rule("ask", "step_up", approval=approval), **keys).decide(request())
    assert decision.effect is Effect.STEP_UP


def test_law_7_a_grant_whose_approval_met_more_satisfies() -> None:
    """More people out of the same, or some of several groups."""
    more = granting(ASK, stages=[{"reviewers": ["group:finance"], "quorum": 3}])
    assert more.decide(request()).effect is Effect.ALLOW
    wide = rule("ask", "step_up", approval={"reviewers": ["group:finance", "group:security"]})
    assert granting(wide).decide(request()).effect is Effect.ALLOW


@pytest.mark.parametrize(
    "keys",
    [
        {"agent": "other"},
        {"tools": ["payments.refund"]},
        {"principal": "eve"},
        {"when": "args.amount < 100"},
        {"when": "args.gone"},
        {"expires": "2026-11-20T10:00:00Z"},
        {"not_before": "2026-11-20T10:00:01Z"},
        {"rules": ["p/other"]},
    ],
)
def test_law_7_a_grant_holds_only_within_its_scope_and_time(keys: dict[str, Any]) -> None:
    """Otherwise people are asked as before."""
    assert granting(ASK, **keys).decide(request()).effect is Effect.STEP_UP


def test_law_7_a_step_up_in_error_is_asked_in_spite_of_a_grant() -> None:
    """Nobody granted what could not be evaluated."""
    assert granting(ASK).decide(request(args={})).effect is Effect.STEP_UP


@pytest.mark.parametrize(
    "keys", [{"expires": None}, {"stages": None}, {"tools": ["*"]}, {"expires": "2030-01-01"}, {"x": 1}]
)
def test_a_grant_that_is_incomplete_or_unbounded_is_refused(keys: dict[str, Any]) -> None:
    """A right for a time has an end and an approval behind it."""
    record = {key: value for key, value in grant(**keys).items() if value is not None and key != "kind"}
    with pytest.raises(ConfigurationError, match="grant"):
        Grant.from_mapping(record)
