"""The SDK's own Responses tool runner, with guarded functions: synchronous, asynchronous, eager, streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from openai import pydantic_function_tool
from openai.lib._tools import pydantic_responses_function_tool
from openai.lib.responses_tool_runner import (
    AsyncRegisteredFunction,
    AsyncResponsesToolRunner,
    RegisteredFunction,
    ResponsesToolRunner,
    ToolRunnerError,
)
from pydantic import BaseModel

from agentguard import ConfigurationError, Guard
from agentguard_openai import (
    ToolCallsPending,
    aguarded_turns,
    guard_runner_tools,
    guarded_turns,
    run_tool_calls,
    run_tool_calls_sync,
)
from tests.openai.support import (
    aclient,
    acting,
    approve,
    bank,
    client,
    content,
    events,
    item,
    responses_turn,
    said,
    sse,
)
from tests.openai.test_openai_streaming import response_events

REFUND: Any = {
    "type": "function",
    "name": "refund",
    "description": "Send money back",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {
            "payee": {"type": "string"},
            "amount": {"type": "integer"},
            "note": {"type": "string"},
        },
        "required": ["payee", "amount", "note"],
        "additionalProperties": False,
    },
}
PARAMS: Any = {"model": "test", "input": "go"}


def turn(*calls: tuple[str, int], start: int = 1, **more: Any) -> dict[str, Any]:
    """A turn with these refunds."""
    made = [
        item("refund", {"payee": payee, "amount": amount, "note": "", **more}, f"call_{start + index}")
        for index, (payee, amount) in enumerate(calls)
    ]
    return {**responses_turn(*made), "id": f"resp_{start}"}


END = {**responses_turn(said("done")), "id": "resp_end"}


@pytest.fixture
def guard() -> Iterator[Guard]:
    with bank() as found:
        yield found


@pytest.fixture
def done() -> list[Any]:
    return []


@pytest.fixture
def plain(done: list[Any]) -> RegisteredFunction:
    def refund(arguments: dict[str, Any]) -> str:
        done.append((arguments["payee"], arguments["amount"], arguments["note"]))
        return f"refunded {arguments['amount']}"

    return RegisteredFunction(tool=REFUND, execute=refund)


@pytest.fixture
def asynchronous(done: list[Any]) -> AsyncRegisteredFunction:
    async def refund(arguments: dict[str, Any]) -> str:
        done.append((arguments["payee"], arguments["amount"], arguments["note"]))
        return f"refunded {arguments['amount']}"

    return AsyncRegisteredFunction(tool=REFUND, execute=refund)


NAMES = {"refund": "payments.refund"}


def outputs(seen: list[Any]) -> list[str]:
    """The outputs that the last request carried."""
    return [entry["output"] for entry in seen[-1]["input"] if entry.get("type") == "function_call_output"]


def test_the_runner_executes_guarded_functions(
    guard: Guard, plain: RegisteredFunction, done: list[Any]
) -> None:
    """`run()` as it is: allowed calls run, denied ones answer the model."""
    seen: list[Any] = []
    functions = guard_runner_tools(guard, [plain], names=NAMES)
    with client(turn(("A", 1), ("B", 9000)), END, seen=seen) as model, acting(guard):
        final = ResponsesToolRunner(functions=functions).run(model, PARAMS)
    assert final.output_text == "done"
    assert done == [("A", 1, "")]
    first, second = outputs(seen)
    assert first == "refunded 1"
    assert json.loads(second)["rule"] == "bank/too-much"


@pytest.mark.parametrize("eager", [False, True])
async def test_the_asynchronous_runner_streams(
    guard: Guard, asynchronous: AsyncRegisteredFunction, done: list[Any], eager: bool
) -> None:
    """Streamed and eager execution pass the guard too, with constraints applied."""
    seen: list[Any] = []
    functions = guard_runner_tools(guard, [asynchronous], names=NAMES)
    call = item("refund", {"payee": "A", "amount": 1, "note": "a long, long note"}, "call_1")
    first = sse(response_events(call), done=False)
    last = sse(response_events({**said("done"), "id": "msg_2"}, id="resp_2"), done=False)
    last = last.replace(b"resp_1", b"resp_2")
    async with aclient(first, last, seen=seen) as model, acting(guard):
        runner = AsyncResponsesToolRunner(functions=functions)
        await runner.run(model, PARAMS, stream=True, eager=eager)
    assert done == [("A", 1, "a long, lo")]
    assert outputs(seen) == ["refunded 1"]


def test_turns_keep_the_ids_of_calls(guard: Guard, plain: RegisteredFunction, done: list[Any]) -> None:
    """Through `guarded_turns` each call is decided under its own id, and executed once."""
    functions = guard_runner_tools(guard, [plain], names=NAMES)
    runner = ResponsesToolRunner(functions=functions)
    seen: list[Any] = []
    replies = (turn(("A", 1), ("B", 9000)), turn(("C", 2), start=3), END)
    with client(*replies, seen=seen) as model, acting(guard):
        turns = list(guarded_turns(guard, runner.iterate(model, PARAMS), functions))
    assert [entry.final for entry in turns] == [False, False, True]
    assert done == [("A", 1, ""), ("C", 2, "")]
    assert [event["call_id"] for event in events(guard, "decision")] == ["call_1", "call_2", "call_3"]
    assert len(outputs(seen)) == 3
    assert runner.close() == {"status": "closed"}


async def test_asynchronous_turns_wait_for_a_person_across_runners(
    guard: Guard, asynchronous: AsyncRegisteredFunction, done: list[Any]
) -> None:
    """A pending call ends the run with what to keep; the turn is passed again, and a new run goes on."""
    functions = guard_runner_tools(guard, [asynchronous], names=NAMES)
    runner = AsyncResponsesToolRunner(functions=functions)
    last: Any = None
    async with acting(guard):
        async with aclient(turn(("A", 1), ("B", 2000)), END) as model:
            with pytest.raises(ToolCallsPending) as raised:
                async for last in aguarded_turns(  # noqa: B007 - used below
                    guard, runner.iterate(model, PARAMS), functions, pause="raise"
                ):
                    pass
        assert done == [("A", 1, "")]
        approve(guard, raised.value.pending[0].approval_id)
        answers = await run_tool_calls(guard, last.response, functions, answered=raised.value.messages)
        assert [answer["output"] for answer in answers] == ["refunded 1", "refunded 2000"]
        seen: list[Any] = []
        async with aclient(END, seen=seen) as model:
            wire: list[Any] = [entry.to_dict() for entry in last.response.output]
            again = AsyncResponsesToolRunner(functions=functions)
            await again.run(model, {**PARAMS, "input": [{"role": "user", "content": "go"}, *wire, *answers]})
        assert outputs(seen) == ["refunded 1", "refunded 2000"]
    assert done == [("A", 1, ""), ("B", 2000, "")]


async def test_what_eager_execution_ran_is_not_run_again(
    guard: Guard, asynchronous: AsyncRegisteredFunction, done: list[Any]
) -> None:
    """With `eager` the runner executes while the stream comes in; the turn then has nothing left to do."""
    functions = guard_runner_tools(guard, [asynchronous], names=NAMES)
    call = item("refund", {"payee": "A", "amount": 1, "note": ""}, "call_1")
    first = sse(response_events(call), done=False)
    last = sse(response_events({**said("done"), "id": "msg_2"}), done=False).replace(b"resp_1", b"resp_2")
    runner = AsyncResponsesToolRunner(functions=functions)
    async with aclient(first, last) as model, acting(guard):
        turns = runner.iterate(model, PARAMS, stream=True, eager=True)
        found = [turn.final async for turn in aguarded_turns(guard, turns, functions)]
    assert found == [False, True]
    assert done == [("A", 1, "")]


def test_a_pending_call_inside_run_answers_the_model(
    guard: Guard, plain: RegisteredFunction, done: list[Any]
) -> None:
    """`run()` cannot pause: the model is told of the question, and `guard.resume` runs the call."""
    seen: list[Any] = []
    functions = guard_runner_tools(guard, [plain], names=NAMES, pause="raise")
    with client(turn(("A", 2000)), END, seen=seen) as model, acting(guard):
        ResponsesToolRunner(functions=functions).run(model, PARAMS)
    assert not done
    [answer] = [json.loads(text) for text in outputs(seen)]
    assert answer["error"] == "pending"
    approve(guard, answer["approval"])
    assert guard.resume_sync(answer["approval"]).result == "refunded 2000"
    assert done == [("A", 2000, "")]


def test_a_function_that_raises_ends_the_run_as_without_a_guard(guard: Guard) -> None:
    """The SDK's own error handling stays; the outcome is recorded."""

    def broken(arguments: dict[str, Any]) -> str:
        raise ValueError("secret-9")

    functions = guard_runner_tools(guard, [RegisteredFunction(tool=REFUND, execute=broken)], names=NAMES)
    with client(turn(("A", 1))) as model, acting(guard), pytest.raises(ToolRunnerError) as raised:
        ResponsesToolRunner(functions=functions).run(model, PARAMS)
    assert "secret-9" not in str(raised.value)
    assert [event["status"] for event in events(guard, "outcome")] == ["failed"]


class Refund(BaseModel):
    payee: str
    amount: int
    note: str


def test_typed_functions_get_their_model(guard: Guard) -> None:
    """`from_tool`: the policy sees the fields, the executor gets the model, with and without ids."""
    got: list[Any] = []
    tool = pydantic_responses_function_tool(Refund, name="refund")

    def refund(asked: Refund, *, cancelled: Any = "not passed") -> str:
        got.append((asked, cancelled))
        return str(asked.amount)

    [function] = guard_runner_tools(guard, [RegisteredFunction.from_tool(tool, execute=refund)], names=NAMES)
    call = item("refund", {"payee": "A", "amount": 1, "note": ""})
    with client(responses_turn(call), END) as model, acting(guard):
        ResponsesToolRunner(functions=[function]).run(model, PARAMS, cancelled=lambda: False)
    assert got[0][0] == Refund(payee="A", amount=1, note="")
    assert got[0][1]() is False
    with acting(guard):
        good = responses_turn(item("refund", {"payee": "A", "amount": 2, "note": ""}, "c2"))
        bad = responses_turn(item("refund", {"payee": "A", "amount": "lots", "note": ""}, "c3"))
        assert run_tool_calls_sync(guard, good, [function])[0]["output"] == "2"
        answer = content(run_tool_calls_sync(guard, bad, [function])[0])
    assert answer["error"] == "invalid_arguments"
    assert "lots" not in answer["reason"]
    assert len(got) == 2


@pytest.mark.parametrize(
    "arguments", [{"payee": "A", "amount": 1}, {"payee": "A", "amount": 1, "note": "", "x": 1}]
)
def test_arguments_that_do_not_fit_the_schema_are_denied(
    guard: Guard, plain: RegisteredFunction, done: list[Any], arguments: Any
) -> None:
    """Required and unknown arguments are checked against the declared schema."""
    functions = guard_runner_tools(guard, [plain], names=NAMES)
    seen: list[Any] = []
    with client(responses_turn(item("refund", arguments)), END, seen=seen) as model, acting(guard):
        ResponsesToolRunner(functions=functions).run(model, PARAMS)
    assert json.loads(outputs(seen)[0])["rule"] == "agentguard/arguments"
    assert not done


def test_what_is_no_runner_function_is_refused(guard: Guard, plain: RegisteredFunction) -> None:
    """Guarding twice, or something else, is a mistake that is named."""
    guarded = guard_runner_tools(guard, [plain])
    with pytest.raises(ConfigurationError, match="already"):
        guard_runner_tools(guard, guarded)
    with pytest.raises(ConfigurationError, match="RegisteredFunction"):
        guard_runner_tools(guard, [pydantic_function_tool(Refund)])  # type: ignore[type-var]
    with pytest.raises(ConfigurationError, match="guard_runner_tools"):
        list(guarded_turns(guard, iter(()), [plain]))


def test_strict_stops_a_run_with_provider_tools(guard: Guard, plain: RegisteredFunction) -> None:
    """A hosted tool in a turn ends the run before the turn's own calls."""
    functions = guard_runner_tools(guard, [plain], names=NAMES)
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "x", "queries": ["x"]},
    }
    params = {**PARAMS, "tools": [{"type": "web_search"}]}
    mixed = responses_turn(search, item("refund", {"payee": "A", "amount": 1, "note": ""}))
    runner = ResponsesToolRunner(functions=functions)
    with client(mixed) as model, acting(guard), pytest.raises(ConfigurationError, match="web_search"):
        list(guarded_turns(guard, runner.iterate(model, params), functions, strict=True))


async def test_strict_stops_an_asynchronous_run_too(
    guard: Guard, asynchronous: AsyncRegisteredFunction
) -> None:
    """The same for `aguarded_turns`."""
    functions = guard_runner_tools(guard, [asynchronous], names=NAMES)
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "x", "queries": ["x"]},
    }
    mixed = responses_turn(search, item("refund", {"payee": "A", "amount": 1, "note": ""}))
    params = {**PARAMS, "tools": [{"type": "web_search"}]}
    turns = AsyncResponsesToolRunner(functions=functions)
    async with aclient(mixed) as model, acting(guard):
        with pytest.raises(ConfigurationError, match="web_search"):
            async for _ in aguarded_turns(guard, turns.iterate(model, params), functions, strict=True):
                pass


# -- a person in the middle of a run


def test_turns_wait_for_a_person_across_runners(
    guard: Guard, plain: RegisteredFunction, done: list[Any]
) -> None:
    """Synchronously: the third turn waits; it is passed again, and a new run goes on from there."""
    functions = guard_runner_tools(guard, [plain], names=NAMES)
    first, second = turn(("A", 1)), turn(("B", 2000), ("C", 3), start=2)
    kept: list[Any] = []
    with acting(guard):
        with client(first, second, END) as model, pytest.raises(ToolCallsPending) as raised:
            runner = ResponsesToolRunner(functions=functions)
            turns = guarded_turns(guard, runner.iterate(model, PARAMS), functions, pause="raise")
            for entry in turns:
                kept.append(entry)
        assert done == [("A", 1, ""), ("C", 3, "")]
        assert [call.call_id for call in raised.value.pending] == ["call_2"]
        approve(guard, raised.value.pending[0].approval_id)
        answers = run_tool_calls_sync(guard, kept[-1].response, functions, answered=raised.value.messages)
        assert [answer["output"] for answer in answers] == ["refunded 2000", "refunded 3"]
    assert done == [("A", 1, ""), ("C", 3, ""), ("B", 2000, "")]


def test_two_calls_with_one_id_run_neither(guard: Guard, plain: RegisteredFunction, done: list[Any]) -> None:
    """T36: the runner stops by itself, or both are refused; in no case does one of them run."""
    functions = guard_runner_tools(guard, [plain], names=NAMES)
    twice = responses_turn(
        item("refund", {"payee": "A", "amount": 1, "note": ""}, "same"),
        item("refund", {"payee": "B", "amount": 2, "note": ""}, "same"),
    )
    runner = ResponsesToolRunner(functions=functions)
    with client(twice, END) as model, acting(guard), pytest.raises((ToolRunnerError, ValueError)):
        list(guarded_turns(guard, runner.iterate(model, PARAMS), functions))
    assert not done


def test_T32_a_function_of_the_runner_that_is_not_guarded_ends_the_run(
    guard: Guard, plain: RegisteredFunction, done: list[Any]
) -> None:
    """Left out of `guarded_turns`, the runner would execute it past the guard."""
    loose: Any = {**REFUND, "name": "loose"}
    unguarded = RegisteredFunction(tool=loose, execute=lambda arguments: done.append("loose") or "x")
    functions = guard_runner_tools(guard, [plain], names=NAMES)
    calls = responses_turn(
        item("loose", {"payee": "A", "amount": 1, "note": ""}, "c1"),
        item("refund", {"payee": "A", "amount": 1, "note": ""}, "c2"),
    )
    runner = ResponsesToolRunner(functions=[*functions, unguarded])
    with client(calls, END) as model, acting(guard), pytest.raises(ConfigurationError, match="`loose`"):
        list(guarded_turns(guard, runner.iterate(model, PARAMS), functions))
    assert not done


async def test_turns_that_nobody_reads_on_are_closed(
    guard: Guard, plain: RegisteredFunction, asynchronous: AsyncRegisteredFunction
) -> None:
    """T38: the runner's own turns end with ours, and the open call of the last one does not run."""
    closed: list[str] = []

    def turns(inner: Any) -> Iterator[Any]:
        try:
            yield from inner
        finally:
            closed.append("sync")

    async def aturns(inner: Any) -> AsyncIterator[Any]:
        try:
            async for entry in inner:
                yield entry
        finally:
            closed.append("async")

    functions = guard_runner_tools(guard, [plain], names=NAMES)
    with client(turn(("A", 1)), END) as model, acting(guard):
        runner = ResponsesToolRunner(functions=functions)
        held = turns(runner.iterate(model, PARAMS))
        guarded = guarded_turns(guard, held, functions)
        next(guarded)
        guarded.close()
        assert closed == ["sync"]
        assert next(held, None) is None
    with bank() as another, acting(another):
        more = guard_runner_tools(another, [asynchronous], names=NAMES)
        async with aclient(turn(("A", 1)), END) as amodel:
            arunner = AsyncResponsesToolRunner(functions=more)
            aguarded = aguarded_turns(another, aturns(arunner.iterate(amodel, PARAMS)), more)
            await anext(aguarded)
            await aguarded.aclose()
            assert closed == ["sync", "async"]
    assert events(guard, "decision") == []
