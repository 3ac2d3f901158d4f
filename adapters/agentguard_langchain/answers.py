"""The question of a paused run, in the shape that LangChain's approval screens read, and what comes back.

What comes back only wakes the guard. It is a vote where a resolver, configured by the operator, says whose.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from agentguard import AgentGuardError, Answer, Approval, ConfigurationError, Guard

__all__ = ["Resolver", "hear", "question"]

Resolver = Callable[[Any, Approval], Answer | None]
"""From what a person's screen sent back, and the approval it is about, to who answered what; None: nobody
whose word counts. It must verify who sent it: what it answers is a vote with the assurance `resolver`."""

HIDDEN: Final = "[hidden: sensitive]"
log = logging.getLogger("agentguard")


def question(guard: Guard, approval: Approval, name: str, tool_call_id: str | None) -> dict[str, Any]:
    """The value of the interrupt: what would run, why it is asked, and how to answer it elsewhere.

    It reads as the request of `HumanInTheLoopMiddleware` in both of its modes. Editing is not offered: an
    edited call is a new proposal.
    """
    tool = guard.tools.get(approval.tool)
    sensitive = set((tool.facts if tool is not None else {}).get("sensitive", ()))
    arguments: dict[str, Any] = json.loads(approval.arguments) if approval.arguments is not None else {}
    arguments = {key: HIDDEN if key in sensitive else value for key, value in arguments.items()}
    rules = ", ".join(f"`{rule}`" for rule in approval.requirement.rules)
    why = approval.requirement.reason or "a person has to approve it"
    description = (
        f"{why} ({rules})\n\nTool: {approval.tool}\nApproval: {approval.id}, "
        f"until {approval.expires_at.isoformat(timespec='seconds')}\n"
        f"Answer here, or with: agentguard approvals approve {approval.id}"
    )
    return {
        "type": "tool_approval",
        "tool_call_id": tool_call_id,
        "name": name,
        "args": arguments,
        "description": description,
        "action_requests": [{"name": name, "args": arguments, "description": description}],
        "review_configs": [{"action_name": name, "allowed_decisions": ["approve", "reject"]}],
        "approval_id": approval.id,
    }


def hear(
    guard: Guard, resolver: Resolver | None, answer: object, approval_id: str, alone: bool
) -> str | None:
    """Take what came back; returns why the call is given up, if it is.

    An answer that names an approval (`approval_id`) is about that one. Where one task asks several questions
    (`alone` is false), LangGraph hands answers out by position, which is not sound: there one that names none
    only wakes.
    """
    named = _names(answer)
    if len(named) > 1 or not (named or alone):
        log.info("an answer that does not name one approval only woke the call of `%s`", approval_id)
        return None
    about = named.pop() if named else approval_id
    if _kind(answer) in ("edit", "respond"):
        if about != approval_id:
            return None
        guard.withdraw(approval_id, "a reviewer wanted another call")
        return (
            "the reviewer wants another call instead: that is a new proposal, so nothing was run; "
            "call the tool again with the arguments that are wanted"
        )
    if resolver is None:
        return None
    try:
        approval = guard.approval(about)
        found = resolver(answer, approval)
        if inspect.isawaitable(found):
            if inspect.iscoroutine(found):
                found.close()
            raise ConfigurationError("a resolver must be a plain function")
        if found is not None:
            if found.assurance != "signed":
                found = replace(found, assurance="resolver")
            guard.vote(about, found)
    except AgentGuardError as error:
        log.warning("an answer to approval `%s` does not count: %s", about, error)
    except Exception as error:
        log.error("the resolver failed on approval `%s`: %s", about, type(error).__name__)
    return None


def _decisions(answer: object) -> list[Mapping[str, Any]]:
    if not isinstance(answer, Mapping):
        return []
    several = answer.get("decisions")
    if isinstance(several, (list, tuple)):
        return [item for item in several if isinstance(item, Mapping)]
    return [answer]


def _names(answer: object) -> set[str]:
    found = list(_decisions(answer))
    if isinstance(answer, Mapping):
        found.append(answer)
    return {str(item["approval_id"]) for item in found if item.get("approval_id")}


def _kind(answer: object) -> str | None:
    kinds = {str(item.get("type")) for item in _decisions(answer)}
    return kinds.pop() if len(kinds) == 1 else None
