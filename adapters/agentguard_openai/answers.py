"""What the model is told: results, denials and errors, in the form that its API wants."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import pydantic_core

from agentguard import OutcomeUnknown, ToolCallDenied
from agentguard_openai.calls import ModelCall, printable

__all__ = ["RESULT_LIMIT", "AlreadyRan", "Errors", "denied", "error_text", "message", "output", "result_text"]

RESULT_LIMIT: Final = 200_000
"""Characters of one result that the model is given, unless told otherwise."""

Errors = Callable[[Exception], str]
"""What the model is told when a tool raised; its answer is shown as it is."""

log = logging.getLogger("agentguard")
_BLOCKS: Final = frozenset({"input_text", "input_image", "input_file"})


class AlreadyRan(Exception):
    """This very call was started before, here or elsewhere, and its result is not at hand."""


def message(call: ModelCall, content: Any) -> dict[str, Any]:
    """The answer to one call."""
    match call.shape:
        case "chat":
            return {"role": "tool", "tool_call_id": call.id, "content": content}
        case "chat-legacy":
            return {"role": "function", "name": call.name, "content": content}
        case "responses":
            return {"type": "function_call_output", "call_id": call.id, "output": content}
        case "responses-custom":
            return {"type": "custom_tool_call_output", "call_id": call.id, "output": content}


def output(result: object, limit: int) -> Any:
    """A result for a Responses output: content blocks stay what they are, anything else becomes text."""
    if type(result) is not list or not result:
        return result_text(result, limit)
    if not all(type(item) is dict and item.get("type") in _BLOCKS for item in result):
        return result_text(result, limit)
    return [
        {**item, "text": result_text(item.get("text"), limit)} if item["type"] == "input_text" else item
        for item in result
    ]


def result_text(result: object, limit: int) -> str:
    """A result as text: JSON where it is none; valid Unicode, and cut where it is too long."""
    text = str.__str__(result) if isinstance(result, str) else _json(result)
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) > limit:
        return f"{text[:limit]}\n[cut here: {limit} of {len(text)} characters]"
    return text


def denied(denial: ToolCallDenied, error: str = "denied") -> str:
    """A denial for the model: which rule, why, and what would let it run; no policy internals."""
    found: dict[str, Any] = {
        "error": error,
        "rule": denial.rule,
        "reason": denial.reason,
        "remedy": denial.remedy,
        "decision": denial.decision_id,
    }
    return _dump(found)


def error_text(error: Exception, errors: Errors | None) -> str:
    """What the model is told of a call that ran and failed, without the text of the exception."""
    if isinstance(error, AlreadyRan):
        said = "this call was started before and is not run again; its result is not known here"
        return _dump({"error": "already_ran", "reason": said, "remedy": "ask_operator"})
    if isinstance(error, OutcomeUnknown):
        said = "this call was started under its approval and nobody knows how it ended; it is not run again"
        return _dump({"error": "outcome_unknown", "reason": said, "remedy": "ask_operator"})
    if isinstance(error, ToolCallDenied):
        # A guarded tool inside this one was denied; its message is made for the model.
        return denied(error)
    if errors is not None:
        try:
            return result_text(str(errors(error)), RESULT_LIMIT)
        except Exception as failure:
            log.error("`errors` failed: %s", type(failure).__name__)
    return _dump({"error": "tool_failed", "reason": "the tool failed; the cause is not shown here"})


def of_mapping(found: Mapping[str, Any]) -> str:
    """A message of the adapter's own."""
    return _dump(found)


def _dump(found: Mapping[str, Any]) -> str:
    plain = {key: printable(item, 2_000) if isinstance(item, str) else item for key, item in found.items()}
    return json.dumps(plain, ensure_ascii=False)


def _json(result: object) -> str:
    try:
        plain = pydantic_core.to_jsonable_python(
            result, bytes_mode="base64", fallback=lambda item: f"<{type(item).__name__}>"
        )
        text = json.dumps(plain, ensure_ascii=False)
        if "NaN" in text or "Infinity" in text:
            plain = json.loads(text, parse_constant=lambda name: None)
            text = json.dumps(plain, ensure_ascii=False)
        return text
    except Exception as error:
        log.warning("a tool's result cannot be written as JSON: %s", type(error).__name__)
        return _dump({"error": "unreadable_result", "reason": "the tool ran; its result cannot be shown"})
