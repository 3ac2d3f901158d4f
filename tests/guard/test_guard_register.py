"""The register of exceptions, grants and agents in the path of a call, and a flood of questions."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from agentguard import AgentIdentity, ApprovalPending, ConfigurationError, ToolCallDenied
from agentguard.governance import Terms
from agentguard.stepup.model import State
from agentguard.store import open_store
from agentguard.store.protocol import Record, RecordsChange, Store
from tests.governance import test_grants as grants
from tests.governance.support import DIRECTORY, Office
from tests.guard.support import AGENT, ANY, LARGE, START, WAYS, FakeClock, Way, bank, events, make_guard

LOCAL = Terms(local=True)
DENY = {"id": "no", "effect": "deny", "when": "args.amount > 50"}


def suspend(store: Store, agent: str = "billing", state: str = "suspended") -> None:
    """What `agentguard agents suspend` writes, by another process than the guard's."""
    body = {"reason": "stolen key", "by": "ana"}
    record = Record(kind="agent", id=agent, state=state, body=body, registered=state != "active")
    store.change_records("default", [record.key], lambda known, now: RecordsChange([record]))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("record", ["before", "batched"])
def test_a_suspension_by_another_process_stops_the_next_call_T05(
    tmp_path: Path, way: Way, record: Any
) -> None:
    """Without a message between the processes, and without a call in between; lifting it works alike."""
    url = f"sqlite:///{tmp_path}/store.db"
    clock = FakeClock()
    with make_guard(ANY, store=url, record=record, clock=clock) as guard:
        transfer, ran = bank(guard, way)
        other = open_store(url, clock=clock)
        with guard.session(agent=AGENT):
            transfer("A", 5)
            suspend(other)
            with pytest.raises(ToolCallDenied, match="agentguard/agent"):
                transfer("A", 6)
            suspend(other, state="active")
            transfer("A", 7)
        other.close()
        assert [amount for _, amount, *_ in ran] == [5, 7]
        assert [event["runs"] for event in events(guard, "decision")] == [True, False, True]


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_in_the_chain_that_is_suspended_stops_the_call_T11(way: Way) -> None:
    """Whoever it delegated to acts for it."""
    with make_guard(ANY) as guard:
        transfer, ran = bank(guard, way)
        suspend(guard.store, "outer")
        with guard.session(agent=AGENT, chain=[AgentIdentity("outer")]), pytest.raises(ToolCallDenied):
            transfer("A", 5)
        with guard.session(agent=AGENT):
            transfer("A", 6)
        assert len(ran) == 1


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_is_in_force_at_once_and_not_one_call_longer_T49(way: Way) -> None:
    """From the transaction that approves it to the instant of its expiry, or its revocation."""
    clock = FakeClock()
    with make_guard(ANY, DENY, clock=clock, directory=DIRECTORY) as guard:
        transfer, ran = bank(guard, way)
        office = Office(store=guard.store, rules=[])

        def excepted(hours: int) -> Record:
            return office.granted(
                rules=["bank/no"],
                tools=["bank.transfer"],
                owner="cai",
                control={"reserve": {"key": "audit", "limit": 100}},
                expires=(START + dt.timedelta(hours=hours)).isoformat(),
                remediate_by="2026-12-01",
            )

        with guard.session(agent=AGENT):
            with pytest.raises(ToolCallDenied, match="bank/no"):
                transfer("A", 60)
            excepted(1)
            transfer("A", 61)
            clock.advance(3599.999999)
            transfer("A", 62)
            clock.advance(0.000001)
            with pytest.raises(ToolCallDenied, match="bank/no"):
                transfer("A", 63)
            second = excepted(2)
            transfer("A", 64)
            office.say("revoke", second)
            with pytest.raises(ToolCallDenied, match="bank/no"):
                transfer("A", 65)
        assert [amount for _, amount, *_ in ran] == [61, 62, 64]
        waived = [event for event in events(guard, "decision") if event["decision"].get("exceptions")]
        assert len(waived) == 3


@pytest.mark.parametrize("way", WAYS)
def test_an_approval_is_decided_again_with_todays_register_T05(way: Way) -> None:
    """An agent that was suspended while its question waited does not run."""
    with make_guard(LARGE, pause="raise") as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT), pytest.raises(ApprovalPending) as pending:
            transfer("A", 500)
        from tests.guard.support import answer, resume

        answer(guard, pending.value.approval_id)
        suspend(guard.store)
        with pytest.raises(ToolCallDenied):
            resume(guard, way, pending.value.approval_id)
        assert ran == []
        assert guard.store.approval("default", pending.value.approval_id).state.value == "superseded"


@pytest.mark.parametrize("way", WAYS)
def test_a_register_that_never_rests_is_a_denial(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard does not decide again for ever."""
    with make_guard(ANY) as guard:
        transfer, ran = bank(guard, way)
        real = guard.store.append

        def append(*args: Any, register: int | None = None, **more: Any) -> None:
            if register is not None:
                suspend(guard.store, "somebody")
            real(*args, register=register, **more)

        monkeypatch.setattr(guard.store, "append", append)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="agentguard/register"):
            transfer("A", 5)
        assert ran == []


@pytest.mark.parametrize("way", WAYS)
def test_a_register_that_cannot_be_read_is_a_denial(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decided with the old one."""
    from agentguard.errors import StoreUnavailable

    with make_guard(ANY) as guard:
        transfer, ran = bank(guard, way)
        suspend(guard.store, "somebody")

        def fail(tenant: str) -> Any:
            raise StoreUnavailable("gone")

        monkeypatch.setattr(guard.store, "register_version", fail)
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied):
            transfer("A", 5)
        assert ran == []


@pytest.mark.parametrize("way", WAYS)
def test_a_flood_of_questions_is_denied_and_recorded_T61(way: Way) -> None:
    """One agent under one rule; another agent's questions are still asked."""
    with make_guard(LARGE, pause="raise", max_pending=2) as guard:
        transfer, ran = bank(guard, way)
        with guard.session(agent=AGENT):
            for amount in (500, 501):
                with pytest.raises(ApprovalPending):
                    transfer("A", amount)
            with pytest.raises(ToolCallDenied, match="agentguard/quota") as denied:
                transfer("A", 502)
        assert denied.value.remedy == "ask_operator"
        with guard.session(agent=AgentIdentity("other")), pytest.raises(ApprovalPending):
            transfer("A", 500)
        assert events(guard, "decision")[2]["runs"] is False
        assert ran == []


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "2"])
def test_a_quota_is_a_whole_number_from_one(wrong: Any) -> None:
    """Anything else is refused at the start."""
    with pytest.raises(ConfigurationError, match="max_pending"):
        make_guard(LARGE, max_pending=wrong)


@pytest.mark.parametrize("way", WAYS)
def test_a_grant_that_is_used_up_asks_a_person_again_T50(way: Way) -> None:
    """Its uses are a counter; behind the last one the step-up is a question as before, and no denial."""
    ask = {**LARGE, "approval": {"reviewers": ["group:security"], "expires_in": "10m"}}
    with make_guard(ask, pause="raise", directory=DIRECTORY, clock=FakeClock()) as guard:
        transfer, ran = bank(guard, way)
        office = Office(store=guard.store, rules=[])

        def asked() -> str:
            with pytest.raises(ApprovalPending) as pending:
                transfer("A", 500)
            return pending.value.approval_id

        with guard.session(agent=AGENT, principal="ben"):
            approval = guard.store.approval("default", asked())
            approval = grants.vote(office, approval)
            grants.give(office, approval, grants.wanted(approval, uses=2))
            transfer("A", 500)
            transfer("A", 500)
            again = asked()
        assert again != approval.id
        assert guard.store.approval("default", again).state is State.REQUESTED
        assert len(ran) == 2
