"""Denials: by a rule, by the guard itself, and because nothing could be recorded."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from agentguard.call import EMPTY, ContextRequest
from agentguard.calls import Call, digest_of, request_of
from agentguard.canonical import Frozen
from agentguard.decision import Decision, Effect, Matched
from agentguard.errors import (
    ApprovalPending,
    ArgumentsError,
    InvalidArguments,
    OutcomeUnknown,
    RegisterChanged,
    Remedy,
    StoreError,
    ToolCallDenied,
)
from agentguard.ids import uuid7
from agentguard.operations import Operation, Record
from agentguard.recording import happened, payloads, told
from agentguard.remembering import remembered

if TYPE_CHECKING:
    from agentguard.guard import Guard


__all__ = ["broken", "denial", "deny", "problem_text", "refuse", "thaw", "unrecorded"]

log = logging.getLogger("agentguard")


def broken(guard: Guard, call: Call, error: Exception) -> Generator[Operation, Any, None]:
    """INVARIANT: whatever goes wrong before the tool runs is a denial, recorded if it still can be."""
    if call.ran or isinstance(error, (ToolCallDenied, ApprovalPending, OutcomeUnknown)):
        raise error
    if isinstance(error, StoreError):
        yield from unrecorded(call, error)
    log.error("`%s` was not run: %s", call.tool.name, told(error))
    reason = "the guard could not decide it"
    try:
        request = request_of(guard, call, EMPTY)
    except Exception:
        raise ToolCallDenied(call.tool.name, "agentguard/error", reason, remedy="ask_operator") from None
    yield from refuse(guard, call, request, "error", reason, "ask_operator", error=type(error).__name__)


def deny(
    guard: Guard, call: Call, request: ContextRequest, decision: Decision, frozen: Frozen
) -> Generator[Operation, Any, None]:
    decision_id: str | None = uuid7()
    hmac = guard.hmac(frozen.canonical)
    beside = remembered(guard, call, decision)
    written = happened(guard, request, decision, str(decision_id), hmac, runs=False, **beside.named)
    kept = {**payloads(guard, request, (hmac, frozen)), **beside.payloads}
    try:
        yield Record(written, kept, register=call.register)
    except (GeneratorExit, RegisterChanged):
        raise
    except Exception as error:
        log.error("a denial could not be recorded: %s", told(error))
        decision_id = None
    if call.session is not None:
        call.session.denied(call.tool.name, digest_of(call, frozen))
    raise denial(guard, call.tool.name, decision, decision_id)


def denial(guard: Guard, tool: str, decision: Decision, decision_id: str | None) -> ToolCallDenied:
    """The error for a decision to deny, with what could still be done about it."""
    match = decision.deciding
    assert match is not None
    remedy: Remedy = "ask_operator" if match.policy == "agentguard" else "by_exception"
    if guard.non_waivable(match.name):
        remedy = "never"
    reason = match.reason or "this rule refuses it"
    if match.error is not None:
        reason = f"{reason} (the rule could not be evaluated, so it applies)"
    return ToolCallDenied(tool, match.name, reason, remedy=remedy, decision_id=decision_id, decision=decision)


def refuse(
    guard: Guard,
    call: Call,
    request: ContextRequest,
    rule: str,
    reason: str,
    remedy: Remedy,
    frozen: Frozen | None = None,
    *,
    invalid: bool = False,
    error: str | None = None,
) -> Generator[Operation, Any, None]:
    """The guard itself refuses: recorded like any denial, under `agentguard/RULE`."""
    match = Matched(rule_id=rule, policy="agentguard", effect=Effect.DENY, reason=reason, error=error)
    decision = Decision(effect=Effect.DENY, matched=(match,), snapshot=guard.snapshot.digest)
    decision_id: str | None = uuid7()
    hmac = guard.hmac(frozen.canonical) if frozen is not None else ""
    written = happened(guard, request, decision, str(decision_id), hmac, runs=False, error=error)
    kept = payloads(guard, request, (hmac, frozen)) if frozen is not None else {}
    try:
        yield Record(written, kept)
    except GeneratorExit:
        raise
    except Exception as failure:
        log.error("a denial could not be recorded: %s", told(failure))
        decision_id = None
    kind = InvalidArguments if invalid else ToolCallDenied
    raise kind(
        call.tool.name, match.name, reason, remedy=remedy, decision_id=decision_id, decision=decision
    ) from call.problem


def unrecorded(call: Call, error: Exception) -> Generator[Operation, Any, None]:
    """INVARIANT: what cannot be recorded does not run."""
    log.error("`%s` was not run: %s", call.tool.name, told(error))
    known = isinstance(error, StoreError)
    raise ToolCallDenied(
        call.tool.name,
        "agentguard/store",
        "the decision could not be recorded" + ("" if known else f" ({type(error).__name__})"),
        remedy="ask_operator",
    ) from error
    yield  # pragma: no cover


def thaw(
    guard: Guard, call: Call, request: ContextRequest, final: Frozen
) -> Generator[Operation, Any, dict[str, Any]]:
    try:
        return final.thaw()
    except Exception as error:
        kind = type(error).__name__
    reason = "its arguments cannot be built again from what was decided on"
    yield from refuse(guard, call, request, "arguments", reason, "fix_call", final, invalid=True, error=kind)
    raise AssertionError("refused")


def problem_text(error: Exception) -> str:
    if isinstance(error, ArgumentsError):
        return str(error)
    # A TypeError of binding names parameters, never values.
    return f"the arguments do not fit its signature: {error}"
