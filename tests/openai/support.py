"""What these tests share: a bank's policies, guards on a store in memory, and a model that answers offline.

The SDK is real; only its transport is replaced, so what it parses and streams is what it always does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import httpx2
from openai import AsyncOpenAI, OpenAI

from agentguard import AgentIdentity, Guard, Session, Snapshot

BILLING = AgentIdentity("billing", owner="ana")

BANK: dict[str, Any] = {
    "policy": "bank",
    "owner": "finance",
    "tools": ["payments.*", "accounts.*", "notes", "slow", "files.*"],
    "rules": [
        {"id": "notes", "effect": "allow", "tools": ["notes", "slow", "files.*"]},
        {"id": "small", "effect": "allow", "tools": ["payments.*"], "when": "args.amount <= 1000"},
        {
            "id": "large",
            "effect": "step_up",
            "tools": ["payments.*"],
            "when": "args.amount > 1000 && args.amount <= 5000",
            "reason": "a person has to agree to more than 1000",
            "approval": {"reviewers": ["principal"], "local": True, "expires_in": "10m"},
        },
        {
            "id": "too-much",
            "effect": "deny",
            "tools": ["payments.*"],
            "when": "args.amount > 5000",
            "reason": "no payment above 5000",
        },
        {
            "id": "short-note",
            "effect": "constrain",
            "tools": ["payments.*"],
            "when": "size(args.note) > 10",
            "set": {"args.note": "args.note.substring(0, 10)"},
        },
        {"id": "hide-iban", "effect": "allow", "tools": ["accounts.*"], "redact_result": ["$.iban"]},
    ],
}


def bank(store: Any = "memory:", **options: Any) -> Guard:
    """A guard with the bank's policies."""
    return Guard(snapshot=Snapshot.from_documents([BANK]), store=store, **options)


def acting(guard: Guard, id: str = "s-1", **options: Any) -> Session:
    """A session of the billing agent for Ben."""
    return guard.session(agent=BILLING, principal="ben", id=id, **options)


def approve(guard: Guard, approval_id: str) -> None:
    """The principal's answer at this machine."""
    from agentguard import Answer

    guard.vote(
        approval_id,
        Answer(subject="local", verdict="approve", digest=guard.approval(approval_id).digest),
    )


def events(guard: Guard, *types: str) -> list[dict[str, Any]]:
    """The ledger's events of these types."""
    return [json.loads(event.leaf) for event in guard.store.events(guard.tenant, types=types)]


# -- turns


def chat_call(name: str, arguments: Any, id: str = "call_1") -> dict[str, Any]:
    """One function call of a Chat message."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": text}}


def chat_turn(
    *calls: Mapping[str, Any], finish: str | None = "tool_calls", content: str | None = None
) -> dict[str, Any]:
    """A Chat Completions response."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = list(calls)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "test",
        "choices": [{"index": 0, "finish_reason": finish, "logprobs": None, "message": message}],
    }


def item(name: str, arguments: Any, id: str = "call_1", **more: Any) -> dict[str, Any]:
    """One function call of a Responses turn."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {
        "type": "function_call",
        "id": f"fc_{id}",
        "call_id": id,
        "name": name,
        "arguments": text,
        "status": "completed",
        **more,
    }


def said(text: str) -> dict[str, Any]:
    """A final message of a Responses turn."""
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def responses_turn(*items: Mapping[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    """A Responses response."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "test",
        "status": status,
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        **more,
    }


def sse(events: Iterable[Mapping[str, Any]], *, done: bool = True) -> bytes:
    """A stream of server-sent events."""
    lines = [
        (f"event: {event['type']}\n" if "type" in event else "") + f"data: {json.dumps(event)}\n\n"
        for event in events
    ]
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()


Reply = Mapping[str, Any] | bytes


def _transport(replies: Sequence[Reply], seen: list[Any] | None) -> httpx2.MockTransport:
    waiting = list(replies)

    def handle(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(json.loads(request.content))
        reply = waiting.pop(0)
        if isinstance(reply, bytes):
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=reply)
        return httpx2.Response(200, json=dict(reply))

    return httpx2.MockTransport(handle)


def client(*replies: Reply, seen: list[Any] | None = None) -> OpenAI:
    """The SDK's client over a model that gives these answers, one after the other."""
    http = httpx2.Client(transport=_transport(replies, seen))
    return OpenAI(http_client=http, base_url="http://model.test/v1", api_key="test", max_retries=0)


def aclient(*replies: Reply, seen: list[Any] | None = None) -> AsyncOpenAI:
    """The same, asynchronous."""
    http = httpx2.AsyncClient(transport=_transport(replies, seen))
    return AsyncOpenAI(http_client=http, base_url="http://model.test/v1", api_key="test", max_retries=0)


def content(message: Mapping[str, Any]) -> Any:
    """What a tool message says, read as JSON where it is JSON."""
    text = message["content"] if "content" in message else message["output"]
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


class Bank:
    """Tools that write down what they did."""

    def __init__(self, guard: Guard) -> None:
        self.done: list[Any] = []
        done = self.done

        @guard.tool("payments.transfer", secrets=["payments:write"])
        async def transfer(payee: str, amount: int, note: str = "") -> str:
            """Send money."""
            done.append((payee, amount, note))
            return f"sent {amount} to {payee}"

        @guard.tool("payments.refund")
        def refund(payee: str, amount: int, note: str = "") -> dict[str, Any]:
            """Send money back."""
            done.append((payee, amount, note))
            return {"refunded": amount}

        self.transfer = transfer
        self.refund = refund
        self.tools: dict[str, Callable[..., Any]] = {"transfer": transfer, "refund": refund}
