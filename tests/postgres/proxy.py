"""A proxy before a PostgreSQL server that cuts a connection where it is told to.

It counts what a client asks the server to do, statement by statement, also in a pipeline: one of them is
lost, or what the server answers to it is. So a test sees both what was never carried out and what was,
although nobody heard of it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from psycopg.conninfo import conninfo_to_dict

__all__ = ["CutProxy"]

_STARTUP: Final = 196_608
_ACTS: Final = frozenset(b"QES")
"""A simple query, the execution of a prepared one, and the end of a pipeline."""


class CutProxy:
    """Passes everything on, until it is armed."""

    def __init__(self, server: str) -> None:
        found = conninfo_to_dict(server)
        self._target = (str(found["host"]), int(str(found.get("port") or 5432)))
        self._name = f"{found['user']}@127.0.0.1"
        self._database = str(found["dbname"])
        self._lock = threading.Lock()
        self._left = 0
        self._after = False
        self._pairs: set[_Pair] = set()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._closed = False
        self.refusing = False
        """Whether nobody new gets through."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def dsn(self) -> str:
        return f"postgresql://{self._name}:{self._listening.getsockname()[1]}/{self._database}"

    @property
    def fired(self) -> bool:
        """Whether the cut was made."""
        return self._left <= 0

    def arm(self, nth: int, *, after: bool) -> None:
        """Cut at the n-th statement from now on: before the server gets it, or after it was carried out."""
        with self._lock:
            self._left, self._after = nth, after

    def disarm(self) -> None:
        with self._lock:
            self._left = 0

    def cut(self) -> None:
        """Cut every connection now."""
        for pair in list(self._pairs):
            pair.end()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def hit(self, kind: int) -> tuple[bool, bool]:
        """Whether to cut here, and whether after the message went through."""
        if kind not in _ACTS:
            return False, False
        with self._lock:
            self._left -= 1
            return self._left == 0, self._after

    def forget(self, pair: _Pair) -> None:
        self._pairs.discard(pair)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = None if self.refusing else socket.create_connection(self._target)
            except OSError:
                server = None
            if server is None:
                client.close()
            else:
                pair = _Pair(self, client, server)
                self._pairs.add(pair)
                if self.refusing:  # said while this one was getting through: `cut` may have missed it
                    pair.end()


class _Pair:
    """One client's connection and the server's."""

    def __init__(self, proxy: CutProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._lost = False
        self._running = 2
        self._lock = threading.Lock()
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for work in (self._ask, self._answer):
            threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def end(self) -> None:
        for each in (self._client, self._server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _run(self, work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except OSError:
            pass
        if not self._lost or work == self._answer:
            self.end()
        with self._lock:
            self._running -= 1
            last = self._running == 0
        if last:  # not before: the number of a closed socket is another's at once
            self._client.close()
            self._server.close()
            self._proxy.forget(self)

    def _ask(self) -> None:
        for message, kind in _messages(self._client):
            hit, after = self._proxy.hit(kind)
            if hit:
                self._lost = True
            if not hit or after:
                self._server.sendall(message)
            if hit:
                self._server.shutdown(socket.SHUT_WR)  # the server does what it got, and hangs up
                return

    def _answer(self) -> None:
        while content := self._server.recv(1 << 20):
            if not self._lost:
                self._client.sendall(content)


def _messages(client: socket.socket) -> Iterator[tuple[bytes, int]]:
    """A client's messages with their kinds; 0 for those before the first that has one."""
    buffer, started = bytearray(), False
    while content := client.recv(1 << 20):
        buffer += content
        while len(buffer) >= 8 if not started else len(buffer) >= 5:
            head = 1 if started else 0
            end = head + int.from_bytes(buffer[head : head + 4], "big")
            if len(buffer) < end:
                break
            message, kind = bytes(buffer[:end]), buffer[0] if started else 0
            if not started:
                started = int.from_bytes(message[4:8], "big") == _STARTUP
            del buffer[:end]
            yield message, kind
