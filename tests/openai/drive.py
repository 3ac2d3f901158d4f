"""One tool call through the OpenAI adapter, for tables that compare ways of making the same call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Literal

from agentguard import Guard
from agentguard_openai import ToolCallsPending, run_tool_calls, run_tool_calls_sync
from tests.openai.support import aclient, chat_call, chat_turn, client, content, item, responses_turn

__all__ = ["run_chat", "run_chat_sync", "run_responses", "run_responses_sync"]

Verdict = Literal["ran", "denied", "pending"]
Outcome = tuple[Verdict, Any]
_ids = itertools.count(1)


async def run_chat(
    guard: Guard, tool_fn: Callable[..., Any], args: Mapping[str, Any] | str, *, call_id: str | None = None
) -> Outcome:
    """A Chat Completions turn with one call; text as `args` is sent as it is.

    The result is what the tool message says (JSON is read), the denial, or the approval's id. It never waits.
    """
    name = tool_fn.__name__
    model = aclient(chat_turn(chat_call(name, _plain(args), call_id or f"call_{next(_ids)}")))
    async with model:
        turn = await model.chat.completions.create(model="test", messages=[{"role": "user", "content": "go"}])
    return await _settle(guard, turn, {name: tool_fn})


async def run_responses(
    guard: Guard, tool_fn: Callable[..., Any], args: Mapping[str, Any] | str, *, call_id: str | None = None
) -> Outcome:
    """The same through a Responses turn."""
    name = tool_fn.__name__
    model = aclient(responses_turn(item(name, _plain(args), call_id or f"call_{next(_ids)}")))
    async with model:
        turn = await model.responses.create(model="test", input="go")
    return await _settle(guard, turn, {name: tool_fn})


def run_chat_sync(
    guard: Guard, tool_fn: Callable[..., Any], args: Mapping[str, Any] | str, *, call_id: str | None = None
) -> Outcome:
    """The same as `run_chat`, for a plain function."""
    name = tool_fn.__name__
    with client(chat_turn(chat_call(name, _plain(args), call_id or f"call_{next(_ids)}"))) as model:
        turn = model.chat.completions.create(model="test", messages=[{"role": "user", "content": "go"}])
    return _settle_sync(guard, turn, {name: tool_fn})


def run_responses_sync(
    guard: Guard, tool_fn: Callable[..., Any], args: Mapping[str, Any] | str, *, call_id: str | None = None
) -> Outcome:
    """The same as `run_responses`, for a plain function."""
    name = tool_fn.__name__
    with client(responses_turn(item(name, _plain(args), call_id or f"call_{next(_ids)}"))) as model:
        turn = model.responses.create(model="test", input="go")
    return _settle_sync(guard, turn, {name: tool_fn})


async def _settle(guard: Guard, turn: Any, tools: Mapping[str, Callable[..., Any]]) -> Outcome:
    try:
        messages = await run_tool_calls(guard, turn, tools, pause="raise")
    except ToolCallsPending as waiting:
        return "pending", waiting.pending[0].approval_id
    return _verdict(messages)


def _settle_sync(guard: Guard, turn: Any, tools: Mapping[str, Callable[..., Any]]) -> Outcome:
    try:
        messages = run_tool_calls_sync(guard, turn, tools, pause="raise")
    except ToolCallsPending as waiting:
        return "pending", waiting.pending[0].approval_id
    return _verdict(messages)


def _verdict(messages: list[Any]) -> Outcome:
    [message] = messages
    found = content(message)
    refused = isinstance(found, dict) and found.get("error") in (
        "denied",
        "invalid_arguments",
        "unknown_tool",
        "invalid_call",
    )
    return ("denied" if refused else "ran"), found


def _plain(args: Mapping[str, Any] | str) -> Any:
    return args if isinstance(args, str) else dict(args)
