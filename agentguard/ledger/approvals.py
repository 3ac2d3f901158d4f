"""The events of one approval, written from the approval itself; each names the one before it (`prev`)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from agentguard.ledger.events import VERSION, Event, Status, instant, some
from agentguard.stepup.model import Approval, State, Vote

__all__ = ["changed", "claimed", "escalated", "opened", "settled", "voted"]


def opened(approval: Approval, *, id: str, at: dt.datetime) -> Event:
    """The question was asked: what it is bound to, who must agree and by when."""
    requirement = approval.requirement
    return some(
        **_of("approval.opened", approval, id, at),
        digest=approval.digest,
        decision_id=approval.decision_id,
        snapshot=approval.snapshot,
        expires_at=instant(approval.expires_at),
        excluded=sorted(approval.excluded),
        requirement=some(
            stages=[stage.to_json() for stage in requirement.stages],
            expires_in_s=requirement.expires_in_s,
            rules=list(requirement.rules),
            reason=requirement.reason,
            local=requirement.local or None,
            reason_required=requirement.reason_required or None,
        ),
    )


def voted(approval: Approval, vote: Vote, *, id: str, at: dt.datetime, counted: bool, why: str = "") -> Event:
    """Somebody answered; `counted` is false for an answer that came too late, and `why` says so."""
    return some(
        **_of("vote", approval, id, at),
        subject=vote.subject,
        verdict=vote.verdict,
        assurance=vote.assurance,
        memberships=list(vote.memberships),
        digest=vote.digest,
        stage=vote.stage,
        reason=vote.reason,
        signature=vote.signature,
        counted=counted,
        why=why,
    )


def changed(
    approval: Approval, state: State, *, id: str, at: dt.datetime, by: str = "", reason: str = "", **more: Any
) -> Event:
    """The question was decided or ended: `approval.approved`, `.denied`, `.expired` and so on.

    `more` says of an edit how we know who it was (`assurance`, `signature`); what they propose is not in it.
    """
    return some(**_of(f"approval.{state.value}", approval, id, at), by=by, reason=reason, **more)


def escalated(
    approval: Approval, *, id: str, at: dt.datetime, after_s: int, reviewers: tuple[str, ...]
) -> Event:
    """Nobody decided for so long, and further people may answer."""
    return some(**_of("approval.escalated", approval, id, at), after_s=after_s, reviewers=list(reviewers))


def claimed(approval: Approval, *, id: str, at: dt.datetime, decision_id: str | None = None) -> Event:
    """The approved call begins to run, once ever; the store fills in `prev`.

    `decision_id` is the decision taken at the claim, otherwise the one that asked.
    """
    reviewers = dict.fromkeys(vote.subject for vote in approval.votes if vote.verdict == "approve")
    return some(
        **_of("claimed", approval, id, at),
        decision_id=decision_id or approval.decision_id,
        digest=approval.digest,
        epoch=approval.epoch,
        reviewers=list(reviewers),
    )


def settled(
    approval: Approval,
    *,
    id: str,
    at: dt.datetime,
    status: Status,
    duration_us: int | None = None,
    error: str | None = None,
    result_hmac: str | None = None,
    reason: str = "",
) -> Event:
    """How the approved call ended (`outcome`); `error` is a class name, never a tool's text."""
    return some(
        **_of("outcome", approval, id, at),
        decision_id=approval.decision_id,
        status=status,
        duration_us=duration_us,
        error=error,
        result_hmac=result_hmac,
        reason=reason,
    )


def _of(type: str, approval: Approval, id: str, at: dt.datetime) -> dict[str, Any]:
    session = approval.shown.get("session")
    if isinstance(session, dict):
        session = session.get("id")
    return {
        "v": VERSION,
        "id": id,
        "type": type,
        "tenant": approval.tenant,
        "at": instant(at),
        "approval": approval.id,
        "call_id": approval.call_id,
        "agent": approval.agent,
        "principal": approval.principal,
        "chain": list(approval.chain),
        "session": session if isinstance(session, str) else None,
        "tool": approval.tool,
        "tool_digest": approval.tool_digest,
        "args_hmac": approval.args_hmac,
        "prev": approval.last_event,
    }
