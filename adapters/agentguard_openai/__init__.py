"""The guard in an OpenAI tool loop: Chat Completions and Responses, synchronous and asynchronous."""

from agentguard_openai.coverage import uncovered
from agentguard_openai.pending import PendingCall, ToolCallsPending
from agentguard_openai.runner import aguarded_turns, guard_runner_tools, guarded_turns
from agentguard_openai.running import run_tool_calls, run_tool_calls_sync
from agentguard_openai.streaming import acollect_chat, acollect_response, collect_chat, collect_response

__all__ = [
    "PendingCall",
    "ToolCallsPending",
    "acollect_chat",
    "acollect_response",
    "aguarded_turns",
    "collect_chat",
    "collect_response",
    "guard_runner_tools",
    "guarded_turns",
    "run_tool_calls",
    "run_tool_calls_sync",
    "uncovered",
]
