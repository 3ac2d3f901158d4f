"""Open Policy Agent over its REST API (Data API v1, `POST /v1/data/{path}`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from agentguard.call import ContextRequest
from agentguard.decision import Effect
from agentguard.engines.model import Silent, input_of
from agentguard.engines.remote import Remote
from agentguard.errors import ConfigurationError
from agentguard.opinion import Opinion

__all__ = ["OpaEngine"]

_PATH: Final = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*")
_ANSWER: Final = frozenset({"effect", "reason", "rules", "approve", "redact"})


class OpaEngine(Remote):
    """Asks one document of an OPA server, with the context request as `input`.

    The document is `true` or `false`, or an object with `effect` (`allow`, `step_up`, `deny`,
    `not_applicable`) and, where it likes, `reason`, `rules`, `approve`, `redact`. `silent` says what an
    undefined document means. Anything else is a deny.

    Raises:
        ConfigurationError: the URL or the path is refused, or the extra is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        path: str = "agentguard/decision",
        silent: Silent = "deny",
        token: str | None = None,
        name: str = "opa",
        tools: Iterable[str] = ("*",),
        permits: bool = False,
        timeout_s: float = 1.0,
    ) -> None:
        super().__init__(url, token=token, name=name, tools=tools, permits=permits, timeout_s=timeout_s)
        if not _PATH.fullmatch(path):
            raise ConfigurationError(
                f"engine `{name}`: {path!r:.80} is not a path such as `agentguard/decision`"
            )
        if silent not in ("deny", "not_applicable"):
            raise ConfigurationError(f"engine `{name}`: silent must be `deny` or `not_applicable`")
        self._path = f"/v1/data/{path}"
        self._silent = silent

    def decide(self, request: ContextRequest) -> Opinion:
        """What the document says.

        Raises:
            RemoteError: it did not answer; the caller takes that as a deny.
        """
        answer = self.post(self._path, {"input": input_of(request)}, request.call_id)
        if not isinstance(answer, Mapping):
            return Opinion.failed("the answer is not an object")
        if "result" not in answer:
            if self._silent == "not_applicable":
                return Opinion(effect=None)
            return Opinion(effect=Effect.DENY, reason="no policy permits it")
        return _opinion(answer["result"])


def _opinion(result: Any) -> Opinion:
    if result is True:
        return Opinion(effect=Effect.ALLOW)
    if result is False:
        return Opinion(effect=Effect.DENY, reason="it refuses this")
    if not isinstance(result, Mapping) or "effect" not in result or not set(result) <= _ANSWER:
        return Opinion.failed("the document is neither true, false, nor an object of known keys")
    try:
        return Opinion.from_fact(result)
    except ConfigurationError as error:
        return Opinion.failed(str(error))
