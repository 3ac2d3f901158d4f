"""Tool calls in, tool messages out: Chat Completions and Responses, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from agentguard import ConfigurationError, Guard
from agentguard_openai import ToolCallsPending, run_tool_calls, run_tool_calls_sync
from tests.openai.drive import run_chat, run_chat_sync, run_responses, run_responses_sync
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


@pytest.fixture
def guard() -> Iterator[Guard]:
    with bank() as found:
        yield found


CASES = [
    ({"payee": "ACME", "amount": 5}, "ran"),
    ({"payee": "ACME", "amount": 2000}, "pending"),
    ({"payee": "ACME", "amount": 9000}, "denied"),
    ({"payee": "ACME"}, "denied"),
    ({"payee": "ACME", "amount": 5, "urgent": True}, "denied"),
    ('{"payee": "ACME", "amount": 5', "denied"),
]


@pytest.mark.parametrize(("args", "verdict"), CASES)
@pytest.mark.parametrize("run", [run_chat, run_responses])
async def test_the_same_verdict_through_both_apis(guard: Guard, run: Any, args: Any, verdict: str) -> None:
    """A turn of either API gets the policy's verdict, and only what is permitted runs."""
    tools = Bank(guard)
    async with acting(guard):
        found, _ = await run(guard, tools.transfer, args)
    assert found == verdict
    assert len(tools.done) == (verdict == "ran")


@pytest.mark.parametrize(("args", "verdict"), CASES)
@pytest.mark.parametrize("run", [run_chat_sync, run_responses_sync])
def test_the_same_verdict_without_a_loop(guard: Guard, run: Any, args: Any, verdict: str) -> None:
    """The synchronous functions decide as the asynchronous ones do."""
    tools = Bank(guard)
    with acting(guard):
        found, _ = run(guard, tools.refund, args)
    assert found == verdict
    assert len(tools.done) == (verdict == "ran")


async def test_every_shape_of_a_turn(guard: Guard) -> None:
    """An SDK object, a mapping, a choice, a message and a list of items are all turns."""
    tools = Bank(guard)
    arguments = {"payee": "ACME", "amount": 1}

    def chat(id: str) -> dict[str, Any]:
        return chat_turn(chat_call("transfer", arguments, id))

    def answer(id: str) -> dict[str, Any]:
        return responses_turn(item("transfer", arguments, id))

    async with acting(guard):
        for turn in (
            ChatCompletion.model_validate(chat("a1")),
            chat("a2"),
            chat("a3")["choices"][0],
            ChatCompletion.model_validate(chat("a4")).choices[0],
            chat("a5")["choices"][0]["message"],
            ChatCompletion.model_validate(chat("a6")).choices[0].message,
        ):
            [message] = await run_tool_calls(guard, turn, tools.tools)
            assert message["role"] == "tool"
            assert message["content"] == "sent 1 to ACME"
        for other in (
            Response.model_validate(answer("b1")),
            answer("b2"),
            answer("b3")["output"],
            Response.model_validate(answer("b4")).output,
        ):
            [output] = await run_tool_calls(guard, other, tools.tools)
            assert output["type"] == "function_call_output"
            assert output["output"] == "sent 1 to ACME"
    assert len(tools.done) == 10


async def test_a_turn_without_calls_has_no_answers(guard: Guard) -> None:
    """A final message ends a loop."""
    assert await run_tool_calls(guard, chat_turn(finish="stop", content="done"), []) == []
    assert await run_tool_calls(guard, responses_turn(), []) == []


@pytest.mark.parametrize("turn", [None, "hello", {"stream": 1}, 5, [{"role": "assistant", "tool_calls": []}]])
async def test_what_is_no_turn_is_refused(guard: Guard, turn: Any) -> None:
    """A mistake in the loop is an error, not an empty answer."""
    with pytest.raises(ConfigurationError, match=r"turn|message"):
        await run_tool_calls(guard, turn, [])


async def test_several_choices_are_refused(guard: Guard) -> None:
    """Of alternatives, the caller says which one goes on."""
    turn = chat_turn(chat_call("transfer", {"payee": "A", "amount": 1}))
    turn["choices"].append({**turn["choices"][0], "index": 1})
    with pytest.raises(ConfigurationError, match="2 choices"):
        await run_tool_calls(guard, turn, Bank(guard).tools)


async def test_a_decorated_tool_is_one_call_under_its_policy_name(guard: Guard) -> None:
    """The decorator and the loop decide once, also where defaults are left out and arguments are nested."""
    tools = Bank(guard)
    async with acting(guard):
        [message] = await run_tool_calls(
            guard, chat_turn(chat_call("transfer", {"amount": 7, "payee": "ACME"})), tools.tools
        )
    assert message == {"role": "tool", "tool_call_id": "call_1", "content": "sent 7 to ACME"}
    [decision] = events(guard, "decision")
    assert decision["tool"] == "payments.transfer"
    assert decision["call_id"] == "call_1"
    assert len(events(guard, "outcome")) == 1


async def test_a_constraint_rewrites_what_runs(guard: Guard) -> None:
    """The tool gets the arguments that were decided on."""
    tools = Bank(guard)
    call = chat_call("transfer", {"payee": "A", "amount": 1, "note": "a much longer note"})
    async with acting(guard):
        await run_tool_calls(guard, chat_turn(call), tools.tools)
    assert tools.done == [("A", 1, "a much lon")]
    assert len(events(guard, "decision")) == 1


class Desk:
    """Tools that are methods."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def notes(self, text: str) -> str:
        """Write a line."""
        self.lines.append(text)
        return "written"


async def test_functions_of_every_kind(guard: Guard) -> None:
    """Plain, asynchronous, generators, bound methods, decorated methods and partials are tools."""
    desk = Desk()

    @guard.tool("files.lines")
    def lines(count: int) -> Iterator[int]:
        yield from range(count)

    @guard.tool("files.stream")
    async def stream(count: int) -> AsyncIterator[int]:
        for index in range(count):
            yield index

    class Clerk:
        @guard.tool("files.sign")
        async def sign(self, text: str, times: int = 2) -> str:
            return text * times

    def slow(text: str, suffix: str) -> str:
        return text + suffix

    def files_pick(first: str, /, *, last: str = "z") -> str:
        return first + last

    guard.register("files.pick", files_pick)
    tools = {
        "notes": desk.notes,
        "lines": lines,
        "stream": stream,
        "sign": Clerk().sign,
        "slow": functools.partial(slow, suffix="!"),
        "pick": files_pick,
    }
    turn = chat_turn(
        chat_call("notes", {"text": "hello"}, "c1"),
        chat_call("lines", {"count": 2}, "c2"),
        chat_call("stream", {"count": 2}, "c3"),
        chat_call("sign", {"text": "ab"}, "c4"),
        chat_call("slow", {"text": "hey"}, "c5"),
        chat_call("pick", {"first": "a"}, "c6"),
        chat_call("slow", {"text": "hey", "suffix": "?"}, "c7"),
    )
    async with acting(guard):
        found = [content(message) for message in await run_tool_calls(guard, turn, tools)]
    assert found[:6] == ["written", [0, 1], [0, 1], "abab", "hey!", "az"]
    assert found[6]["error"] == "invalid_arguments"
    assert desk.lines == ["hello"]
    names = [event["tool"] for event in events(guard, "decision")]
    assert sorted(names) == sorted(
        ["notes", "files.lines", "files.stream", "files.sign", "slow", "files.pick", "slow"]
    )


async def test_injected_parameters_come_from_the_program_only(guard: Guard) -> None:
    """A declared handle is passed in, is no argument, and cannot be named by the model."""

    @guard.tool("notes", injected=["db"])
    def notes(text: str, db: list[str]) -> str:
        db.append(text)
        return "ok"

    store: list[str] = []
    turn = chat_turn(
        chat_call("notes", {"text": "a"}, "c1"), chat_call("notes", {"text": "b", "db": []}, "c2")
    )
    with acting(guard):
        first, second = run_tool_calls_sync(guard, turn, [notes], injected={"db": store})
        with pytest.raises(ConfigurationError, match="injected"):
            run_tool_calls_sync(guard, turn, [notes])
    assert content(first) == "ok"
    assert content(second)["error"] == "invalid_arguments"
    assert store == ["a"]


async def test_a_registered_tool_keeps_its_secrets_and_facts(guard: Guard) -> None:
    """A function that was registered under a name and facts is that tool."""

    def send(payee: str, amount: int) -> str:
        return "sent"

    guard.register("payments.send", send, secrets=["payments:write"], facts={"writes": True})
    async with acting(guard):
        for index in range(2):
            turn = chat_turn(chat_call("send", {"payee": "A", "amount": 1}, f"c{index}"))
            await run_tool_calls(guard, turn, [send])
    assert guard.tools["payments.send"].secrets == ("payments:write",)
    assert "send" not in guard.tools


def test_an_asynchronous_tool_needs_the_asynchronous_loop(guard: Guard) -> None:
    """It is refused before anything runs."""
    tools = Bank(guard)
    with acting(guard), pytest.raises(ConfigurationError, match="await run_tool_calls"):
        run_tool_calls_sync(guard, chat_turn(), [tools.transfer])


async def test_calls_of_one_turn_run_at_the_same_time_in_the_order_asked(guard: Guard) -> None:
    """T33: parallel calls meet each other, and their answers keep the order of the questions."""
    met, last = asyncio.Barrier(2), asyncio.Event()

    @guard.tool("slow")
    async def slow(number: int) -> int:
        async with asyncio.timeout(60):
            await met.wait()
        if number == 0:
            await last.wait()
        last.set()
        return number

    turn = chat_turn(chat_call("slow", {"number": 0}, "c0"), chat_call("slow", {"number": 1}, "c1"))
    async with acting(guard):
        messages = await run_tool_calls(guard, turn, [slow])
    assert [(message["tool_call_id"], message["content"]) for message in messages] == [
        ("c0", "0"),
        ("c1", "1"),
    ]


async def test_T36_a_denied_a_failing_and_a_pending_call_leave_their_siblings_alone(guard: Guard) -> None:
    """T36: each call of a turn has its own verdict, and one approval releases one call."""
    tools = Bank(guard)
    done = tools.done

    @guard.tool("slow")
    async def slow(how: str) -> str:
        if how == "cancel":
            raise asyncio.CancelledError
        raise ValueError("secret-7")

    turn = chat_turn(
        chat_call("transfer", {"payee": "A", "amount": 2000}, "c1"),
        chat_call("transfer", {"payee": "B", "amount": 9000}, "c2"),
        chat_call("transfer", {"payee": "C", "amount": 10}, "c3"),
        chat_call("transfer", {"payee": "A", "amount": 2000}, "c4"),
        chat_call("slow", {"how": "fail"}, "c5"),
        chat_call("slow", {"how": "cancel"}, "c6"),
    )
    async with acting(guard):
        with pytest.raises(ToolCallsPending) as raised:
            await run_tool_calls(guard, turn, [tools.transfer, slow], pause="raise")
        waiting = raised.value
        assert [call.call_id for call in waiting.pending] == ["c1", "c4"]
        assert [
            content(message).get("error", "")
            for message in waiting.messages
            if message["tool_call_id"] != "c3"
        ] == [
            "denied",
            "tool_failed",
            "tool_failed",
        ]
        assert done == [("C", 10, "")]
        approve(guard, waiting.pending[0].approval_id)
        with pytest.raises(ToolCallsPending) as again:
            await run_tool_calls(
                guard, turn, [tools.transfer, slow], pause="raise", answered=waiting.messages
            )
        assert [call.call_id for call in again.value.pending] == ["c4"]
    assert done == [("C", 10, ""), ("A", 2000, "")]


async def test_T34_no_session_is_a_denial(guard: Guard) -> None:
    """T34: without an identity nothing runs, and the denial is recorded."""
    tools = Bank(guard)
    [message] = await run_tool_calls(
        guard, chat_turn(chat_call("transfer", {"payee": "A", "amount": 1})), tools.tools
    )
    assert content(message)["rule"] == "agentguard/identity"
    assert not tools.done
    assert events(guard, "decision")


async def test_a_session_may_be_passed(guard: Guard) -> None:
    """A loop that runs elsewhere than its session names it."""
    tools = Bank(guard)
    session = acting(guard)
    turn = chat_turn(chat_call("transfer", {"payee": "A", "amount": 1}))
    [message] = await run_tool_calls(guard, turn, tools.tools, session=session)
    assert message["content"] == "sent 1 to A"


async def test_T38_a_cancelled_turn_leaves_a_record_of_every_call(guard: Guard) -> None:
    """T38: cancelling the loop reaches every call; what was running is recorded as unknown."""
    running = asyncio.Event()

    @guard.tool("slow")
    async def slow(number: int) -> None:
        running.set()
        await asyncio.Event().wait()

    async with acting(guard):
        turn = chat_turn(chat_call("slow", {"number": 0}, "c0"))
        task = asyncio.create_task(run_tool_calls(guard, turn, [slow]))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [event["status"] for event in events(guard, "outcome")] == ["unknown"]
        [message] = await run_tool_calls(guard, turn, [slow])
    assert content(message)["error"] == "already_ran"


async def test_a_store_that_fails_lets_nothing_run(guard: Guard) -> None:
    """T41: what cannot be recorded does not run, and the model is told without details."""
    tools = Bank(guard)
    turn = chat_turn(chat_call("transfer", {"payee": "A", "amount": 1}))
    async with acting(guard):
        guard.store.close()
        [message] = await run_tool_calls(guard, turn, tools.tools)
    assert content(message)["error"] == "denied"
    assert not tools.done


async def test_a_synchronous_turn_on_a_running_loop_does_not_wait(guard: Guard) -> None:
    """It would keep the loop from its own approver: the turn is pending instead."""
    tools = Bank(guard)
    turn = chat_turn(chat_call("refund", {"payee": "A", "amount": 2000}))
    async with acting(guard):
        with pytest.raises(ToolCallsPending):
            run_tool_calls_sync(guard, turn, [tools.refund], pause="wait")
    assert not tools.done


def test_closures_made_for_each_turn_are_one_tool(guard: Guard) -> None:
    """A function that is made again for every turn keeps its name, and runs as the one that was passed."""
    got: list[tuple[int, str]] = []
    for number in range(3):

        def notes(text: str, number: int = number) -> str:
            got.append((number, text))
            return "ok"

        turn = chat_turn(chat_call("notes", {"text": "a", "number": number}, f"c{number}"))
        with acting(guard):
            run_tool_calls_sync(guard, turn, [notes])
    assert got == [(0, "a"), (1, "a"), (2, "a")]


def test_two_tools_of_one_policy_name_are_refused(guard: Guard) -> None:
    """Another function cannot take over a name that is known."""
    tools = Bank(guard)

    def other(payee: str, amount: int, note: str = "") -> str:
        return "stolen"

    with pytest.raises(ConfigurationError, match="two tools"):
        run_tool_calls_sync(guard, chat_turn(), {"payments.refund": other})
    assert not tools.done


def test_T07_a_function_of_another_guard_does_not_bring_its_name(guard: Guard) -> None:
    """It was decorated elsewhere under a name that is somebody else's here: it is known by its own."""
    tools = Bank(guard)
    with bank() as other, acting(guard):

        @other.tool("payments.refund")
        def steal(payee: str, amount: int, note: str = "") -> str:
            tools.done.append("stolen")
            return "stolen"

        [message] = run_tool_calls_sync(
            guard, chat_turn(chat_call("steal", {"payee": "A", "amount": 1})), [steal]
        )
    assert content(message)["rule"] == "agentguard/default"
    assert [event["tool"] for event in events(guard, "decision")] == ["steal"]
    assert not tools.done
