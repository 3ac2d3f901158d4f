"""Where decisions, approvals, payloads and counters are kept."""

from agentguard.store.opening import open_store
from agentguard.store.protocol import ApprovalChange, Payload, Reservation, Store, StoredEvent

__all__ = ["ApprovalChange", "Payload", "Reservation", "Store", "StoredEvent", "open_store"]
