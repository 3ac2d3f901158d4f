"""Streamed turns put together again: whole ones run, cut ones do not."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentguard import Guard
from agentguard_openai import (
    acollect_chat,
    acollect_response,
    collect_chat,
    collect_response,
    run_tool_calls,
    run_tool_calls_sync,
)
from tests.openai.support import (
    Bank,
    aclient,
    acting,
    bank,
    client,
    content,
    events,
    item,
    responses_turn,
    said,
    sse,
)

ASK: list[Any] = [{"role": "user", "content": "go"}]


@pytest.fixture
def guard() -> Iterator[Guard]:
    with bank() as found:
        yield found


def chunk(*deltas: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of one choice; a delta is a part of a tool call."""
    delta: dict[str, Any] = {"tool_calls": list(deltas)} if deltas else {}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "test",
        "choices": [{"index": 0, "delta": {**delta, **more}, "finish_reason": finish}],
    }


def part(
    index: int | None, text: str | None = None, *, id: str | None = None, name: str | None = None
) -> Any:
    """A part of a tool call."""
    found: dict[str, Any] = {"function": {}}
    if index is not None:
        found["index"] = index
    if id is not None:
        found.update(id=id, type="function")
    if name is not None:
        found["function"]["name"] = name
    if text is not None:
        found["function"]["arguments"] = text
    return found


A, B = '{"payee": "A", "amount": 1}', '{"payee": "B", "amount": 2}'

INTERLEAVED = [
    chunk(role="assistant", content=None),
    chunk(part(0, "", id="c1", name="refund")),
    chunk(part(1, id="c2", name="refund")),
    chunk(part(0, A[:7]), part(1, B[:3])),
    chunk(),
    chunk(part(1, B[3:])),
    chunk(part(0, "")),
    chunk(part(0, A[7:])),
    chunk(finish="tool_calls"),
    {**chunk(), "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
]


def test_interleaved_parallel_calls(guard: Guard) -> None:
    """Parts go to the call they belong to, whatever comes between them."""
    tools = Bank(guard)
    with client(sse(INTERLEAVED)) as model, acting(guard):
        turn = collect_chat(model.chat.completions.create(model="test", messages=ASK, stream=True))
        assert turn.usage is not None
        assert turn.usage.total_tokens == 3
        messages = run_tool_calls_sync(guard, turn, [tools.refund])
    assert [message["tool_call_id"] for message in messages] == ["c1", "c2"]
    assert tools.done == [("A", 1, ""), ("B", 2, "")]


async def test_the_sdk_helper_and_its_final_object(guard: Guard) -> None:
    """The events of `chat.completions.stream` are understood, and so is its own completion."""
    tools = Bank(guard)
    async with aclient(sse(INTERLEAVED), sse(INTERLEAVED)) as model, acting(guard):
        async with model.chat.completions.stream(model="test", messages=ASK) as stream:
            turn = await acollect_chat(stream)
        async with model.chat.completions.stream(model="test", messages=ASK) as stream:
            native = await stream.get_final_completion()
        assert json.loads(turn.choices[0].message.model_dump_json())["tool_calls"] == [
            {"id": id, "type": "function", "function": {"name": "refund", "arguments": text}}
            for id, text in (("c1", A), ("c2", B))
        ]
        await run_tool_calls(guard, native, [tools.refund])
        messages = await run_tool_calls(guard, turn, [tools.refund])
    assert [content(message) for message in messages] == [{"refunded": 1}, {"refunded": 2}]
    assert len(tools.done) == 2


STRANGE: dict[str, list[dict[str, Any]]] = {
    "id-late": [
        chunk(part(0, A[:5], name="refund")),
        chunk(part(0, A[5:], id="c1")),
        chunk(finish="tool_calls"),
    ],
    "id-and-name-again": [
        chunk(part(0, A[:5], id="c1", name="refund")),
        chunk(part(0, A[5:], id="c1", name="refund")),
        chunk(finish="tool_calls"),
    ],
    "name-in-pieces": [
        chunk(part(0, "", id="c1", name="ref")),
        chunk(part(0, A, name="und")),
        chunk(finish="tool_calls"),
    ],
    "all-at-once": [chunk(part(0, A, id="c1", name="refund"), finish="tool_calls")],
    "no-index": [
        chunk(part(None, A[:5], id="c1", name="refund")),
        chunk(part(None, A[5:])),
        chunk(finish="stop"),
    ],
}


@pytest.mark.parametrize("chunks", STRANGE.values(), ids=STRANGE.keys())
def test_ways_in_which_servers_split_a_call(guard: Guard, chunks: list[dict[str, Any]]) -> None:
    """Ids and names may come late, again, or in pieces."""
    tools = Bank(guard)
    with acting(guard):
        [message] = run_tool_calls_sync(guard, collect_chat(iter(chunks)), [tools.refund])
    assert message["tool_call_id"] == "c1"
    assert tools.done == [("A", 1, "")]


def test_every_call_numbered_zero(guard: Guard) -> None:
    """A new id with a name begins a new call, also at a place that is taken."""
    tools = Bank(guard)
    chunks = [
        chunk(part(0, A, id="c1", name="refund")),
        chunk(part(0, B[:4], id="c2", name="refund")),
        chunk(part(0, B[4:])),
        chunk(finish="tool_calls"),
    ]
    with acting(guard):
        run_tool_calls_sync(guard, collect_chat(chunks), [tools.refund])
    assert tools.done == [("A", 1, ""), ("B", 2, "")]


CUT: dict[str, list[dict[str, Any]]] = {
    "no-finish": [chunk(part(0, A, id="c1", name="refund"))],
    "in-the-middle": [chunk(part(0, A[:9], id="c1", name="refund"))],
    "too-long": [chunk(part(0, A, id="c1", name="refund")), chunk(finish="length")],
    "filtered": [chunk(part(0, A, id="c1", name="refund")), chunk(finish="content_filter")],
    "whose-part": [
        chunk(part(0, A[:5], id="c1", name="refund")),
        chunk(part(0, A[5:], id="c2")),
        chunk(finish="tool_calls"),
    ],
    "no-text": [
        chunk({"index": 0, "id": "c1", "function": {"name": "refund", "arguments": {"a": 1}}}),
        chunk(finish="tool_calls"),
    ],
    "two-ends": [
        chunk(part(0, A, id="c1", name="refund")),
        chunk(finish="length"),
        chunk(finish="tool_calls"),
    ],
    "after-the-end": [
        chunk(part(0, A[:-1], id="c1", name="refund")),
        chunk(finish="tool_calls"),
        chunk(part(0, A[-1:])),
    ],
    "function-after-the-end": [
        chunk(finish="function_call"),
        chunk(function_call={"name": "refund", "arguments": A}),
    ],
    "odd-choice": [
        {
            **chunk(),
            "choices": [{"index": "0", "delta": {"tool_calls": [part(0, A, id="c1", name="refund")]}}],
        },
        chunk(finish="tool_calls"),
    ],
    "two-kinds": [
        chunk(part(0, A, id="c1", name="refund")),
        chunk({"index": 0, "type": "custom", "custom": {"input": "x"}}),
        chunk(finish="tool_calls"),
    ],
}


@pytest.mark.parametrize("chunks", CUT.values(), ids=CUT.keys())
def test_a_cut_or_contradictory_stream_runs_nothing(guard: Guard, chunks: list[dict[str, Any]]) -> None:
    """What may have lost a part is refused, recorded and answered."""
    tools = Bank(guard)
    with acting(guard):
        messages = run_tool_calls_sync(guard, collect_chat(chunks), [tools.refund])
    assert {content(message)["error"] for message in messages} == {"invalid_call"}
    assert not tools.done
    assert len(events(guard, "decision")) == len(messages)


@given(st.data())
def test_any_split_gives_the_same_turn(data: st.DataObject) -> None:
    """However arguments are cut and mixed, the assembled text is what was sent."""
    texts = data.draw(st.lists(st.text(max_size=20), min_size=1, max_size=3))
    pieces: list[tuple[int, str]] = []
    for index, text in enumerate(texts):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
        bounds = [0, *cuts, len(text)]
        pieces += [(index, text[a:b]) for a, b in itertools.pairwise(bounds)]
    order = data.draw(st.permutations(pieces))
    queues = {index: [p for p in pieces if p[0] == index] for index in range(len(texts))}
    mixed = [queues[index].pop(0) for index, _ in order]
    head = [chunk(part(index, id=f"c{index}", name="f")) for index in range(len(texts))]
    body = [chunk(part(index, text)) for index, text in mixed]
    turn = collect_chat([*head, *body, chunk(finish="tool_calls")])
    found: list[Any] = turn.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in found] == texts


def test_custom_and_legacy_calls_are_collected() -> None:
    """Free text, and the form before tool calls."""
    custom = {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "notes", "input": "he"}}
    turn = collect_chat(
        [chunk(custom), chunk({"index": 0, "custom": {"input": "llo"}}), chunk(finish="tool_calls")]
    )
    calls: list[Any] = turn.choices[0].message.tool_calls or []
    assert calls[0].custom.input == "hello"
    old = [
        chunk(function_call={"name": "f", "arguments": "{"}),
        chunk(function_call={"arguments": "}"}, finish="function_call"),
    ]
    message = collect_chat(old).choices[0].message
    assert message.function_call is not None
    assert message.function_call.arguments == "{}"
    assert (
        collect_chat([chunk(content="a"), chunk(content="b", finish="stop")]).choices[0].message.content
        == "ab"
    )
    assert collect_chat([]).choices == []


# -- Responses


def response_events(
    *items: dict[str, Any], end: str | None = "completed", **more: Any
) -> list[dict[str, Any]]:
    """The events of a Responses stream."""
    found: list[dict[str, Any]] = [
        {"type": "response.created", "response": responses_turn(status="in_progress")}
    ]
    for index, entry in enumerate(items):
        started = {**entry, "arguments": "", "status": "in_progress"} if "arguments" in entry else entry
        found.append({"type": "response.output_item.added", "output_index": index, "item": started})
        if "arguments" in entry:
            text = entry["arguments"]
            for piece in (text[:4], text[4:]):
                found.append(
                    {
                        "type": "response.function_call_arguments.delta",
                        "item_id": entry["id"],
                        "output_index": index,
                        "delta": piece,
                    }
                )
        found.append({"type": "response.output_item.done", "output_index": index, "item": entry})
    if end is not None:
        final = {**responses_turn(*items, status=end), **more}
        found.append({"type": f"response.{end}", "response": final})
    return [{"sequence_number": number, **event} for number, event in enumerate(found)]


CALLS = (item("refund", A, "c1"), item("refund", B, "c2"))


async def test_a_responses_stream(guard: Guard) -> None:
    """Raw events, the SDK's helper and its final object lead to the same turn."""
    tools = Bank(guard)
    stream = sse(response_events(*CALLS), done=False)
    async with aclient(stream, stream, stream) as model, acting(guard):
        raw = await acollect_response(await model.responses.create(model="test", input="go", stream=True))
        async with model.responses.stream(model="test", input="go") as helper:
            helped = await acollect_response(helper)
        async with model.responses.stream(model="test", input="go") as helper:
            native = await helper.get_final_response()
        for turn in (raw, helped, native):
            messages = await run_tool_calls(guard, turn, [tools.refund])
            assert [content(message) for message in messages] == [{"refunded": 1}, {"refunded": 2}]
    assert tools.done == [("A", 1, ""), ("B", 2, "")]


def test_a_synchronous_responses_stream(guard: Guard) -> None:
    """The same without a loop, also where the last event leaves the output out."""
    tools = Bank(guard)
    missing = response_events(*CALLS, output=None)
    with client(sse(missing, done=False)) as model, acting(guard):
        turn = collect_response(model.responses.create(model="test", input="go", stream=True))
        run_tool_calls_sync(guard, turn, [tools.refund])
    assert len(tools.done) == 2


@pytest.mark.parametrize("end", [None, "incomplete", "failed"])
def test_a_responses_stream_that_does_not_complete_runs_nothing(guard: Guard, end: str | None) -> None:
    """Also where an item of it was complete."""
    tools = Bank(guard)
    with acting(guard):
        turn = collect_response(response_events(*CALLS, end=end))
        assert turn.status == (end or "incomplete")
        messages = run_tool_calls_sync(guard, turn, [tools.refund])
    assert [content(message)["error"] for message in messages] == ["invalid_call"] * 2
    assert not tools.done


ONE = response_events(CALLS[0])
OTHER = item("refund", B, "c1")
CONTRADICTORY: dict[str, list[dict[str, Any]]] = {
    "an-item-twice": [
        *response_events(CALLS[0], output=None)[:-1],
        {"type": "response.output_item.done", "output_index": 0, "item": OTHER},
        response_events(CALLS[0], output=None)[-1],
    ],
    "an-item-after-the-end": [
        *ONE,
        {"type": "response.output_item.done", "output_index": 1, "item": CALLS[1]},
    ],
    "failed-then-completed": [
        *ONE[:-1],
        {"type": "response.failed", "response": responses_turn(CALLS[0], status="failed")},
        ONE[-1],
    ],
    "another-call-in-the-end": [
        *ONE[:-1],
        {"type": "response.completed", "response": responses_turn(OTHER)},
    ],
    "an-error": [*ONE[:-1], {"type": "error", "code": "x", "message": "y", "param": None}, ONE[-1]],
}


@pytest.mark.parametrize("stream", CONTRADICTORY.values(), ids=CONTRADICTORY.keys())
def test_a_contradictory_responses_stream_runs_nothing(guard: Guard, stream: list[dict[str, Any]]) -> None:
    """T36: which of two versions is the model's, nobody can tell."""
    tools = Bank(guard)
    with acting(guard):
        turn = collect_response(stream)
        messages = run_tool_calls_sync(guard, turn, [tools.refund])
    assert turn.status == "incomplete"
    assert {content(message)["error"] for message in messages} == {"invalid_call"}
    assert not tools.done


def test_a_stream_that_breaks_raises() -> None:
    """An error on the way is the caller's, and nothing has run."""

    def broken() -> Iterator[Any]:
        yield chunk(part(0, A, id="c1", name="refund"))
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        collect_chat(broken())


async def test_mixed_output_is_kept() -> None:
    """Messages and reasoning stay in the turn beside the calls."""

    async def stream() -> AsyncIterator[Any]:
        for event in response_events(said("first"), CALLS[0]):
            yield event

    turn = await acollect_response(stream())
    assert [entry.type for entry in turn.output] == ["message", "function_call"]
