"""A call whose arguments a reviewer edited: the proposal is decided as if the agent had sent it.

Its own question excludes the editor. Where the policies let it run without one, it runs once: whoever takes
the proposal first, in any process.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentguard.asking import known_today
from agentguard.call import ContextRequest
from agentguard.calls import Call, consult, fetch
from agentguard.canonical import Frozen, digest
from agentguard.claiming import same_call
from agentguard.errors import ArgumentsError, ClaimRefused, ToolCallDenied
from agentguard.operations import Change, Flow, Operation
from agentguard.refusing import refuse, unrecorded
from agentguard.stepup import machine
from agentguard.stepup.model import Approval
from agentguard.store.protocol import ApprovalChange
from agentguard.tracking import judged

if TYPE_CHECKING:
    from agentguard.guard import Guard

__all__ = ["follow", "take_edit"]

MAX_EDITS = 16
"""Edits of one call that are followed one after the other."""


def follow(guard: Guard, call: Call, approval: Approval, request: ContextRequest, asked: Frozen) -> Flow:
    """Decide what a reviewer proposes instead, and do what the decision asks for.

    `asked` are the arguments that the question was about: all but them has to be as it was.
    """
    from agentguard.flow import settle_call  # it leads here

    proposal = approval.proposal
    assert proposal is not None
    request = yield from same_call(guard, call, approval, request, asked)
    if guard.now() >= approval.expires_at:
        reason = f"what `{proposal.editor}` proposed was not used in time"
        yield from refuse(guard, call, request, "approval", reason, "with_approval")
    call.edits = (*call.edits, approval)
    if len(call.edits) > MAX_EDITS:
        yield from refuse(guard, call, request, "approval", "it was edited too often", "ask_operator")
    if proposal.arguments is None or digest(proposal.arguments) != proposal.digest:
        yield from refuse(guard, call, request, "approval", "what was proposed is damaged", "ask_operator")
        raise AssertionError("refused")
    reason = f"what `{proposal.editor}` proposed does not fit the tool"
    try:
        final = Frozen.from_canonical(proposal.arguments, call.tool.classes)
        misfit = call.tool.check(final.thaw()) if call.tool.check is not None else None
    except ArgumentsError as error:
        yield from refuse(guard, call, request, "arguments", reason, "ask_operator", invalid=True)
        raise AssertionError("refused") from error
    if misfit is not None:
        yield from refuse(guard, call, request, "arguments", reason, "ask_operator", invalid=True)
    request = replace(request, args=final.view, now=guard.now(), supplied={})
    request = replace(request, **known_today(guard, call, final))
    snapshot, call.register = guard.in_force.pair
    if guard.in_force.tracks:
        request = judged(call.session, snapshot, request)
    if guard.providers:
        request = yield from fetch(guard, snapshot, request)
    if guard.engines:
        request = yield from consult(guard, request)
    return (yield from settle_call(guard, call, request, final, snapshot))


def take_edit(call: Call) -> Generator[Operation, Any, None]:
    """Before an edited call runs without an approval of its own: be the first, or do not run.

    Once taken it is this call's, also where the decision has to be made again before it is recorded.
    """
    if call.taken:
        return
    approval = call.edits[-1]
    if call.approved is not None:
        call.approved(approval)
    mine: list[bool] = []
    why = "already ran once, or was not used in time"

    def take(current: Approval, now: dt.datetime) -> ApprovalChange | None:
        change = machine.take_proposal(current, now)
        mine[:] = [change is not None]
        return change

    try:
        yield Change(approval.id, take)
    except ClaimRefused as refused:
        mine, why = [], f"cannot run: {refused}"
    except Exception as error:
        yield from unrecorded(call, error)
    call.taken = mine == [True]
    if not call.taken:
        raise ToolCallDenied(
            call.tool.name,
            approval.requirement.rules[0] if approval.requirement.rules else "agentguard/approval",
            f"what replaced approval `{approval.id}` {why}",
            remedy="never",
            decision_id=approval.decision_id,
        )
