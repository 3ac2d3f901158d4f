"""The tamper-evident record: events, their Merkle log, and its verification."""
