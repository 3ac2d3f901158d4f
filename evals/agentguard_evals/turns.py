"""One turn of a live model, read as what it asks for; what cannot be played is an error, never nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentguard.canonical import loads
from agentguard.errors import ArgumentsError, ConfigurationError
from agentguard.policy.findings import suggestion
from agentguard_evals.case import ToolDefinition
from agentguard_openai.calls import ModelCall, get, items_of, printable, read_calls

__all__ = ["Asked", "ModelError", "Turn", "read_turn", "shown_tools"]

MAX_CALLS: Final = 64
"""Tool calls of one turn that are played."""
_NAME_LIMIT: Final = 64
_UNFINISHED: Final = {
    "length": "the model's turn was cut off by a limit of its tokens; raise the limit, or ask for less",
    "content_filter": "the endpoint's content filter ended the model's turn; nothing says what it would do",
}


class ModelError(Exception):
    """A live model did not answer, or not with what can be played; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A tool call that the model asks for; `call` is how it stood in the turn."""

    tool: str
    arguments: Mapping[str, Any]
    call: ModelCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn. `message` goes back into the conversation; tokens are None where nobody counted them."""

    message: Any
    asked: tuple[Asked, ...]
    prompt_tokens: int | None
    completion_tokens: int | None


def shown_tools(tools: Sequence[ToolDefinition]) -> dict[str, ToolDefinition]:
    """The tools by the names that a model is shown: letters, digits, `_` and `-`, at most 64.

    Raises:
        ConfigurationError: two tools would have the same name.
    """
    found: dict[str, ToolDefinition] = {}
    for tool in tools:
        name = "".join(char if char.isalnum() or char in "_-" else "_" for char in tool.name)[:_NAME_LIMIT]
        if name in found:
            raise ConfigurationError(
                f"a model would be shown `{found[name].name}` and `{tool.name}` as `{name}`; rename one"
            )
        found[name] = tool
    return found


def read_turn(turn: Any, tools: Mapping[str, ToolDefinition], *, first: bool) -> Turn:
    """The turn in an answer of the Chat Completions form: the SDK's object or plain data.

    Raises:
        ModelError: it is no turn, it was cut off, or one of its calls cannot be played.
    """
    try:
        calls = read_calls(turn)
    except ConfigurationError as error:
        what = str(error).partition(":")[0]
        raise ModelError(f"{what}; is this a chat-completions endpoint?") from None
    choices = items_of(get(turn, "choices"))
    choice = choices[0] if choices else turn
    message = get(choice, "message") if get(choice, "message") is not None else choice
    if get(message, "role") != "assistant":
        raise ModelError("the answer holds no message of an assistant; is this a chat-completions endpoint?")
    ended = get(choice, "finish_reason")
    if isinstance(ended, str) and ended in _UNFINISHED:
        raise ModelError(_UNFINISHED[ended])
    asked = get(message, "tool_calls")
    if not (asked is None or isinstance(asked, list)) or (ended == "tool_calls" and not calls):
        raise ModelError(
            "the model's calls cannot be read; does the endpoint know how this model calls tools?"
        )
    if len(calls) > MAX_CALLS:
        raise ModelError(f"the model asked for {len(calls):,} calls in one turn; {MAX_CALLS} are played")
    if first and not calls and not get(message, "content") and not get(message, "refusal"):
        raise ModelError("the model answered with neither words nor a call; can it use tools?")
    usage = get(turn, "usage")
    return Turn(
        message=_kept(message),
        asked=tuple([_asked(call, tools) for call in calls]),
        prompt_tokens=_count(get(usage, "prompt_tokens")),
        completion_tokens=_count(get(usage, "completion_tokens")),
    )


def _kept(message: Any) -> Any:
    """The message as it came, with what only its endpoint understands."""
    plain = (
        message.model_dump(exclude_none=True, warnings=False)
        if hasattr(message, "model_dump")
        else dict(message)
    )
    return {"role": "assistant", "content": None, **plain}


def _asked(call: ModelCall, tools: Mapping[str, ToolDefinition]) -> Asked:
    shown = printable(call.name, _NAME_LIMIT)
    if call.name not in tools or call.custom:
        known = suggestion(shown, tools)
        raise ModelError(
            f"the model called `{shown}`, which is none of the case's tools{f' ({known})' if known else ''}; "
            "describe it in `tools`, or describe the others better"
        )
    if call.problem is not None:
        raise ModelError(f"the model's call of `{shown}` cannot be played: {call.problem}")
    try:
        arguments = loads(call.text) if call.text.strip() else {}
        if type(arguments) is not dict:
            raise ArgumentsError("they are no JSON object")
    except ArgumentsError as error:
        raise ModelError(
            f"the arguments of the model's call of `{shown}` cannot be read: {error}; try it again, with a "
            "lower temperature, or with another model"
        ) from None
    return Asked(tools[call.name].name, arguments, call)


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
