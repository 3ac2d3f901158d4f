"""A small web server on 127.0.0.1 that really receives posts, and what it received.

Every host name of the demo leads here, as an entry in a hosts file would do it: nothing leaves the machine,
and what a guarded agent sent, and to whom, can be counted.
"""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

__all__ = ["Post", "WebServer"]

MAX_BODY: Final = 65_536
MAX_POSTS: Final = 100
_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Post:
    """One post that arrived; `host` is the name that it was sent to."""

    host: str
    path: str
    size: int


class WebServer:
    """Listens on a free port from `with` to its end; keeps at most 100 posts of at most 64 kB."""

    def __init__(self) -> None:
        self._received: list[Post] = []
        self._lock = threading.Lock()
        received, lock = self._received, self._lock

        class Handler(BaseHTTPRequestHandler):
            timeout = _SECONDS

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                size = int(length) if length.isdigit() and len(length) < 9 else MAX_BODY + 1
                if size > MAX_BODY:
                    self._answer(413)
                    return
                body = self.rfile.read(size)
                host = self.headers.get("Host", "").partition(":")[0][:255].lower()
                with lock:
                    full = len(received) >= MAX_POSTS
                    if not full:
                        received.append(Post(host, self.path[:1000], len(body)))
                self._answer(429 if full else 201)

            def _answer(self, status: int) -> None:
                self.close_connection = True
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet: the demo shows what arrived."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def received(self) -> list[Post]:
        """What has arrived so far, oldest first."""
        with self._lock:
            return list(self._received)

    def counts(self) -> dict[str, int]:
        """How many posts arrived for each host."""
        return dict(Counter(post.host for post in self.received))

    def deliver(self, url: str, body: bytes) -> int:
        """Post to a URL whose host, whichever it is, this server plays; returns the status.

        Raises:
            ValueError: it is no http URL, or the body is too long.
            OSError: the server cannot be reached.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not url.isascii() or not url.isprintable():
            raise ValueError("not an http URL")
        if len(body) > MAX_BODY:
            raise ValueError(f"more than {MAX_BODY} bytes")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        try:
            connection.request("POST", parts.path or "/", body, {"Host": parts.hostname})
            return connection.getresponse().status
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_SECONDS)
