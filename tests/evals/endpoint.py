"""An OpenAI-compatible endpoint on loopback that says what a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def turn(
    *calls: tuple[str, Any],
    text: str | None = None,
    finish: str | None = None,
    usage: bool = True,
    id: str | None = None,
) -> dict[str, Any]:
    """A Chat Completions response with these calls; arguments that are text stand as they are."""
    asked = [
        {
            "id": id or f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": args if isinstance(args, str) else json.dumps(args)},
        }
        for number, (name, args) in enumerate(calls, 1)
    ]
    message = {"role": "assistant", "content": text, **({"tool_calls": asked} if asked else {})}
    ended = finish or ("tool_calls" if asked else "stop")
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "test",
        "choices": [{"index": 0, "finish_reason": ended, "message": message}],
        **({"usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}} if usage else {}),
    }


@dataclass(frozen=True)
class Heard:
    """What a request said; a connection serves several."""

    path: str
    headers: dict[str, str]
    body: Any


class Asked(BaseHTTPRequestHandler):
    """One request, read; `reply` answers it."""

    protocol_version = "HTTP/1.1"
    server: Any
    body: Any

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(
            Heard(self.path, {name.lower(): value for name, value in self.headers.items()}, self.body)
        )
        self.server.answer(self)

    def reply(self, body: object, status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        plain = {"content-type": "application/json", "content-length": str(len(content))}
        for name, value in {**plain, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


Reply = Callable[[Asked], None]


def saying(*turns: dict[str, Any]) -> Reply:
    """The turns of a conversation: which one depends on how often the model has spoken in it."""

    def reply(asked: Asked) -> None:
        spoken = sum(one["role"] == "assistant" for one in asked.body["messages"])
        asked.reply(turns[min(spoken, len(turns) - 1)])

    return reply


def refusing(status: int, said: str = "", **headers: str) -> Reply:
    """An error in OpenAI's form; who tries again does so at once."""
    at_once = {"retry_after_ms": "1", **headers}
    return lambda asked: asked.reply({"error": {"message": said, "type": "x"}}, status, **at_once)


class Server(ThreadingHTTPServer):
    """What it was `asked`; `done` is set when the test is over."""

    daemon_threads = True
    answer: Reply
    asked: list[Heard]
    done: threading.Event
    url: str

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client hung up, as it should


@contextmanager
def endpoint(answer: Reply) -> Iterator[Server]:
    """It runs until the test is over."""
    server = Server(("127.0.0.1", 0), Asked)
    server.asked, server.answer, server.done = [], answer, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.done.set()
        server.shutdown()
        server.server_close()
        thread.join(60)
