"""What happens to approvals by itself: an escalation, and the end of a question that nobody answered.

Who may answer, and that it is too late, follow from the time alone. The sweep makes it a record, and tells
the people whose turn it is now. Any process may sweep, and several at once do no harm.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final

from agentguard.stepup import machine
from agentguard.stepup.model import Approval, State
from agentguard.store.protocol import ApprovalChange, Store

__all__ = ["sweep_approvals"]

_BATCH: Final = 500


def sweep_approvals(
    store: Store, tenant: str, escalated: Callable[[Approval], object] = lambda approval: None
) -> int:
    """Expire and escalate what is due; `escalated` is told of each question that further people may answer.

    Returns how many were changed.

    Raises:
        StoreError: the store could not do it; what was done before stays.
    """
    changed = 0
    seen: set[str] = set()
    open_ = (State.REQUESTED, State.APPROVED)
    while True:
        due = store.approvals(tenant, states=open_, due_by=store.now(), limit=_BATCH)
        left = [approval for approval in due if approval.id not in seen]
        for approval in left:
            seen.add(approval.id)
            after = store.update_approval(tenant, approval.id, _next)
            changed += after.state is not approval.state or after.level != approval.level
            if after.state is State.REQUESTED and after.level > approval.level:
                escalated(after)
        if len(due) < _BATCH or not left:
            return changed


def _next(approval: Approval, now: dt.datetime) -> ApprovalChange | None:
    return machine.expire(approval, now) or machine.escalate(approval, now)
