"""What the model is told: results, denials, failures; in the form that its API wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentguard import Answer, Guard
from agentguard_openai import ToolCallsPending, run_tool_calls, run_tool_calls_sync
from tests.openai.support import (
    Bank,
    acting,
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


class Desk:
    """Tools that are methods."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def notes(self, text: str) -> str:
        """Write a line."""
        self.lines.append(text)
        return "written"


async def test_T37_the_text_of_an_exception_is_not_shown(guard: Guard) -> None:
    """T37: what a tool raises may hold secrets; `errors` decides what of it the model reads."""

    @guard.tool("notes")
    async def notes(text: str) -> str:
        raise RuntimeError(f"password hunter2 for {text}")

    async with acting(guard):
        [message] = await run_tool_calls(guard, chat_turn(chat_call("notes", {"text": "x"}, "c1")), [notes])
        assert "hunter2" not in message["content"]
        assert content(message)["error"] == "tool_failed"
        [message] = await run_tool_calls(
            guard,
            chat_turn(chat_call("notes", {"text": "x"}, "c2")),
            [notes],
            errors=lambda error: f"failed: {type(error).__name__}",
        )
        assert message["content"] == "failed: RuntimeError"
        [message] = await run_tool_calls(
            guard,
            chat_turn(chat_call("notes", {"text": "x"}, "c3")),
            [notes],
            errors=lambda error: str(1 / 0),
        )
        assert content(message)["error"] == "tool_failed"
    assert [event["status"] for event in events(guard, "outcome")] == ["failed"] * 3
    assert "hunter2" not in json.dumps(events(guard))


async def test_results_are_text_or_json_bounded_and_redacted(guard: Guard) -> None:
    """Results of any type become valid, bounded text; what a rule redacts stays hidden."""
    loop: list[Any] = []
    loop.append(loop)
    values: dict[str, Any] = {
        "text": "plain",
        "surrogate": "a\ud800b",
        "none": None,
        "nan": [float("nan")],
        "bytes": b"\xff\x00",
        "object": {"x": object()},
        "cycle": loop,
        "long": "y" * 500,
    }

    @guard.tool("files.read")
    def read(key: str) -> Any:
        return values[key]

    @guard.tool("accounts.read")
    def account() -> Any:
        return {"iban": "DE89", "name": "Ana"}

    turn = chat_turn(
        chat_call("account", {}, "id-iban"),
        *(chat_call("read", {"key": key}, f"id-{key}") for key in values),
    )
    async with acting(guard) as session:
        found = {
            message["tool_call_id"][3:]: message["content"]
            for message in await run_tool_calls(guard, turn, [read, account], limit=100)
        }
        seen = [entry.content for entry in session.observations]
    assert found["text"] == "plain"
    assert found["surrogate"] == "a?b"
    assert found["none"] == "null"
    assert found["nan"] == "[null]"
    assert found["object"] == '{"x": "<object>"}'
    assert json.loads(found["cycle"])["error"] == "unreadable_result"
    assert found["long"].startswith("y" * 100 + "\n[cut here: 100 of 500")
    assert "DE89" not in found["iban"]
    assert "Ana" in found["iban"]
    assert "plain" in seen
    for text in found.values():
        text.encode()


async def test_content_blocks_pass_to_responses_as_they_are(guard: Guard) -> None:
    """An image that a tool returns stays an image."""
    image = [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]

    @guard.tool("notes")
    def notes() -> Any:
        return image

    async with acting(guard):
        [output] = await run_tool_calls(guard, responses_turn(item("notes", {})), [notes])
        [message] = await run_tool_calls(guard, chat_turn(chat_call("notes", {}, "c2")), [notes])
    assert output["output"] == image
    assert json.loads(message["content"]) == image


async def test_custom_and_legacy_calls(guard: Guard) -> None:
    """Free text goes to the tool's one parameter; the answer has the form that the call's API wants."""
    desk = Desk()
    guard.register("notes", desk.notes)
    chat = chat_turn({"id": "c1", "type": "custom", "custom": {"name": "notes", "input": "{not json"}})
    legacy = chat_turn(finish="function_call")
    legacy["choices"][0]["message"]["function_call"] = {"name": "notes", "arguments": '{"text": "old"}'}
    custom = {"type": "custom_tool_call", "call_id": "c2", "name": "notes", "input": "free", "id": "x"}
    async with acting(guard):
        one = await run_tool_calls(guard, chat, {"notes": desk.notes})
        two = await run_tool_calls(guard, legacy, {"notes": desk.notes})
        three = await run_tool_calls(guard, responses_turn(custom), {"notes": desk.notes})
        four = await run_tool_calls(
            guard, responses_turn({**custom, "name": "transfer", "call_id": "c3"}), Bank(guard).tools
        )
    assert one == [{"role": "tool", "tool_call_id": "c1", "content": "written"}]
    assert two == [{"role": "function", "name": "notes", "content": "written"}]
    assert three == [{"type": "custom_tool_call_output", "call_id": "c2", "output": "written"}]
    assert content(four[0])["error"] == "invalid_arguments"
    assert desk.lines == ["{not json", "old", "free"]


async def test_a_nested_guarded_tool_that_is_denied_says_so(guard: Guard) -> None:
    """A tool that calls another guarded tool: that is a call of its own."""
    tools = Bank(guard)

    @guard.tool("notes")
    async def notes(text: str) -> str:
        return await tools.transfer("A", 9000)

    async with acting(guard):
        [message] = await run_tool_calls(guard, chat_turn(chat_call("notes", {"text": "x"})), [notes])
    assert content(message)["rule"] == "bank/too-much"
    assert not tools.done
    assert [event["tool"] for event in events(guard, "decision")] == ["notes", "payments.transfer"]


async def test_what_is_no_list_of_content_blocks_is_text(guard: Guard) -> None:
    """An empty list, or other mappings, are JSON; and the text in a block is bounded and valid too."""
    values: dict[str, Any] = {
        "empty": [],
        "rows": [{"type": "row", "n": 1}],
        "mixed": [{"type": "input_text", "text": "a"}, "b"],
        "long": [{"type": "input_text", "text": "y" * 500 + "\ud800"}],
    }

    @guard.tool("files.read")
    def read(key: str) -> Any:
        return values[key]

    turn = responses_turn(*(item("read", {"key": key}, key) for key in values))
    async with acting(guard):
        found = {
            message["call_id"]: message["output"]
            for message in await run_tool_calls(guard, turn, [read], limit=100)
        }
    assert found["empty"] == "[]"
    assert json.loads(found["rows"]) == values["rows"]
    assert json.loads(found["mixed"]) == values["mixed"]
    [block] = found["long"]
    assert block["text"].startswith("y" * 100 + "\n[cut here")


async def test_an_answer_is_nobodys_to_change(guard: Guard) -> None:
    """Content blocks are kept as a copy: what a caller does to them is not what is answered later."""

    @guard.tool("notes")
    def notes() -> Any:
        return [{"type": "input_text", "text": "good"}]

    turn = responses_turn(item("notes", {}))
    async with acting(guard):
        for _ in range(3):
            [message] = await run_tool_calls(guard, turn, [notes])
            assert message["output"][0]["text"] == "good"
            message["output"][0]["text"] = "bad"


async def test_T57_what_a_reviewer_writes_is_plain_when_it_is_told(guard: Guard) -> None:
    """Escapes and line breaks in a reason do not reach the model as such."""
    tools = Bank(guard)
    turn = chat_turn(chat_call("transfer", {"payee": "A", "amount": 2000}))
    async with acting(guard):
        with pytest.raises(ToolCallsPending) as raised:
            await run_tool_calls(guard, turn, tools.tools, pause="raise")
        approval_id = raised.value.pending[0].approval_id
        digest = guard.approval(approval_id).digest
        guard.vote(
            approval_id, Answer(subject="local", verdict="deny", reason="no\x1b[2J\u202eway", digest=digest)
        )
        [message] = await run_tool_calls(guard, turn, tools.tools, pause="raise")
    assert content(message)["reason"].isprintable()
    assert "way" in content(message)["reason"]


def test_a_custom_call_needs_one_text(guard: Guard) -> None:
    """A tool with two required arguments cannot be meant by free text."""
    tools = Bank(guard)
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "refund", "input": "free", "id": "x"}
    with acting(guard):
        [answer] = run_tool_calls_sync(guard, responses_turn(custom), [tools.refund])
    assert "takes no single text" in content(answer)["reason"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_T37_an_error_of_a_redacted_tool_shows_nothing(guard: Guard, asynchronous: bool) -> None:
    """Not even to `errors`, whose answer the model reads as it is."""
    shown: list[str] = []

    @guard.tool("accounts.read")
    def account(number: int) -> Any:
        raise ValueError("DE89")

    def errors(error: Exception) -> str:
        shown.append(repr((error, error.__cause__, error.__context__)))
        return str(error)

    turn = responses_turn(item("account", {"number": 1}))
    async with acting(guard):
        if asynchronous:
            [message] = await run_tool_calls(guard, turn, [account], errors=errors)
        else:
            [message] = run_tool_calls_sync(guard, turn, [account], errors=errors)
    assert len(shown) == 1
    assert "DE89" not in repr((shown, message, events(guard)))
