"""Going out over HTTP (extra `remote`): https or loopback, never redirected, bounded in size and in time.

The environment is not asked for proxies or certificates: whoever sets it would decide what runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentguard.errors import AgentGuardError, ConfigurationError

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = [
    "BUSY", "Again", "Alarm", "RemoteError", "body", "cause", "checked_url", "client", "is_url", "needed",
    "trusting",
]  # fmt: skip

BUSY: Final = frozenset({429, 502, 503, 504})
"""Answers after which another try may help."""
_NO_URL: Final = frozenset('<>"\\^`{|}')
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class RemoteError(AgentGuardError):
    """A server did not answer, or not with what it should; the message holds nothing it sent."""


class Again(Exception):
    """Worth another try."""


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL and not as a path."""
    return "://" in text


def needed(what: str) -> None:
    """Make sure that the extra is installed.

    Raises:
        ConfigurationError: saying how to install it.
    """
    try:
        import httpx  # noqa: F401
        import tenacity  # noqa: F401
    except ImportError:
        message = f"{what} needs httpx and tenacity: pip install 'agentguard[remote]'"
        raise ConfigurationError(message) from None


def checked_url(url: str, what: str, token: str | None) -> str:
    """The URL without its final slash.

    Raises:
        ConfigurationError: it is none that may be asked, or the token cannot stand in a header. The message
            holds nothing of the URL: in one that cannot be read a password may stand anywhere.
    """
    problem = _problem(url)
    if problem:
        raise ConfigurationError(f"{what}: this is not an http or https URL: {problem}")
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(f"{what}: the URL holds a user, a query or a fragment; pass a token instead")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(f"{what}: over plain http anybody on the way decides what runs; use https")
    if token is not None and (not token or not token.isascii() or not token.isprintable()):
        raise ConfigurationError(f"{what}: the token is not printable ASCII")
    return url.rstrip("/")


def _problem(url: str) -> str:
    """Why it cannot be read; nothing where it can."""
    for at, char in enumerate(url, start=1):
        if char.isspace() or not char.isprintable() or char in _NO_URL:
            return f"character {at} cannot stand in one; write it as `%20` and so on"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "its host or port cannot be read"
    if parts.scheme not in ("http", "https"):
        return "it does not begin with `https://`"
    if not parts.hostname:
        return "it names no host"
    return "its port is 0" if port == 0 else ""


def client(verify: ssl.SSLContext | bool = True) -> httpx.Client:
    """A client that follows nothing and asks nobody."""
    import httpx

    return httpx.Client(follow_redirects=False, trust_env=False, verify=verify)


def body(chunks: Iterable[bytes], limit: int, deadline: float) -> bytes:
    """What arrives until `deadline` (monotonic seconds).

    Raises:
        RemoteError: it is longer than `limit` bytes.
        Again: it came too slowly.
    """
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) > limit:
            raise RemoteError(f"the answer is longer than {limit} bytes")
        if time.monotonic() > deadline:
            break
    if time.monotonic() > deadline:  # also where the alarm has ended it: what ended early looks complete
        raise Again("the answer came too slowly")
    return bytes(found)


def trusting(ca: str | os.PathLike[str]) -> ssl.SSLContext:
    """TLS that trusts the certificates of a file instead of the public ones.

    Raises:
        ConfigurationError: they cannot be read.
    """
    import ssl

    try:
        return ssl.create_default_context(cafile=os.fspath(ca))
    except (OSError, ssl.SSLError) as error:
        problem = f"the certificates in `{ca}` cannot be read: {type(error).__name__}"
        raise ConfigurationError(problem) from None


def cause(error: Exception) -> str:
    """Why nothing came back, in words that say what to look at, without what the server sent."""
    import ssl

    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({found.verify_message or 'verification failed'})"
        if isinstance(found, OSError) and found.strerror:
            # asyncio writes the address into the text of a connection that failed.
            number = None if isinstance(found, socket.gaierror) else found.errno
            if number is not None and number in errno.errorcode:
                return os.strerror(number).lower()
            return found.strerror.lower()
        found = found.__cause__ or found.__context__
    return type(error).__name__


class Alarm:
    """Breaks a connection when its time is up: also in the middle of a handshake or of dripping headers.

    A client's own bounds are for single reads. Pass `trace` as the request's extension of that name, with a
    client that opens a connection for the request. `rang` says that the time was up.
    """

    def __init__(self, seconds: float) -> None:
        self.rang = False
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._timer = threading.Timer(max(seconds, 0), self._ring)
        self._timer.daemon = True

    def trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Told of each step of the request."""
        if name == "connection.connect_tcp.complete":
            # A second handle: TLS takes the first one over.
            held = info["return_value"].get_extra_info("socket").dup()
            with self._lock:
                self._held.append(held)
            if self.rang:
                self._ring()

    def _ring(self) -> None:
        with self._lock:
            self.rang = True
            for held in self._held:
                with contextlib.suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Alarm:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for held in self._held:
                held.close()
            self._held.clear()
