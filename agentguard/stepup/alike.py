"""Questions that ask the same: shown as one, answered together where somebody wants that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agentguard.canonical import freeze
from agentguard.stepup.model import Approval

__all__ = ["alike", "groups"]

_OWN: Final = frozenset({"id", "calls"})
"""What a session has for itself; its labels are the same or the questions are not."""


def alike(approval: Approval) -> tuple[object, ...]:
    """What two questions have in common that differ in nothing but their call and its session.

    Everything that a reviewer is shown is in it, the arguments as the bytes that would run.
    """
    session = approval.shown.get("session")
    known = (
        {key: value for key, value in session.items() if key not in _OWN} if isinstance(session, dict) else {}
    )
    shown = {**approval.shown, "session": known}
    return (
        approval.tool,
        approval.tool_digest,
        approval.arguments if approval.arguments is not None else approval.id,
        approval.agent,
        approval.principal,
        approval.chain,
        approval.excluded,
        approval.requirement,
        approval.state,
        approval.stage,
        tuple(sorted((vote.subject, vote.verdict) for vote in approval.votes)),
        freeze(shown).canonical,
    )


def groups(approvals: Iterable[Approval]) -> list[list[Approval]]:
    """The approvals, those that are alike together; in the order of the first of each."""
    found: dict[tuple[object, ...], list[Approval]] = {}
    for approval in approvals:
        found.setdefault(alike(approval), []).append(approval)
    return list(found.values())
