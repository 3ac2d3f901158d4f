"""Signatures over HTTP bodies, made and checked.

Webhooks follow Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`, in
base64 behind `v1,`; several signatures are separated by spaces, so that secrets can be changed without a gap.
Slack signs `v0:timestamp:body` with its signing secret, in hexadecimal behind `v0=`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["WINDOW_S", "Forged", "check_slack", "check_webhook", "slack_signature", "webhook_headers"]

WINDOW_S: Final = 300
"""Seconds by which the time of a message may differ from ours, in both directions."""
_MOST_SIGNATURES: Final = 8
_ID: Final = re.compile(r"[!-\-/-~]{1,256}")
"""No dot: it ends the id in what is signed."""
_TIME: Final = re.compile(r"[0-9]{1,12}")

Keys = Sequence[bytes]


class Forged(Exception):
    """A message that is not signed by whom it should be, or not now; its text says which, for our own log."""


def webhook_headers(keys: Keys, id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of a message: one signature for each key, `at` in seconds since 1970."""
    signatures = [f"v1,{base64.b64encode(_webhook(key, id, str(at), body)).decode()}" for key in keys]
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": " ".join(signatures)}


def check_webhook(keys: Keys, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The id of a message that is signed with one of the keys; names of headers are in lower case.

    Raises:
        Forged: it is not, or its time is not ours.
    """
    id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(id):
        raise Forged("no usable `webhook-id`")
    _check_time(at, now)
    given = headers.get("webhook-signature", "").split(" ")
    if len(given) > _MOST_SIGNATURES:
        raise Forged("too many signatures")
    wanted = [b"v1," + base64.b64encode(_webhook(key, id, at, body)) for key in keys]
    if not _one_of(wanted, [one.encode("utf-8", "replace") for one in given]):
        raise Forged("no signature of a known secret")
    return id


def slack_signature(key: bytes, at: str, body: bytes) -> str:
    """The value of `X-Slack-Signature`."""
    return "v0=" + hmac.digest(key, b"v0:" + at.encode() + b":" + body, "sha256").hex()


def check_slack(keys: Keys, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The signature of a request of Slack's, which is as good as an id: time and body are in it.

    Raises:
        Forged: it is not Slack's, or its time is not ours.
    """
    at = headers.get("x-slack-request-timestamp", "")
    _check_time(at, now)
    given = headers.get("x-slack-signature", "")
    wanted = [slack_signature(key, at, body).encode() for key in keys]
    if not _one_of(wanted, [given.encode("utf-8", "replace")]):
        raise Forged("no signature of a known secret")
    return given


def _webhook(key: bytes, id: str, at: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{id}.{at}.".encode() + body, "sha256")


def _check_time(at: str, now: float) -> None:
    if not _TIME.fullmatch(at):
        raise Forged("no usable timestamp")
    if abs(now - int(at)) > WINDOW_S:
        raise Forged("its time is more than five minutes from ours")


def _one_of(wanted: Sequence[bytes], given: Sequence[bytes]) -> bool:
    """Compared one by one in constant time, all of them."""
    found = False
    for right in wanted:
        for one in given:
            found |= hmac.compare_digest(right, one)
    return found
