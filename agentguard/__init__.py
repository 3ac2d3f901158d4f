"""The guard between AI agents and their tools."""

from typing import TYPE_CHECKING

from agentguard.call import AgentIdentity, ContextRequest, Principal
from agentguard.decision import Decision, Effect
from agentguard.errors import (
    AgentGuardError,
    ApprovalPending,
    ConfigurationError,
    InvalidArguments,
    OutcomeUnknown,
    PolicyError,
    StoreError,
    ToolCallDenied,
    ToolFailed,
    VoteRefused,
)
from agentguard.guard import Guard
from agentguard.providers import FactProvider
from agentguard.session import Session
from agentguard.stepping import Resumption
from agentguard.stepup.ballot import Answer
from agentguard.stepup.channels import CallbackChannel, Channel, Question
from agentguard.stepup.model import Approval, State
from agentguard.tools import Tool, ToolFacts

if TYPE_CHECKING:
    from agentguard.policy import Snapshot

__all__ = [
    "AgentGuardError",
    "AgentIdentity",
    "Answer",
    "Approval",
    "ApprovalPending",
    "CallbackChannel",
    "Channel",
    "ConfigurationError",
    "ContextRequest",
    "Decision",
    "Effect",
    "FactProvider",
    "Guard",
    "InvalidArguments",
    "OutcomeUnknown",
    "PolicyError",
    "Principal",
    "Question",
    "Resumption",
    "Session",
    "Snapshot",
    "State",
    "StoreError",
    "Tool",
    "ToolCallDenied",
    "ToolFacts",
    "ToolFailed",
    "VoteRefused",
]


def __getattr__(name: str) -> object:
    if name == "Snapshot":  # with the first policy comes their language; importing the guard does not need it
        from agentguard.policy import Snapshot

        return Snapshot
    raise AttributeError(f"module `agentguard` has no attribute `{name}`")
