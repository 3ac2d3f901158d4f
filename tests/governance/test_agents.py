"""Agents: suspended ones are denied everywhere, and the inventory says what is wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from agentguard.decision import Effect
from agentguard.errors import RecordRefused, RegisterChanged
from agentguard.governance import Terms, agents
from agentguard.governance.agents import TRANSITIONS, AgentState
from agentguard.governance.findings import inventory
from agentguard.governance.sweeping import sweep
from agentguard.governance.vouching import Word
from agentguard.ids import uuid7
from agentguard.ledger import events
from agentguard.ledger.records import parse
from agentguard.ledger.verify import verify
from agentguard.store.protocol import Record, RecordsChange
from tests.governance.support import Office, local, people, word
from tests.policy.support import request, rule
from tests.store.support import ARGS_HMAC, START, FakeClock, decided, make_decision

DAY = dt.timedelta(days=1)


def act(
    office: Office, what: str, id: str = "billing", who: str = "local", facts: dict[str, Any] | None = None
) -> Record:
    """Say something about an agent as it is now."""
    known = next((one for one in office.store.records("default", "agent") if one.id == id), None)
    checked = None if facts is None else agents.facts_of(facts)
    digest, at = agents.state_digest("default", id, known, checked), office.store.now()
    said: Word = local(digest, at) if who == "local" else word(who, what, "agent", id, digest, at)
    move = getattr(office.desk, what)
    done: Record = move(id, said) if facts is None else move(id, facts, said)
    return done


def seen(office: Office, id: str = "billing", *, chain: Sequence[str] = (), **changes: Any) -> None:
    """A decision about a call of an agent, in the ledger."""
    owner = changes.pop("owner", None)
    agent = {"id": id} if owner is None else {"id": id, "owner": owner}
    event = events.decision(
        id=uuid7(),
        tenant="default",
        at=office.store.now(),
        request=request(agent=agent, chain=[{"id": link} for link in chain], **changes),
        decision=make_decision(),
        args_hmac=ARGS_HMAC,
        runs=True,
    )
    office.store.append("default", [event])


def kinds(office: Office, quiet: dt.timedelta = 30 * DAY) -> list[tuple[str, str]]:
    found = inventory(office.store, "default")
    now = office.store.now()
    return [(one.agent, one.kind) for one in found.findings(office.directory, now, quiet=quiet)]


# Suspended


@pytest.mark.parametrize("what", ["suspend", "offboard"])
def test_every_call_of_a_stopped_agent_is_denied_T05(office: Office, what: str) -> None:
    """Whatever permits it, from the moment of the record; a decision made before cannot be recorded."""
    office.rules = [rule("a", "allow")]
    assert office.decide().effect is Effect.ALLOW
    version = office.store.register_version("default")
    act(office, what)
    decision = office.decide()
    assert decision.effect is Effect.DENY
    assert decision.deciding is not None
    assert decision.deciding.name == "agentguard/agent"
    with pytest.raises(RegisterChanged):
        office.store.append("default", [decided()], register=version)


def test_a_stopped_agent_acts_through_nobody_T33(office: Office) -> None:
    """It is denied wherever it stands in the delegation, and the others go on acting by themselves."""
    office.rules = [rule("a", "allow")]
    act(office, "suspend", "outer")
    assert office.decide(chain=[{"id": "outer"}]).effect is Effect.DENY
    assert office.decide(chain=[{"id": "first"}, {"id": "outer"}]).effect is Effect.DENY
    assert office.decide(chain=[{"id": "first"}]).effect is Effect.ALLOW
    assert office.decide().effect is Effect.ALLOW


def test_no_exception_lets_a_suspended_agent_act(office: Office) -> None:
    """The denial is none of a rule."""
    office.granted(rules=["p/no"])
    assert office.decide().effect is Effect.FLAG
    act(office, "suspend")
    assert office.decide().effect is Effect.DENY


@pytest.mark.parametrize("other", ["Billing", "bіlling", "billing ", "bill\u00ading", "ｂilling"])
def test_ids_are_compared_exactly_T21_T22(office: Office, other: str) -> None:
    """Another spelling is another agent: neither does its suspension concern this one, nor the other way."""
    office.rules = [rule("a", "allow")]
    act(office, "suspend")
    assert office.decide(agent={"id": other}).effect is Effect.ALLOW
    if other.isprintable():
        act(office, "suspend", other)
        assert office.decide(agent={"id": other}).effect is Effect.DENY


def test_anybody_may_suspend_and_only_who_may_approve_restores(office: Office) -> None:
    """Not the owner, and nobody unverified unless the operator says so."""
    office.terms = Terms(approvers=("ana", "owen", "cai"))
    act(office, "register", who="eve", facts={"owner": "owen"})
    seen(office, owner="cai")
    sweep(office.store, "default")
    act(office, "suspend")
    for who, why in (("local", "local"), ("owen", "concerned"), ("cai", "concerned"), ("eve", "cannot")):
        with pytest.raises(RecordRefused, match=why):
            act(office, "restore", who=who)
    assert act(office, "restore", who="ana").state == "active"
    office.rules = [rule("a", "allow")]
    assert office.decide().effect is Effect.ALLOW


def test_a_signature_that_restored_it_once_does_not_restore_it_again(office: Office) -> None:
    """It is about the state that was seen."""
    act(office, "suspend")
    known = office.store.record("default", "agent", "billing")
    old = word("ana", "restore", "agent", "billing", agents.state_digest("default", "billing", known), START)
    office.desk.restore("billing", old)
    act(office, "suspend")
    with pytest.raises(RecordRefused, match="meanwhile"):
        office.desk.restore("billing", old)


def test_whatever_a_registered_agents_record_says_it_is_denied_T13(office: Office) -> None:
    """A damaged state or body does not let it act."""
    office.rules = [rule("a", "allow")]
    bad = Record(kind="agent", id="billing", state="fine", body={"x": 1}, registered=True)
    office.store.change_records("default", [bad.key], lambda known, now: RecordsChange([bad]))
    assert office.decide().effect is Effect.DENY


# Its life


@pytest.mark.parametrize("state", list(AgentState))
@pytest.mark.parametrize("what", ["register", "suspend", "restore", "offboard"])
def test_only_the_moves_of_the_table_happen(office: Office, state: AgentState, what: str) -> None:
    """From each state, every act leads where the table says, or is refused and changes nothing."""
    act(office, "register", facts={"owner": "owen"})
    if state is not AgentState.ACTIVE:
        act(office, "suspend" if state is AgentState.SUSPENDED else "offboard")
    before = office.store.record("default", "agent", "billing")
    try:
        facts = {"owner": "cai"} if what == "register" else None
        after = act(office, what, who="ana", facts=facts)
    except RecordRefused:
        after = office.store.record("default", "agent", "billing")
        assert after == before
    if after != before:
        assert AgentState(after.state) in TRANSITIONS[state]
    assert after.registered == (after.state != "active")


def test_every_move_is_an_event(office: Office) -> None:
    """Who did what, readable under the strict models; the same again writes none."""
    for what, who, facts in (
        ("register", "local", {"owner": "owen"}),
        ("register", "ana", {"owner": "cai", "tags": ["batch"]}),
        ("register", "ana", {"owner": "cai", "tags": ["batch"]}),
        ("suspend", "local", None),
        ("suspend", "local", None),
        ("restore", "ana", None),
        ("offboard", "ana", None),
    ):
        act(office, what, who=who, facts=facts)
    told = office.events()
    assert [event["type"] for event in told] == [
        "agent.registered", "agent.changed", "agent.suspended", "agent.restored", "agent.offboarded",
    ]  # fmt: skip
    assert [event["word"]["subject"] for event in told] == ["local", "ana", "local", "ana", "ana"]
    for row in office.store.events("default"):
        parse(row.leaf)
    assert verify(office.store).ok


def test_an_offboarded_id_is_not_used_again(office: Office) -> None:
    """Whoever comes after takes another one."""
    act(office, "offboard")
    for what, facts in (("register", {"owner": "ana"}), ("restore", None), ("suspend", None)):
        with pytest.raises(RecordRefused, match="offboarded"):
            act(office, what, who="ana", facts=facts)


@pytest.mark.parametrize(
    ("who", "facts"), [("local", {"owner": "eve"}), ("eve", {"owner": "eve"}), ("local", {})]
)
def test_nobody_takes_an_agent_for_themselves_T11(office: Office, who: str, facts: dict[str, Any]) -> None:
    """Who owns it approves what is normal for it; so does nobody who only says that they own it."""
    act(office, "register", facts={"owner": "owen"})
    with pytest.raises(RecordRefused, match="take it from its owner `owen`"):
        act(office, "register", who=who, facts=facts)
    assert office.desk.owner_of("billing") == "owen"


@pytest.mark.parametrize("who", ["owen", "ana"])
def test_an_owner_hands_an_agent_over_or_an_approver_does(office: Office, who: str) -> None:
    """Signed, by the one who has it, or by one who does not get it."""
    act(office, "register", facts={"owner": "owen"})
    act(office, "register", who=who, facts={"owner": "cai", "tags": ["batch"]})
    assert office.desk.owner_of("billing") == "cai"


def test_changing_an_owner_does_not_free_the_one_before_T11(office: Office) -> None:
    """Everybody who ever owned an agent is concerned by its exceptions."""
    act(office, "register", facts={"owner": "ana"})
    act(office, "register", who="bob", facts={"owner": "owen"})
    record = office.ask()
    for who in ("ana", "owen"):
        with pytest.raises(RecordRefused, match="concerned"):
            office.say("approve", record, who)


def test_whoever_owned_it_a_moment_ago_is_concerned_before_any_sweep_T11(office: Office) -> None:
    """What the ledger saw counts at once."""
    seen(office, owner="ana")
    record = office.ask()
    with pytest.raises(RecordRefused, match="concerned"):
        office.say("approve", record, "ana")
    act(office, "suspend")
    with pytest.raises(RecordRefused, match="concerned"):
        act(office, "restore", who="ana")


@pytest.mark.parametrize(
    "facts", [{"owner": ""}, {"surprise": 1}, {"credentials": [{"name": "x", "secret": "y"}]}, {"tags": "x"}]
)
def test_facts_of_another_shape_are_refused(office: Office, facts: dict[str, Any]) -> None:
    """A secret has no place in the inventory."""
    with pytest.raises(RecordRefused):
        act(office, "register", facts=facts)


# What the ledger shows


def test_agents_are_seen_in_the_ledger_each_decision_once(office: Office, clock: FakeClock) -> None:
    """As who, where and when; also those that delegate; a second sweep counts nothing twice."""
    seen(office, owner="owen")
    clock.advance(60)
    seen(office, owner="ana", environment="dev", chain=["outer"])
    for _ in range(2):
        sweep(office.store, "default")
    found = inventory(office.store, "default")
    assert found.ids == ["billing", "outer"]
    assert found.status("billing") == "seen"
    body = found.seen("billing")
    assert (body["calls"], body["owners"], body["environments"]) == (2, ["ana", "owen"], ["dev", "prod"])
    assert found.seen("outer")["delegated"] == 1
    assert found.last_seen("billing") == clock.at


def test_seeing_an_agent_makes_no_new_register(office: Office) -> None:
    """A suspended agent that goes on trying does not make every process read the register again."""
    act(office, "suspend")
    version = office.store.register_version("default")
    seen(office)
    sweep(office.store, "default")
    assert office.store.register_version("default") == version


def test_another_tenants_agents_are_not_seen_T62(office: Office) -> None:
    """Nor suspended, nor found."""
    act(office, "suspend")
    seen(office)
    sweep(office.store, "two")
    assert inventory(office.store, "two").ids == []
    assert office.store.register("two") == (0, [])


def test_findings_say_what_is_wrong_with_agents(office: Office, clock: FakeClock) -> None:
    """Nobody answers for one, several people use one, nobody uses one, one looks like another."""
    office.directory = people(owen={"disabled": True})
    act(office, "register", facts={"owner": "owen", "environments": ["prod"]})
    act(office, "register", "ghostly", facts={"owner": "ghost"})
    act(office, "register", "lonely", facts={"tags": ["x"]})
    key = {"name": "token", "fingerprint": "ab" * 8, "expires": "2026-11-01"}
    act(office, "register", "one", facts={"owner": "ana", "credentials": [key]})
    act(office, "register", "two", facts={"owner": "ana", "credentials": [key]})
    seen(office, owner="owen")
    seen(office, owner="ana", environment="dev")
    seen(office, "Billing", owner="ana")
    sweep(office.store, "default")
    assert kinds(office, DAY) == [
        ("Billing", "looks alike"),
        ("Billing", "not registered"),
        ("billing", "looks alike"),
        ("billing", "owner gone"),
        ("billing", "shares an identity"),
        ("billing", "shares an identity"),
        ("ghostly", "not seen"),
        ("ghostly", "owner gone"),
        ("lonely", "no owner"),
        ("lonely", "not seen"),
        *[
            (id, kind)
            for id in ("one", "two")
            for kind in ("credential expired", "not seen", "shares a credential")
        ],
    ]


def test_an_agent_that_is_in_order_has_no_finding(office: Office, clock: FakeClock) -> None:
    """Registered, owned by somebody who is there, seen lately; and offboarded ones are at rest."""
    act(office, "register", facts={"owner": "owen", "environments": ["prod"]})
    act(office, "offboard", "old")
    seen(office, owner="owen")
    sweep(office.store, "default")
    assert kinds(office, DAY) == []
    clock.advance(2 * 86_400)
    assert kinds(office, DAY) == [("billing", "not seen")]
