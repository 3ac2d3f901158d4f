"""Asking a decision point over HTTP: bounded in time and size, retried, never redirected (extra `remote`)."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agentguard.canonical import loads
from agentguard.engines.model import Settings
from agentguard.errors import ArgumentsError
from agentguard.outbound import BUSY, Again, RemoteError, body, checked_url, client, needed

if TYPE_CHECKING:
    import httpx

__all__ = ["Remote", "RemoteError"]

_LARGEST: Final = 64 * 1024


class Remote(Settings):
    """What remote engines share: one client a process, a bearer token, a bounded time for all tries."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        name: str,
        tools: Iterable[str],
        permits: bool,
        timeout_s: float,
    ) -> None:
        super().__init__(name, tools, permits, timeout_s)
        needed(f"engine `{name}`")
        self.url = checked_url(url, f"engine `{name}`", token)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._lock = threading.Lock()
        self._client: tuple[int, httpx.Client] | None = None

    def post(self, path: str, question: Mapping[str, Any], request_id: str) -> Any:
        """The decoded JSON that it answers.

        Raises:
            RemoteError: no answer in time, a refusal, or an answer that is not JSON within the bounds.
        """
        import httpx
        import tenacity

        deadline = time.monotonic() + self.timeout_s
        tries = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self.timeout_s),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=0.5),
            retry=tenacity.retry_if_exception_type((Again, httpx.TransportError)),
            reraise=True,
        )
        try:
            content = tries(self._once, path, json.dumps(question).encode(), request_id, deadline)
        except (Again, httpx.HTTPError) as error:
            raise RemoteError(f"no answer within {self.timeout_s:g} s: {_named(error)}") from None
        try:
            return loads(content, what="the answer")
        except ArgumentsError:
            raise RemoteError("the answer is not JSON, or names a key twice") from None

    def _once(self, path: str, content: bytes, request_id: str, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Again("the time is up")
        headers = {**self._headers, "content-type": "application/json", "x-request-id": request_id}
        with self._open().stream(
            "POST", f"{self.url}{path}", content=content, headers=headers, timeout=left
        ) as answer:
            if answer.status_code in BUSY:
                raise Again(f"HTTP {answer.status_code}")
            if answer.status_code != 200:
                raise RemoteError(f"it answered HTTP {answer.status_code}")
            return body(answer.iter_bytes(), _LARGEST, deadline)

    def _open(self) -> httpx.Client:
        with self._lock:
            if self._client is None or self._client[0] != os.getpid():  # a forked child needs its own sockets
                self._client = os.getpid(), client()
            return self._client[1]

    def close(self) -> None:
        """Release the connections; the next question opens others."""
        with self._lock:
            if self._client is not None and self._client[0] == os.getpid():
                self._client[1].close()
            self._client = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # refused while it was made, or the interpreter is ending
            self.close()


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, Again) else type(error).__name__
