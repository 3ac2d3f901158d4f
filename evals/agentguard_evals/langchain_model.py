"""LangChain's chat models as live models of an evaluation, its fake ones included (extra `langchain`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from agentguard_evals.turns import ModelError

try:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
except ImportError as error:  # pragma: no cover
    raise ImportError("LangChain's models need `pip install 'agentguard[langchain]'`") from error

__all__ = ["LangChainModel"]

_CUT: Final = frozenset({"length", "max_tokens", "MAX_TOKENS"})


class LangChainModel:
    """A chat model of LangChain, to be given as `model=`."""

    def __init__(self, chat: BaseChatModel) -> None:
        self.name: Final = str(getattr(chat, "model_name", None) or type(chat).__name__)
        self._chat = chat

    async def __call__(self, *, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Any:
        """One turn, in the form of Chat Completions."""
        try:
            bound: Any = self._chat.bind_tools(tools)
        except NotImplementedError:  # LangChain's plain fake models take none, and answer as they are told
            bound = self._chat
        said = await bound.ainvoke(messages)
        if not isinstance(said, AIMessage):
            raise ModelError(f"the chat model answered with a {type(said).__name__}, which is no AIMessage")
        return _completion(said)


def _completion(said: AIMessage) -> dict[str, Any]:
    calls = [_call(one.get("id"), one["name"], json.dumps(one["args"])) for one in said.tool_calls]
    # What LangChain could not read as a call was meant as one.
    calls += [_call(one.get("id"), one.get("name"), one.get("args")) for one in said.invalid_tool_calls]
    message = {"role": "assistant", "content": said.text, **({"tool_calls": calls} if calls else {})}
    meta: Mapping[str, Any] = said.response_metadata or {}
    cut = {meta.get("finish_reason"), meta.get("stop_reason")} & _CUT
    usage = said.usage_metadata
    return {
        "choices": [{"message": message, "finish_reason": "length" if cut else "stop"}],
        "usage": usage
        and {"prompt_tokens": usage["input_tokens"], "completion_tokens": usage["output_tokens"]},
    }


def _call(id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"id": id or "", "type": "function", "function": {"name": name, "arguments": arguments}}
