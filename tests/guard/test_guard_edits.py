"""A reviewer edits a call that waits: decided again, earlier votes void, run once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from agentguard import ApprovalPending, Guard, State, ToolCallDenied, VoteRefused
from agentguard.stepup import machine
from agentguard.stepup.model import Approval
from agentguard.stepup.proposing import Edit, edited_arguments, propose
from agentguard.store.protocol import ApprovalChange
from tests.guard.support import (
    AGENT,
    ALLOW,
    EVIL,
    LARGE,
    PEOPLE,
    WAYS,
    FakeClock,
    Way,
    answer,
    bank,
    events,
    is_whole,
    make_guard,
    resume,
)
from tests.guard.test_guard_register import suspend


def ask(guard: Guard, transfer: Any, amount: int = 500, payee: str = "A", call: str = "") -> Approval:
    """A call that waits."""
    with guard.session(agent=AGENT, principal="ben"), pytest.raises(ApprovalPending) as pending:
        transfer(payee, amount)
    return guard.store.approval("default", pending.value.approval_id)


def edit(guard: Guard, approval: Approval, subject: str = "ana", **changes: Any) -> Approval:
    arguments = edited_arguments(approval, {f"args.{name}": value for name, value in changes.items()})
    proposal = Edit(subject=subject, arguments=arguments, digest=approval.digest, assurance="login")
    return propose(guard.store, PEOPLE, "default", approval.id, proposal)


def guarded(**options: Any) -> Guard:
    return make_guard(ALLOW, LARGE, EVIL, pause="raise", **options)


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_that_the_policies_allow_runs_once_with_its_own_arguments(way: Way) -> None:
    """Under the record of its own decision; what waited never runs, and no second resume does."""
    with guarded() as guard:
        transfer, ran = bank(guard, way)
        approval = ask(guard, transfer)
        assert edit(guard, approval, amount=60).state is State.SUPERSEDED
        found = resume(guard, way, approval.id)
        assert (found.ran, found.result) == (True, "sent 60 to A")
        with pytest.raises(ToolCallDenied, match="already ran"):
            resume(guard, way, approval.id)
        assert ran == [("A", 60, "")]
        assert [event["runs"] for event in events(guard, "decision")][:2] == [False, True]
        (ended,) = events(guard, "approval.superseded")
        assert (ended["by"], ended["edited"], ended["assurance"]) == ("ana", True, "login")
        assert is_whole(guard)


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_that_is_asked_about_is_answered_by_somebody_else_T11(way: Way) -> None:
    """Earlier votes are void, and the editor has none on the new question."""
    large = {**LARGE, "approval": {"reviewers": ["group:finance"], "quorum": 1, "expires_in": "10m"}}
    with make_guard(ALLOW, large, pause="raise") as guard:
        transfer, ran = bank(guard, way)
        approval = ask(guard, transfer)
        answer(guard, approval.id, subject="bob")
        edit(guard, approval, amount=400)
        with pytest.raises(ApprovalPending) as pending:
            resume(guard, way, approval.id, wait=False)
        asked = guard.store.approval("default", pending.value.approval_id)
        assert asked.id != approval.id
        assert (asked.votes, asked.state, asked.call_id) == ((), State.REQUESTED, approval.call_id)
        with pytest.raises(VoteRefused):
            answer(guard, asked.id, subject="ana")
        answer(guard, asked.id, subject="bob")
        assert resume(guard, way, approval.id).result == "sent 400 to A"
        with pytest.raises(ToolCallDenied, match="already ran"):
            resume(guard, way, approval.id)
        assert ran == [("A", 400, "")]
        assert is_whole(guard)


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_that_the_policies_deny_does_not_run(way: Way) -> None:
    """A reviewer is no way around a rule."""
    with guarded() as guard:
        transfer, ran = bank(guard, way)
        approval = ask(guard, transfer)
        edit(guard, approval, payee="EVIL", amount=5)
        with pytest.raises(ToolCallDenied, match="bank/evil"):
            resume(guard, way, approval.id)
        assert ran == []


@pytest.mark.parametrize("way", WAYS)
def test_who_waits_goes_on_with_the_edit(way: Way) -> None:
    """The call that waited returns the result of what ran instead."""
    with make_guard(ALLOW, LARGE, channels=[]) as guard:
        transfer, ran = bank(guard, way)
        with ThreadPoolExecutor(1) as pool, guard.session(agent=AGENT, principal="ben"):
            import contextvars

            waiting = pool.submit(contextvars.copy_context().run, transfer, "A", 500)
            while not (found := guard.store.approvals("default")):
                pass
            edit(guard, found[0], amount=70, payee="B")
            assert waiting.result(20) == "sent 70 to B"
        assert ran == [("B", 70, "")]


@pytest.mark.parametrize("way", WAYS)
def test_of_many_resumes_of_an_edit_one_runs_it_T09(way: Way) -> None:
    """Also where no further approval is claimed."""
    with guarded() as guard:
        transfer, ran = bank(guard, way)
        approval = ask(guard, transfer)
        edit(guard, approval, amount=60)

        def attempt(_: int) -> bool:
            try:
                return bool(resume(guard, way, approval.id).ran)
            except ToolCallDenied:
                return False

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(16))) == 1
        assert len(ran) == 1


def test_who_may_not_deny_may_not_edit_T11() -> None:
    """Nor may anybody edit another call than they saw, one that is over, or without showing who they are."""
    clock = FakeClock()
    strict = {**LARGE, "approval": {"reviewers": ["group:finance"], "expires_in": "10m"}}
    with make_guard(ALLOW, strict, pause="raise", clock=clock) as guard:
        transfer, ran = bank(guard)
        approval = ask(guard, transfer)
        for subject in ("ben", "owen", "nobody"):
            with pytest.raises(VoteRefused):
                edit(guard, approval, subject, amount=60)
        arguments = edited_arguments(approval, {"args.amount": 60})
        local = Edit(subject="local", arguments=arguments, digest=approval.digest)
        for wrong in (local, replace(local, subject="ana", assurance="login", digest="sha256:" + "0" * 64)):
            with pytest.raises(VoteRefused):
                propose(guard.store, PEOPLE, "default", approval.id, wrong)
        with pytest.raises(VoteRefused, match="changes nothing"):
            edit(guard, approval, amount=500)
        clock.advance(600)
        with pytest.raises(VoteRefused, match="over"):
            edit(guard, approval, amount=60)
        assert ran == []
        assert guard.store.approval("default", approval.id).proposal is None


@pytest.mark.parametrize(
    "changes", [{"amounts": 5}, {"note.deep": 5}, {"amount": object()}, {"amount": float("nan")}]
)
def test_an_edit_of_what_is_not_there_is_refused(changes: dict[str, Any]) -> None:
    """A misspelt argument is no edit."""
    with guarded() as guard:
        approval = ask(guard, bank(guard)[0])
        with pytest.raises(VoteRefused, match="cannot be edited"):
            edit(guard, approval, **changes)


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_that_does_not_fit_the_tool_does_not_run(way: Way) -> None:
    """It is a denial that says whose it was."""
    with guarded() as guard:
        transfer, ran = bank(guard, way)
        approval = ask(guard, transfer)
        edit(guard, approval, amount="much")
        with pytest.raises(ToolCallDenied):
            resume(guard, way, approval.id)
        assert ran == []


def test_a_proposal_that_was_changed_in_the_store_does_not_run_T13() -> None:
    """Its digest is what the reviewer saw."""
    with guarded() as guard:
        transfer, ran = bank(guard)
        approval = ask(guard, transfer)
        edit(guard, approval, amount=60)

        def tamper(current: Approval, _: Any) -> ApprovalChange:
            assert current.proposal is not None
            other = replace(current.proposal, arguments=b'{"amount":99,"note":"","payee":"EVE"}')
            return ApprovalChange(replace(current, proposal=other))

        guard.store.update_approval("default", approval.id, tamper)
        with pytest.raises(ToolCallDenied, match="damaged"):
            resume(guard, "sync", approval.id)
        assert ran == []


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_that_is_not_used_in_time_does_not_run_T15(way: Way) -> None:
    """It expires with the question that it ended, to the instant."""
    clock = FakeClock()
    with guarded(clock=clock) as guard:
        transfer, ran = bank(guard, way)
        early, late = ask(guard, transfer), ask(guard, transfer, payee="B")
        edit(guard, early, amount=60)
        edit(guard, late, amount=60)
        clock.advance(599)
        assert resume(guard, way, early.id).ran
        clock.advance(1)
        with pytest.raises(ToolCallDenied, match="not used in time"):
            resume(guard, way, late.id)
        assert ran == [("A", 60, "")]


def test_an_edit_that_is_not_used_in_time_asks_nobody_either_T15() -> None:
    """The question that it would open has no end of its own before the agent calls again."""
    clock = FakeClock()
    with guarded(clock=clock) as guard:
        approval = ask(guard, bank(guard)[0])
        edit(guard, approval, amount=400)
        clock.advance(600)
        with pytest.raises(ToolCallDenied, match="not used in time"):
            resume(guard, "sync", approval.id, wait=False)
        assert len(guard.store.approvals("default")) == 1


def test_an_edit_is_not_taken_after_its_expiry_though_it_was_decided_before_T14() -> None:
    """The statement that takes it looks at the store's clock."""
    clock = FakeClock()
    with guarded(clock=clock) as guard:
        transfer, _ = bank(guard)
        approval = ask(guard, transfer)
        edited = edit(guard, approval, amount=60)
        clock.advance(600)
        assert machine.take_proposal(edited, clock()) is None
        clock.advance(-1)
        assert machine.take_proposal(edited, clock()) is not None


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_of_a_question_from_before_a_restored_backup_does_not_run_T18(way: Way) -> None:
    """It may have run since the backup was made."""
    with guarded() as guard:
        transfer, ran = bank(guard, way)
        approval = ask(guard, transfer)
        edit(guard, approval, amount=60)
        guard.store.renew_epoch("another life")
        with pytest.raises(ToolCallDenied, match="restored"):
            resume(guard, way, approval.id)
        assert ran == []


@pytest.mark.parametrize("way", WAYS)
def test_an_edit_runs_only_on_the_tool_that_was_asked_about_T06(way: Way) -> None:
    """Another definition under the same name is no part of what the reviewer saw."""
    with guarded() as guard:
        approval = ask(guard, bank(guard, way)[0])
        edit(guard, approval, amount=60)
        ran: list[Any] = []

        def transfer(payee: str, amount: int, note: str = "", twice: bool = True) -> None:
            """Another one."""
            ran.append(payee)

        with make_guard(ALLOW, LARGE, EVIL, pause="raise", store=guard.store) as other:
            other.tool("bank.transfer")(transfer)
            with pytest.raises(ToolCallDenied, match="not what was approved"):
                resume(other, way, approval.id)
        assert ran == []


@pytest.mark.parametrize("field", ["principal", "agent", "chain", "session"])
def test_an_edit_for_somebody_else_does_not_run_T13(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who acts is bound with the question, and rows can be changed in a store."""
    other = {"id": "eve"}
    with guarded() as guard:
        transfer, ran = bank(guard)
        edited = edit(guard, ask(guard, transfer), amount=60)
        forged = replace(edited, request={**edited.request, field: [other] if field == "chain" else other})
        monkeypatch.setattr(guard.store, "approval", lambda tenant, name: forged)
        with pytest.raises(ToolCallDenied, match="not what was approved"):
            resume(guard, "sync", edited.id)
        assert ran == []


def test_who_waits_in_a_session_that_ended_does_not_go_on_with_an_edit_T34() -> None:
    """Nobody acts any more."""
    asked = threading.Event()
    with make_guard(ALLOW, LARGE, channels=[lambda question: asked.set()]) as guard:
        transfer, ran = bank(guard)
        session = guard.session(agent=AGENT, principal="ben")
        denied: list[str] = []

        def act() -> None:
            with session:
                try:
                    transfer("A", 500)
                except ToolCallDenied as error:
                    denied.append(str(error))

        thread = threading.Thread(target=act)
        thread.start()
        assert asked.wait(60)
        session.closed = True
        (approval,) = guard.store.approvals("default")
        edit(guard, approval, amount=60)
        thread.join(60)
        assert ran == []
        assert "session ended" in denied[0]


@pytest.mark.parametrize("way", WAYS)
def test_a_register_that_changes_while_an_edit_is_recorded_neither_runs_it_twice_nor_loses_it(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is decided again, with what is in force then, and is still the one that took it."""
    with guarded() as guard:
        transfer, ran = bank(guard, way)
        approval = ask(guard, transfer)
        edit(guard, approval, amount=60)
        append, changed = guard.store.append, []

        def meanwhile(tenant: str, events: Any, **options: Any) -> Any:
            proposal = guard.store.approval("default", approval.id).proposal
            if proposal is not None and proposal.taken and not changed:
                changed.append(True)
                suspend(guard.store, "somebody else")
            return append(tenant, events, **options)

        monkeypatch.setattr(guard.store, "append", meanwhile)
        assert resume(guard, way, approval.id).result == "sent 60 to A"
        assert changed
        assert ran == [("A", 60, "")]


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_that_is_suspended_while_its_edit_is_recorded_does_not_run_it_T05(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in force when it is recorded counts."""
    with guarded() as guard:
        transfer, ran = bank(guard, way)
        approval = ask(guard, transfer)
        edit(guard, approval, amount=60)
        append, changed = guard.store.append, []

        def meanwhile(tenant: str, events: Any, **options: Any) -> Any:
            if not changed:
                changed.append(True)
                suspend(guard.store)
            return append(tenant, events, **options)

        monkeypatch.setattr(guard.store, "append", meanwhile)
        with pytest.raises(ToolCallDenied, match="agentguard/agent"):
            resume(guard, way, approval.id)
        assert changed
        assert ran == []


def test_an_erased_proposal_does_not_run() -> None:
    """Its arguments are the subject's data too."""
    with guarded() as guard:
        transfer, ran = bank(guard)
        approval = ask(guard, transfer)
        edit(guard, approval, amount=60)
        guard.store.erase("default", "ben")
        assert guard.store.approval("default", approval.id).proposal is None
        with pytest.raises(Exception, match="erased"):
            resume(guard, "sync", approval.id)
        assert ran == []


@pytest.mark.asyncio
async def test_the_agent_that_calls_again_gets_what_was_edited() -> None:
    """Code before a framework's interrupt runs again with the same call id."""
    with guarded() as guard:
        ran: list[int] = []

        async def run(arguments: dict[str, Any]) -> int:
            ran.append(arguments["amount"])
            return arguments["amount"]

        guard.register("bank.transfer", arguments=["payee", "amount"])
        async with guard.session(agent=AGENT, principal="ben", id="s-1"):
            call = {"payee": "A", "amount": 500}
            with pytest.raises(ApprovalPending) as pending:
                await guard.acall("bank.transfer", call, run, call_id="call_1")
            approval = guard.store.approval("default", pending.value.approval_id)
            edit(guard, approval, amount=60)
            assert await guard.acall("bank.transfer", call, run, call_id="call_1") == 60
            with pytest.raises(ToolCallDenied, match="already ran"):
                await guard.acall("bank.transfer", call, run, call_id="call_1")
        assert ran == [60]
        await asyncio.sleep(0)
