"""Signed webhooks: CloudEvents 1.0 in structured mode, signed as Standard Webhooks has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from agentguard.channels.channel import Notice
from agentguard.channels.posting import Host, Undelivered, post
from agentguard.channels.rendering import Shown, facts_of, question_of
from agentguard.channels.signing import webhook_headers
from agentguard.channels.told import Interest

__all__ = ["LARGEST", "WebhookChannel", "cloud_event"]

LARGEST: Final = 64 * 1024
"""Bytes of one message."""
_TYPE: Final = "application/cloudevents+json; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """Posts each notice to a URL; `keys` sign, the newest first."""

    name: str
    url: str
    keys: tuple[bytes, ...] = field(repr=False)
    host: Host
    interest: Interest
    shown: Shown = field(default=Shown(), repr=False)
    attempts: int = 12
    lane_limit: int = 20

    def send(self, notice: Notice) -> Mapping[str, Any]:
        content = cloud_event(notice, self.shown)
        signed = webhook_headers(self.keys, notice.id, int(notice.now.timestamp()), content)
        reply = post(self.host, self.url, content, {**signed, "content-type": _TYPE})
        if 200 <= reply.status < 300:
            return notice.memory
        if 300 <= reply.status < 400:
            raise Undelivered(f"it answered HTTP {reply.status}, and redirects are not followed")
        raise Undelivered(
            f"it answered HTTP {reply.status}", final=reply.status == 410, after_s=reply.after_s
        )


def cloud_event(notice: Notice, shown: Shown) -> bytes:
    """The message, in ASCII; `LARGEST` bytes at most."""
    data: dict[str, Any] = {"said": facts_of(notice.said, shown.known)}
    if notice.dropped:
        data["dropped"] = notice.dropped
    if notice.approval is not None:
        data["approval"] = question_of(notice.approval, shown)
    event = {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"/agentguard/{quote(notice.tenant, safe='')}",
        "type": f"agentguard.{notice.type}",
        "subject": facts_of({"is": notice.subject}, shown.known)["is"],
        "time": notice.at,
        "datacontenttype": "application/json",
        "data": data,
    }
    content = _encoded(event)
    if len(content) > LARGEST and "approval" in data:
        listed = data["approval"]["arguments"]
        problem = f"the {len(listed)} arguments are too long to be shown here"
        data["approval"] |= {"arguments": [], "complete": False, "problem": problem}
        content = _encoded(event)
    if len(content) > LARGEST:
        event["data"] = {"problem": "too long to be sent; see the store"}
        content = _encoded(event)
    return content


def _encoded(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=True, separators=(",", ":")).encode()
