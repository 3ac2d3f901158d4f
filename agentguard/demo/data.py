"""The demo as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentguard.decision import plain
from agentguard.demo.office import Seen
from agentguard.demo.story import CallStory, WorkItem
from agentguard.demo.summary import Summary

__all__ = ["call_json", "summary_json"]


def call_json(story: CallStory, seen: Seen, told: str) -> dict[str, Any]:
    """One call: wanted, decided and why, asked, ran, and what was found in the world."""
    rule = story.rule
    return {
        "tool": story.tool,
        "decision": story.decision_id,
        "wanted": _arguments(story.wanted),
        "effect": story.effect.value,
        "rule": story.name,
        "at": rule.at if rule is not None else None,
        "reason": rule.reason if rule is not None else "",
        "when": story.when,
        "error": rule.error if rule is not None else None,
        "granted_by": list(story.granted_by),
        "changed": [
            {"argument": name, "before": plain(before), "after": plain(after)}
            for name, before, after in story.changed
        ],
        "work_items": [_item(item) for item in story.items],
        "approval": _approval(story),
        "ran": _arguments(story.ran),
        "outcome": story.outcome.status if story.outcome is not None else None,
        "told": told,
        "world": {"acted": seen.ran, "text": seen.text, **seen.state},
    }


def summary_json(summary: Summary) -> dict[str, Any]:
    """What was recorded, and whether it is intact."""
    return {
        "verdicts": {effect.value: count for effect, count in summary.effects.items()},
        "recorded": dict(sorted(summary.types.items())),
        "work_items": [_item(item) for item in summary.items],
        "world": dict(summary.state),
        "ledger": {
            "ok": summary.report.ok,
            "size": summary.ledger.size,
            "root": summary.ledger.root,
            "findings": [{"kind": one.kind, "message": one.message} for one in summary.findings],
        },
        "ok": summary.ok,
    }


def _arguments(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if found is None else dict(found)


def _item(item: WorkItem) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "owner": item.owner,
        "reason": item.reason,
        "due": item.due.isoformat() if item.due is not None else None,
        "escalate_to": item.escalate_to,
    }


def _approval(story: CallStory) -> dict[str, Any] | None:
    if story.asked is None:
        return None
    return {
        "id": story.asked.approval,
        "reviewers": [list(stage.reviewers) for stage in story.asked.requirement.stages],
        "expires_at": story.asked.expires_at.isoformat(),
        "state": story.answered.type.partition(".")[2] if story.answered is not None else "requested",
        "votes": [
            {
                "subject": vote.subject,
                "verdict": vote.verdict,
                "assurance": vote.assurance,
                "reason": vote.reason,
            }
            for vote in story.votes
        ],
    }
