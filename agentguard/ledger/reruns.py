"""Whether a call has run already, as the ledger has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentguard.store.protocol import Store

__all__ = ["has_run"]


def has_run(store: Store, tenant: str, *, tool: str, session: str, call_id: str, hmac: str) -> bool:
    """Whether this very call ran to its end, or to an unknown one; one that failed does not count.

    `hmac` is the keyed digest of its arguments. It reads the whole ledger of the tenant.
    """
    needle = json.dumps(call_id, ensure_ascii=False).encode()
    ran: dict[str, bool] = {}
    for event in store.events(tenant, types=("decision", "outcome")):
        if needle not in event.leaf:
            continue
        data = json.loads(event.leaf)
        if (data.get("call_id"), data.get("session"), data.get("tool")) != (call_id, session, tool):
            continue
        if event.type == "outcome":
            if data.get("status") == "failed":
                ran.pop(data.get("decision_id"), None)
        elif data["runs"] and data["phase"] == "decide" and data["args_hmac"] == hmac:
            ran[data["id"]] = True
    return bool(ran)
