"""Approvals: the state machine, who may vote, votes and how they are verified, waiting."""
