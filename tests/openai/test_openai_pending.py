"""A turn whose calls wait for a person: kept, passed again, and run once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentguard import Guard, Question
from agentguard_openai import ToolCallsPending, run_tool_calls, run_tool_calls_sync
from tests.openai.support import (
    Bank,
    acting,
    approve,
    bank,
    chat_call,
    chat_turn,
    content,
    events,
    item,
    responses_turn,
)

LONG = "call_0123456789abcdefghij"


def pair(make: Callable[..., Any] = chat_call, turn: Callable[..., Any] = chat_turn) -> Any:
    """A turn with a call that is allowed and one that waits."""
    return turn(
        make("refund", {"payee": "A", "amount": 10}, "c1"),
        make("refund", {"payee": "B", "amount": 2000}, "c2"),
    )


@pytest.mark.parametrize("turn", [pair(), pair(item, responses_turn)], ids=["chat", "responses"])
def test_the_same_turn_again_runs_what_was_approved_and_nothing_twice(turn: Any) -> None:
    """Calls that ran keep their answers; the approved one runs once; then all answers are there."""
    with bank() as guard, acting(guard):
        tools = Bank(guard)
        with pytest.raises(ToolCallsPending) as raised:
            run_tool_calls_sync(guard, turn, [tools.refund], pause="raise")
        [waiting] = raised.value.pending
        assert (waiting.call_id, waiting.tool) == ("c2", "payments.refund")
        assert waiting.reason == "a person has to agree to more than 1000"
        assert waiting.approval_id in str(raised.value)
        assert tools.done == [("A", 10, "")]
        approve(guard, waiting.approval_id)
        for _ in range(3):
            messages = run_tool_calls_sync(guard, turn, [tools.refund], pause="raise")
            assert [content(message) for message in messages] == [{"refunded": 10}, {"refunded": 2000}]
        assert tools.done == [("A", 10, ""), ("B", 2000, "")]
        assert len(events(guard, "approval.opened")) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_answers_from_before_are_taken_as_they_are(asynchronous: bool) -> None:
    """With `answered`, a call that was answered is not looked at again."""
    with bank() as guard, acting(guard):
        tools = Bank(guard)
        with pytest.raises(ToolCallsPending) as raised:
            run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
        kept = [{**json.loads(json.dumps(message)), "mine": True} for message in raised.value.messages]
        approve(guard, raised.value.pending[0].approval_id)
        before = len(events(guard))
        if asynchronous:
            messages = await run_tool_calls(guard, pair(), [tools.refund], answered=kept, pause="raise")
        else:
            messages = run_tool_calls_sync(guard, pair(), [tools.refund], answered=kept, pause="raise")
        assert messages[0] == kept[0]
        assert content(messages[1]) == {"refunded": 2000}
        assert not [e for e in events(guard)[before:] if e.get("call_id") == "c1"]


def test_a_rejected_call_is_answered_with_the_denial() -> None:
    """A person's no is told to the model."""
    from agentguard import Answer

    with bank() as guard, acting(guard):
        tools = Bank(guard)
        with pytest.raises(ToolCallsPending) as raised:
            run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
        id = raised.value.pending[0].approval_id
        guard.vote(id, Answer(subject="local", verdict="deny", reason="no", digest=guard.approval(id).digest))
        messages = run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
        assert content(messages[1])["error"] == "denied"
        assert "rejected" in content(messages[1])["reason"]
        assert tools.done == [("A", 10, "")]


async def test_waiting_is_the_default() -> None:
    """Without `pause="raise"` a call waits for its vote, and its siblings do not."""

    def yes(question: Question) -> None:
        question.answer("approve")

    with bank(channels=[yes]) as guard:
        tools = Bank(guard)
        async with acting(guard):
            messages = await run_tool_calls(guard, pair(), [tools.refund])
        assert [content(message) for message in messages] == [{"refunded": 10}, {"refunded": 2000}]


async def test_the_same_call_at_the_same_time_runs_once() -> None:
    """T36: two workers that pick up one turn: one runs the call, the other is told that it ran."""
    with bank() as guard:
        tools = Bank(guard)
        turn = chat_turn(chat_call("transfer", {"payee": "A", "amount": 1}, LONG))
        async with acting(guard):
            found = await asyncio.gather(*(run_tool_calls(guard, turn, tools.tools) for _ in range(5)))
        said = [content(messages[0]) for messages in found]
        assert len(tools.done) == 1
        assert said.count("sent 1 to A") >= 1
        assert all(answer == "sent 1 to A" or answer["error"] == "already_ran" for answer in said)


def test_other_arguments_or_another_id_are_another_call() -> None:
    """What is remembered is the id with the arguments."""
    with bank() as guard, acting(guard):
        tools = Bank(guard)
        for id, amount in (("c1", 1), ("c1", 2), ("c2", 1)):
            turn = chat_turn(chat_call("refund", {"payee": "A", "amount": amount}, id))
            run_tool_calls_sync(guard, turn, [tools.refund])
        assert len(tools.done) == 3


def test_short_ids_count_within_their_session_and_long_ones_everywhere() -> None:
    """Some servers number their calls from 0 in every conversation; the ids of others are unique."""
    with bank() as guard:
        tools = Bank(guard)
        for id, runs in (("call_0", 2), (LONG, 1)):
            tools.done.clear()
            for session in ("s-1", "s-2"):
                with acting(guard, session):
                    turn = chat_turn(chat_call("refund", {"payee": "A", "amount": 1}, id))
                    run_tool_calls_sync(guard, turn, [tools.refund])
            assert len(tools.done) == runs


def test_calls_that_cannot_be_known_and_harmless_tools_are_not_held_back() -> None:
    """Without an id, of itself or its turn, a call cannot be known; what is harmless may run again."""
    with bank() as guard:
        done: list[str] = []

        @guard.tool("notes", facts={"read_only": True})
        def notes(text: str) -> str:
            done.append(text)
            return text

        tools = Bank(guard)
        nameless = chat_turn(chat_call("refund", {"payee": "A", "amount": 1}, ""))
        for session in ("s-1", "s-1"):
            with acting(guard, session):
                run_tool_calls_sync(guard, chat_turn(chat_call("notes", {"text": "a"}, LONG)), [notes])
                run_tool_calls_sync(guard, nameless["choices"][0]["message"], [tools.refund])
                run_tool_calls_sync(guard, {**nameless, "id": "a\nb"}, [tools.refund])
        assert done == ["a", "a"]
        assert len(tools.done) == 4


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_T36_calls_without_ids_are_known_by_their_place_in_the_turn(asynchronous: bool) -> None:
    """A server that gives calls no ids: passed again, the turn runs nothing twice and asks nothing twice."""
    with bank() as guard, acting(guard):
        tools = Bank(guard)
        turn = chat_turn(
            chat_call("refund", {"payee": "A", "amount": 10}, ""),
            chat_call("refund", {"payee": "A", "amount": 10}, ""),
            chat_call("refund", {"payee": "B", "amount": 2000}, ""),
        )

        async def go(turn: Any) -> list[Any]:
            if asynchronous:
                return await run_tool_calls(guard, turn, [tools.refund], pause="raise")
            return run_tool_calls_sync(guard, turn, [tools.refund], pause="raise")

        for _ in range(2):
            with pytest.raises(ToolCallsPending) as raised:
                await go(turn)
        assert len(events(guard, "approval.opened")) == 1
        approve(guard, raised.value.pending[0].approval_id)
        messages = await go(turn)
        assert [content(message) for message in messages] == [{"refunded": 10}] * 2 + [{"refunded": 2000}]
        assert len(tools.done) == 3
        with pytest.raises(ToolCallsPending):
            await go({**turn, "id": "chatcmpl-2"})
        assert len(tools.done) == 5


def test_T36_an_answer_is_for_one_agent_principal_and_tool() -> None:
    """The same id and arguments, for somebody else or of another tool, are another call."""
    from agentguard import AgentIdentity

    with bank() as guard:
        tools = Bank(guard)

        @guard.tool("payments.repay")
        def repay(payee: str, amount: int, note: str = "") -> str:
            tools.done.append("repay")
            return "repaid"

        given = {"payee": "A", "amount": 1, "note": ""}
        for agent, principal in (("billing", "ben"), ("other", "ben"), ("billing", "eve"), ("billing", None)):
            with guard.session(agent=AgentIdentity(agent), principal=principal, id="s-1"):
                for _ in range(2):
                    run_tool_calls_sync(guard, chat_turn(chat_call("refund", given, LONG)), [tools.refund])
        assert len(tools.done) == 4
        with acting(guard):
            run_tool_calls_sync(guard, chat_turn(chat_call("repay", given, LONG)), [repay])
        assert tools.done[4:] == ["repay"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest answer goes first; its call is still not run again."""
    from agentguard_openai import once

    monkeypatch.setattr(once, "_KEPT", 2)
    with bank() as guard, acting(guard):
        tools = Bank(guard)
        turns = [chat_turn(chat_call("refund", {"payee": "A", "amount": 1}, f"c{n}")) for n in range(3)]
        for turn in turns:
            run_tool_calls_sync(guard, turn, [tools.refund])
        answers = [content(run_tool_calls_sync(guard, turn, [tools.refund])[0]) for turn in turns]
        assert answers[0]["error"] == "already_ran"
        assert answers[1:] == [{"refunded": 1}] * 2
        assert len(tools.done) == 3


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_call_that_failed_keeps_its_answer(asynchronous: bool) -> None:
    """Passed again it is not run again, and the model is told the same."""
    tries: list[int] = []
    with bank() as guard, acting(guard):

        @guard.tool("notes")
        def notes(text: str) -> str:
            tries.append(1)
            raise ValueError(text)

        turn = chat_turn(chat_call("notes", {"text": "a"}, LONG))
        for _ in range(2):
            if asynchronous:
                [message] = await run_tool_calls(guard, turn, [notes])
            else:
                [message] = run_tool_calls_sync(guard, turn, [notes])
            assert content(message)["error"] == "tool_failed"
        assert len(tries) == 1


def test_T34_after_its_session_nothing_is_answered_from_memory() -> None:
    """A result that is kept is for the session that may see it, not for whoever holds on to it."""
    with bank() as guard:
        tools = Bank(guard)
        turn = chat_turn(chat_call("refund", {"payee": "A", "amount": 1}, LONG))
        with acting(guard) as session:
            run_tool_calls_sync(guard, turn, [tools.refund])
        [message] = run_tool_calls_sync(guard, turn, [tools.refund], session=session)
        assert content(message)["rule"] == "agentguard/identity"


def test_a_call_that_nobody_saw_end_is_said_to_be_unknown() -> None:
    """T17: claimed elsewhere and never settled: it is not run again, and the model is told so."""
    with bank() as guard, acting(guard):
        tools = Bank(guard)
        with pytest.raises(ToolCallsPending) as raised:
            run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
        approval_id = raised.value.pending[0].approval_id
        approve(guard, approval_id)
        guard.store.claim(guard.tenant, approval_id, guard.approval(approval_id).digest, ())
        messages = run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
        assert content(messages[1])["error"] == "outcome_unknown"
        assert tools.done == [("A", 10, "")]


FIRST = """
import json, sys
from agentguard_openai import ToolCallsPending, run_tool_calls_sync
from tests.openai.support import Bank, acting, approve, bank
from tests.openai.test_openai_pending import pair
with bank(sys.argv[1]) as guard, acting(guard):
    tools = Bank(guard)
    try:
        run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
    except ToolCallsPending as waiting:
        approve(guard, waiting.pending[0].approval_id)
        print(json.dumps({"done": tools.done, "messages": waiting.messages}))
"""

SECOND = """
import json, sys
from agentguard_openai import run_tool_calls_sync
from tests.openai.support import Bank, acting, bank
from tests.openai.test_openai_pending import pair
kept = json.loads(sys.argv[2])
with bank(sys.argv[1]) as guard, acting(guard):
    tools = Bank(guard)
    messages = run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise", answered=kept)
    print(json.dumps({"done": tools.done, "messages": messages}))
"""


def process(code: str, *arguments: str) -> Any:
    """The code in a process of its own."""
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={"PYTHONPATH": f"{root}:{root / 'adapters'}", "PATH": ""},
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_today_and_tomorrow_in_another_process(tmp_path: Path) -> None:
    """The kept turn and answers are all that a new process needs."""
    store = f"sqlite:///{tmp_path / 'guard.db'}"
    first = process(FIRST, store)
    assert first["done"] == [["A", 10, ""]]
    second = process(SECOND, store, json.dumps(first["messages"]))
    assert second["done"] == [["B", 2000, ""]]
    assert [content(message) for message in second["messages"]] == [{"refunded": 10}, {"refunded": 2000}]


def test_without_the_kept_answers_a_call_that_ran_is_refused(tmp_path: Path) -> None:
    """The store remembers that it was started; its result it does not know."""
    store = f"sqlite:///{tmp_path / 'guard.db'}"
    process(FIRST, store)
    for done in ([["B", 2000, ""]], []):
        again = process(SECOND, store, "[]")
        assert again["done"] == done
        assert content(again["messages"][0])["error"] == "already_ran"
    assert (
        content(again["messages"][1])["error"] == "already_ran"
        or "already ran" in (content(again["messages"][1])["reason"])
    )


def test_a_resumed_call_is_not_run_again() -> None:
    """`guard.resume` and the turn share one claim."""
    with bank() as guard, acting(guard):
        tools = Bank(guard)
        with pytest.raises(ToolCallsPending) as raised:
            run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
        id = raised.value.pending[0].approval_id
        approve(guard, id)
        assert guard.resume_sync(id).result == {"refunded": 2000}
        messages = run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
        assert "already ran once" in content(messages[1])["reason"]
        assert len(tools.done) == 2


def test_the_ledger_stays_whole(tmp_path: Path) -> None:
    """Every call has its decision, and what ran its outcome."""
    with Guard(snapshot=_snapshot(), store=f"sqlite:///{tmp_path / 'g.db'}") as guard, acting(guard):
        tools = Bank(guard)
        with pytest.raises(ToolCallsPending):
            run_tool_calls_sync(guard, pair(), [tools.refund], pause="raise")
        assert len(events(guard, "decision")) == 2
        assert len(events(guard, "outcome")) == 1


def _snapshot() -> Any:
    from agentguard import Snapshot
    from tests.openai.support import BANK

    return Snapshot.from_documents([BANK])
