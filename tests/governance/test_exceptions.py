"""Exceptions: who may put one in force, what it waives, and that it ends when it ends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentguard.decision import AppliedException, Effect, Reserve
from agentguard.errors import NotFound, RecordRefused, RegisterChanged
from agentguard.governance import Terms, exceptions
from agentguard.governance.exceptions import TRANSITIONS, ExceptionState
from agentguard.governance.sweeping import expire_due
from agentguard.governance.vouching import content_digest
from agentguard.ledger.records import parse
from agentguard.ledger.verify import verify
from agentguard.policy.register import LONGEST
from agentguard.store.protocol import Record, RecordsChange, Store
from agentguard.terms import MAX_DAYS
from tests.governance.support import ASKED, KEYS, Office, local, people, word
from tests.store.support import START, FakeClock, decided

END = dt.datetime(2026, 12, 20, 10, tzinfo=dt.UTC)


def tamper(store: Store, record: Record, change: Callable[[dict[str, Any]], None], **fields: Any) -> None:
    """Somebody writes into the database what no command would."""
    import copy

    body = copy.deepcopy(dict(record.body))
    change(body)
    store.change_records(
        "default", [record.key], lambda known, now: RecordsChange([replace(record, body=body, **fields)])
    )


# Its life


def test_an_exception_waives_its_rule_from_its_approval_on(office: Office) -> None:
    """Asked for, it waives nothing; approved, the call proceeds flagged, with its control."""
    record = office.ask()
    assert office.decide().effect is Effect.DENY
    after = office.say("approve", record)
    assert (after.state, after.registered, after.due) == ("active", True, END)
    decision = office.decide()
    assert decision.effect is Effect.FLAG
    assert decision.exceptions == (AppliedException(record.id, ("p/no",)),)
    assert {item.kind for item in decision.obligations} == {"flag", "redact_result"}


def test_every_move_is_an_event_that_says_who_on_what(office: Office, clock: FakeClock) -> None:
    """Written with the record, readable under the strict models, and the ledger stays whole."""
    record = office.granted(revalidate_every="7d")
    office.say("revalidate", record, "cai", reason="control checked")
    office.renew(record, "2027-01-10")
    office.say("approve", record, "cai")
    office.say("revoke", record, "local")
    rejected = office.ask()
    office.say("reject", rejected, reason="no")
    office.say("withdraw", office.ask(), "ben")
    expiring = office.granted(expires="2026-11-21")
    clock.at = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
    assert expire_due(office.store, "default") == 1
    events = office.events()
    assert [event["type"].removeprefix("exception.") for event in events] == [
        "requested", "approved", "revalidated", "requested", "renewed", "revoked",
        "requested", "rejected", "requested", "withdrawn", "requested", "approved", "expired",
    ]  # fmt: skip
    for row in office.store.events("default"):
        parse(row.leaf)
    approved = events[1]
    assert (approved["exception"], approved["digest"]) == (record.id, content_digest(record.body["content"]))
    assert (approved["word"]["subject"], approved["word"]["assurance"]) == ("ana", "signed")
    assert events[5]["word"]["assurance"] == "local"
    assert "word" not in events[-1]
    assert events[-1]["exception"] == expiring.id
    assert verify(office.store).ok


def test_conditions_stay_out_of_the_ledger(office: Office) -> None:
    """They may hold values of arguments; the digest stands for them (T59)."""
    office.granted(when='args.payee == "canary-secret"')
    assert all(b"canary-secret" not in row.leaf for row in office.store.events("default"))


@pytest.mark.parametrize("state", list(ExceptionState))
@pytest.mark.parametrize("act", ["approve", "reject", "withdraw", "revalidate", "revoke", "renew", "expire"])
def test_only_the_moves_of_the_table_happen(
    office: Office, clock: FakeClock, state: ExceptionState, act: str
) -> None:
    """From each state, every act leads where the table says, or is refused and changes nothing."""
    record = office.ask()

    def over() -> None:
        clock.at = END
        expire_due(office.store, "default")

    steps: dict[ExceptionState, Callable[[], object]] = {
        ExceptionState.REQUESTED: lambda: None,
        ExceptionState.ACTIVE: lambda: office.say("approve", record),
        ExceptionState.REJECTED: lambda: office.say("reject", record),
        ExceptionState.WITHDRAWN: lambda: office.say("withdraw", record),
        ExceptionState.REVOKED: lambda: (office.say("approve", record), office.say("revoke", record)),
        ExceptionState.EXPIRED: over,
    }
    steps[state]()
    before = office.store.record("default", *record.key)
    try:
        if act == "renew":
            after = office.renew(record, "2027-01-01")
        elif act == "expire":
            clock.at = END
            expire_due(office.store, "default")
            after = office.store.record("default", *record.key)
        else:
            after = office.say(act, record)
    except RecordRefused:
        after = office.store.record("default", *record.key)
        assert after == before
    if after != before:
        assert ExceptionState(after.state) in TRANSITIONS[state]
    assert after.registered == (after.state == "active")


def test_the_same_answer_again_changes_nothing(office: Office) -> None:
    """A repeated approval or revocation writes no second event."""
    record = office.granted()
    office.say("approve", record)
    office.say("revoke", record)
    office.say("revoke", record)
    assert len(office.events()) == 3


def test_what_does_not_exist_is_not_found_T62(office: Office) -> None:
    """Nor what belongs to another tenant."""
    record = office.granted()
    with pytest.raises(NotFound):
        office.desk.revoke("EX-00000000", local("x", START))
    other = replace(office.desk, tenant="two")
    with pytest.raises(NotFound):
        other.revoke(record.id, local(content_digest(record.body["content"]), START))


# Who may


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("ben", "requester"),
        ("BOB@example.com", "principal, by another name"),
        ("owen", "owner in the inventory"),
        ("cai", "an owner that the ledger saw"),
    ],
)
def test_nobody_who_is_concerned_approves_T11_T10(office: Office, who: str, why: str) -> None:
    """Nor revalidates: the requester, the principal, and whoever owns the agent or did, by whatever name."""
    office.store.change_records(
        "default",
        [("agent", "billing"), ("sighting", "billing")],
        lambda known, now: RecordsChange(
            [
                Record(kind="agent", id="billing", state="active", body={"owners": ["owen"]}),
                Record(kind="sighting", id="billing", state="seen", body={"owners": ["cai"]}),
            ]
        ),
    )
    record = office.ask(principal="bob")
    signer = "bob" if "@" in who else who
    with pytest.raises(RecordRefused, match="concerned"):
        office.say("approve", record, who, key=signer)
    office.say("approve", record)
    with pytest.raises(RecordRefused, match="concerned"):
        office.say("revalidate", record, who, key=signer)


def test_whom_it_is_for_is_one_person_by_every_name_T10_T11(office: Office) -> None:
    """An exception for an alias of somebody concerns that person."""
    record = office.ask(principal="BOB@example.com")
    with pytest.raises(RecordRefused, match="concerned"):
        office.say("approve", record, "bob")


def test_a_signature_in_the_name_of_somebody_else_is_not_theirs_T55(office: Office) -> None:
    """Signed with one's own key, and saying another's name."""
    record = office.ask()
    digest = content_digest(record.body["content"])
    said = word("cai", "approve", "exception", record.id, digest, START, key="ana")
    for subject in ("ana", "cai"):
        with pytest.raises(RecordRefused):
            office.desk.approve(record.id, replace(said, subject=subject))


def test_the_agent_itself_does_not_approve_T11(office: Office) -> None:
    """Even where somebody put it into the directory."""
    office.directory = people(billing={"keys": [KEYS["eve"].public]}, eve={"keys": []})
    record = office.ask()
    with pytest.raises(RecordRefused, match="concerned"):
        office.say("approve", record, "billing", key="eve")


def test_only_those_whom_the_operator_names_approve(office: Office) -> None:
    """A group or a person; everybody else who is active counts only where nobody is named."""
    office.terms = Terms(approvers=("group:security", "eve"))
    office.directory = people(cai={"groups": []})
    record = office.ask()
    with pytest.raises(RecordRefused, match="group:security"):
        office.say("approve", record, "cai")
    assert office.say("approve", record, "eve").state == "active"


def test_an_unverified_answer_counts_only_where_the_operator_allows_it(office: Office) -> None:
    """And then as one person, who cannot both ask and approve."""
    record = office.ask()
    with pytest.raises(RecordRefused, match="local"):
        office.say("approve", record, "local")
    office.terms = Terms(local=True)
    assert office.say("approve", record, "local").state == "active"
    assert office.decide().effect is Effect.FLAG
    own = office.ask("local")
    with pytest.raises(RecordRefused, match="concerned"):
        office.say("approve", own, "local")
    office.terms = Terms()
    assert office.decide().effect is Effect.DENY


def test_who_asks_is_somebody_who_is_known_T11(office: Office) -> None:
    """Whoever asked without a name could approve; the operator may allow it, and take that back."""
    with pytest.raises(RecordRefused, match="--as"):
        office.ask("local")
    record = office.granted()
    with pytest.raises(RecordRefused, match="--as"):
        office.renew(record, "2027-01-10", "local")
    office.terms = Terms(local=True)
    office.say("approve", office.ask("local", when="args.amount == 777"))
    assert office.decide(args={"amount": 777}).effect is Effect.FLAG
    office.say("revoke", record)
    office.terms = Terms()
    assert office.decide(args={"amount": 777}).effect is Effect.DENY


def test_somebody_without_a_key_or_disabled_says_nothing(office: Office) -> None:
    """A name alone is nobody."""
    record = office.ask()
    with pytest.raises(RecordRefused, match="would have to sign"):
        office.desk.approve(
            record.id, replace(local(content_digest(record.body["content"]), START), subject="ana")
        )
    office.directory = people(ana={"disabled": True})
    with pytest.raises(RecordRefused, match="no key"):
        office.say("approve", record)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": "cai"}, "key that the directory has"),
        ({"act": "reject"}, "not what the record says"),
        ({"id": "EX-00000000"}, "another record"),
        ({"kind": "grant"}, "key that the directory has"),
        ({"digest": "sha256:" + "0" * 64}, "not what the record says"),
        ({"at": START - dt.timedelta(hours=1)}, "handed in"),
        ({"at": START + dt.timedelta(hours=1)}, "handed in"),
        ({"reason": "another"}, "not what the record says"),
    ],
)
def test_a_signature_is_worth_nothing_elsewhere_T55(
    office: Office, change: dict[str, Any], said: str
) -> None:
    """It names the act, the record, its content, the reason and the time, and has a type of its own."""
    record = office.ask()
    true: dict[str, Any] = {
        "act": "approve", "kind": "exception", "id": record.id,
        "digest": content_digest(record.body["content"]), "at": START,
    }  # fmt: skip
    signed = word("ana", **{**true, **change})
    handed = replace(signed, act="approve", digest=true["digest"], reason="")
    with pytest.raises(RecordRefused, match=said):
        office.desk.approve(record.id, handed)
    assert office.decide().effect is Effect.DENY


def test_an_approval_of_what_was_changed_meanwhile_is_refused(office: Office) -> None:
    """What is signed is what was shown."""
    record = office.ask()
    other = word("ana", "approve", "exception", record.id, "sha256:" + "0" * 64, START)
    with pytest.raises(RecordRefused, match="look at it again"):
        office.desk.approve(record.id, other)


def test_nobody_asks_in_the_name_of_somebody_else(office: Office) -> None:
    """Otherwise who really asked could approve."""
    content = office.desk.draft(ASKED, "bob")
    said = word("ana", "request", "exception", content["id"], content_digest(content), START)
    with pytest.raises(RecordRefused, match="in the name of"):
        office.desk.request(content, said)


# What it may say


@pytest.mark.parametrize(
    "changes",
    [
        {"control": {"description": "we are careful"}},
        {"control": {}},
        {"control": None},
        {"expires": None},
        {"expires": "2026-11-20T10:00:00Z"},
        {"expires": "2026-11-19"},
        {"expires": "2027-12-31"},
        {"expires": "9999-12-31"},
        {"expires": "2026-12-01T10:00:00"},
        {"not_before": "2026-11-20T09:59:59Z"},
        {"not_before": "2026-12-21"},
        {"tools": ["*"]},
        {"agent": "*"},
        {"agent": "a\u202eb"},
        {"rules": ["*"]},
        {"rules": []},
        {"owner": None},
        {"risk": ""},
        {"reason": " "},
        {"remediate_by": None},
        {"evidence": [{"ref": "x", "sha256": "no"}]},
        {"approver": "ana"},
        {"uses": 0},
        {"when": ""},
    ],
)
def test_what_says_too_little_or_too_much_is_refused_T49(office: Office, changes: dict[str, Any]) -> None:
    """No control that can be enforced, no or a late expiry, backdated, everybody, unknown keys."""
    with pytest.raises(RecordRefused):
        office.ask(**changes)
    assert office.store.records("default", "exception") == []


def test_the_operators_maximum_counts_from_the_approval_T49(office: Office) -> None:
    """Asked for within it and approved within it; made shorter later, it counts for what is in force too."""
    office.terms = Terms(max_days=30)
    with pytest.raises(RecordRefused, match="30 days"):
        office.ask(expires="2026-12-20T10:00:01Z")
    office.granted(expires="2026-12-20T10:00:00Z")
    assert office.decide().effect is Effect.FLAG
    office.terms = Terms(max_days=29)
    assert office.decide().effect is Effect.DENY
    assert "29 days" in office.register.refused[0].message


def test_what_was_asked_for_under_a_longer_maximum_is_not_approved_under_a_shorter_one_T49(
    office: Office,
) -> None:
    """It would be refused as soon as it is read; the approver is told."""
    record = office.ask()
    office.terms = Terms(max_days=7)
    with pytest.raises(RecordRefused, match="7 days"):
        office.say("approve", record)


def test_the_maximum_of_the_core_is_that_of_the_terms() -> None:
    """One number, in two places that may not import each other."""
    assert LONGEST.days == MAX_DAYS == Terms().max_days


def test_a_non_waivable_rule_is_not_waived_T49(office: Office) -> None:
    """Whatever was approved; and it is visible that it is not."""
    office.granted(rules=["p/hard", "p/no"])
    assert office.decide(args={"amount": 5000}).effect is Effect.DENY
    assert any("non-waivable" in one.message for one in office.snapshot.refused)


def test_of_overlapping_exceptions_the_strictest_control_stands_T49(office: Office) -> None:
    """Both in force, the decision takes one, and removing it never loosens."""
    asking = office.granted(control={"approval": {"reviewers": ["ana"]}})
    redacting = office.granted()
    assert office.decide().effect is Effect.FLAG
    office.say("revoke", redacting)
    assert office.decide().effect is Effect.STEP_UP
    office.say("revoke", asking)
    assert office.decide().effect is Effect.DENY


@pytest.mark.parametrize(
    ("scope", "changes"),
    [
        ({"agent": "Billing"}, {}),
        ({"agent": "bіlling"}, {}),
        ({"principal": "eve"}, {}),
        ({"tools": ["payments.refund"]}, {}),
        ({"tools": ["payments.trans.*"]}, {}),
        ({"rules": ["p/other"]}, {}),
        ({"when": "args.amount < 500"}, {}),
        ({"when": "args.missing == 1"}, {}),
        ({"secrets": ["payments:read"]}, {}),
        ({"secrets": []}, {}),
        ({"secrets": ["payments:write"]}, {"secrets": ["payments:write", "crm:read"]}),
        ({"not_before": "2026-11-20T10:00:01Z"}, {}),
    ],
)
def test_it_holds_in_its_scope_only_T49(
    office: Office, scope: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Another spelling of an agent, another person, tool, rule, argument or secret scope, or too early."""
    office.granted(**scope)
    assert office.decide(**changes).effect is Effect.DENY


def test_within_its_secret_scopes_it_holds(office: Office) -> None:
    """Those that it names, or fewer."""
    office.granted(secrets=["payments:write", "crm:read"])
    assert office.decide().effect is Effect.FLAG
    assert office.decide(secrets=[]).effect is Effect.FLAG


def test_its_uses_are_a_counter_that_cannot_be_overrun_T50(office: Office) -> None:
    """One conditional statement of the store takes each use; who finds none left is decided without it."""
    record = office.granted(uses=2)
    (taken,) = [item for item in office.decide().obligations if isinstance(item, Reserve)]
    assert (taken.key, taken.amount, taken.limit) == (f"exception:{record.id}", 1, 2)
    from agentguard.store.protocol import Reservation

    wanted = [Reservation(taken.key, taken.amount, taken.limit, taken.window_s)]
    assert [office.store.reserve("default", wanted) for _ in range(3)] == [None, None, taken.key]
    from tests.policy.support import request

    assert office.snapshot.decide(request(), exhausted={taken.key}).effect is Effect.DENY


# Its end


def test_it_is_over_at_the_very_instant_T49_T14(office: Office, clock: FakeClock) -> None:
    """The last microsecond before its expiry is covered and the expiry is not, swept or not."""
    office.granted()
    before = END - dt.timedelta(microseconds=1)
    assert office.decide(before).effect is Effect.FLAG
    assert office.decide(END).effect is Effect.DENY
    clock.at = END
    assert office.decide().effect is Effect.DENY
    assert expire_due(office.store, "default") == 1
    assert office.decide(before).effect is Effect.DENY
    assert expire_due(office.store, "default") == 0


def test_it_does_not_begin_before_its_approval_T49(office: Office, clock: FakeClock) -> None:
    """Whatever it says: a decision of an earlier time, or a clock that went back, does not see it."""
    record = office.ask(not_before="2026-11-21")
    clock.at = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    office.say("approve", record)
    assert office.decide(clock.at - dt.timedelta(seconds=1)).effect is Effect.DENY
    assert office.decide(clock.at).effect is Effect.FLAG


def test_too_late_is_too_late(office: Office, clock: FakeClock) -> None:
    """Nothing is approved, confirmed or renewed once its time is over."""
    asked, granted = office.ask(), office.granted()
    clock.at = END
    for act, record in (("approve", asked), ("revalidate", granted)):
        with pytest.raises(RecordRefused, match="expired"):
            office.say(act, record)
    with pytest.raises(RecordRefused, match="expired"):
        office.renew(granted, "2027-01-01")


def test_a_revocation_counts_at_once_T05(office: Office) -> None:
    """A decision that was made with it can no longer be recorded."""
    record = office.granted()
    version, _ = office.store.register("default")
    office.say("revoke", record, "local")
    assert office.decide().effect is Effect.DENY
    with pytest.raises(RegisterChanged):
        office.store.append("default", [decided()], register=version)


def test_an_exception_sleeps_until_somebody_confirms_it(office: Office, clock: FakeClock) -> None:
    """From the instant on at which its confirmation is due; a confirmation does not move its expiry."""
    record = office.granted(revalidate_every="7d")
    due = START + dt.timedelta(days=7)
    assert office.decide(due - dt.timedelta(microseconds=1)).effect is Effect.FLAG
    assert office.decide(due).effect is Effect.DENY
    clock.at = due
    office.say("revalidate", record, "cai")
    assert office.decide().effect is Effect.FLAG
    assert office.decide(due + dt.timedelta(days=7)).effect is Effect.DENY
    assert office.store.record("default", *record.key).due == END


# Renewals


def test_a_renewal_is_asked_for_and_approved_like_the_first(office: Office) -> None:
    """Until then the old expiry stands; the scope stays what it was; renewals are counted."""
    record = office.granted()
    office.renew(record, "2027-01-10")
    assert office.decide(END).effect is Effect.DENY
    office.say("approve", record, "cai")
    assert office.decide(END).effect is Effect.FLAG
    told = exceptions.tell(office.store.record("default", *record.key))
    assert (told.read.renewal, told.pending) == (1, None)


def test_a_chain_of_renewals_ends_T49(office: Office) -> None:
    """At the operator's maximum, whoever asks; and where the maximum was lowered it counts at once."""
    office.terms = Terms(max_renewals=1)
    record = office.granted()
    office.renew(record, "2027-01-10")
    office.say("approve", record, "cai")
    with pytest.raises(RecordRefused, match="1 times already"):
        office.renew(record, "2027-02-10")
    office.terms = Terms(max_renewals=0)
    assert office.decide().effect is Effect.DENY


@pytest.mark.parametrize("who", ["ben", "bob"])
def test_neither_who_asked_first_nor_who_asks_again_approves_a_renewal_T11(office: Office, who: str) -> None:
    """Both want it."""
    record = office.granted()
    office.renew(record, "2027-01-10", "bob")
    with pytest.raises(RecordRefused, match="concerned"):
        office.say("approve", record, who)


def test_a_renewal_changes_nothing_but_the_time(office: Office) -> None:
    """A wider scope is another exception."""
    record = office.granted()
    content = {**office.desk.draft_renewal(record, "2027-01-10", "ben"), "tools": ["payments.*"]}
    said = word("ben", "renew", "exception", record.id, content_digest(content), START)
    with pytest.raises(RecordRefused, match="`tools`"):
        office.desk.renew(content, said)
    with pytest.raises(RecordRefused, match="later"):
        office.renew(record, "2026-12-01")


@pytest.mark.parametrize("act", ["reject", "withdraw"])
def test_a_renewal_that_is_declined_leaves_what_is_in_force(office: Office, act: str) -> None:
    """It expires when it would have."""
    record = office.granted()
    office.renew(record, "2027-01-10")
    after = office.say(act, record, "cai")
    assert after.state == "active"
    assert office.decide(END - dt.timedelta(seconds=1)).effect is Effect.FLAG
    assert office.decide(END).effect is Effect.DENY


# Somebody writes into the database


def _content(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["content"].update({key: value})


def _approval(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda body: body["approved"].update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        _content("expires", "2027-10-01T00:00:00.000000Z"),
        _content("agent", "other"),
        _content("rules", ["p/no", "p/more"]),
        _content("tools", ["payments.*"]),
        _content("when", "true"),
        _content("uses", 1000),
        _content("requester", "eve"),
        _content("control", {"redact_result": ["$.nothing"]}),
        _content("tenant", "two"),
        _content("surprise", 1),
        _approval("subject", "cai"),
        _approval("at", "2026-11-20T11:00:00.000000Z"),
        _approval("at", "2026-11-19T10:00:00.000000Z"),
        _approval("act", "reject"),
        _approval("digest", "sha256:" + "0" * 64),
        _approval("signature", "e30.e30.e30"),
        lambda body: body.pop("approved"),
        lambda body: body["approved"].pop("signature"),
        lambda body: body["approved"].update({"assurance": "local", "subject": "local"}),
        lambda body: body.update({"approved": {**body["approved"], "subject": "ghost"}}),
        lambda body: body.update({"content": None}),
        lambda body: body.clear(),
    ],
)
def test_what_was_changed_beside_the_commands_waives_nothing_T49(
    office: Office, change: Callable[[dict[str, Any]], None]
) -> None:
    """The approver signed what it said; the register refuses it, says so, and loses nothing else."""
    kept = office.granted(rules=["p/no"], when="args.amount == 7000")
    record = office.granted()
    tamper(office.store, record, change)
    assert office.decide().effect is Effect.DENY
    (refused,) = office.register.refused
    assert refused.id == record.id
    assert [one.id for one in office.register.exceptions] == [kept.id]


def test_a_request_that_somebody_set_active_waives_nothing_T49(office: Office) -> None:
    """Nobody vouches for it, or the requester only."""
    record = office.ask()
    tamper(office.store, record, lambda body: None, state="active", registered=True)
    assert office.decide().effect is Effect.DENY
    digest = content_digest(record.body["content"])
    own = word("ben", "approve", "exception", record.id, digest, START)
    tamper(
        office.store,
        record,
        lambda body: body.update(approved=own.to_json()),
        state="active",
        registered=True,
    )
    assert office.decide().effect is Effect.DENY
    assert "concerned" in office.register.refused[0].message


@pytest.mark.parametrize("act", ["reject", "revalidate", "revoke", "request"])
def test_a_good_signature_on_something_else_is_no_approval_T55(office: Office, act: str) -> None:
    """Somebody puts what a reviewer really signed, on this very content, in the place of an approval."""
    record = office.ask()
    digest = content_digest(record.body["content"])
    other = word("ana", act, "exception", record.id, digest, START)
    tamper(
        office.store,
        record,
        lambda body: body.update(approved=other.to_json()),
        state="active",
        registered=True,
    )
    assert office.decide().effect is Effect.DENY
    assert "no approval" in office.register.refused[0].message


def test_a_revalidation_that_somebody_moved_is_not_believed(office: Office, clock: FakeClock) -> None:
    """It sleeps as if nobody had confirmed it."""
    record = office.granted(revalidate_every="7d")
    office.say("revalidate", record, "cai")
    now = office.store.record("default", *record.key)
    clock.advance(8 * 86_400)
    later = (START + dt.timedelta(days=8)).isoformat()
    tamper(office.store, now, lambda body: body["validated"].update(at=later))
    assert office.decide().effect is Effect.DENY


def test_the_exception_of_an_approver_who_left_stands_once_somebody_else_confirms_it(office: Office) -> None:
    """Until then it is refused, visibly: nobody whom the directory knows vouches for it (T12)."""
    record = office.granted()
    office.directory = people(ana={"disabled": True})
    assert office.decide().effect is Effect.DENY
    assert "no key" in office.register.refused[0].message
    office.say("revalidate", record, "cai")
    assert office.decide().effect is Effect.FLAG
    assert office.register.exceptions[0].approver == "cai"
