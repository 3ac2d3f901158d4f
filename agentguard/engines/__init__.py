"""Other decision points, asked beside the policies: Cedar, OPA, any AuthZEN 1.0 decision point."""

from agentguard.engines.authzen import AuthzenEngine
from agentguard.engines.cedar import CedarEngine
from agentguard.engines.model import Engine
from agentguard.engines.opa import OpaEngine
from agentguard.opinion import Opinion

__all__ = ["AuthzenEngine", "CedarEngine", "Engine", "OpaEngine", "Opinion"]
