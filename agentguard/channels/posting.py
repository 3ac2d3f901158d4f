"""Sending one request out: only to hosts that are allowed, at an address that was looked at (T60).

The name is resolved here and the connection goes to the address that was checked, so that a name that
resolves otherwise a moment later changes nothing; TLS still asks for the name. Nothing is redirected, no
proxy is asked, time and size are bounded (`agentguard.outbound`).
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from agentguard.outbound import Again, Alarm, RemoteError, body, cause, client

__all__ = ["Host", "Reply", "Undelivered", "post", "public"]

_LONGEST_ANSWER: Final = 256 * 1024
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Undelivered(Exception):
    """It was not delivered; the text holds nothing that the other side sent.

    `final` says that another try is of no use, `after_s` that the other side asked to wait so many seconds.
    """

    def __init__(self, why: str, *, final: bool = False, after_s: float | None = None) -> None:
        super().__init__(why)
        self.final = final
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where a channel may go: names of hosts, whether private addresses are meant, and how long it takes."""

    names: frozenset[str]
    private: bool = False
    tls: ssl.SSLContext | bool = field(default=True, repr=False)
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    content: bytes
    after_s: float | None = None


def public(address: str) -> bool:
    """Whether an address is one of the open Internet, also through forms that carry another address."""
    try:
        found: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if found.is_site_local:
            return False
        if inner is not None:
            found = inner
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def post(host: Host, url: str, content: bytes, headers: Mapping[str, str]) -> Reply:
    """Send a body; whatever the other side answers is a reply.

    Raises:
        Undelivered: it may not be sent there, or nothing came back in time.
    """
    import httpx

    parts = urlsplit(url)
    name = parts.hostname or ""
    if name not in host.names:
        raise Undelivered(f"`{name[:100]}` is not a host that may be called", final=True)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    deadline = time.monotonic() + host.timeout_s
    address = _address(name, port, host.private)
    shown = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{shown}:{port}").geturl()
    sent = {
        **headers,
        "host": parts.netloc,
        "accept-encoding": "identity",
        "connection": "close",
        "user-agent": "agentguard",
    }
    extensions = {"sni_hostname": name}
    left = deadline - time.monotonic()
    with Alarm(left) as alarm, client(_public_tls() if host.tls is True else host.tls) as http:
        try:
            with http.stream(
                "POST",
                target,
                content=content,
                headers=sent,
                timeout=max(left, 0.01),
                extensions={**extensions, "trace": alarm.trace},
            ) as answer:
                found = body(answer.iter_raw(), _LONGEST_ANSWER, deadline)
                return Reply(answer.status_code, found, _after(answer.headers.get("retry-after")))
        except Again:
            raise Undelivered(f"no answer within {host.timeout_s:g} s") from None
        except RemoteError as error:
            raise Undelivered(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Either may be first: the alarm over the whole, or the client's own time for one step.
            late = alarm.rang or isinstance(error, httpx.TimeoutException)
            why = f"no answer within {host.timeout_s:g} s" if late else f"no answer: {cause(error)}"
            raise Undelivered(why) from None


@functools.cache
def _public_tls() -> ssl.SSLContext:
    """The certificates that everybody trusts; to read them takes longer than a delivery."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def _address(name: str, port: int, private: bool) -> str:
    """The first address of a name; every one of them has to be allowed."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        raise Undelivered("its host name does not resolve") from None
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not addresses:
        raise Undelivered("its host name does not resolve")
    if not private and not all(public(address) for address in addresses):
        raise Undelivered("its host has a private address; set `private: true` where that is meant")
    return addresses[0]


def _after(value: str | None) -> float | None:
    """Seconds of a `Retry-After`; dates are not read."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 6:
        return None
    return min(float(value), 3600.0)
