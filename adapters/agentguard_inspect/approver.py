"""An approver that asks the guard; Inspect runs the tool itself, after the approval."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import anyio.to_thread
from inspect_ai.approval import Approval, Approver, approver
from inspect_ai.model import ChatMessage
from inspect_ai.tool import ToolCall, ToolCallView

from agentguard import AgentIdentity, ApprovalPending, Guard, ToolCallDenied
from agentguard.canonical import freeze
from agentguard.errors import AgentGuardError, ArgumentsError
from agentguard_inspect.conversation import Conversations

__all__ = ["guard"]

_HANDED_ON: Final = "handed on to the next approver of Inspect"
_RUNS_ELSEWHERE: Final = "approved; Inspect runs it"


@approver(name="guard")
def guard(
    config: str = "agentguard.yaml",
    agent: str = "inspect-agent",
    owner: str = "inspect-owner",
    principal: str = "inspect-user",
) -> Approver:
    """Every tool call is decided by the policies of a configuration, and recorded in its ledger.

    `agent`, `owner` and `principal` are the names that conditions and records see. A question is not put to
    the configuration's reviewers: it escalates to the next approver of Inspect's policy.

    Raises:
        ConfigurationError: the configuration is refused.
    """
    found = Guard.from_config(config, channels=())
    atexit.register(found.close)
    return approver_of(found, agent=AgentIdentity(agent, owner=owner), principal=principal)


def approver_of(guard: Guard, *, agent: AgentIdentity, principal: str) -> Approver:
    """An approver over a guard that the caller closes."""
    conversations = Conversations(guard, agent, principal)

    async def approve(
        message: str, call: ToolCall, view: ToolCallView, history: list[ChatMessage]
    ) -> Approval:
        return await anyio.to_thread.run_sync(_decided, guard, conversations, call, list(history))

    return approve


def _decided(
    guard: Guard, conversations: Conversations, call: ToolCall, history: list[ChatMessage]
) -> Approval:
    conversation = conversations.of(history)
    ran: list[dict[str, Any]] = []

    def hand_over(arguments: dict[str, Any]) -> str:
        ran.append(arguments)
        return _RUNS_ELSEWHERE

    result = None
    with conversation.lock:
        try:
            _register(guard, call.function)
            conversation.observe(history)
            result = guard.call(
                call.function,
                call.arguments,
                hand_over,
                call_id=call.id,
                pause="raise",
                session=conversation.session,
                problem=None
                if call.parse_error is None
                else ArgumentsError("they could not be read", "args"),
            )
        except ApprovalPending as pending:
            guard.withdraw(pending.approval_id, _HANDED_ON)
            return Approval(decision="escalate", explanation=pending.reason or "a person has to approve it")
        except ToolCallDenied as denied:
            return Approval(decision="reject", explanation=denied.message(), metadata={"rule": denied.rule})
        except AgentGuardError as error:
            return Approval(decision="reject", explanation=f"the guard could not decide: {error}")
    if result != _RUNS_ELSEWHERE or not ran:
        # Any path of a redaction masks a text as a whole: Inspect would show the agent what is to be masked.
        return Approval(
            decision="reject", explanation="its result is to be redacted, which Inspect cannot do"
        )
    return _approved(call, ran[0])


def _register(guard: Guard, name: str) -> None:
    """Inspect gives an approver no definitions: a tool is known by its name, and by the facts of the file."""
    if name not in guard.tools:
        guard.register(name)


def _approved(call: ToolCall, arguments: dict[str, Any]) -> Approval:
    if _same(arguments, call.arguments):
        return Approval(decision="approve")
    modified = replace(call, arguments=arguments)
    return Approval(decision="modify", modified=modified, explanation="a policy constrained its arguments")


def _same(given: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    return freeze(given).canonical == freeze(asked).canonical
