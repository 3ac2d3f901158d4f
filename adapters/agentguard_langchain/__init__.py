"""The guard in LangChain and LangGraph: guarded tools, and a middleware for `create_agent`."""

try:
    import langchain.agents.middleware  # noqa: F401
    import langgraph.types  # noqa: F401
except ImportError as error:
    raise ImportError("agentguard_langchain needs LangChain: pip install 'agentguard[langchain]'") from error

from agentguard_langchain.answers import Resolver
from agentguard_langchain.coverage import uncovered
from agentguard_langchain.middleware import GuardMiddleware
from agentguard_langchain.sessions import PrincipalOf
from agentguard_langchain.tools import guard_tools

__all__ = ["GuardMiddleware", "PrincipalOf", "Resolver", "guard_tools", "uncovered"]
