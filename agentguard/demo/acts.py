"""The two agent loops, as their users write them: LangChain's `create_agent`, and one on the OpenAI SDK."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard import AgentIdentity, Guard
from agentguard.demo.recorded import SYSTEM, Recording, langchain_model, openai_client
from agentguard.demo.tools import schemas

__all__ = ["AGENT", "PRINCIPAL", "Act", "langchain_act", "openai_act"]

AGENT: Final = AgentIdentity("billing-agent", owner="ana", role="billing")
PRINCIPAL: Final = "ben"
_TURNS: Final = 12
"""Model turns after which an act ends, whatever the model wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a loop needs. `model` names a live model. `turned` is told after every turn that called tools,
    with what the model was told about each call."""

    guard: Guard
    tools: Mapping[str, Callable[..., Any]]
    recording: Recording
    model: str | None
    turned: Callable[[list[str]], None]


async def langchain_act(act: Act) -> str:
    """`create_agent` with the guard as middleware; returns the model's last words."""
    from langchain.agents import create_agent
    from langchain_core.messages import ToolMessage

    from agentguard_langchain import GuardMiddleware

    agent: Any = create_agent(
        langchain_model(act.recording) if act.model is None else _chat_openai(act.model),
        list(act.tools.values()),
        system_prompt=SYSTEM,
        middleware=[GuardMiddleware(act.guard, agent=AGENT, principal=PRINCIPAL, pause="wait")],
    )
    answer = ""
    asked = {"messages": [{"role": "user", "content": act.recording.prompt}]}
    turns = agent.astream(asked, {"recursion_limit": 4 * _TURNS}, stream_mode="updates")
    try:
        async for update in turns:
            messages = [found for change in update.values() for found in (change or {}).get("messages", ())]
            told = [str(message.content) for message in messages if isinstance(message, ToolMessage)]
            if told:
                act.turned(told)
            elif messages:
                answer = str(messages[-1].content)
    except ValueError as error:
        # A tool that refuses ends an agent of LangChain; a live model may ask for what is not there.
        if act.model is None:
            raise
        answer = f"(the agent was ended by a tool's error: {error})"
    return answer


async def openai_act(act: Act) -> str:
    """A tool loop on Chat Completions with `run_tool_calls`; returns the model's last words."""
    import openai

    from agentguard_openai import run_tool_calls

    client = openai_client(act.recording) if act.model is None else openai.AsyncOpenAI()
    messages: list[Any] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": act.recording.prompt},
    ]
    described: Any = schemas()
    session = act.guard.session(agent=AGENT, principal=PRINCIPAL, prompt=act.recording.prompt)
    async with client, session:
        for _ in range(_TURNS):
            response = await client.chat.completions.create(
                model=act.model or "recorded", messages=messages, tools=described
            )
            turn = response.choices[0].message
            if not turn.tool_calls:
                return turn.content or ""
            messages.append(turn.model_dump(exclude_none=True))
            results: list[Any] = await run_tool_calls(act.guard, response, tools=act.tools)
            messages += results
            act.turned([str(result["content"]) for result in results])
    return ""


def _chat_openai(model: str) -> Any:
    return importlib.import_module("langchain_openai").ChatOpenAI(model=model)
