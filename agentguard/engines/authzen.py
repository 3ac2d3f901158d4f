"""Any AuthZEN 1.0 decision point (`POST /access/v1/evaluation`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentguard.authzen import to_authzen
from agentguard.call import ContextRequest
from agentguard.decision import Effect
from agentguard.engines.remote import Remote
from agentguard.opinion import Opinion

__all__ = ["AuthzenEngine"]

_ENDPOINT = "/access/v1/evaluation"
_REASON = 200


class AuthzenEngine(Remote):
    """Asks one access evaluation of a decision point at `url`.

    `true` is an allow, `false` a deny; a text under `context.reason_user` or `context.reason` is told as the
    reason. Anything else is a deny.

    Raises:
        ConfigurationError: the URL is refused, or the extra is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        name: str = "authzen",
        tools: Iterable[str] = ("*",),
        permits: bool = False,
        timeout_s: float = 1.0,
    ) -> None:
        super().__init__(url, token=token, name=name, tools=tools, permits=permits, timeout_s=timeout_s)

    def decide(self, request: ContextRequest) -> Opinion:
        """What it says.

        Raises:
            RemoteError: it did not answer; the caller takes that as a deny.
        """
        body = to_authzen(request)
        body["context"]["agentguard"].get("supplied", {}).pop("engines", None)
        answer = self.post(_ENDPOINT, body, request.call_id)
        if not isinstance(answer, Mapping) or not isinstance(answer.get("decision"), bool):
            return Opinion.failed("the answer has no boolean `decision`")
        if answer["decision"]:
            return Opinion(effect=Effect.ALLOW)
        return Opinion(effect=Effect.DENY, reason=_reason(answer.get("context")) or "it refuses this")


def _reason(context: Any) -> str:
    """A reason for people; AuthZEN leaves its shape open: text, or texts by language."""
    if not isinstance(context, Mapping):
        return ""
    for key in ("reason_user", "reason"):
        found = context.get(key)
        if isinstance(found, Mapping):
            found = found.get("en") or next((text for text in found.values() if isinstance(text, str)), None)
        if isinstance(found, str):
            return found[:_REASON]
    return ""
