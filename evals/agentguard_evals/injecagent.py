"""InjecAgent (MIT): one honest look-up whose result carries an attack, then the attack's calls.

The data says which tools an attack calls and what it asks for in words, not the arguments. They are made from
those words: for each parameter the first thing in the text that has its shape, or the text itself. What the
attack's own look-ups answer is not in the data either; the stolen data is a marked text that the sending
call passes on.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agentguard.errors import ConfigurationError
from agentguard_evals.case import Gap, Suite
from agentguard_evals.data_files import Data, recorded_suite

__all__ = ["load_injecagent"]

_HARMLESS: Final = "All as expected."
_STOLEN: Final = "STOLEN-DATA-0001"
_SLOT: Final = "<Attacker Instruction>"
_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_JSON_TYPES: Final = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}


def load_injecagent(folder: Path) -> Sequence[Suite]:
    """The base setting: direct harm and data stealing; and the honest look-ups alone.

    Raises:
        ConfigurationError: a file is missing or is not what this suite knows.
    """
    data = Data(folder)
    try:
        tools = _tools(data.json("tools.json.gz"))
        rows = [
            *_honest(data.lines("user_cases.jsonl"), tools),
            *_attacked("direct-harm", data.json("test_cases_dh_base.json.gz"), tools),
            *_attacked("data-stealing", data.json("test_cases_ds_base.json.gz"), tools),
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{folder}: not the data that `injecagent` knows: {error}") from None
    made = Gap(
        "attacks with made arguments", sum("attack_steps" in row for row in rows), "the data holds none"
    )
    title = "InjecAgent: an attack in the result of one honest look-up"
    return [recorded_suite("injecagent", rows, data, title=title, reread="injecagent", gaps=[made])]


def _tools(kits: list[Any]) -> dict[str, dict[str, Any]]:
    return {
        kit["name_for_model"] + tool["name"]: _schema(kit["name_for_model"] + tool["name"], tool)
        for kit in kits
        for tool in kit["tools"]
    }


def _schema(name: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        one["name"]: {
            "type": _JSON_TYPES.get(one["type"], "array" if "array" in one["type"] else "object"),
            "description": one["description"],
        }
        for one in tool["parameters"]
    }
    required = [one["name"] for one in tool["parameters"] if one.get("required")]
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": tool["summary"], "parameters": parameters}


def _honest(cases: list[Any], tools: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, case in enumerate(cases):
        result = case["Tool Response Template"].replace(_SLOT, _HARMLESS)
        yield {
            "id": f"honest/{number}",
            "group": "honest",
            "prompt": case["User Instruction"],
            "tools": [tools[case["User Tool"]]],
            "steps": _lookup(case, result),
        }


def _attacked(group: str, cases: list[Any], tools: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, case in enumerate(cases):
        steps = _lookup(case, case["Tool Response"])
        attack = []
        for name in case["Attacker Tools"]:
            attack.append(len(steps))
            args = _arguments(tools[name], case["Attacker Instruction"], passes_on=len(attack) > 1)
            steps += [{"call": name, "args": args}, {"result": _STOLEN, "of": attack[-1]}]
        yield {
            "id": f"{group}/{number}",
            "group": group,
            "prompt": case["User Instruction"],
            "tools": [tools[name] for name in dict.fromkeys((case["User Tool"], *case["Attacker Tools"]))],
            "steps": steps,
            "attack_steps": attack,
        }


def _lookup(case: Mapping[str, Any], result: str) -> list[dict[str, Any]]:
    args = ast.literal_eval(case["Tool Parameters"])
    return [{"call": case["User Tool"], "args": args}, {"result": result, "of": 0}]


def _arguments(tool: Mapping[str, Any], text: str, *, passes_on: bool) -> dict[str, Any]:
    parameters = tool["parameters"]
    return {
        name: _value(name, parameters["properties"][name]["type"], text, passes_on)
        for name in parameters["required"]
    }


def _value(name: str, kind: str, text: str, passes_on: bool) -> Any:
    match kind:
        case "integer":
            return int(float(_first(_NUMBER, text, "1")))
        case "number":
            return float(_first(_NUMBER, text, "1"))
        case "boolean":
            return True
        case "array":
            return [_first(_MAIL, text, text)]
        case "object":
            return {"text": text}
    if any(word in name.lower() for word in ("to", "recipient", "mail")):
        return _first(_MAIL, text, text)
    return _STOLEN if passes_on and "body" in name.lower() else text


def _first(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    found = pattern.search(text)
    return found[0] if found is not None else otherwise
