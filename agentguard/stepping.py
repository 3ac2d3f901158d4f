"""The part of the flow that asks a person: open, wait, decide again, claim once, run, settle.

An approved call is decided again at the claim, with today's policies, facts and clock. A denial, a new
rewrite or a requirement that the votes do not meet supersedes the approval.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agentguard.call import ContextRequest, binding_digest
from agentguard.canonical import Frozen, freeze
from agentguard.decision import Approve, Decision, Effect, Matched, SetArgument, plain
from agentguard.errors import (
    AgentGuardError,
    ApprovalPending,
    ClaimRefused,
    NotFound,
    OutcomeUnknown,
    Remedy,
    ToolCallDenied,
)
from agentguard.flow import (
    Call,
    Flow,
    _refuse,
    _thaw,
    _unrecorded,
    broken,
    check_obligations,
    decide,
    digest_of,
    fetch,
    happened,
    payloads,
    quietly,
    request_of,
    run,
    take,
)
from agentguard.ids import approval_id, uuid7
from agentguard.ledger import approvals as written
from agentguard.operations import (
    Change,
    Claim,
    Failed,
    Load,
    Notify,
    Open,
    Operation,
    Record,
    Vet,
    Wait,
    WouldBlock,
)
from agentguard.paths import assign
from agentguard.stepup import machine
from agentguard.stepup.eligibility import LOCAL, fold
from agentguard.stepup.model import Approval, Requirement, State, Vote
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
    digest_of(call, frozen)  # the breaker counts the arguments as they came
    approve = decision.approval
    if approve is None:
        yield from _refuse(guard, call, request, "approval", "nobody could be asked", "ask_operator", frozen)
        raise AssertionError("refused")
    try:
        arguments = final.thaw()
    except Exception:
        arguments = yield from _thaw(guard, call, request, final)
    misfit = call.tool.check(arguments) if call.tool.check is not None else None
    if misfit is not None:
        # Nobody is asked about a call that could not run as it stands.
        reason = f"an argument does not fit the tool: {misfit}"
        yield from _refuse(guard, call, request, "arguments", reason, "fix_call", frozen, invalid=True)
    unanswerable = _nobody(approve, request)
    hmac = guard.hmac(final.canonical)
    decision_id = uuid7()
    events = happened(guard, request, decision, decision_id, guard.hmac(frozen.canonical), runs=False)
    kept = payloads(guard, request, (guard.hmac(frozen.canonical), frozen), (hmac, final))
    if unanswerable is not None:
        try:
            yield Record(events, kept)
        except Exception as error:
            yield from _unrecorded(call, error)
        _refuse_approval(call, approve, unanswerable, "ask_operator", decision, decision_id)
    asked = _question(guard, call, request, decision, approve, final, hmac, decision_id)
    change = machine.opened(asked, request.now)
    open_ = Open(change.approval, (*events, *change.events), kept)
    try:
        approval: Approval = yield open_
    except GeneratorExit:
        raise
    except Exception as error:
        yield from _unrecorded(call, error)
        raise AssertionError("refused") from error
    except BaseException:
        if open_.done:
            yield from quietly(Change(asked.id, _withdraw))
        raise
    if approval.id == asked.id:
        yield Notify(approval)
    return (yield from _answered(guard, call, approval, request, final, decision))


def resume_flow(guard: Guard, call_of: Any, name: str, wait: bool) -> Flow:
    """Run an approved call that was left behind, by its id, once; answers a `Resumption`.

    `call_of` makes the call and its arguments from the approval.
    """
    approval: Approval = yield Load(name)
    if approval.state in (State.SUCCEEDED, State.FAILED):
        return Resumption(approval.id, approval.state, ran=False)
    if approval.state in (State.CLAIMED, State.UNKNOWN):
        raise OutcomeUnknown(approval.id, approval.tool)
    if approval.state is State.REQUESTED and not wait and guard.now() < approval.expires_at:
        raise _pending(approval)
    call, final = call_of(approval)
    try:
        request = restored(guard, call, approval, final)
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
    if approval.state is State.REQUESTED and guard.now() < approval.expires_at:
        if call.pause == "raise":
            raise _pending(approval)
        try:
            approval = yield Wait(approval)
        except GeneratorExit:
            raise
        except WouldBlock:
            raise _pending(approval) from None
        except Exception as error:
            yield from _unrecorded(call, error)
        except BaseException:
            if decision is not None:
                yield from quietly(Change(approval.id, _withdraw))
            raise
    if approval.state in (State.REQUESTED, State.APPROVED) and guard.now() >= approval.expires_at:
        try:
            approval = yield Change(approval.id, machine.expire)
        except Exception as error:
            yield from _unrecorded(call, error)
    if approval.state is State.APPROVED:
        try:
            found = yield from _claim(guard, call, approval, request, final)
        except (GeneratorExit, Exception):
            raise
        except BaseException:
            if decision is not None:
                yield from quietly(Change(approval.id, _withdraw))  # changes nothing once it is claimed
            raise
        if not isinstance(found, _Lost):
            return found
        approval = found.approval
    remedy: Remedy = "never"
    match approval.state:
        case State.SUCCEEDED | State.FAILED:
            if decision is None:
                return _Settled(approval.state)
            reason = f"it already ran once under approval `{approval.id}` ({approval.state.value})"
        case State.CLAIMED | State.UNKNOWN:
            raise OutcomeUnknown(approval.id, approval.tool)
        case State.DENIED:
            deny = next((vote for vote in reversed(approval.votes) if vote.verdict == "deny"), None)
            who = deny.subject if deny is not None else "a reviewer"
            said = f": {deny.reason}" if deny is not None and deny.reason else ""
            reason, remedy = f"{who} rejected it{said}", "rejected"
        case State.EXPIRED:
            reason, remedy = "nobody approved it in time", "with_approval"
        case _:
            reason = f"its approval was {approval.state.value}" + (
                f": {approval.note}" if approval.note else ""
            )
    if call.session is not None:
        call.session.denied(call.tool.name, digest_of(call, final))
    rule = approval.requirement.rules[0] if approval.requirement.rules else "agentguard/approval"
    raise ToolCallDenied(
        call.tool.name, rule, reason, remedy=remedy, decision_id=approval.decision_id, decision=decision
    )


def _claim(guard: Guard, call: Call, approval: Approval, request: ContextRequest, final: Frozen) -> Flow:
    """Decide again, claim, run, settle; `_Lost` when somebody else was first."""
    if guard.closed:
        yield from _refuse(guard, call, request, "closed", "the guard was closed", "ask_operator", final)
    if call.approved is not None:
        call.approved(approval)
    snapshot = guard.snapshot
    today = _today(guard, call)
    request = replace(request, tool_digest=today, supplied=_from_policy(request))
    request = replace(request, now=guard.now(), **_base(guard, call, final))
    if binding_digest(request, final.canonical) != approval.digest:
        changed = "the tool's definition" if today != approval.tool_digest else "the call"
        yield from _supersede(call, approval, f"{changed} is not what was approved", "agentguard/approval")
    if guard.providers:
        request = yield from fetch(guard, snapshot, request)
    again = yield from decide(guard, call, snapshot, request, final)
    match = again.deciding
    rule = match.name if match is not None else "agentguard/default"
    if again.effect is Effect.DENY:
        said = f"`{rule}` denies it today, whatever `{approval.requirement.rules[0]}` was answered"
        yield from _supersede(call, approval, said, rule, again)
    if _rewrites(again, request):
        yield from _supersede(call, approval, f"`{rule}` would rewrite it today", rule, again)
    try:
        gone: tuple[str, ...] = yield Vet(approval)
    except Exception:
        yield from _supersede(
            call, approval, "the reviewers cannot be checked today", "agentguard/approval", again
        )
        raise AssertionError("refused") from None
    if gone:
        yield from _supersede(call, approval, f"`{gone[0]}` could not approve it today", rule, again)
    stronger = again.approval
    if stronger is not None and not covered(approval, stronger, request.now):
        old = approval.requirement.rules[0]
        said = f"`{rule}` asks for more today than `{old}` did when it was approved"
        yield from _supersede(call, approval, said, rule, again)
    yield from check_obligations(guard, call, again, request, final)
    again = yield from take(guard, call, snapshot, request, again, final)
    arguments = yield from _thaw(guard, call, request, final)
    decision_id = uuid7()
    hmac = guard.hmac(final.canonical)
    at = request.now
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
    )
    events.append(written.claimed(approval, id=uuid7(), at=at, decision_id=decision_id))
    claim = Claim(approval.id, approval.digest, events)
    try:
        claimed: Approval = yield claim
    except GeneratorExit:
        raise
    except ClaimRefused as refused:
        current: Approval = yield Load(approval.id)
        if current.state is not State.APPROVED:
            return _Lost(current)
        _refuse_approval(call, None, str(refused), "never", again, approval.decision_id)
    except Exception as error:
        yield from _unrecorded(call, error)
        raise AssertionError("refused") from error
    except BaseException:
        if claim.done:
            yield from quietly(_settling(approval, "failed", 0, "CancelledBeforeRun"))
        raise

    def settle(status: str, started: int, error: str | None) -> Operation:
        return _settling(claimed, status, (time.perf_counter_ns() - started) // 1000, error)

    return (yield from run(call, request, again, arguments, final, settle))


@dataclass(frozen=True, slots=True)
class _Lost:
    """Another claim of the same approval was first."""

    approval: Approval


def _today(guard: Guard, call: Call) -> str:
    """The tool's definition as it is now, by its code and by what is registered under its name."""
    if call.digest == call.tool.digest == call.tool.current:
        known = guard.tools.get(call.tool.name)
        return call.tool.digest if known is None else known.digest
    return "changed"


def _base(guard: Guard, call: Call, final: Frozen) -> dict[str, Any]:
    """What the guard itself knows today; what providers said when it was asked is asked again."""
    base = request_of(guard, call, final.view)
    return {name: getattr(base, name) for name in ("session", "context", "workload", "resource")}


def _from_policy(request: ContextRequest) -> Mapping[str, Mapping[str, Any]]:
    """Of the facts that were fetched only what the policies themselves wrote, which is still so."""
    kept = {
        path: known
        for path, known in request.supplied.get("provenance", {}).items()
        if isinstance(known, Mapping) and known.get("from_policy") is True
    }
    return {"provenance": kept} if kept else {}


def covered(approval: Approval, wanted: Approve, now: dt.datetime) -> bool:
    """Whether the votes that were cast meet today's requirement: in time, each stage by people of its own."""
    if now >= approval.opened_at + dt.timedelta(seconds=wanted.expires_in_s):
        return False
    if wanted.stages == approval.requirement.stages and wanted.local >= approval.requirement.local:
        return not (wanted.reason_required and any(not vote.reason for vote in _approving(approval)))
    used: set[str] = set()
    for stage in wanted.stages:
        people: set[str] = set()
        for vote in _approving(approval):
            who = fold(vote.subject)
            if wanted.reason_required and not vote.reason:
                continue
            member = bool(set(stage.reviewers).intersection(vote.memberships))
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


def _settling(approval: Approval, status: str, duration_us: int, error: str | None) -> Change:
    outcome: dict[str, Any] = {"status": status, "duration_us": duration_us}
    if error is not None:
        outcome["error"] = error

    def settle(current: Approval, now: dt.datetime) -> ApprovalChange | None:
        return machine.settle(current, outcome, now)

    return Change(approval.id, settle)


def _withdraw(current: Approval, now: dt.datetime) -> ApprovalChange | None:
    return machine.withdraw(current, now, reason=_WITHDRAWN)


def _supersede(
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


def _pending(approval: Approval) -> ApprovalPending:
    return ApprovalPending(
        approval.id,
        approval.tool,
        approval.expires_at.isoformat(timespec="seconds"),
        approval.requirement.reason,
    )


def _nobody(approve: Approve, request: ContextRequest) -> str | None:
    """Why no vote could ever count, if so."""
    if not approve.stages:
        return "its step-up names no reviewers"
    for stage in approve.stages:
        if set(stage.reviewers) == {"principal"} and request.principal is None and not approve.local:
            return "it needs the principal's own confirmation, and the session names no principal"
    return None


def _refuse_approval(
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


def _question(
    guard: Guard,
    call: Call,
    request: ContextRequest,
    decision: Decision,
    approve: Approve,
    final: Frozen,
    hmac: str,
    decision_id: str,
) -> Approval:
    """The approval as it is opened; everything a reviewer is shown comes from the guard's own records."""
    data = replace(request, **_base(guard, call, final)).to_mapping()
    del data["args"]
    shown = {
        "tool": request.tool,
        "agent": plain(request.agent),
        "principal": plain(request.principal) if request.principal is not None else None,
        "chain": plain(request.chain),
        "session": plain(request.session),
        "environment": request.environment,
        "secrets": list(request.secrets),
        "facts": plain(request.facts),
        "rules": [_rule(match) for match in decision.matched],
        "changed": [
            {"path": item.path, "rule": item.rule}
            for item in decision.obligations
            if isinstance(item, SetArgument)
        ],
    }
    owner = request.agent.get("owner")
    people = {str(request.agent["id"])}
    people.update(str(link["id"]) for link in request.chain)
    people.update(str(link["owner"]) for link in request.chain if link.get("owner"))
    if owner:
        people.add(str(owner))
    principal = None if request.principal is None else str(request.principal["id"])
    if principal is not None:
        people.add(principal)
    return Approval(
        id=approval_id(),
        tenant=guard.tenant,
        call_id=call.call_id,
        digest=binding_digest(request, final.canonical),
        state=State.REQUESTED,
        tool=request.tool,
        tool_digest=request.tool_digest,
        agent=str(request.agent["id"]),
        principal=principal,
        excluded=frozenset(people),
        requirement=Requirement(
            stages=approve.stages,
            expires_in_s=approve.expires_in_s,
            rules=approve.rules,
            reason=approve.reason,
            local=approve.local,
            reason_required=approve.reason_required,
        ),
        arguments=final.canonical,
        shown=shown,
        request=data,
        snapshot=decision.snapshot,
        decision_id=decision_id,
        opened_at=request.now,
        expires_at=request.now + dt.timedelta(seconds=approve.expires_in_s),
        epoch="",
        args_hmac=hmac,
        chain=tuple(str(link["id"]) for link in request.chain),
    )


def _rule(match: Matched) -> dict[str, Any]:
    return {
        "rule": match.name,
        "effect": match.effect.value,
        "reason": match.reason,
        "at": match.at,
        "error": match.error,
    }


def restored(guard: Guard, call: Call, approval: Approval, final: Frozen) -> ContextRequest:
    """The request of an approval, as it was opened, for the tool as it is registered now, without the facts
    that were fetched then."""
    try:
        stored: Mapping[str, Any] = approval.request
        request = ContextRequest.from_mapping({**stored, "args": {}, "now": None})
    except (AgentGuardError, KeyError, TypeError) as error:
        raise NotFound(f"approval `{approval.id}` has no readable request: {error}") from error
    return replace(
        request,
        args=final.view,
        call_id=approval.call_id,
        tenant=approval.tenant,
        facts=call.tool.facts,
        secrets=call.tool.secrets,
        tool_digest=call.digest,
        now=guard.now(),
        supplied=_from_policy(request),
    )
