"""From a step-up to the one run of exactly what was approved."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentguard import (
    AgentIdentity,
    Answer,
    ApprovalPending,
    ConfigurationError,
    Guard,
    OutcomeUnknown,
    Principal,
    State,
    ToolCallDenied,
    VoteRefused,
)
from agentguard.canonical import freeze
from agentguard.errors import NotFound
from agentguard.stepup import machine
from agentguard.stepup.directory import StaticDirectory
from agentguard.stepup.signing import generate_key, sign
from tests.guard.support import (
    AGENT,
    ALLOW,
    ANY,
    APPROVAL,
    EVIL,
    LARGE,
    WAYS,
    FakeClock,
    Way,
    answer,
    bank,
    events,
    is_whole,
    make_guard,
    resume,
    rules,
    says,
    types_of,
    until,
)
from tests.store.postgres_support import until as until_blocking

ROOT = Path(__file__).resolve().parents[2]


def ask(guard: Guard, call: Any, *args: Any, **session: Any) -> str:
    """Call a tool that needs an approval; the approval's id."""
    with guard.session(agent=AGENT, pause="raise", **session), pytest.raises(ApprovalPending) as caught:
        call(*(args or ("ACME", 500)))
    return caught.value.approval_id


# Waiting for a vote


@pytest.mark.parametrize("way", WAYS)
def test_an_approved_call_runs_once_and_everything_is_recorded(way: Way) -> None:
    """Asked, opened, voted, approved, decided again, claimed, ended."""
    with make_guard(channels=[says("approve")]) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        assert transfer("ACME", 500) == "sent 500 to ACME"
        assert ran == [("ACME", 500, "")]
        wanted = [
            "decision",
            "approval.opened",
            "vote",
            "approval.approved",
            "decision",
            "claimed",
            "outcome",
        ]
        assert types_of(guard) == wanted
        assert is_whole(guard)


@pytest.mark.parametrize("way", WAYS)
def test_a_rejected_call_does_not_run(way: Way) -> None:
    """The denial says who and carries the decision's id."""
    with make_guard(channels=[says("deny")]) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        with pytest.raises(ToolCallDenied, match="ana rejected it") as caught:
            transfer("ACME", 500)
        assert caught.value.decision_id == events(guard, "decision")[0]["id"]
        assert not ran
        assert is_whole(guard)


@pytest.mark.parametrize("way", WAYS)
def test_no_answer_in_time_is_a_denial(way: Way) -> None:
    """The deadline is the store's time; the expiry is recorded."""
    clock = FakeClock()
    with (
        make_guard(clock=clock, channels=[lambda _: clock.advance(601)]) as guard,
        guard.session(agent=AGENT),
    ):
        transfer, ran = bank(guard, way)
        with pytest.raises(ToolCallDenied, match="nobody approved it in time"):
            transfer("ACME", 500)
        assert not ran
        assert types_of(guard)[-1] == "approval.expired"


@pytest.mark.parametrize("way", WAYS)
def test_a_question_past_its_time_is_denied_when_it_is_resumed(way: Way) -> None:
    """At the very instant of expiry already, whether it was approved or not."""
    for approved in (True, False):
        clock = FakeClock()
        with make_guard(clock=clock) as guard:
            transfer, ran = bank(guard, way)
            name = ask(guard, transfer)
            if approved:
                answer(guard, name)
            clock.advance(600)
            with pytest.raises(ToolCallDenied, match="in time"):
                resume(guard, way, name)
            assert guard.approval(name).state is State.EXPIRED
            assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_arguments_are_checked_before_anybody_is_asked(way: Way) -> None:
    """A call that could not run as it stands is denied at once."""
    with make_guard() as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        with pytest.raises(TypeError, match="payee"):
            transfer(["not", "text"], 500)
        assert not events(guard, "approval.opened")
        assert not ran


def test_collected_arguments_are_checked_one_by_one() -> None:
    """`*rest: int` is no tuple that should be an int."""
    guard = make_guard(LARGE | {"when": "true"}, channels=[says("approve")])

    @guard.tool("sum")
    def total(*rest: int, **more: int) -> int:
        return sum(rest) + sum(more.values())

    with guard, guard.session(agent=AGENT):
        assert total(1, 2, x=3) == 6


def test_a_synchronous_wait_never_starves_its_own_loop() -> None:
    """On a running event loop a plain function pauses instead of waiting."""

    async def main() -> None:
        with guard.session(agent=AGENT), pytest.raises(ApprovalPending):
            transfer("ACME", 500)

    with make_guard() as guard:
        transfer, ran = bank(guard)
        asyncio.run(main())
        assert not ran


# Who votes


def test_a_local_answer_counts_where_the_rule_allows_it() -> None:
    """As one person called `local`."""
    with make_guard() as guard:
        transfer, ran = bank(guard)
        name = ask(guard, transfer)
        assert answer(guard, name, subject="local", assurance="local").state is State.APPROVED
        assert resume(guard, "sync", name).ran
        strict = LARGE | {"approval": {**APPROVAL, "local": False}}
    with make_guard(ALLOW, strict) as guard:
        transfer, ran = bank(guard)
        name = ask(guard, transfer)
        with pytest.raises(VoteRefused):
            answer(guard, name, subject="local", assurance="local")
        assert not ran


def test_a_signed_vote_counts_and_a_forged_one_does_not() -> None:
    """Through the one door, `guard.vote`."""
    keys, others = generate_key(), generate_key()
    people = StaticDirectory({"ana": {"groups": ["finance"], "keys": [keys.public]}}, {"finance": {}})
    with make_guard(directory=people) as guard:
        transfer, _ = bank(guard)
        name = ask(guard, transfer)
        approval = guard.approval(name)

        def signed(private: Any) -> Answer:
            text = sign(
                private, approval=approval, verdict="approve", subject="ana", reason="", at=guard.now()
            )
            return Answer(
                subject="ana", verdict="approve", digest=approval.digest, assurance="signed", signature=text
            )

        with pytest.raises(VoteRefused):
            guard.vote(name, signed(others.private))
        assert guard.vote(name, signed(keys.private)).state is State.APPROVED
        assert resume(guard, "sync", name).result == "sent 500 to ACME"


def test_those_behind_the_call_do_not_vote_and_the_principal_confirms() -> None:
    """Owner and principal are excluded, except where the rule asks the principal."""
    own = LARGE | {"id": "own", "when": "args.amount == 300", "approval": {"reviewers": ["principal"]}}
    with make_guard(ALLOW, LARGE | {"when": "args.amount > 400"}, own) as guard:
        transfer, ran = bank(guard)
        name = ask(guard, transfer, "ACME", 500, principal="ben")
        for who in ("owen", "ben", "billing"):
            with pytest.raises(VoteRefused):
                answer(guard, name, subject=who)
        name = ask(guard, transfer, "ACME", 300, principal="ben")
        with pytest.raises(VoteRefused):
            answer(guard, name, subject="ana")
        answer(guard, name, subject="ben")
        assert resume(guard, "sync", name).ran
        assert ran == [("ACME", 300, "")]
        with guard.session(agent=AGENT), pytest.raises(ToolCallDenied, match="names no principal"):
            transfer("ACME", 300)


# Bound to the value


@pytest.mark.parametrize("way", WAYS)
def test_arguments_changed_by_reference_before_during_and_after_T03_T04(way: Way) -> None:
    """What runs is what was shown and approved, whatever the caller does with its objects."""
    rows: list[Any] = [{"to": "ACME"}]
    got: list[Any] = []

    def mutate() -> None:
        rows[0]["to"] = "EVIL"
        rows.append("more")

    guard = make_guard(
        {**LARGE, "when": "true"},
        channels=[says("approve", mutate)],
        facts=[lambda request, names: mutate() or {}],
    )
    with guard, guard.session(agent=AGENT):

        @guard.tool("batch", resource=lambda view: mutate() or {"type": "t", "id": "x"})
        def batch(rows: list[Any]) -> None:
            got.append(rows)
            rows.append("by the tool")

        @guard.tool("abatch")
        async def abatch(rows: list[Any]) -> None:
            got.append(rows)

        batch(rows) if way == "sync" else asyncio.run(abatch(rows))
        assert got[0][0] == {"to": "ACME"}
        assert "more" not in got[0]
        (approval,) = guard.store.approvals("default")
        assert approval.arguments == freeze({"rows": [{"to": "ACME"}]}).canonical


def test_an_allowed_call_runs_what_was_decided_on_T04() -> None:
    """Between the decision and the run the caller changes the list."""
    rows = [1]
    guard = make_guard(
        {"id": "one", "effect": "allow", "when": "size(args.rows) == 1 && context.ok"},
        facts=[lambda request, names: rows.append(2) or {"context": {"ok": True}}],
    )

    @guard.tool("batch")
    def batch(rows: list[int]) -> list[int]:
        return rows

    with guard, guard.session(agent=AGENT):
        assert batch(rows) == [1]
        assert rows == [1, 2]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("today", "said"),
    [
        ((EVIL | {"id": "now", "when": "true"},), "`bank/now` denies it today, whatever `bank/large`"),
        (
            (LARGE | {"id": "two", "approval": {**APPROVAL, "quorum": 2}},),
            "`bank/two` asks for more today than `bank/large`",
        ),
        ((LARGE | {"approval": {"reviewers": ["leo"]}},), "asks for more"),
        ((LARGE | {"approval": {**APPROVAL, "expires_in": "10s"}},), "asks for more"),
        (
            (ANY, {"id": "cap", "effect": "constrain", "set": {"args.note": "'x'"}}),
            "`bank/cap` would rewrite it",
        ),
        (({"id": "none", "effect": "allow", "when": "false"},), "denies it today"),
    ],
    ids=["deny", "quorum", "reviewers", "expiry", "rewrite", "default"],
)  # fmt: skip
def test_a_stricter_policy_supersedes_an_approval_T05(way: Way, today: Any, said: str) -> None:
    """The denial names the rule of today and the one that asked, and nothing can be resumed later."""
    clock = FakeClock()
    with make_guard(clock=clock) as guard:
        transfer, ran = bank(guard, way)
        name = ask(guard, transfer)
        answer(guard, name)
        clock.advance(11)
        guard.swap(rules(*today))
        with pytest.raises(ToolCallDenied, match=said):
            resume(guard, way, name)
        assert guard.approval(name).state is State.SUPERSEDED
        guard.swap(rules(ANY))
        with pytest.raises(ToolCallDenied, match="superseded"):
            resume(guard, way, name)
        assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_a_policy_that_asks_less_lets_the_approved_call_run_T05(way: Way) -> None:
    """As does the same policy."""
    for today in ((ANY,), (ALLOW, LARGE), (ANY, {**LARGE, "approval": {**APPROVAL, "expires_in": "1h"}})):
        with make_guard() as guard:
            transfer, ran = bank(guard, way)
            name = ask(guard, transfer)
            answer(guard, name)
            guard.swap(rules(*today))
            found = resume(guard, way, name)
            assert (found.ran, found.state, found.result) == (True, State.SUCCEEDED, "sent 500 to ACME")
            assert ran == [("ACME", 500, "")]


@pytest.mark.parametrize("way", WAYS)
def test_a_stricter_policy_during_the_wait_T05(way: Way) -> None:
    """The waiting call is decided again too."""
    guard = make_guard(channels=[says("approve", lambda: guard.swap(rules(EVIL | {"when": "true"})))])
    with guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        with pytest.raises(ToolCallDenied, match=r"bank/evil.*bank/large"):
            transfer("ACME", 500)
        assert not ran


def test_a_fact_that_is_gone_today_is_not_remembered_T05() -> None:
    """What providers said when the question was asked does not count at the claim."""
    known = {"context": {"ok": True}}
    stop = {"id": "stop", "effect": "deny", "when": "!context.ok"}
    with make_guard(LARGE, stop, facts=[lambda request, names: known]) as guard:
        transfer, ran = bank(guard)
        name = ask(guard, transfer)
        answer(guard, name)
        known.clear()
        with pytest.raises(ToolCallDenied, match="bank/stop"):
            resume(guard, "sync", name)
        assert not ran


def test_a_session_that_became_untrusted_is_seen_at_the_claim_T05() -> None:
    """Its labels are those of now."""
    tainted = {"id": "tainted", "effect": "deny", "when": '"untrusted" in session.labels'}
    with (
        make_guard(LARGE, tainted, channels=[says("approve", lambda: session.label("untrusted"))]) as guard,
        guard.session(agent=AGENT) as session,
    ):
        transfer, ran = bank(guard)
        with pytest.raises(ToolCallDenied, match="bank/tainted"):
            transfer("ACME", 500)
        assert not ran


def test_a_reviewer_who_left_supersedes_the_approval_T12() -> None:
    """Votes are checked again at the claim."""
    people = {"ana": {"groups": ["finance"]}}

    class Changing:
        def __getattr__(self, name: str) -> Any:
            return getattr(StaticDirectory(people, {"finance": {}}), name)

    with make_guard(directory=Changing()) as guard:
        transfer, ran = bank(guard)
        name = ask(guard, transfer)
        answer(guard, name)
        people["ana"] = {"groups": []}
        with pytest.raises(ToolCallDenied, match="`ana` could not approve it today"):
            resume(guard, "sync", name)
        assert not ran


def swapped(ran: list[Any]) -> Any:
    """Code that fits where the transfer's was."""

    def transfer(payee: str, amount: int, note: str = "") -> str:
        ran.append("the swapped code ran")
        return ""

    return transfer.__code__


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("when", ["left", "waiting"])
def test_code_that_was_swapped_after_the_question_does_not_run_T06_T35(way: Way, when: str) -> None:
    """In the same process, while it waits and before it is resumed."""

    def swap() -> None:
        function = guard.tools["bank.transfer"].run
        assert function is not None
        function.__code__ = swapped([])  # type: ignore[attr-defined]

    guard = make_guard(channels=[says("approve", swap)] if when == "waiting" else [])
    with guard:
        transfer, ran = bank(guard, way)
        if when == "waiting":
            with (
                guard.session(agent=AGENT),
                pytest.raises(ToolCallDenied, match="definition is not what was"),
            ):
                transfer("ACME", 500)
        else:
            name = ask(guard, transfer)
            answer(guard, name)
            swap()
            with pytest.raises(ToolCallDenied, match="definition is not what was approved"):
                resume(guard, way, name)
        assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_was_registered_again_differently_T06_T07(way: Way) -> None:
    """Another body, another signature or other scopes: the approval does not fit."""
    for changes in ({"secrets": ["payments:write"]}, {"definition": {"description": "now harmless"}}):
        with make_guard() as guard:
            transfer, ran = bank(guard, way)
            name = ask(guard, transfer)
            answer(guard, name)
            function = guard.tools["bank.transfer"].run
            guard.register("bank.transfer", function, **changes)  # type: ignore[arg-type]
            with pytest.raises(ToolCallDenied, match="is not what was approved"):
                resume(guard, way, name)
            assert not ran


def test_a_tool_that_is_not_here_cannot_be_resumed_T07() -> None:
    """The message says what to do; the approval stays."""
    with make_guard() as guard:
        transfer, _ = bank(guard)
        name = ask(guard, transfer)
        answer(guard, name)
        with make_guard(store=guard.store) as other, pytest.raises(ConfigurationError, match="import the m"):
            resume(other, "sync", name)
        assert guard.approval(name).state is State.APPROVED


# Once


@pytest.mark.parametrize("way", WAYS)
def test_an_approval_is_for_one_call_T01(way: Way) -> None:
    """The same arguments again are another question."""
    with make_guard() as guard:
        transfer, ran = bank(guard, way)
        first = ask(guard, transfer)
        answer(guard, first)
        resume(guard, way, first)
        assert ask(guard, transfer) != first
        assert len(ran) == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_same_call_id_finds_the_same_question_T01(way: Way) -> None:
    """As when a framework comes again after a pause; once it ran it never runs again."""
    with make_guard() as guard:
        _, ran = bank(guard, way)

        def call() -> Any:
            given = {"payee": "ACME", "amount": 500, "note": ""}

            async def run(arguments: dict[str, Any]) -> None:
                ran.append(arguments)

            with guard.session(agent=AGENT, id="s-1", pause="raise"):
                if way == "sync":
                    return guard.call("bank.transfer", given, ran.append, call_id="call-1")
                return asyncio.run(guard.acall("bank.transfer", given, run, call_id="call-1"))

        with pytest.raises(ApprovalPending) as first:
            call()
        with pytest.raises(ApprovalPending) as second:
            call()
        assert first.value.approval_id == second.value.approval_id
        answer(guard, first.value.approval_id)
        call()
        with pytest.raises(ToolCallDenied, match="already ran once"):
            call()
        assert len(ran) == 1
        assert len(events(guard, "approval.opened")) == 1


def test_an_approval_of_another_agent_session_or_tenant_is_not_used_T02() -> None:
    """The same call id with another agent, principal, chain or session is another question."""
    with make_guard() as guard:
        bank(guard)
        names = set()
        sessions: list[dict[str, Any]] = [
            {"agent": AGENT}, {"agent": AgentIdentity("other")}, {"agent": AGENT, "principal": "ben"},
            {"agent": AGENT, "chain": [AgentIdentity("outer")]}, {"agent": AGENT, "id": "s-2"},
        ]  # fmt: skip
        for session in sessions:
            with (
                guard.session(**{"id": "s-1", "pause": "raise", **session}),
                pytest.raises(ApprovalPending) as c,
            ):
                guard.call(
                    "bank.transfer", {"payee": "A", "amount": 500, "note": ""}, print, call_id="call-1"
                )
            names.add(c.value.approval_id)
        assert len(names) == len(sessions)
        with make_guard(store=guard.store, tenant="other") as other, pytest.raises(NotFound):
            other.resume_sync(names.pop())


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("way", WAYS)
def test_fifty_resumes_at_once_run_it_once_T09(tmp_path: Path, way: Way, kind: str) -> None:
    """One runs it; the others are told that it runs or how it ended."""
    with make_guard(store="memory:" if kind == "memory" else f"sqlite:///{tmp_path}/store.db") as guard:
        transfer, ran = bank(guard, way)
        name = ask(guard, transfer)
        answer(guard, name)
        start = threading.Barrier(50)

        def one() -> str:
            start.wait()
            try:
                return "ran" if resume(guard, way, name).ran else "known"
            except OutcomeUnknown:
                return "running"

        with ThreadPoolExecutor(50) as pool:
            found = [future.result() for future in [pool.submit(one) for _ in range(50)]]
        assert found.count("ran") == 1
        assert len(ran) == 1
        assert len(events(guard, "claimed")) == 1
        assert is_whole(guard)


@pytest.mark.parametrize("way", WAYS)
def test_a_second_resume_answers_the_recorded_state_T01(way: Way) -> None:
    """For a success and for a failure; the failure itself is raised once."""
    with make_guard(LARGE | {"when": "true"}) as guard:

        @guard.tool("fail")
        def fail() -> None:
            raise KeyError("no")

        transfer, _ = bank(guard, way)
        name = ask(guard, transfer)
        answer(guard, name)
        resume(guard, way, name)
        found = resume(guard, way, name)
        assert (found.ran, found.state, found.result) == (False, State.SUCCEEDED, None)
        with guard.session(agent=AGENT, pause="raise"), pytest.raises(ApprovalPending) as caught:
            fail()
        answer(guard, caught.value.approval_id)
        with pytest.raises(KeyError):
            resume(guard, way, caught.value.approval_id)
        assert resume(guard, way, caught.value.approval_id).state is State.FAILED


@pytest.mark.parametrize("way", WAYS)
def test_an_unknown_outcome_is_never_run_again_T17(way: Way) -> None:
    """Neither while it is claimed nor after somebody gave it up."""
    with make_guard() as guard:
        transfer, ran = bank(guard, way)
        name = ask(guard, transfer)
        approval = answer(guard, name)
        guard.store.claim("default", name, approval.digest, [])
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                resume(guard, way, name)
            guard.store.update_approval("default", name, machine.unknown)
        assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_a_question_nobody_answered_is_still_pending(way: Way) -> None:
    """An unknown id is not found."""
    with make_guard() as guard:
        transfer, _ = bank(guard, way)
        with pytest.raises(ApprovalPending):
            resume(guard, way, ask(guard, transfer))
        with pytest.raises(NotFound):
            resume(guard, way, "a" + "0" * 32)


@pytest.mark.parametrize("way", WAYS)
def test_resume_can_wait_and_giving_up_leaves_the_question(way: Way) -> None:
    """Several may wait; who is cancelled does not withdraw it for the others."""
    with make_guard() as guard:
        transfer, ran = bank(guard, way)
        name = ask(guard, transfer)

        async def give_up() -> None:
            task = asyncio.ensure_future(guard.resume(name, wait=True))
            await until(lambda: guard.waiter.waiting)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(give_up())
        assert guard.approval(name).state is State.REQUESTED
        voter = threading.Thread(target=lambda: (wait_for(guard), answer(guard, name)))
        voter.start()
        assert resume(guard, way, name, wait=True).ran
        voter.join()
        assert len(ran) == 1


def wait_for(guard: Guard) -> None:
    until_blocking(lambda: guard.waiter.waiting)


def test_an_asynchronous_tool_is_not_burnt_by_a_synchronous_resume() -> None:
    """It is refused before the claim."""
    with make_guard() as guard:
        transfer, _ = bank(guard, "async")
        name = ask(guard, transfer)
        answer(guard, name)
        with pytest.raises(ConfigurationError, match="await"):
            guard.resume_sync(name)
        assert resume(guard, "async", name).ran


@pytest.mark.parametrize("way", WAYS)
def test_resume_takes_injected_parameters_and_no_others(way: Way) -> None:
    """Nothing that was approved can be replaced that way."""
    guard = make_guard(LARGE)

    class Bank:
        @guard.tool("bank.pay", injected=["log"])
        def pay(self, amount: int, log: Any = None) -> Any:
            return self, amount, log

    account = Bank()
    with guard:
        name = ask(guard, lambda *_: account.pay(500))
        answer(guard, name)
        with pytest.raises(ConfigurationError, match="injected"):
            resume(guard, way, name)
        with pytest.raises(ConfigurationError, match="not an injected parameter"):
            resume(guard, way, name, injected={"self": account, "amount": 1})
        assert resume(guard, way, name, injected={"self": account}).result == (account, 500, None)


@pytest.mark.parametrize("way", WAYS)
def test_a_generator_is_resumed_to_its_end(way: Way) -> None:
    """Its items are the result."""
    guard = make_guard(LARGE)

    @guard.tool("count")
    def count(amount: int) -> Any:
        yield amount
        yield amount + 1

    @guard.tool("acount")
    async def acount(amount: int) -> Any:
        yield amount
        yield amount + 1

    async def first(amount: int) -> None:
        async for _ in acount(amount):
            pass

    with guard:
        call = (lambda *_: next(count(500))) if way == "sync" else (lambda *_: asyncio.run(first(500)))
        name = ask(guard, call)
        answer(guard, name)
        assert resume(guard, way, name).result == [500, 501]


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_fact_about_who_acts_survives_the_store(way: Way) -> None:
    """Dates, numbers and lists in attributes: the digest is the same when it is read back."""
    agent = AgentIdentity(
        "billing", since=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), rate=1.0, count=1, ok=True, none=None,
        key=b"x", limits=[1, 2.5, {"a": (1,)}], price=decimal.Decimal("1.10"), for_=dt.timedelta(hours=1),
    )  # fmt: skip
    person = Principal("ben", ("finance",), {"since": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "level": 3.0})
    with make_guard() as guard:
        transfer, _ = bank(guard, way)
        with (
            guard.session(agent=agent, principal=person, chain=[agent], environment="prod",
                          context={"x": (1, 2.0)}, workload={"attested": True}, pause="raise"),
            pytest.raises(ApprovalPending) as caught,
        ):  # fmt: skip
            transfer("ACME", 500)
        answer(guard, caught.value.approval_id)
        assert resume(guard, way, caught.value.approval_id).ran


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_tool_acts_as_the_original_agent(way: Way) -> None:
    """What it calls is decided for that agent, and nobody acts afterwards."""
    guard = make_guard(LARGE, ALLOW)
    seen: list[Any] = []

    @guard.tool("inner")
    def inner(amount: int) -> int:
        seen.append(guard.current)
        return amount

    @guard.tool("outer")
    def outer(amount: int) -> int:
        return inner(amount - 450)

    with guard:
        name = ask(guard, lambda *_: outer(500), principal="ben", id="s-7")
        answer(guard, name)
        assert resume(guard, way, name).result == 50
        (session,) = seen
        assert (session.agent.id, session.principal.id, session.id, session.closed) == (
            "billing",
            "ben",
            "s-7",
            True,
        )
        with pytest.raises(ToolCallDenied, match="agentguard/identity"):
            inner(1)


def test_arguments_that_were_erased_or_touched_do_not_run() -> None:
    """A store that says something else than was approved is not believed."""
    with make_guard() as guard:
        transfer, ran = bank(guard)
        name = ask(guard, transfer)
        approval = answer(guard, name)
        store: Any = guard.store
        real = store.approval
        for arguments in (b'{"amount":999,"note":"","payee":"EVIL"}', b"{}", b'{"a":{"$tuple":3}}'):
            store.approval = lambda *_, a=arguments: replace(approval, arguments=a)
            with pytest.raises(ToolCallDenied):
                guard.resume_sync(name)
        store.approval = real
        guard.store.erase("default", "billing")
        with pytest.raises((ConfigurationError, ToolCallDenied)):
            guard.resume_sync(name)
        assert not ran


PROGRAM = """
import asyncio, sys
from agentguard import AgentIdentity, Answer, ApprovalPending, Guard, OutcomeUnknown, ToolCallDenied
from agentguard.store import open_store
from tests.guard.support import RULES, PEOPLE, rules

store = open_store(sys.argv[1], timeout_s=60)
guard = Guard(snapshot=rules(*RULES), store=store, directory=PEOPLE, pause="raise")

MISSING = object()

@guard.tool("bank.transfer")
async def transfer(payee: str, amount: int, note: str = "", *, words=frozenset({"a", "b", "c"})) -> str:
    def inner(word: str, default: object = MISSING) -> bool:
        return word in {"x", "y", "z", "w"}
    with open(sys.argv[2], "a") as file:
        file.write(f"{payee} {amount} {type(amount).__name__}\\n")
    return "sent"

async def main() -> None:
    async with guard:
        if sys.argv[3] == "ask":
            async with guard.session(agent=AgentIdentity("billing", owner="owen"), principal="ben"):
                try:
                    await transfer("ACME", 500)
                except ApprovalPending as pending:
                    print(pending.approval_id)
            return
        try:
            found = await guard.resume(sys.argv[3])
            print("ran" if found.ran else found.state.value)
        except OutcomeUnknown:
            print("running")

asyncio.run(main())
"""


def test_asked_today_resumed_tomorrow_in_other_processes_exactly_once_T02_T09(tmp_path: Path) -> None:
    """Several processes resume at once; the call runs once, with the values that were frozen."""
    program, out, url = tmp_path / "program.py", tmp_path / "out.txt", f"sqlite:///{tmp_path}/store.db"
    program.write_text(textwrap.dedent(PROGRAM))

    def start(word: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", str(program), url, str(out), word]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    asked, problems = start("ask").communicate(timeout=300)
    name = asked.strip()
    assert name, problems
    with make_guard(store=url) as guard:
        answer(guard, name)
        found = [process.communicate(timeout=300) for process in [start(name) for _ in range(4)]]
        said = [text.strip() for text, _ in found]
        assert said.count("ran") == 1, found
        assert set(said) <= {"ran", "running", "succeeded"}, found
        assert out.read_text() == "ACME 500 int\n"
        assert start(name).communicate(timeout=300)[0].strip() == "succeeded"
        assert is_whole(guard)
