"""The question that a person is asked, made from the frozen call, and back again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentguard.call import ContextRequest, binding_digest
from agentguard.calls import Call, request_of
from agentguard.canonical import Frozen
from agentguard.decision import Approve, Decision, Matched, SetArgument, plain
from agentguard.errors import AgentGuardError, NotFound
from agentguard.ids import approval_id
from agentguard.planning import offered
from agentguard.stepup.model import Approval, Requirement, State

if TYPE_CHECKING:
    from agentguard.guard import Guard


__all__ = ["from_policy", "known_today", "nobody_could", "question", "restored"]


def question(
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
    data = replace(request, **known_today(guard, call, final)).to_mapping()
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
    plan = offered(guard, call, request, approve) if approve.plan else None
    if plan is not None:
        shown["plan"] = plan
    owner = request.agent.get("owner")
    people = {str(request.agent["id"])}
    people.update(str(link["id"]) for link in request.chain)
    people.update(str(link["owner"]) for link in request.chain if link.get("owner"))
    if owner:
        people.add(str(owner))
    people.update(edit.proposal.editor for edit in call.edits if edit.proposal is not None)
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


def nobody_could(approve: Approve, request: ContextRequest) -> str | None:
    """Why no vote could ever count, if so."""
    if not approve.stages:
        return "its step-up names no reviewers"
    for stage in approve.stages:
        if set(stage.reviewers) == {"principal"} and request.principal is None and not approve.local:
            return "it needs the principal's own confirmation, and the session names no principal"
    return None


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
        supplied=from_policy(request),
    )


def from_policy(request: ContextRequest) -> Mapping[str, Mapping[str, Any]]:
    """Of the facts that were fetched only what the policies themselves wrote, which is still so."""
    kept = {
        path: known
        for path, known in request.supplied.get("provenance", {}).items()
        if isinstance(known, Mapping) and known.get("from_policy") is True
    }
    return {"provenance": kept} if kept else {}


def known_today(guard: Guard, call: Call, final: Frozen) -> dict[str, Any]:
    """What the guard itself knows today; what providers said when it was asked is asked again."""
    base = request_of(guard, call, final.view)
    return {name: getattr(base, name) for name in ("session", "context", "workload", "resource")}
