"""Somebody on loopback who hears webhooks, or plays Slack, and keeps what came; also with TLS."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Heard", "Listener", "listening", "playing_slack"]

_HERE = "127.0.0.1"


@dataclass(frozen=True)
class Heard:
    """One request: its path, its headers in lower case, its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Reply = tuple[int, bytes, dict[str, str]]
Answer = Callable[[Heard], Reply]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        heard = Heard(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        status, content, headers = self.server.hear(heard)
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.gets.append(self.path)
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        pass


class Listener(ThreadingHTTPServer):
    """What was `heard`, in order; `answer` may change while it runs."""

    daemon_threads = True
    url: str

    def __init__(self, answer: Answer) -> None:
        super().__init__((_HERE, 0), _Handler)
        self.answer = answer
        self.heard: list[Heard] = []
        self.gets: list[str] = []
        self.came = threading.Condition()

    def hear(self, heard: Heard) -> Reply:
        with self.came:
            self.heard.append(heard)
            self.came.notify_all()
        return self.answer(heard)

    def wait(self, count: int, timeout: float = 120) -> list[Heard]:
        """The first `count` requests, when they are there."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.heard) >= count, timeout), len(self.heard)
            return list(self.heard)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client hung up


@contextmanager
def listening(
    answer: Answer = lambda heard: (204, b"", {}), *, tls: ssl.SSLContext | None = None
) -> Iterator[Listener]:
    """A listener with its `url`, stopped at the end."""
    server = Listener(answer)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.url = f"http{'s' if tls else ''}://{_HERE}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def playing_slack() -> Answer:
    """Answers as Slack's Web API does: each posted message gets a time stamp of its own."""
    lock, posted = threading.Lock(), [0]

    def answer(heard: Heard) -> Reply:
        data = heard.json
        with lock:
            posted[0] += 1
            stamp = data.get("ts") or f"1700000000.{posted[0]:06d}"
        body = {"ok": True, "ts": stamp, "channel": data["channel"]}
        return 200, json.dumps(body).encode(), {"content-type": "application/json"}

    return answer
