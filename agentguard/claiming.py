"""The claim of an approved call: decided again, claimed once, run, settled.

It is decided with today's policies, facts and clock: a denial, a new rewrite or a requirement that the votes
do not meet supersedes the approval.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agentguard.asking import from_policy, known_today
from agentguard.call import ContextRequest, binding_digest
from agentguard.calls import Call, compare, consult, fetch
from agentguard.canonical import Frozen, freeze
from agentguard.decision import Approve, Decision, Effect, SetArgument, plain
from agentguard.errors import AgentGuardError, ClaimRefused, RegisterChanged, Remedy, ToolCallDenied
from agentguard.flow import check_obligations, decide, take
from agentguard.ids import uuid7
from agentguard.ledger import approvals as written
from agentguard.operations import Change, Claim, Flow, Load, Operation, Record, Refresh, Vet
from agentguard.paths import assign
from agentguard.recording import happened, quietly
from agentguard.refusing import refuse, thaw, unrecorded
from agentguard.remembering import remembered
from agentguard.running import run
from agentguard.stepup import machine
from agentguard.stepup.eligibility import LOCAL, fold
from agentguard.stepup.model import Approval, State, Vote
from agentguard.store.protocol import ApprovalChange
from agentguard.tracking import judged

if TYPE_CHECKING:
    from agentguard.guard import Guard


__all__ = ["Lost", "claim", "covered", "refuse_approval", "same_call"]


@dataclass(frozen=True, slots=True)
class Lost:
    """Another claim of the same approval was first."""

    approval: Approval


_ROUNDS: Final = 8


def claim(guard: Guard, call: Call, approval: Approval, request: ContextRequest, final: Frozen) -> Flow:
    """Decide again, claim, run, settle; `Lost` when somebody else was first."""
    for _ in range(_ROUNDS):
        try:
            return (yield from _claim(guard, call, approval, request, final))
        except RegisterChanged:
            assert not call.ran
            yield Refresh()
    reason = "exceptions, grants or agents change faster than this call can be claimed"
    yield from refuse(guard, call, request, "register", reason, "ask_operator", final)


def same_call(
    guard: Guard, call: Call, approval: Approval, request: ContextRequest, final: Frozen
) -> Generator[Operation, Any, ContextRequest]:
    """The request as of now, once somebody answered: nobody ended meanwhile, and it is what was asked about.

    Raises:
        ToolCallDenied: the guard or the session ended, or the tool, the call or who acts is another.
    """
    if guard.closed:
        yield from refuse(guard, call, request, "closed", "the guard was closed", "ask_operator", final)
    if guard.halted:
        yield from refuse(guard, call, request, "checkpoint", guard.halted, "ask_operator", final)
    if call.session is not None and call.session.closed:
        yield from quietly(Change(approval.id, _given_up))
        ended = "its session ended while it waited"
        yield from refuse(guard, call, request, "identity", ended, "with_approval", final)
    today = _today(guard, call)
    request = replace(request, tool_digest=today, supplied=from_policy(request))
    request = replace(request, now=guard.now(), **known_today(guard, call, final))
    if binding_digest(request, final.canonical) != approval.digest:
        changed = "the tool's definition" if today != approval.tool_digest else "the call"
        yield from supersede(call, approval, f"{changed} is not what was approved", "agentguard/approval")
    return request


def _claim(guard: Guard, call: Call, approval: Approval, request: ContextRequest, final: Frozen) -> Flow:
    request = yield from same_call(guard, call, approval, request, final)
    if call.approved is not None:
        call.approved(approval)
    snapshot, call.register = guard.in_force.pair
    if guard.in_force.tracks:
        request = judged(call.session, snapshot, request, approval.request)
    if guard.providers:
        request = yield from fetch(guard, snapshot, request)
    if guard.engines:
        request = yield from consult(guard, request)
    request = yield from compare(guard, snapshot, request, final, counted=True)
    call.decided, call.limited = request, False
    again = yield from decide(guard, call, snapshot, request, final)
    match = again.deciding
    rule = match.name if match is not None else "agentguard/default"
    if again.effect is Effect.DENY:
        said = f"`{rule}` denies it today, whatever `{approval.requirement.rules[0]}` was answered"
        yield from supersede(call, approval, said, rule, again)
    if _rewrites(again, request):
        yield from supersede(call, approval, f"`{rule}` would rewrite it today", rule, again)
    try:
        gone: tuple[str, ...] = yield Vet(approval)
    except Exception:
        yield from supersede(
            call, approval, "the reviewers cannot be checked today", "agentguard/approval", again
        )
        raise AssertionError("refused") from None
    if gone and guard.directory.active(gone[0]) is None:
        # The wrong directory, or none: the people are not gone, and neither is their answer.
        reason = f"the directory of this guard does not know `{gone[0]}`, who approved it; pass `directory=`"
        yield from refuse(guard, call, request, "reviewers", reason, "ask_operator", final)
    if gone:
        yield from supersede(call, approval, f"`{gone[0]}` could not approve it today", rule, again)
    stronger = again.approval
    if stronger is not None and not covered(approval, stronger, request.now):
        old = approval.requirement.rules[0]
        said = f"`{rule}` asks for more today than `{old}` did when it was approved"
        yield from supersede(call, approval, said, rule, again)
    yield from check_obligations(guard, call, again, request, final)
    again = yield from take(guard, call, snapshot, request, again, final)
    arguments = yield from thaw(guard, call, request, final)
    decision_id = uuid7()
    hmac = guard.hmac(final.canonical)
    at = request.now
    beside = remembered(guard, call, again)
    if beside.payloads:
        yield from quietly(Record((), beside.payloads, durable=False))
    events = happened(
        guard,
        request,
        again,
        decision_id,
        hmac,
        runs=True,
        phase="claim",
        approval=approval.id,
        digest=approval.digest,
        **beside.named,
    )
    events.append(written.claimed(approval, id=uuid7(), at=at, decision_id=decision_id))
    claim = Claim(approval.id, approval.digest, events, call.register)
    try:
        claimed: Approval = yield claim
    except (GeneratorExit, RegisterChanged):
        raise
    except ClaimRefused as refused:
        current: Approval = yield Load(approval.id)
        if current.state is not State.APPROVED:
            return Lost(current)
        refuse_approval(call, None, str(refused), "never", again, approval.decision_id)
    except Exception as error:
        yield from unrecorded(call, error)
        raise AssertionError("refused") from error
    except BaseException:
        if claim.done:
            yield from quietly(settling(approval, "failed", 0, "CancelledBeforeRun"))
        raise

    def settle(status: str, started: int, error: str | None) -> Operation:
        return settling(claimed, status, (time.perf_counter_ns() - started) // 1000, error)

    return (yield from run(call, request, again, arguments, final, settle))


def _today(guard: Guard, call: Call) -> str:
    """The tool's definition as it is now, by its code and by what is registered under its name."""
    if call.digest == call.tool.digest == call.tool.current:
        known = guard.tools.get(call.tool.name)
        return call.tool.digest if known is None else known.digest
    return "changed"


def covered(approval: Approval, wanted: Approve, now: dt.datetime) -> bool:
    """Whether the votes that were cast meet today's requirement: in time, each stage by people of its own."""
    if now >= approval.opened_at + dt.timedelta(seconds=wanted.expires_in_s):
        return False
    used: set[str] = set()
    for stage in wanted.stages:
        people: set[str] = set()
        for vote in _approving(approval):
            who = fold(vote.subject)
            if wanted.reason_required and not vote.reason:
                continue
            could = stage.after((vote.at - approval.opened_at).total_seconds())
            member = bool(set(could).intersection(vote.memberships))
            if who not in used and (member or (vote.subject == LOCAL and wanted.local)):
                people.add(who)
        chosen = sorted(people)[: stage.quorum]
        if len(chosen) < stage.quorum:
            return False
        used.update(chosen)
    return True


def _approving(approval: Approval) -> list[Vote]:
    return [vote for vote in approval.votes if vote.verdict == "approve"]


def _rewrites(decision: Decision, request: ContextRequest) -> bool:
    """Whether a constraint of today would change what was approved."""
    writes = [item for item in decision.obligations if isinstance(item, SetArgument)]
    if not writes:
        return False
    before = freeze(plain(request.args)).canonical
    changed = plain(request.args)
    try:
        for item in writes:
            assign(changed, item.path, item.value)
        return freeze(changed).canonical != before
    except (AgentGuardError, KeyError, TypeError, ValueError, IndexError):
        return True


def _given_up(current: Approval, now: dt.datetime) -> ApprovalChange | None:
    return machine.withdraw(current, now, reason="its session ended")


def settling(approval: Approval, status: str, duration_us: int, error: str | None) -> Change:
    outcome: dict[str, Any] = {"status": status, "duration_us": duration_us}
    if error is not None:
        outcome["error"] = error

    def settle(current: Approval, now: dt.datetime) -> ApprovalChange | None:
        return machine.settle(current, outcome, now)

    return Change(approval.id, settle)


def supersede(
    call: Call, approval: Approval, reason: str, rule: str, decision: Decision | None = None
) -> Generator[Operation, Any, None]:
    def update(current: Approval, now: dt.datetime) -> ApprovalChange | None:
        return machine.supersede(current, now, reason=reason)

    yield from quietly(Change(approval.id, update))
    raise ToolCallDenied(
        call.tool.name,
        rule,
        reason,
        remedy="with_approval",
        decision_id=approval.decision_id,
        decision=decision,
    )


def refuse_approval(
    call: Call,
    approve: Approve | None,
    reason: str,
    remedy: Remedy,
    decision: Decision,
    decision_id: str | None = None,
) -> NoReturn:
    rule = approve.rules[0] if approve is not None and approve.rules else "agentguard/approval"
    raise ToolCallDenied(
        call.tool.name, rule, reason, remedy=remedy, decision_id=decision_id, decision=decision
    )
