"""What a model, a provider or a document behind them may send: none of it reaches a tool."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agentguard import ConfigurationError, Guard
from agentguard.errors import StoreUnavailable
from agentguard_openai import run_tool_calls, run_tool_calls_sync, uncovered
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
    said,
)


@pytest.fixture
def guard() -> Iterator[Guard]:
    with bank() as found:
        yield found


BAD = {
    "T19-twice": '{"payee": "A", "amount": 1, "amount": 2}',
    "T19-nested-twice": '{"payee": {"a": 1, "a": 2}, "amount": 1}',
    "T20-nan": '{"payee": "A", "amount": NaN}',
    "T20-infinity": '{"payee": "A", "amount": -Infinity}',
    "T20-exponent": '{"payee": "A", "amount": 1e999}',
    "T20-big-integer": '{"payee": "A", "amount": ' + "9" * 5000 + "}",
    "T23-surrogate": '{"payee": "\\ud800", "amount": 1}',
    "T23-surrogate-key": '{"payee": "A", "amount": 1, "\\udfff": 1}',
    "T23-control": '{"payee": "A\x00", "amount": 1}',
    "T24-deep": '{"payee": ' + "[" * 100_000 + "]" * 100_000 + ', "amount": 1}',
    "T24-somewhat-deep": '{"payee": ' + "[" * 80 + "]" * 80 + ', "amount": 1}',
    "T24-long": '{"payee": "' + "x" * 300_000 + '", "amount": 1}',
    "T24-very-long": '{"payee": "' + "x" * 3_000_000 + '", "amount": 1}',
    "T24-many": '{"payee": [' + "1," * 20_000 + '1], "amount": 1}',
    "T29-extra": '{"payee": "A", "amount": 1, "force": true}',
    "T29-missing": '{"payee": "A"}',
    "T29-hidden-extra": '{"payee": "A", "amount": 1, "no\u200bte": "x"}',
    "empty": "",
    "blank": "  ",
    "null": "null",
    "list": '["A", 1]',
    "text": '"A"',
    "two": '{"payee": "A", "amount": 1}{"payee": "B", "amount": 1}',
    "comment": '{"payee": "A", "amount": 1} // fine',
    "cut": '{"payee": "A", "amou',
    "python": "{'payee': 'A', 'amount': 1}",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_bad_arguments_never_reach_a_tool(guard: Guard, text: str) -> None:
    """T19, T20, T23, T24, T29: they are denied, recorded, and answered so that the model can do better."""
    tools = Bank(guard)
    with acting(guard):
        for turn in (
            chat_turn(chat_call("refund", text, "c1")),
            responses_turn(item("refund", text, "c2")),
        ):
            [message] = run_tool_calls_sync(guard, turn, [tools.refund])
            answer = content(message)
            assert answer["error"] == "invalid_arguments"
            assert answer["remedy"] == "fix_call"
            assert answer["decision"]
            assert len(answer["reason"]) < 400
            assert answer["reason"].isprintable()
            if text in ("null", '["A", 1]', '"A"'):
                assert "JSON object" in answer["reason"]
            str(message).encode()
    assert not tools.done
    assert [event["decision"]["effect"] for event in events(guard, "decision")] == ["deny", "deny"]
    reasons = [event["decision"]["matched"][0]["reason"] for event in events(guard, "decision")]
    assert all(reason.isprintable() for reason in reasons)


@pytest.mark.parametrize("arguments", [None, {"payee": "A", "amount": 1}, b"{}", 5])
def test_arguments_that_are_no_text_are_refused(guard: Guard, arguments: Any) -> None:
    """T19: an object that somebody else parsed may have lost a key on the way."""
    tools = Bank(guard)
    call = chat_call("refund", "{}")
    call["function"]["arguments"] = arguments
    with acting(guard):
        [message] = run_tool_calls_sync(guard, chat_turn(call), [tools.refund])
    assert content(message)["error"] == "invalid_call"
    assert not tools.done


NAMES = [
    "transfer_all",
    "Refund",
    "refund ",
    "ref\u200bund",
    "reﬁnd",
    "\ud800",
    "",
    "x" * 100_000,
    "refund\x1b[2J",
    None,
]


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_tool_is_denied_and_recorded(guard: Guard, name: Any) -> None:
    """T21: only the exact name is the tool; the record spells out what was asked for."""
    tools = Bank(guard)
    call = chat_call("refund", {"payee": "A", "amount": 1})
    call["function"]["name"] = name
    with acting(guard):
        [message] = run_tool_calls_sync(guard, chat_turn(call), [tools.refund])
    answer = content(message)
    assert answer["error"] == "unknown_tool"
    assert "`refund`" in answer["reason"]
    assert answer["decision"]
    assert not tools.done
    [event] = events(guard, "decision")
    assert event.get("tool", "").isprintable()
    assert len(event.get("tool", "")) < 200


def test_a_function_of_a_namespace_is_another_function(guard: Guard) -> None:
    """T28: `crm.refund` is not `refund`."""
    tools = Bank(guard)
    arguments = {"payee": "A", "amount": 1}
    with acting(guard):
        [one] = run_tool_calls_sync(
            guard, responses_turn(item("refund", arguments, "c1", namespace="crm")), [tools.refund]
        )
        [two] = run_tool_calls_sync(
            guard,
            responses_turn(item("refund", arguments, "c2", namespace="crm")),
            {"crm.refund": tools.refund},
        )
    assert content(one)["error"] == "unknown_tool"
    assert content(two) == {"refunded": 1}


@pytest.mark.parametrize("id", ["\ud800", "c" * 10_000, "a\nb", "a\u202eb"])
def test_an_unusable_id_is_refused(guard: Guard, id: str) -> None:
    """T23: an id stands in records and keys; one that hides something is no id."""
    tools = Bank(guard)
    with acting(guard):
        [message] = run_tool_calls_sync(
            guard, chat_turn(chat_call("refund", {"payee": "A", "amount": 1}, id)), [tools.refund]
        )
    assert content(message)["error"] == "invalid_call"
    assert content(message)["decision"]
    assert not tools.done


def test_two_calls_with_one_id_are_both_refused(guard: Guard) -> None:
    """T36: an approval or an answer could not be told apart."""
    tools = Bank(guard)
    turn = chat_turn(
        chat_call("refund", {"payee": "A", "amount": 1}, "same"),
        chat_call("refund", {"payee": "B", "amount": 2}, "same"),
    )
    with acting(guard):
        messages = run_tool_calls_sync(guard, turn, [tools.refund])
    assert [content(message)["error"] for message in messages] == ["invalid_call"] * 2
    assert not tools.done


@pytest.mark.parametrize("finish", ["length", "content_filter", None, "error"])
def test_a_cut_off_chat_turn_runs_nothing(guard: Guard, finish: str | None) -> None:
    """A turn that was truncated may have lost the end of any call, even where what is left parses."""
    tools = Bank(guard)
    turn = chat_turn(chat_call("refund", {"payee": "A", "amount": 1}), finish=finish)
    with acting(guard):
        [message] = run_tool_calls_sync(guard, turn, [tools.refund])
    assert content(message)["error"] == "invalid_call"
    assert not tools.done
    assert events(guard, "decision")


def test_a_type_of_call_that_is_not_known_runs_nothing(guard: Guard) -> None:
    """T28: a call that only looks like one of a function is none, and is listed as not covered."""
    tools = Bank(guard)
    turn = chat_turn({**chat_call("refund", {"payee": "A", "amount": 1}), "type": "brand_new"})
    with acting(guard):
        [message] = run_tool_calls_sync(guard, turn, [tools.refund])
    assert content(message)["error"] == "invalid_call"
    assert not tools.done
    assert uncovered(turn) == ["brand_new"]


def test_calls_of_a_transcript_that_were_answered_stay_answered(guard: Guard) -> None:
    """A list of items may hold earlier calls beside their outputs: only what is open is run."""
    tools = Bank(guard)
    calls = [item("refund", {"payee": who, "amount": 1}, who) for who in ("A", "B")]
    output = {"type": "function_call_output", "call_id": "A", "output": "done"}
    with acting(guard):
        [answer] = run_tool_calls_sync(guard, [calls[0], output, calls[1]], [tools.refund])
    assert answer["call_id"] == "B"
    assert tools.done == [("B", 1, "")]


def test_a_response_with_an_error_runs_nothing(guard: Guard) -> None:
    """Even where it says that it was completed."""
    tools = Bank(guard)
    turn = responses_turn(item("refund", {"payee": "A", "amount": 1}), error={"code": "x", "message": "y"})
    with acting(guard):
        [message] = run_tool_calls_sync(guard, turn, [tools.refund])
    assert content(message)["error"] == "invalid_call"
    assert not tools.done


@pytest.mark.parametrize("status", ["incomplete", "failed", "in_progress", "cancelled", "queued"])
def test_a_cut_off_response_runs_nothing(guard: Guard, status: str) -> None:
    """The same in a Responses turn, and for one item of it."""
    tools = Bank(guard)
    call = item("refund", {"payee": "A", "amount": 1})
    with acting(guard):
        [one] = run_tool_calls_sync(guard, responses_turn(call, status=status), [tools.refund])
        [two] = run_tool_calls_sync(guard, responses_turn({**call, "status": "incomplete"}), [tools.refund])
    assert content(one)["error"] == content(two)["error"] == "invalid_call"
    assert not tools.done


def test_a_lying_mapping_is_read_once(guard: Guard) -> None:
    """T24: what was decided on is what runs, whatever the response says when it is asked again."""
    tools = Bank(guard)

    class Changing(dict[str, Any]):
        asked = 0

        def get(self, key: str, default: Any = None) -> Any:
            if key == "arguments":
                self.asked += 1
                return json.dumps({"payee": "A", "amount": 1 if self.asked == 1 else 9_000})
            return super().get(key, default)

    call = chat_call("refund", "{}")
    call["function"] = Changing(call["function"])
    with acting(guard):
        run_tool_calls_sync(guard, chat_turn(call), [tools.refund])
    assert tools.done == [("A", 1, "")]


async def test_a_synchronous_tool_cannot_hang_the_loop_with_stop_iteration(guard: Guard) -> None:
    """T33: an exception that cannot cross a future is an ordinary failure here."""

    @guard.tool("notes")
    def notes() -> str:
        raise StopIteration("end")

    async with acting(guard):
        [message] = await run_tool_calls(guard, chat_turn(chat_call("notes", {})), [notes])
    assert content(message)["error"] == "tool_failed"


def test_tools_that_cannot_be_used_are_refused_at_once(guard: Guard) -> None:
    """A loop that is put together wrongly says so before anything runs."""
    tools = Bank(guard)

    def notes(text: str) -> str:
        return text

    for wrong, message in (
        ([tools.refund, tools.refund], "two tools"),
        ([lambda text: text], "pass a mapping"),
        ({"notes": 5}, "cannot be called"),
        ({"a b": notes}, "cannot name a tool"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            run_tool_calls_sync(guard, chat_turn(), wrong)  # type: ignore[arg-type]


def test_uncovered_tools_are_listed_and_strict_refuses() -> None:
    """Tools that the provider runs cannot be stopped here; what is not known is listed too."""
    tools = [
        {"type": "function", "name": "a"},
        {"type": "custom", "name": "b"},
        {"type": "web_search"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "mcp", "server_label": "github"},
        {"type": "namespace", "name": "n", "tools": [{"type": "function"}, {"type": "brand_new"}]},
    ]
    expected = ["web_search", "code_interpreter", "mcp:github", "brand_new"]
    assert uncovered(tools) == expected
    assert uncovered({"model": "m", "tools": tools}) == expected
    assert uncovered({"model": "m", "web_search_options": {}}) == ["web_search"]
    output = [
        {"type": "web_search_call", "id": "w", "status": "completed"},
        {"type": "mcp_call", "server_label": "github", "name": "x", "arguments": "{}", "id": "m"},
        {"type": "computer_call", "call_id": "c"},
        {"type": "reasoning", "summary": []},
        {"type": "function_call_output", "call_id": "c", "output": ""},
        said("done"),
    ]
    assert uncovered(responses_turn(*output)) == ["web_search_call", "mcp:github", "computer_call"]
    assert uncovered(chat_turn(chat_call("a", {}))) == []
    assert uncovered([{"role": "user", "content": "hi"}]) == []
    cited = chat_turn(finish="stop", content="see")
    cited["choices"][0]["message"]["annotations"] = [{"type": "url_citation", "url_citation": {}}]
    assert uncovered(cited) == ["web_search"]
    with pytest.raises(ConfigurationError, match="web_search"):
        uncovered(tools, strict=True)


async def test_strict_refuses_a_turn_with_uncovered_tools(guard: Guard) -> None:
    """Nothing of such a turn runs, in either loop."""
    tools = Bank(guard)
    turn = responses_turn(item("refund", {"payee": "A", "amount": 1}), {"type": "web_search_call", "id": "w"})
    with acting(guard):
        with pytest.raises(ConfigurationError, match="web_search_call"):
            run_tool_calls_sync(guard, turn, [tools.refund], strict=True)
        with pytest.raises(ConfigurationError, match="web_search_call"):
            await run_tool_calls(guard, turn, [tools.refund], strict=True)
        assert not tools.done
        run_tool_calls_sync(guard, turn, [tools.refund])
    assert tools.done


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
def test_what_a_plain_function_leaves_to_be_awaited_is_no_result(guard: Guard, kind: str) -> None:
    """T33: in the synchronous loop nobody would await it; the call failed, and is recorded so."""

    async def later() -> str:
        return "late"

    async def stream() -> AsyncIterator[str]:
        yield "late"

    hidden: dict[str, Any] = {"coroutine": lambda: later(), "generator": lambda: stream()}
    with acting(guard):
        [message] = run_tool_calls_sync(guard, chat_turn(chat_call("notes", {})), {"notes": hidden[kind]})
    assert content(message)["error"] == "tool_failed"
    assert [event["status"] for event in events(guard, "outcome")] == ["failed"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_T41_a_store_that_cannot_take_the_call_lets_it_not_run(
    guard: Guard, monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    """The start of a call is taken in the store just before the tool; where that fails nothing runs."""

    def full(*args: Any) -> None:
        raise StoreUnavailable("database or disk is full")

    monkeypatch.setattr(guard.store, "reserve", full)
    tools = Bank(guard)
    turn = chat_turn(chat_call("refund", {"payee": "A", "amount": 1}))
    with acting(guard):
        if asynchronous:
            [message] = await run_tool_calls(guard, turn, [tools.refund])
        else:
            [message] = run_tool_calls_sync(guard, turn, [tools.refund])
    assert content(message)["rule"] == "agentguard/store"
    assert "disk" not in message["content"]
    assert not tools.done


def test_a_repeated_denial_is_answered_by_the_breaker(guard: Guard) -> None:
    """A model that asks for the same denied call again and again is told so."""
    tools = Bank(guard)
    with acting(guard):
        for index in range(4):
            turn = chat_turn(chat_call("refund", {"payee": "A", "amount": 9000}, f"c{index}"))
            [message] = run_tool_calls_sync(guard, turn, [tools.refund])
    assert content(message)["rule"] == "agentguard/breaker"


def test_a_denial_has_its_five_fields(guard: Guard) -> None:
    """Which rule, why, what would let it run, and where the record is; no argument values."""
    tools = Bank(guard)
    with acting(guard):
        [message] = run_tool_calls_sync(
            guard, chat_turn(chat_call("refund", {"payee": "canary-77", "amount": 9000})), [tools.refund]
        )
    answer = content(message)
    assert list(answer) == ["error", "rule", "reason", "remedy", "decision"]
    assert (answer["error"], answer["rule"], answer["reason"]) == (
        "denied",
        "bank/too-much",
        "no payment above 5000",
    )
    assert "canary-77" not in message["content"]
    assert answer["decision"] == events(guard, "decision")[0]["id"]
