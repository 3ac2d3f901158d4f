"""The part that hears answers: a small ASGI application, to be served on loopback or behind TLS.

`POST /channels/NAME/answers` and nothing else. A GET changes nothing, so whatever looks at a link before a
person does cannot answer for them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from agentguard.channels.answering import AnswerDesk, Outcome

__all__ = ["LARGEST", "AnswerApp"]

LARGEST: Final = 64 * 1024
"""Bytes of one answer."""
_READ_S: Final = 10.0
_PATH: Final = re.compile(r"/channels/([a-z0-9][a-z0-9_-]{0,31})/answers")
_SIGNED: Final = frozenset(
    {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-slack-signature",
        "x-slack-request-timestamp",
    }
)
log = logging.getLogger("agentguard")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AnswerApp:
    """An ASGI application over a desk; `told` hears the outcome of each answer that was proved to be one."""

    def __init__(
        self, desk: AnswerDesk, told: Callable[[str, Outcome], None] = lambda name, outcome: None
    ) -> None:
        self._desk, self._told = desk, told
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentguard-answers")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await _lifespan(receive, send)
            case "http":
                status, data = await self._answer(scope, receive)
                await _reply(send, status, data)
            case _:
                pass  # no web sockets here

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, dict[str, Any]]:
        found = _PATH.fullmatch(str(scope["path"]))
        kind = self._desk.kind(found[1]) if found else None
        if found is None or kind is None:
            return 404, {"result": "unknown"}
        if scope["method"] != "POST":
            return 405, {"result": "only POST answers"}
        headers = _headers(scope)
        if headers is None:
            return 400, {"result": "unreadable"}
        try:
            async with asyncio.timeout(_READ_S):
                body = await _body(receive)
        except TimeoutError:
            return 408, {"result": "too slow"}
        if body is None:
            return 413, {"result": "too large"}
        loop = asyncio.get_running_loop()
        outcome = await loop.run_in_executor(self._thread, self._take, found[1], headers, body)
        # Slack shows its user an error for anything but 200, and drops the words; they hear them otherwise.
        shown = kind == "slack" and bool(outcome.user)
        return (200 if shown else outcome.status), ({} if shown else outcome.to_json())

    def _take(self, channel: str, headers: dict[str, str], body: bytes) -> Outcome:
        try:
            outcome = self._desk.take(channel, headers, body)
        except Exception as error:  # nothing of ours is shown to whoever asked
            log.error("channel `%s`: an answer failed: %s", channel, type(error).__name__)
            return Outcome(500, "failed")
        self._told(channel, outcome)
        return outcome

    def close(self) -> None:
        """Wait for the answer that is being counted."""
        self._thread.shutdown(wait=True)


def _headers(scope: Message) -> dict[str, str] | None:
    """The headers that are signed with, once each; None where one of them stands twice."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        if name in _SIGNED:
            if name in found:
                return None
            found[name] = value.decode("latin-1")
    return found


async def _body(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _reply(send: Send, status: int, data: dict[str, Any]) -> None:
    content = json.dumps(data).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
