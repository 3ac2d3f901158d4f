"""The guard as an approver of Inspect AI: `allow` approves, `constrain` modifies, `step_up` escalates."""

try:
    import inspect_ai  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"agentguard_inspect needs Inspect AI: pip install 'agentguard[inspect]' (missing: {error.name})"
    ) from None

from agentguard_inspect.approver import guard

__all__ = ["guard"]
