"""Exceptions, grants and agents: durable records, and the register that decisions read."""

from agentguard.governance.register import in_force
from agentguard.terms import Terms

__all__ = ["Terms", "in_force"]
