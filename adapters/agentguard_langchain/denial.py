"""A call that did not run, as LangChain says it: a `ToolMessage` of status `error`, or a `ToolException`."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import ToolException

from agentguard import AgentGuardError, ApprovalPending, OutcomeUnknown, ToolCallDenied

__all__ = ["Refused", "refusal"]


class Refused(ToolException):
    """The guard let the tool not run; `said` is what the model is told, and the text of the exception."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said
        super().__init__(json.dumps(said, ensure_ascii=False))

    def message(self, name: str, tool_call_id: str) -> ToolMessage:
        """The answer to the model's call; `artifact` holds the same as data."""
        return ToolMessage(
            str(self),
            name=name,
            tool_call_id=tool_call_id,
            status="error",
            artifact={"agentguard": self.said},
        )


def refusal(error: AgentGuardError) -> Refused:
    """What the model is told: which rule, why, and what would let it run; no policy internals, no values."""
    if isinstance(error, ToolCallDenied):
        return Refused(
            {
                "error": "denied",
                "rule": error.rule,
                "reason": error.reason,
                "remedy": error.remedy,
                "decision": error.decision_id,
            }
        )
    if isinstance(error, ApprovalPending):
        said = f"a call inside of it waits for approval `{error.approval_id}` until {error.expires_at}"
        return Refused({"error": "pending", "reason": said, "remedy": "with_approval"})
    if isinstance(error, OutcomeUnknown):
        said = "this call was started under its approval and nobody knows how it ended; it is not run again"
        return Refused({"error": "outcome_unknown", "reason": said, "remedy": "ask_operator"})
    return Refused({"error": "failed", "reason": str(error), "remedy": "ask_operator"})
