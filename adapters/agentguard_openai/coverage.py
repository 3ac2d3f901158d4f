"""What no guard in this process can stand before: tools that the provider runs, or that other code runs."""

from __future__ import annotations

from typing import Any, Final

from agentguard import ConfigurationError
from agentguard_openai.calls import get, items_of

__all__ = ["uncovered"]

_COVERED: Final = frozenset({"function", "custom", "function_call", "custom_tool_call"})
_HARMLESS: Final = frozenset({"message", "reasoning", "compaction", "additional_tools", "mcp_list_tools"})
_MCP: Final = frozenset({"mcp", "mcp_call", "mcp_approval_request", "mcp_approval_response"})


def uncovered(subject: Any, *, strict: bool = False) -> list[str]:
    """The tools in a request, in a list of tools or in a response that do not pass the guard.

    Such as `web_search`, `code_interpreter`, `mcp:github` (an MCP server that the provider calls), or
    `computer_call` (an action that other code of yours performs). What is not known is listed.

    Raises:
        ConfigurationError: with `strict`, when there is one.
    """
    found = dict.fromkeys(_names(subject))
    if strict and found:
        raise ConfigurationError(
            "strict: these tools do not pass the guard: "
            + ", ".join(f"`{name}`" for name in found)
            + "; take them out of the request, or guard them where they run"
        )
    return list(found)


def _names(subject: Any) -> list[str]:
    if isinstance(subject, (list, tuple)):
        return [name for item in subject for name in _of_item(item)]
    names: list[str] = []
    if get(subject, "web_search_options") is not None:
        names.append("web_search")
    for item in (*items_of(get(subject, "tools")), *items_of(get(subject, "output"))):
        names.extend(_of_item(item))
    for choice in items_of(get(subject, "choices")):
        names.extend(_of_message(get(choice, "message")))
    if get(subject, "role") == "assistant":
        names.extend(_of_message(subject))
    return names


def _of_item(item: Any) -> list[str]:
    kind = get(item, "type")
    if kind is None and (get(item, "role") is not None or get(item, "content") is not None):
        return []  # a message of a transcript
    kind = str(kind)
    if kind == "namespace":
        return [name for inner in items_of(get(item, "tools")) for name in _of_item(inner)]
    if kind in _COVERED or kind in _HARMLESS or kind.endswith("_output"):
        return []
    if kind in _MCP:
        return [f"mcp:{get(item, 'server_label')}"]
    return [kind]


def _of_message(message: Any) -> list[str]:
    names = [
        str(get(call, "type"))
        for call in items_of(get(message, "tool_calls"))
        if get(call, "type") not in ("function", "custom", None)
    ]
    cited = any(get(note, "type") == "url_citation" for note in items_of(get(message, "annotations")))
    return [*names, "web_search"] if cited else names
