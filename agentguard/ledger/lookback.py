"""What the ledger remembers: calls that ran, bundles that were in force, and where a time begins in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from agentguard.store.protocol import Store

__all__ = ["has_run", "newest_bundle", "number_at"]


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


def newest_bundle(store: Store, tenant: str) -> tuple[int, str]:
    """Version and digest of the newest signed bundle that was in force; 0 where none was."""
    version, digest = 0, ""
    for event in store.events(tenant, types=("policy.loaded",)):
        bundle = json.loads(event.leaf).get("bundle")
        if bundle is not None and bundle["version"] >= version:
            version, digest = bundle["version"], bundle["digest"]
    return version, digest


def number_at(store: Store, tenant: str, at: dt.datetime) -> int:
    """The number after which every event is from `at` or later, as far as the clock ran forward."""
    low, high = 0, store.head(tenant)[0]
    while low < high:
        middle = (low + high) // 2
        row = next(iter(store.events(tenant, after=middle, limit=1)), None)
        if row is None or row.at >= at:
            high = middle
        else:
            low = middle + 1
    return max(0, low - 1)
