"""Events: canonical, read back with all they said, and without any value of an argument."""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentguard.call import ContextRequest
from agentguard.canonical import encode
from agentguard.decision import (
    AppliedException,
    Approve,
    Decision,
    Effect,
    Flag,
    Matched,
    RedactResult,
    Reserve,
    SetArgument,
    Stage,
)
from agentguard.errors import StoreError
from agentguard.ids import approval_id, uuid7
from agentguard.ledger import approvals as written
from agentguard.ledger import events
from agentguard.ledger.keys import args_hmac
from agentguard.ledger.records import DecisionRecord, Outcome, parse
from agentguard.stepup import machine
from agentguard.stepup.model import State
from agentguard.store import Payload, open_store
from tests.store.support import (
    ARGS_HMAC,
    START,
    answer,
    ask,
    contents,
    make_approval,
    make_request,
    settled,
    take,
)

text = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
matches = st.builds(
    Matched,
    rule_id=text,
    policy=text,
    effect=st.sampled_from(Effect),
    mode=st.sampled_from(["enforce", "observe"]),
    reason=text,
    error=st.none() | text,
    at=st.none() | text,
)
flags = st.builds(
    Flag,
    rule=text,
    owner=text,
    reason=text,
    review_in_s=st.none() | st.integers(0, 10**6),
    converts_to=st.none() | st.sampled_from(Effect),
    observed=st.none() | st.sampled_from(Effect),
)
decisions = st.builds(
    Decision,
    effect=st.sampled_from(Effect),
    matched=st.lists(matches, max_size=3).map(tuple),
    granted_by=st.lists(text, max_size=2).map(tuple),
    obligations=st.lists(flags, max_size=2).map(tuple),
    exceptions=st.lists(
        st.builds(AppliedException, text, st.lists(text, max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    observed=st.lists(matches, max_size=2).map(tuple),
    snapshot=text,
    register=st.integers(0, 5),
)
requests = st.builds(
    ContextRequest,
    tool=names,
    args=st.just({}),
    agent=st.builds(lambda name: {"id": name}, text),
    call_id=text,
    tool_digest=text,
    principal=st.none() | st.builds(lambda name: {"id": name}, text),
    chain=st.lists(st.builds(lambda name: {"id": name}, text), max_size=2).map(tuple),
    environment=st.none() | text,
    secrets=st.lists(text, max_size=2).map(tuple),
    session=st.just({}) | st.builds(lambda name: {"id": name}, text),
    now=st.just(START),
)
times = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC))


@settings(max_examples=200)
@given(requests, decisions, times, st.booleans(), st.none() | text, text)
def test_a_decision_is_canonical_and_reads_back(
    request: ContextRequest, decided: Decision, at: dt.datetime, runs: bool, error: str | None, tenant: str
) -> None:
    """The quick writer writes what the canonical encoder would, and the models give back what was said."""
    event = events.decision(
        id=uuid7(),
        tenant=tenant,
        at=at,
        request=request,
        decision=decided,
        args_hmac=ARGS_HMAC,
        runs=runs,
        error=error,
    )
    leaf = events.leaf(event)
    assert leaf == encode(json.loads(leaf)) == encode(dict(event))
    record = parse(leaf)
    assert isinstance(record, DecisionRecord)
    assert (record.id, record.tenant, record.at, record.runs) == (event["id"], tenant, at, runs)
    assert (record.tool, record.call_id, record.agent) == (request.tool, request.call_id, request.agent["id"])
    assert record.chain == tuple(link["id"] for link in request.chain)
    assert record.secrets == request.secrets
    back = record.decision
    assert (back.effect, back.granted_by, back.snapshot) == (
        decided.effect,
        decided.granted_by,
        decided.snapshot,
    )
    assert back.register_ == decided.register
    told = [(m.rule_id, m.policy, m.effect, m.mode, m.reason, m.at or None) for m in decided.matched]
    assert [(m.rule_id, m.policy, m.effect, m.mode, m.reason, m.at) for m in back.matched] == told
    assert [bool(m.error) for m in back.matched] == [m.error is not None for m in decided.matched]
    assert len(back.obligations) == len(decided.obligations)
    assert [(x.id, x.waived) for x in back.exceptions] == [(x.id, x.waived) for x in decided.exceptions]


@settings(max_examples=100)
@given(
    requests,
    times,
    st.sampled_from(["succeeded", "failed", "unknown"]),
    st.none() | st.integers(0),
    st.none() | text,
)
def test_an_outcome_is_canonical_and_reads_back(
    request: ContextRequest, at: dt.datetime, status: Any, duration: int | None, error: str | None
) -> None:
    """As a decision."""
    event = events.outcome(
        id=uuid7(), tenant="t", at=at, request=request, decision_id="d", status=status, args_hmac=ARGS_HMAC,
        duration_us=duration, error=error,
    )  # fmt: skip
    leaf = events.leaf(event)
    assert leaf == encode(json.loads(leaf))
    record = parse(leaf)
    assert isinstance(record, Outcome)
    assert (record.status, record.duration_us, record.decision_id) == (status, duration, "d")


def test_every_type_of_event_reads_back() -> None:
    """What a whole life of a store writes, and the events of the commands."""
    store = open_store("memory:", clock=lambda: START)
    approval = ask(store, requirement=make_approval().requirement)
    answer(store, approval)
    answer(store, approval, "bob", "deny", reason="too late")
    settled(store, take(store, approval), "failed")
    for number, (end, state) in enumerate(
        ((machine.withdraw, "withdrawn"), (machine.supersede, "superseded"), (machine.revoke, "revoked"))
    ):
        other = answer(store, ask(store, call_id=f"other-{number}"))
        assert store.update_approval("default", other.id, end).state is State(state)
    answer(store, ask(store, call_id="denied"), verdict="deny")
    common = {"tenant": "default", "at": START}
    flag = Flag(rule="p/r", owner="ops", review_in_s=60)
    store.append(
        "default",
        [
            events.flag_raised(
                id=uuid7(), **common, request=make_request(), flag=flag, decision_id="d", args_hmac=ARGS_HMAC
            ),
            events.policy_loaded(id=uuid7(), **common, snapshot="sha256:1", rules=3, sources={"a.yaml": "x"}),
            events.policy_refused(id=uuid7(), **common, snapshot="sha256:1", reason="why"),
            events.register_changed(id=uuid7(), **common, version=3, changed=["EX-1"], digest="sha256:3"),
            events.segment(id=uuid7(), **common, writer="w", state="closed", window_ms=100, count=7),
        ],
    )  # fmt: skip
    kinds = set()
    for event in store.events("default"):
        record = parse(event.leaf)
        assert encode(json.loads(event.leaf)) == event.leaf
        assert (record.id, record.type, record.at) == (event.id, event.type, event.at)
        kinds.add(record.type)
    ends = {
        f"approval.{end}" for end in ("opened", "approved", "denied", "withdrawn", "superseded", "revoked")
    }
    others = {"decision", "vote", "claimed", "outcome", "flag.raised", "register", "segment"}
    others |= {"policy.loaded", "policy.refused"}
    assert kinds == ends | others


@pytest.mark.parametrize(
    "leaf", [b"", b"{}", b"[]", b'{"v":2}', b"\xff", b'{"type":"other","v":1}', b"{" * 100_000]
)
def test_what_is_no_event_is_refused(leaf: bytes) -> None:
    """Unknown versions and types too."""
    with pytest.raises(StoreError, match="not an event"):
        parse(leaf)


def test_no_argument_value_is_in_any_event_T59() -> None:
    """A canary in every argument, constraint, reservation and error text is in no leaf of the ledger."""
    canary, number = "canary-5f1c0de", 918273645
    store = open_store("memory:", clock=lambda: START)
    request = make_request(args={"note": canary, "amount": number, "deep": {"rows": [canary, {"k": canary}]}})
    decided = Decision(
        effect=Effect.STEP_UP,
        matched=(
            Matched(rule_id="r", policy="p", effect=Effect.STEP_UP, error=f"no such key: `{canary}`"),
            Matched(rule_id="s", policy="p", effect=Effect.DENY, error=f'"{canary}" is not a duration'),
        ),
        observed=(
            Matched(rule_id="o", policy="p", effect=Effect.DENY, mode="observe", error=f"bad: {number}"),
        ),
        obligations=(
            SetArgument(path="args.note", value=canary, rule="p/r"),
            Reserve(key=f"spend:{canary}", amount=number, limit=100, rule="p/r"),
            RedactResult(paths=("$.iban",), rule="p/r"),
            Flag(rule="p/r", owner="ops"),
            Approve(stages=(Stage(("principal",)),), expires_in_s=60, rules=("p/r",)),
        ),
    )
    key = b"k" * 32
    digest = args_hmac(key, encode({"note": canary, "amount": number}))
    head = {"tenant": "default", "at": START, "request": request, "args_hmac": digest}
    first = events.decision(id=uuid7(), **head, decision=decided, runs=False, error=f"ValueError: {canary}")
    flag = events.flag_raised(id=uuid7(), **head, flag=Flag(rule="p/r", owner="ops"), decision_id=first["id"])
    ran = events.outcome(
        id=uuid7(), **head, decision_id=first["id"], status="failed", error=f"KeyError: '{canary}'"
    )
    store.append("default", [first, flag, ran], payloads={digest: Payload("ben", canary.encode())})
    approval = ask(
        store,
        arguments=canary.encode(),
        shown={"args": canary},
        request={"args": {"note": canary, "amount": number}},
        args_hmac=digest,
    )
    settled(store, take(store, answer(store, approval)))
    whole = b"".join(event.leaf for event in store.events("default"))
    assert digest.encode() in whole
    assert canary.encode() not in whole
    assert str(number).encode() not in whole
    assert contents(store)[0]["decision"]["matched"][0]["error"] == "no such key"


def test_text_that_is_not_unicode_is_refused_T23() -> None:
    """A lone surrogate from a framework's call id makes no event, and no half of one."""
    bad = ContextRequest(tool="t", args={}, agent={"id": "a"}, call_id="\ud800", now=START)
    with pytest.raises(StoreError, match="Unicode"):
        events.outcome(
            id=uuid7(),
            tenant="t",
            at=START,
            request=bad,
            decision_id="d",
            status="failed",
            args_hmac=ARGS_HMAC,
        )


def test_times_are_written_in_utc_with_microseconds() -> None:
    """So that their text sorts as they do."""
    east = dt.timezone(dt.timedelta(hours=2))
    assert events.instant(dt.datetime(2026, 1, 1, 1, tzinfo=east)) == "2025-12-31T23:00:00.000000Z"
    assert events.instant(START) == "2026-11-20T10:00:00.000000Z"


def test_ids_of_records_are_uuids_in_order() -> None:
    """Version 7, strictly increasing in a process, from any thread."""
    made = [uuid7() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {uuid.UUID(one).version for one in made} == {7}
    assert {uuid.UUID(one).variant for one in made} == {uuid.RFC_4122}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_does_not_make_its_parents_ids_T43() -> None:
    """The random part is drawn anew in the child."""
    uuid7()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, uuid7().encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert theirs[-8:] != uuid7()[-8:]


def test_ids_of_approvals_cannot_be_guessed_T08() -> None:
    """128 random bits, no order and no time in them."""
    made = [approval_id() for _ in range(1000)]
    assert all(len(one) == 33 and one[0] == "a" and int(one[1:], 16) >= 0 for one in made)
    assert len({one[1:9] for one in made}) > 990


def test_a_claim_names_the_reviewers() -> None:
    """Each once, in the order of their votes."""
    store = open_store("memory:", clock=lambda: START)
    approval = answer(store, ask(store))
    event = written.claimed(approval, id=uuid7(), at=START)
    assert event["reviewers"] == ["ana"]
    assert event["decision_id"] == approval.decision_id
