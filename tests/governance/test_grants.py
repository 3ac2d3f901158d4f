"""Grants: given by those who approve a call, for the same step-up again, and for nothing else."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentguard.canonical import digest, freeze
from agentguard.decision import Effect, Reserve, Stage
from agentguard.errors import RecordRefused
from agentguard.governance import Terms, grants
from agentguard.governance.grants import grant_content, grant_id
from agentguard.governance.sweeping import expire_due
from agentguard.governance.vouching import Word, content_digest
from agentguard.ledger.records import parse
from agentguard.ledger.verify import verify
from agentguard.stepup import machine, signing
from agentguard.stepup.ballot import Answer, cast
from agentguard.stepup.model import Approval, Requirement
from agentguard.store.protocol import Record, RecordsChange, Reservation
from tests.governance.support import KEYS, Office, local, people, word
from tests.policy.support import request, rule
from tests.store.support import START, FakeClock, ask

ARGS = {"payee": "ACME", "amount": 500, "note": "invoice 7"}
HOUR = START + dt.timedelta(hours=1)
RULES = [
    rule("a", "allow"),
    rule("ask", "step_up", "args.amount > 100", approval={"reviewers": ["group:security"]}),
    rule("two", "step_up", "args.amount > 900", approval={"reviewers": ["group:security"], "quorum": 2}),
    rule("no", "deny", "args.amount > 5000"),
]


@pytest.fixture
def office(office: Office) -> Office:
    office.rules = RULES
    return office


def asked(
    office: Office, *, quorum: int = 1, local: bool = False, rules: tuple[str, ...] = ("p/ask",), **more: Any
) -> Approval:
    """The question about the transfer of 500 of `tests.policy.support`."""
    frozen = freeze(ARGS)
    values: dict[str, Any] = {
        "arguments": frozen.canonical,
        "digest": digest(frozen.canonical),
        "chain": (),
        "tool_digest": "",
        "requirement": Requirement(
            stages=(Stage(("group:security",), quorum),), expires_in_s=600, rules=rules, local=local
        ),
        "shown": {
            "tool": "payments.transfer", "session": {"id": "s-1"}, "environment": "prod",
            "secrets": ["payments:write"],
        },
        **more,
    }  # fmt: skip
    return ask(office.store, **values)


def vote(office: Office, approval: Approval, who: str = "ana", verdict: str = "approve") -> Approval:
    now = office.store.now()
    if who == "local":
        answer = Answer(subject="local", verdict="approve", digest=approval.digest)
    else:
        signature = signing.sign(
            KEYS[who].private, approval=approval, verdict="approve" if verdict == "approve" else "deny",
            subject=who, reason="", at=now,
        )  # fmt: skip
        answer = Answer(
            subject=who, verdict="approve" if verdict == "approve" else "deny", digest=approval.digest,
            assurance="signed", signature=signature,
        )  # fmt: skip
    return cast(office.store, office.directory, "default", approval.id, answer)


def wanted(approval: Approval, **terms: Any) -> dict[str, Any]:
    return grant_content(approval, **{"expires": HOUR, **terms})


def give(office: Office, approval: Approval, content: dict[str, Any], who: str = "ana") -> Record:
    digest = content_digest(content)
    at = office.store.now()
    said: Word = (
        local(digest, at) if who == "local" else word(who, "grant", "grant", content["id"], digest, at)
    )
    return office.desk.grant(approval.id, content, said)


def granted(office: Office, **terms: Any) -> Record:
    """A grant in force, given by one reviewer."""
    approval = asked(office)
    vote(office, approval)
    return give(office, approval, wanted(approval, **terms))


def test_a_grant_satisfies_the_same_step_up_again(office: Office) -> None:
    """For exactly the approved arguments, without asking; the decision says by which grant."""
    assert office.decide().effect is Effect.STEP_UP
    record = granted(office)
    assert (record.state, record.registered, record.due) == ("active", True, HOUR)
    decision = office.decide()
    assert decision.effect is Effect.ALLOW
    assert f"grant/{record.id}" in decision.granted_by


def test_a_grant_never_answers_a_deny(office: Office) -> None:
    """Nor a step-up that asks for more than its approval met."""
    granted(office, when="true")
    assert office.decide(args={**ARGS, "amount": 6000}).effect is Effect.DENY
    assert office.decide(args={**ARGS, "amount": 901}).effect is Effect.STEP_UP


@pytest.mark.parametrize(
    "changes",
    [
        {"args": {**ARGS, "amount": 501}},
        {"args": {**ARGS, "amount": 500.0}},
        {"args": {**ARGS, "note": None}},
        {"args": {**ARGS, "more": 1}},
        {"agent": {"id": "Billing"}},
        {"principal": {"id": "eve", "groups": []}},
        {"principal": None},
        {"environment": "dev"},
        {"chain": [{"id": "outer"}]},
        {"secrets": ["payments:write", "crm:read"]},
        {"secrets": []},
        {"tool": "payments.refund"},
        {"tool_digest": "sha256:" + "9" * 64},
    ],
)
def test_it_holds_for_exactly_what_was_approved_T02_T06_T20(office: Office, changes: dict[str, Any]) -> None:
    """Another value, type, agent, person, environment, delegation, scope or definition asks again."""
    granted(office)
    assert office.decide(**changes).effect is Effect.STEP_UP


def test_a_condition_widens_it_to_what_is_true_and_nothing_else(office: Office) -> None:
    """An error of the condition is no permission."""
    granted(office, when='args.amount <= 600 && args.note.startsWith("invoice")')
    assert office.decide(args={**ARGS, "amount": 600}).effect is Effect.ALLOW
    assert office.decide(args={**ARGS, "amount": 601}).effect is Effect.STEP_UP
    assert office.decide(args={"amount": 600}).effect is Effect.STEP_UP


def test_a_grant_for_a_session_ends_with_it(office: Office) -> None:
    """Another session of the same agent asks again."""
    granted(office, session=True)
    assert office.decide().effect is Effect.ALLOW
    assert office.decide(session={"id": "s-2", "labels": [], "calls": 1}).effect is Effect.STEP_UP


def test_its_uses_are_a_counter_that_cannot_be_overrun_T50(office: Office) -> None:
    """Each use is taken by one conditional statement; without one left it asks again."""
    record = granted(office, uses=2)
    (taken,) = [item for item in office.decide().obligations if isinstance(item, Reserve)]
    assert (taken.key, taken.limit) == (f"grant:{record.id}", 2)
    one = [Reservation(taken.key, taken.amount, taken.limit, taken.window_s)]
    assert [office.store.reserve("default", one) for _ in range(3)] == [None, None, taken.key]
    assert office.snapshot.decide(request(), exhausted={taken.key}).effect is Effect.STEP_UP


def test_a_grant_is_over_at_the_very_instant_T14_T15(office: Office, clock: FakeClock) -> None:
    """Swept or not; and nothing is approved after days."""
    granted(office)
    assert office.decide(HOUR - dt.timedelta(microseconds=1)).effect is Effect.ALLOW
    assert office.decide(HOUR).effect is Effect.STEP_UP
    clock.at = HOUR
    assert expire_due(office.store, "default") == 1
    assert [event["type"] for event in office.events("grant.given", "grant.expired")] == [
        "grant.given",
        "grant.expired",
    ]


def test_a_revocation_counts_at_once_T05(office: Office) -> None:
    """Anybody may take a right away."""
    record = granted(office)
    version, _ = office.store.register("default")
    office.say("revoke", record, "local")
    assert office.decide().effect is Effect.STEP_UP
    assert office.store.register_version("default") > version


def test_a_sweep_ends_a_grant_of_which_every_use_is_in_the_ledger(office: Office) -> None:
    """So that people are asked again; one that has uses left stays, and one without a limit too."""
    from agentguard.governance.sweeping import sweep
    from agentguard.ids import uuid7
    from agentguard.ledger import events

    record = granted(office, uses=2)
    for left in (1, 0):
        event = events.decision(
            id=uuid7(), tenant="default", at=START, request=request(), decision=office.decide(),
            args_hmac="hmac-sha256:" + "1" * 64, runs=True,
        )  # fmt: skip
        office.store.append("default", [event])
        sweep(office.store, "default")
        assert office.store.record("default", *record.key).registered == bool(left)
    assert office.store.record("default", *record.key).state == "spent"
    assert office.decide().effect is Effect.STEP_UP
    assert len(office.events("grant.spent")) == 1
    assert verify(office.store).ok
    with pytest.raises(RecordRefused, match="spent"):
        office.say("revoke", record, "local")


def test_where_two_have_to_approve_two_have_to_grant(office: Office) -> None:
    """The first one's wish waits and counts for nothing; who approves without it gives no grant."""
    approval = asked(office, quorum=2, rules=("p/ask", "p/two"))
    content = wanted(approval, when="args.amount <= 950")
    approval = vote(office, approval)
    first = give(office, approval, content)
    assert (first.state, first.registered) == ("requested", False)
    vote(office, approval, "cai")
    assert office.decide(args={**ARGS, "amount": 901}).effect is Effect.STEP_UP
    second = give(office, approval, content, "cai")
    assert (second.state, second.registered) == ("active", True)
    assert office.decide(args={**ARGS, "amount": 901}).effect is Effect.ALLOW
    assert [event["type"] for event in office.events("grant.vouched", "grant.given")] == [
        "grant.vouched",
        "grant.given",
    ]
    for row in office.store.events("default"):
        parse(row.leaf)
    assert verify(office.store).ok


def test_a_grant_of_two_with_the_word_of_one_permits_nothing(office: Office) -> None:
    """Somebody took one away in the database, or set it active before the second agreed."""
    approval = asked(office, quorum=2, rules=("p/two",))
    content = wanted(approval)
    for who in ("ana", "cai"):
        vote(office, approval, who)
        record = give(office, approval, content, who)
    assert len(office.register.grants) == 1
    body = {**record.body, "words": record.body["words"][:1]}
    office.store.change_records(
        "default", [record.key], lambda known, now: RecordsChange([replace(record, body=body)])
    )
    assert not office.register.grants
    assert "not enough people" in office.register.refused[0].message


def test_one_persons_word_does_not_fill_two_stages_T10(office: Office) -> None:
    """Somebody wrote one reviewer's word into the other stage too: that is still one of two people."""
    stages = (Stage(("group:security",), 1), Stage(("ana", "cai"), 1))
    both = Requirement(stages=stages, expires_in_s=600, rules=("p/ask",), local=False)
    approval = asked(office, requirement=both)
    content = wanted(approval)
    for who in ("ana", "cai"):
        approval = vote(office, approval, who)
        record = give(office, approval, content, who)
    assert len(office.register.grants) == 1
    first = record.body["words"][0]
    body = {**record.body, "words": [first, {**first, "stage": 1}]}
    office.store.change_records(
        "default", [record.key], lambda known, now: RecordsChange([replace(record, body=body)])
    )
    assert not office.register.grants
    assert "one person counts once" in office.register.refused[0].message


def test_one_person_is_one_person_T10(office: Office) -> None:
    """By whatever name: twice the same wish is one."""
    approval = asked(office, quorum=2, rules=("p/two",), excluded=frozenset())
    content = wanted(approval)
    vote(office, approval, "bob")
    first = give(office, approval, content, "bob")
    at, mark = office.store.now(), content_digest(content)
    again = replace(word("bob", "grant", "grant", content["id"], mark, at), subject="BOB@example.com")
    assert office.desk.grant(approval.id, content, again) == first


def test_only_who_approved_the_call_grants(office: Office) -> None:
    """Not who did not answer, and nobody after a denial or once the question is over."""
    approval = asked(office)
    content = wanted(approval)
    with pytest.raises(RecordRefused, match="did not approve"):
        give(office, approval, content)
    vote(office, approval)
    with pytest.raises(RecordRefused, match="did not approve"):
        give(office, approval, content, "cai")
    denied = asked(office, call_id="call-2")
    vote(office, denied, verdict="deny")
    with pytest.raises(RecordRefused, match="denied"):
        give(office, denied, wanted(denied))


def test_an_approval_that_is_over_grants_nothing(office: Office, clock: FakeClock) -> None:
    """The right to grant ends with the time to decide, and with a revocation."""
    approval = asked(office)
    vote(office, approval)
    clock.advance(600)
    with pytest.raises(RecordRefused, match="gives no grant"):
        give(office, approval, wanted(approval))
    clock.at = START
    office.store.update_approval("default", approval.id, machine.revoke)
    with pytest.raises(RecordRefused, match="revoked"):
        give(office, approval, wanted(approval))


def test_other_terms_than_the_first_ones_are_refused(office: Office) -> None:
    """There is one grant of an approval, and each signs the same."""
    approval = asked(office, quorum=2)
    vote(office, approval)
    give(office, approval, wanted(approval))
    vote(office, approval, "cai")
    with pytest.raises(RecordRefused, match="other terms"):
        give(office, approval, wanted(approval, uses=100), "cai")


def test_the_operators_maximum_counts(office: Office) -> None:
    """A grant lasts no longer than an exception could."""
    office.terms = Terms(max_days=1)
    approval = asked(office)
    vote(office, approval)
    with pytest.raises(RecordRefused, match="1 days"):
        give(office, approval, wanted(approval, expires=START + dt.timedelta(days=2)))


def test_an_unverified_approval_gives_an_unverified_grant(office: Office) -> None:
    """It satisfies rules that let such an answer count, and no other."""
    unverified = {"reviewers": ["group:security"], "local": True}
    office.rules = [rule("a", "allow"), rule("ask", "step_up", "args.amount > 100", approval=unverified)]
    approval = asked(office, local=True)
    vote(office, approval, "local")
    give(office, approval, wanted(approval), "local")
    assert office.decide().effect is Effect.ALLOW
    office.rules = RULES
    assert office.decide().effect is Effect.STEP_UP


def test_no_argument_of_the_call_is_in_the_record_or_its_event_T59(office: Office) -> None:
    """A digest stands for them."""
    record = granted(office)
    assert "ACME" not in str(record.body)
    assert all(b"ACME" not in row.leaf for row in office.store.events("default", types=["grant.given"]))


def test_erased_arguments_cannot_be_granted(office: Office) -> None:
    """Nobody could see what it is for."""
    approval = replace(asked(office), arguments=None)
    with pytest.raises(RecordRefused, match="--when"):
        wanted(approval)


def _content(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["content"].update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        _content("expires", "2027-10-01T00:00:00.000000Z"),
        _content("bound", {}),
        _content("uses", 100),
        _content("excluded", []),
        _content("stages", [{"reviewers": ["group:security"], "quorum": 2}]),
        _content("rules", ["p/ask", "p/two"]),
        lambda body: body["words"][0]["word"].update(subject="cai"),
        lambda body: body["words"][0]["word"].update(act="revoke"),
        lambda body: body["words"][0].update(stage=7),
        lambda body: body["words"].clear(),
        lambda body: body["words"][0].update(
            word={**body["words"][0]["word"], "assurance": "local", "subject": "local"}
        ),
        lambda body: body.clear(),
    ],
)
def test_what_was_changed_beside_the_commands_permits_nothing(
    office: Office, change: Callable[[dict[str, Any]], None]
) -> None:
    """The voters signed exactly what it said."""
    record = granted(office)
    body = copy.deepcopy(dict(record.body))
    change(body)
    office.store.change_records(
        "default", [record.key], lambda known, now: RecordsChange([replace(record, body=body)])
    )
    assert office.decide().effect is Effect.STEP_UP
    assert [one.id for one in office.register.refused] == [record.id]


def test_the_grant_of_a_voter_who_could_not_approve_today_permits_nothing_T12(office: Office) -> None:
    """Whoever left the group, or was disabled, takes it along."""
    granted(office)
    office.directory = people(ana={"groups": []})
    assert office.decide().effect is Effect.STEP_UP
    office.directory = people(ana={"disabled": True})
    assert office.decide().effect is Effect.STEP_UP


def test_a_grants_id_follows_from_its_approval() -> None:
    """So that two who give it at the same time give the same one."""
    assert grant_id("a1") == grant_id("a1") != grant_id("a2")
    assert grants.KIND == "grant"
