"""BFCL v4 multi-turn (Apache-2.0): the ground-truth calls of 200 honest tasks, with the user's words between.

The calls are text in the data and are parsed, never run: their answers would need BFCL's own implementations,
so no result is replayed, and what a rule makes of results shows only in other suites.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentguard.errors import ConfigurationError
from agentguard_evals.case import Suite
from agentguard_evals.data_files import Data, recorded_suite

__all__ = ["load_bfcl"]

_FILES: Final[Mapping[str, str]] = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "TwitterAPI": "posting_api",
    "VehicleControlAPI": "vehicle_control",
}
"""Where the tools of each class are described."""
_TYPES: Final = {"dict": "object", "float": "number", "tuple": "array"}


def load_bfcl(folder: Path) -> Sequence[Suite]:
    """All 200 tasks.

    Raises:
        ConfigurationError: a file is missing or is not what this suite knows.
    """
    data = Data(folder)
    tasks = data.lines("BFCL_v4_multi_turn_base.json.gz")
    answers = data.lines("BFCL_v4_multi_turn_base.answers.json.gz")
    kits = {
        name: [_schema(tool) for tool in data.lines(f"multi_turn_func_doc/{file}.json")]
        for name, file in _FILES.items()
    }
    try:
        truths = {answer["id"]: answer["ground_truth"] for answer in answers}
        rows = [_row(task, truths[task["id"]], kits) for task in tasks]
    except (KeyError, TypeError, ValueError, AttributeError, SyntaxError) as error:
        raise ConfigurationError(f"{folder}: not the data that `bfcl` knows: {error}") from None
    title = "BFCL v4 multi-turn: honest tasks over eight kinds of tools"
    return [recorded_suite("bfcl", rows, data, title=title, reread="bfcl")]


def _row(
    task: Mapping[str, Any], truth: Sequence[Sequence[str]], kits: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    tools = [tool for name in task["involved_classes"] for tool in kits[name]]
    named = {tool["name"]: tool for tool in tools}
    steps: list[dict[str, Any]] = []
    for turn, calls in zip(task["question"], truth, strict=True):
        steps += [{"user": message["content"]} for message in turn if message["role"] == "user"]
        steps += [_call(text, named) for text in calls]
    first = steps[0]["user"] if steps and "user" in steps[0] else None
    return {
        "id": task["id"],
        "prompt": first,
        "tools": list(named.values()),
        "steps": steps[1:] if first is not None else steps,
    }


def _call(text: str, tools: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    node = ast.parse(text.strip(), mode="eval").body
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(f"`{text[:60]}` is no call")
    names = list(tools[node.func.id]["parameters"]["properties"])
    args = dict(zip(names, map(ast.literal_eval, node.args), strict=False))
    args.update(_keywords(node.keywords))
    return {"call": node.func.id, "args": args}


def _keywords(keywords: list[ast.keyword]) -> Iterator[tuple[str, Any]]:
    for one in keywords:
        if one.arg is None:
            raise ValueError("a call with `**`")
        yield one.arg, ast.literal_eval(one.value)


def _schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as JSON Schema: BFCL writes `dict` for objects and `float` for numbers."""
    return {
        "name": tool["name"],
        "description": tool["description"],
        "parameters": _standard(tool["parameters"]),
    }


def _standard(node: Any) -> Any:
    if isinstance(node, list):
        return [_standard(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    found = {key: _standard(value) for key, value in node.items()}
    if isinstance(found.get("type"), str):
        found["type"] = _TYPES.get(found["type"], found["type"])
    return found
