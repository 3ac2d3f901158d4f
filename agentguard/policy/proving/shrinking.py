"""A counterexample made smaller: whatever it does not need is left out, by asking the evaluator again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from agentguard.call import ContextRequest
from agentguard.errors import AgentGuardError

__all__ = ["smaller"]

_KEPT: Final = frozenset(
    {"tool", "args", "agent", "now", "tenant", "call_id", "tool_digest", "chain", "secrets"}
)
_ROUNDS: Final = 400


def smaller(request: ContextRequest, still: Callable[[ContextRequest], bool]) -> ContextRequest:
    """A request of fewer and plainer values for which `still` holds as well."""
    data = request.to_mapping()
    left = _ROUNDS
    progress = True
    while progress and left > 0:
        progress = False
        for changed in _variants(data):
            left -= 1
            found = _request(changed)
            if found is not None and still(found):
                data, request, progress = changed, found, True
                break
            if left <= 0:
                break
    return request


def _request(data: Mapping[str, Any]) -> ContextRequest | None:
    try:
        return ContextRequest.from_mapping(data)
    except AgentGuardError:
        return None


def _variants(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The request without one of its parts, then with one value that is plainer."""
    for key, value in data.items():
        if key not in _KEPT and value not in ({}, []):
            yield {name: one for name, one in data.items() if name != key}
        if isinstance(value, dict):
            fixed = frozenset({"id"}) if key == "agent" else frozenset[str]()
            for inner in _without(value, fixed):
                yield {**data, key: inner}
        elif isinstance(value, list) and value:
            yield {**data, key: []}
    for key in ("args", "agent", "session", "context", "principal", "resource", "workload"):
        if isinstance(data.get(key), dict):
            for inner in _plainer(data[key]):
                yield {**data, key: inner}


def _without(value: Mapping[str, Any], fixed: frozenset[str]) -> Iterator[dict[str, Any]]:
    for key, inner in value.items():
        if key not in fixed:
            yield {name: one for name, one in value.items() if name != key}
        if isinstance(inner, dict):
            for less in _without(inner, frozenset()):
                yield {**value, key: less}
        elif isinstance(inner, list):
            for index in range(len(inner)):
                yield {**value, key: inner[:index] + inner[index + 1 :]}


def _plainer(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Strange values as a word or a number, numbers as whole ones, strange texts as plain ones."""
    for key, inner in value.items():
        if key == "tags":
            continue
        for other in _instead(inner):
            yield {**value, key: other}
        if isinstance(inner, dict):
            for less in _plainer(inner):
                yield {**value, key: less}


def _instead(value: Any) -> list[Any]:
    match value:
        case bool():
            return ["a"]
        case int():
            return []
        case float():
            return [round(value)]
        case str() if value in ("", "a") or (value.isascii() and value.isalnum()):
            return []
        case str():
            return ["a", "a" * len(value)] if value.strip("a") else []
        case {} if value:
            return []
        case _:
            return ["a", 1]
