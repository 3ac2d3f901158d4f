"""Events as OCSF 1.8: every type, whole as a class of the schema, and nothing of an event lost."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from agentguard.decision import Decision, Effect, Flag, Matched, SetArgument
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.ledger.log import leaf_hash
from agentguard.ledger.ocsf import ocsf_event
from agentguard.ledger.records import _adapter
from agentguard.stepup import machine
from agentguard.stepup.model import Vote
from tests.ledger.ocsf_schema import problems
from tests.store.support import (
    ARGS_HMAC,
    START,
    answer,
    ask,
    decided,
    ended,
    make_approval,
    make_request,
    settled,
    take,
)


def life() -> list[Mapping[str, Any]]:
    """An event of every type that a guard and its approvals write."""
    from agentguard.store import open_store

    store = open_store("memory:")
    settled(store, take(store, answer(store, ask(store))))
    answer(store, ask(store, call_id="call-2"), verdict="deny", reason="too much")
    for number, change in enumerate((machine.withdraw, machine.supersede)):
        approval = ask(store, call_id=f"call-{number + 3}")
        store.update_approval("default", approval.id, change)
    approved = answer(store, ask(store, call_id="call-6"))
    store.update_approval("default", approved.id, lambda one, now: machine.revoke(one, now, by="cai"))
    call = {"tenant": "default", "at": START, "request": make_request()}
    flag = Flag(rule="payments/night", owner="ops", reason="late", review_in_s=60)
    about: dict[str, Any] = {"tenant": "default", "at": START}
    store.append(
        "default",
        [
            decided(),
            decided(runs=False, effect=Effect.DENY),
            ended(decided()),
            events.flag_raised(id=uuid7(), flag=flag, decision_id="d", args_hmac=ARGS_HMAC, **call),
            events.policy_loaded(id=uuid7(), snapshot="sha256:1", rules=3, sources={}, **about),
            events.policy_refused(id=uuid7(), snapshot="sha256:1", reason="bad", **about),
            events.register_changed(id=uuid7(), version=3, changed=["EX-1"], digest="sha256:2", **about),
            events.segment(id=uuid7(), writer="w", state="open", window_ms=200, **about),
        ],
    )
    expired = make_approval(START)
    store.append(
        "default",
        [_expired(expired), *_votes()],
    )
    found = [json.loads(row.leaf) for row in store.events("default")]
    store.close()
    return found


def _expired(approval: Any) -> Mapping[str, Any]:
    from agentguard.ledger import approvals
    from agentguard.stepup.model import State

    return approvals.changed(approval, State.EXPIRED, id=uuid7(), at=START, reason="nobody decided in time")


def _votes() -> list[Mapping[str, Any]]:
    from agentguard.ledger import approvals

    late = Vote(
        subject="ana",
        verdict="approve",
        digest="d",
        assurance="login",
        memberships=("group:finance",),
        at=START,
    )
    return [approvals.voted(make_approval(), late, id=uuid7(), at=START, counted=False, why="too late")]


LIFE = life()


def mapped(event: Mapping[str, Any], seq: int = 7) -> dict[str, Any]:
    return ocsf_event(seq, event, leaf_hash(events.leaf(event)))


def decision(effect: Effect, *, runs: bool, **more: Any) -> dict[str, Any]:
    match = Matched(rule_id="small", policy="payments", effect=effect, reason="because")
    return mapped(
        events.decision(
            id=uuid7(),
            tenant="default",
            at=START,
            request=make_request(session={"id": "s-1", "labels": [], "calls": 1}),
            decision=Decision(effect=effect, matched=(match,), snapshot="sha256:a", **more),
            args_hmac=ARGS_HMAC,
            runs=runs,
        )
    )


@pytest.mark.parametrize("event", LIFE, ids=[f"{n}-{one['type']}" for n, one in enumerate(LIFE)])
def test_every_event_is_one_of_the_schema(event: Mapping[str, Any]) -> None:
    """Required attributes, known names, types, enumerations, constraints."""
    found = mapped(event)
    assert problems(found) == []
    assert json.loads(json.dumps(found)) == found


def test_every_type_of_version_1_is_among_them() -> None:
    """Those of guards and approvals; what governance adds takes the same way."""
    schema = json.dumps(_adapter.json_schema())
    known = {one["type"] for one in LIFE}
    for kind in ("decision", "outcome", "vote", "claimed", "flag.raised", "policy.loaded", "segment"):
        assert f'"{kind}"' in schema
        assert kind in known
    for state in ("opened", "approved", "denied", "expired", "withdrawn", "superseded", "revoked"):
        assert f"approval.{state}" in known


@pytest.mark.parametrize(
    "kind", ["exception.requested", "grant.revoked", "agent.suspended", "flag.resolved", "baseline.approved"]
)
def test_a_type_that_came_later_is_a_change_of_a_record(kind: str) -> None:
    """Named after the first word of its type."""
    about = kind.partition(".")[0]
    event = {
        "v": 1, "id": uuid7(), "type": kind, "tenant": "default", "at": "2026-11-20T10:00:00.000000Z",
        about: "X-1", "reason": "so", "extra": {"a": [1]},
    }  # fmt: skip
    found = mapped(event)
    assert problems(found) == []
    assert found["class_uid"] == 3004
    assert (found["entity"]["type"], found["entity"]["uid"]) == (about, "X-1")
    assert found["unmapped"]["extra"] == {"a": [1]}


@pytest.mark.parametrize(
    ("effect", "runs", "status", "action", "disposition"),
    [
        (Effect.ALLOW, True, 1, 1, 1),
        (Effect.FLAG, True, 1, 1, 17),
        (Effect.CONSTRAIN, True, 1, 1, 1),
        (Effect.STEP_UP, False, 99, 0, 14),
        (Effect.STEP_UP, True, 1, 1, 1),
        (Effect.DENY, False, 2, 2, 2),
        (Effect.ALLOW, False, 2, 2, 2),
    ],
)
def test_a_decision_says_what_was_done(
    effect: Effect, runs: bool, status: int, action: int, disposition: int
) -> None:
    """Whether it ran counts, and not what a rule said."""
    found = decision(effect, runs=runs)
    assert (found["status_id"], found["action_id"], found["disposition_id"]) == (status, action, disposition)
    assert found["status_code"] == effect.value
    assert problems(found) == []


def test_a_decision_names_who_what_and_by_which_rule() -> None:
    """Agent, principal, session, tool, call, policy, time in milliseconds."""
    writes = (SetArgument(path="args.note", value="x", rule="payments/cap"),)
    found = decision(Effect.DENY, runs=False, obligations=writes)
    assert (found["category_uid"], found["class_uid"], found["type_uid"]) == (6, 6003, 600399)
    assert found["time"] == int(START.timestamp() * 1000)
    assert found["actor"] == {
        "app_name": "billing",
        "app_uid": "billing",
        "user": {"name": "ben", "uid": "ben"},
        "session": {"uid": "s-1"},
    }
    assert found["api"] == {"operation": "payments.transfer", "request": {"uid": "call-1"}}
    assert found["policy"] == {"name": "payments", "uid": "sha256:a", "desc": "because"}
    assert found["authorizations"] == [
        {"decision": "deny", "policy": {"name": "payments", "uid": "payments/small", "desc": "because"}}
    ]
    assert found["message"] == "payments.transfer: deny by payments/small"
    assert found["metadata"]["sequence"] == 7
    assert found["metadata"]["profiles"] == ["security_control"]
    assert found["unmapped"]["decision"]["obligations"][0]["path"] == "args.note"


def test_a_vote_is_the_voters() -> None:
    """And a denial of one has failed."""
    votes = [mapped(one) for one in LIFE if one["type"] == "vote"]
    assert {one["actor"]["user"]["name"] for one in votes} == {"ana"}
    assert {one["status_id"] for one in votes} == {1, 2}
    denied = next(one for one in votes if one["status_id"] == 2)
    assert denied["comment"] == "too much"


@pytest.mark.parametrize("event", LIFE, ids=[f"{n}-{one['type']}" for n, one in enumerate(LIFE)])
def test_nothing_of_an_event_is_lost(event: Mapping[str, Any]) -> None:
    """Each text and number stands somewhere, and the hash that proofs name it by."""
    found = mapped(event)
    text = json.dumps(found)
    for key, value in event.items():
        if key != "v":
            assert json.dumps(value) in text, key
    assert found["unmapped"]["leaf_hash"] == leaf_hash(events.leaf(event)).hex()


def test_an_outcome_has_its_duration_in_milliseconds() -> None:
    """And the exact one beside it."""
    found = mapped({**ended(decided()), "duration_us": 1999})
    assert (found["duration"], found["unmapped"]["duration_us"]) == (1, 1999)
    assert (found["status_id"], found["status_code"]) == (1, "succeeded")
    failed = mapped({**ended(decided()), "status": "failed", "error": "ValueError"})
    assert (failed["status_id"], failed["api"]["response"]) == (2, {"error": "ValueError"})
    unknown = mapped({**ended(decided()), "status": "unknown"})
    assert (unknown["status_id"], unknown["severity_id"]) == (0, 3)


@pytest.mark.parametrize("missing", ["type", "at", "id", "tenant", "decision", "runs", "tool"])
def test_what_is_no_event_is_an_error(missing: str) -> None:
    """And no half of one."""
    event = copy.deepcopy(dict(decided()))
    del event[missing]
    with pytest.raises((KeyError, ValueError, TypeError)):
        ocsf_event(1, event, b"")
