"""Asking a decision point over HTTP: bounded in time and size, retried, never redirected (extra `remote`)."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentguard.canonical import loads
from agentguard.engines.model import Settings
from agentguard.errors import AgentGuardError, ArgumentsError, ConfigurationError

if TYPE_CHECKING:
    import httpx

__all__ = ["Remote", "RemoteError"]

_LARGEST: Final = 64 * 1024
_BUSY: Final = frozenset({429, 502, 503, 504})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class RemoteError(AgentGuardError):
    """A decision point did not answer, or not with what it should; the message holds nothing it sent."""


class _Again(Exception):
    """Worth another try."""


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
        try:
            import httpx  # noqa: F401
            import tenacity  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                f"engine `{name}` needs httpx and tenacity: pip install 'agentguard[remote]'"
            ) from None
        self.url = _checked(url, name, token)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._lock = threading.Lock()
        self._client: tuple[int, httpx.Client] | None = None

    def post(self, path: str, body: Mapping[str, Any], request_id: str) -> Any:
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
            retry=tenacity.retry_if_exception_type((_Again, httpx.TransportError)),
            reraise=True,
        )
        try:
            content = tries(self._once, path, json.dumps(body).encode(), request_id, deadline)
        except (_Again, httpx.HTTPError) as error:
            raise RemoteError(f"no answer within {self.timeout_s:g} s: {_named(error)}") from None
        try:
            return loads(content, what="the answer")
        except ArgumentsError:
            raise RemoteError("the answer is not JSON, or names a key twice") from None

    def _once(self, path: str, content: bytes, request_id: str, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise _Again("the time is up")
        headers = {**self._headers, "content-type": "application/json", "x-request-id": request_id}
        with self._open().stream(
            "POST", f"{self.url}{path}", content=content, headers=headers, timeout=left
        ) as answer:
            if answer.status_code in _BUSY:
                raise _Again(f"HTTP {answer.status_code}")
            if answer.status_code != 200:
                raise RemoteError(f"it answered HTTP {answer.status_code}")
            found = bytearray()
            for chunk in answer.iter_bytes():
                found += chunk
                if len(found) > _LARGEST:
                    raise RemoteError(f"the answer is longer than {_LARGEST} bytes")
                if time.monotonic() > deadline:
                    raise _Again("the answer came too slowly")
            return bytes(found)

    def _open(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None or self._client[0] != os.getpid():  # a forked child needs its own sockets
                # The environment is not asked for proxies: whoever sets it would decide what runs.
                self._client = os.getpid(), httpx.Client(follow_redirects=False, trust_env=False)
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


def _checked(url: str, name: str, token: str | None) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"engine `{name}`: {url!r:.120} is not an http or https URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            f"engine `{name}`: the URL holds a user, a query or a fragment; pass a `token` instead"
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            f"engine `{name}`: over plain http anybody on the way decides what runs; use https"
        )
    if token is not None and (not token or not token.isascii() or not token.isprintable()):
        raise ConfigurationError(f"engine `{name}`: the token is not printable ASCII")
    return url.rstrip("/")


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, _Again) else type(error).__name__
