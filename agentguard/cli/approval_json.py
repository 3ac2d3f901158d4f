"""An approval as data for programs: values only where they are asked for."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from agentguard.cli.approval_text import state_text
from agentguard.cli.call_text import arguments, sensitive
from agentguard.stepup.model import Approval, Vote

__all__ = ["approval_json"]


def approval_json(approval: Approval, now: dt.datetime, *, full: bool | None = None) -> dict[str, Any]:
    """`full` adds the arguments: None leaves them out, False cuts and masks them, True gives the tree."""
    data: dict[str, Any] = {
        "id": approval.id,
        "tenant": approval.tenant,
        "state": state_text(approval, now),
        "tool": approval.tool,
        "tool_digest": approval.tool_digest,
        "agent": approval.agent,
        "principal": approval.principal,
        "chain": list(approval.chain),
        "call_id": approval.call_id,
        "digest": approval.digest,
        "decision_id": approval.decision_id,
        "rules": list(approval.requirement.rules),
        "reason": approval.requirement.reason,
        "stages": [stage.to_json() for stage in approval.requirement.stages],
        "stage": approval.stage,
        "local": approval.requirement.local,
        "reason_required": approval.requirement.reason_required,
        "excluded": sorted(approval.excluded),
        "votes": [_vote(vote) for vote in approval.votes],
        "opened_at": approval.opened_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "note": approval.note,
    }
    if full is None:
        return data
    data["shown"] = approval.shown
    if approval.arguments is None:
        data["arguments"] = None
    elif full:
        data["arguments"] = json.loads(approval.arguments)
    else:
        listed = arguments(approval.arguments, sensitive(approval)) or []
        data["arguments"] = {
            one.name: {"type": one.kind, "value": one.short, "cut": one.cut} for one in listed
        }
    return data


def _vote(vote: Vote) -> dict[str, Any]:
    return {
        "subject": vote.subject,
        "verdict": vote.verdict,
        "assurance": vote.assurance,
        "stage": vote.stage,
        "at": vote.at.isoformat(),
        "reason": vote.reason,
        "signature": vote.signature,
    }
