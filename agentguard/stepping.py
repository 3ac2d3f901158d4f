"""The part of the flow that asks a person: open the question, wait for its answer, hand over to the claim."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from agentguard.asking import nobody_could, question, restored
from agentguard.call import ContextRequest
from agentguard.calls import Call, digest_of
from agentguard.canonical import Frozen
from agentguard.claiming import Lost, claim, refuse_approval
from agentguard.decision import Decision
from agentguard.errors import (
    ApprovalPending,
    OutcomeUnknown,
    RegisterChanged,
    Remedy,
    ToolCallDenied,
    TooManyPending,
)
from agentguard.ids import uuid7
from agentguard.operations import (
    Change,
    Failed,
    Flow,
    Load,
    Notify,
    Open,
    Operation,
    Record,
    Wait,
    WouldBlock,
)
from agentguard.recording import happened, payloads, quietly
from agentguard.refusing import broken, refuse, thaw, unrecorded
from agentguard.remembering import remembered
from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.store.protocol import ApprovalChange

if TYPE_CHECKING:
    from agentguard.guard import Guard


__all__ = ["Resumption", "resume_flow", "step_up"]

_WITHDRAWN: Final = "the caller gave up"


@dataclass(frozen=True, slots=True)
class Resumption:
    """What `guard.resume` found: `ran` is true for the one resume that ran the call; `result` is its result.

    Any later resume returns the recorded `state` and runs nothing.
    """

    approval_id: str
    state: State
    ran: bool
    result: Any = None


def step_up(
    guard: Guard, call: Call, request: ContextRequest, decision: Decision, frozen: Frozen, final: Frozen
) -> Flow:
    """Open or find the approval of this call, wait for it if asked to, and run what was approved."""
    approval = yield from _waited(
        guard, call, (yield from _opened(guard, call, request, decision, frozen, final)), mine=True
    )
    return (yield from _answered(guard, call, approval, request, final, decision))


def _opened(
    guard: Guard, call: Call, request: ContextRequest, decision: Decision, frozen: Frozen, final: Frozen
) -> Generator[Operation, Any, Approval]:
    """The question of this call, opened and told of, or as it was found."""
    digest_of(call, frozen)  # the breaker counts the arguments as they came
    approve = decision.approval
    if approve is None:
        yield from refuse(guard, call, request, "approval", "nobody could be asked", "ask_operator", frozen)
        raise AssertionError("refused")
    try:
        arguments = final.thaw()
    except Exception:
        arguments = yield from thaw(guard, call, request, final)
    misfit = call.tool.check(arguments) if call.tool.check is not None else None
    if misfit is not None:
        # Nobody is asked about a call that could not run as it stands.
        reason = f"an argument does not fit the tool: {misfit}"
        yield from refuse(guard, call, request, "arguments", reason, "fix_call", frozen, invalid=True)
    unanswerable = nobody_could(approve, request)
    hmac = guard.hmac(final.canonical)
    decision_id = uuid7()
    beside, came = remembered(guard, call, decision), guard.hmac(frozen.canonical)
    events = happened(guard, request, decision, decision_id, came, runs=False, **beside.named)
    kept = {**payloads(guard, request, (came, frozen), (hmac, final)), **beside.payloads}
    if unanswerable is not None:
        try:
            yield Record(events, kept, register=call.register)
        except RegisterChanged:
            raise
        except Exception as error:
            yield from unrecorded(call, error)
        refuse_approval(call, approve, unanswerable, "ask_operator", decision, decision_id)
    asked = question(guard, call, request, decision, approve, final, hmac, decision_id)
    change = machine.opened(asked, request.now)
    open_ = Open(change.approval, (*events, *change.events), kept, call.register, guard.max_pending)
    try:
        approval: Approval = yield open_
    except (GeneratorExit, RegisterChanged):
        raise
    except TooManyPending as full:
        yield from refuse(guard, call, request, "quota", str(full), "ask_operator", frozen)
        raise AssertionError("refused") from full
    except Exception as error:
        yield from unrecorded(call, error)
        raise AssertionError("refused") from error
    except BaseException:
        if open_.done:
            yield from quietly(Change(asked.id, _withdraw))
        raise
    if approval.id == asked.id:
        yield Notify(approval)
    return approval


def resume_flow(guard: Guard, call_of: Any, name: str, wait: bool) -> Flow:
    """Run an approved call that was left behind, by its id, once; answers a `Resumption`.

    `call_of` makes the call and its arguments from the approval.
    """
    approval: Approval = yield Load(name)
    if approval.state in (State.SUCCEEDED, State.FAILED):
        return Resumption(approval.id, approval.state, ran=False)
    if approval.state in (State.CLAIMED, State.UNKNOWN):
        raise _unknown(approval)
    if approval.state is State.REQUESTED and not wait and guard.now() < approval.expires_at:
        raise _pending(approval)
    call, final = call_of(approval)
    call.pause = "wait" if wait else "raise"  # for a question that comes of an edit
    try:
        request = restored(guard, call, approval, final)
        approval = yield from _waited(guard, call, approval, mine=False)
        result = yield from _answered(guard, call, approval, request, final, None)
    except Exception as error:
        yield from broken(guard, call, error)
        raise AssertionError("refused") from error
    if isinstance(result, (Failed, _Settled)):
        return result if isinstance(result, Failed) else Resumption(approval.id, result.state, ran=False)
    return Resumption(approval.id, State.SUCCEEDED, ran=True, result=result)


@dataclass(frozen=True, slots=True)
class _Settled:
    """Somebody else ran the call, and how it ended is recorded."""

    state: State


def _waited(
    guard: Guard, call: Call, approval: Approval, *, mine: bool
) -> Generator[Operation, Any, Approval]:
    """The approval once it is answered or expired; who gives up withdraws a question of their own (`mine`).

    Thousands may wait: meanwhile no frame holds the question, which is in the store.
    """
    if approval.state is not State.REQUESTED or guard.now() >= approval.expires_at:
        return approval
    name, pending = approval.id, _pending(approval)
    if call.pause == "raise":
        raise pending
    del approval
    try:
        answered: Approval = yield Wait(name)
        return answered
    except GeneratorExit:
        raise
    except WouldBlock:
        raise pending from None
    except Exception as error:
        yield from unrecorded(call, error)
        raise AssertionError("refused") from error
    except BaseException:
        if mine:
            yield from quietly(Change(name, _withdraw))
        raise


def _answered(
    guard: Guard,
    call: Call,
    approval: Approval,
    request: ContextRequest,
    final: Frozen,
    decision: Decision | None,
) -> Flow:
    """From an approval in any state to the end of the call.

    Without a decision it was left behind: several may resume it, and who gives up does not withdraw it.
    """
    if approval.state in (State.REQUESTED, State.APPROVED) and guard.now() >= approval.expires_at:
        try:
            approval = yield Change(approval.id, machine.expire)
        except Exception as error:
            yield from unrecorded(call, error)
    if approval.state is State.APPROVED:
        try:
            found = yield from claim(guard, call, approval, request, final)
        except (GeneratorExit, Exception):
            raise
        except BaseException:
            if decision is not None:
                yield from quietly(Change(approval.id, _withdraw))  # changes nothing once it is claimed
            raise
        if not isinstance(found, Lost):
            return found
        approval = found.approval
    if approval.state is State.SUPERSEDED and approval.proposal is not None:
        from agentguard.editing import follow

        return (yield from follow(guard, call, approval, request, final))
    remedy: Remedy = "never"
    match approval.state:
        case State.SUCCEEDED | State.FAILED:
            if decision is None:
                return _Settled(approval.state)
            reason = f"it already ran once under approval `{approval.id}` ({approval.state.value})"
        case State.CLAIMED | State.UNKNOWN:
            raise _unknown(approval)
        case State.DENIED:
            deny = next((vote for vote in reversed(approval.votes) if vote.verdict == "deny"), None)
            who = deny.subject if deny is not None else "a reviewer"
            said = f": {deny.reason}" if deny is not None and deny.reason else ""
            reason, remedy = f"{who} rejected it{said}", "rejected"
            if call.session is not None:
                call.session.rejected(call.tool.name, request.args)
        case State.EXPIRED:
            reason, remedy = "nobody approved it in time", "with_approval"
        case _:
            remedy = "with_approval" if approval.state is State.SUPERSEDED else "never"
            reason = f"its approval was {approval.state.value}" + (
                f": {approval.note}" if approval.note else ""
            )
    if call.session is not None:
        call.session.denied(call.tool.name, digest_of(call, final))
    rule = approval.requirement.rules[0] if approval.requirement.rules else "agentguard/approval"
    raise ToolCallDenied(
        call.tool.name, rule, reason, remedy=remedy, decision_id=approval.decision_id, decision=decision
    )


def _unknown(approval: Approval) -> OutcomeUnknown:
    state: Literal["claimed", "unknown"] = "claimed" if approval.state is State.CLAIMED else "unknown"
    return OutcomeUnknown(approval.id, approval.tool, state)


def _withdraw(current: Approval, now: dt.datetime) -> ApprovalChange | None:
    return machine.withdraw(current, now, reason=_WITHDRAWN)


def _pending(approval: Approval) -> ApprovalPending:
    return ApprovalPending(
        approval.id,
        approval.tool,
        approval.expires_at.isoformat(timespec="seconds"),
        approval.requirement.reason,
    )
