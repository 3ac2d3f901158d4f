"""A context request as an AuthZEN 1.0 access evaluation request, and back without loss.

The subject is the agent, the action the tool with its arguments, the resource what the tool touches, or the
tool itself where nobody knows. What AuthZEN has no place for stands under `context.agentguard`. Source:
OpenID AuthZEN Authorization API 1.0, section 5 (information model) and 6 (access evaluation).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentguard.call import ContextRequest
from agentguard.errors import ConfigurationError

__all__ = ["from_authzen", "to_authzen"]

_OURS: Final = "agentguard"
_VERSION: Final = 1
_ACTION: Final = ("args", "tool_digest", "secrets", "facts")
_CONTEXT: Final = (
    "tenant",
    "call_id",
    "principal",
    "chain",
    "environment",
    "session",
    "workload",
    "context",
    "supplied",
)


def to_authzen(request: ContextRequest) -> dict[str, Any]:
    """The request as AuthZEN data, ready for `json.dumps`."""
    data = request.to_mapping()
    agent = data["agent"]
    found: dict[str, Any] = {
        "subject": {
            "type": "agent",
            "id": agent["id"],
            "properties": {key: value for key, value in agent.items() if key != "id"},
        },
        "action": {"name": request.tool, "properties": {key: data[key] for key in _ACTION}},
    }
    ours: dict[str, Any] = {"v": _VERSION, **{key: data[key] for key in _CONTEXT if key in data}}
    resource: Any = data.get("resource")
    if _is_plain(resource) and (resource["type"], resource["id"]) != ("tool", request.tool):
        rest = {key: value for key, value in resource.items() if key not in ("type", "id")}
        found["resource"] = {"type": resource["type"], "id": resource["id"], "properties": rest}
    else:
        found["resource"] = {"type": "tool", "id": request.tool}
        if resource is not None:
            ours["resource"] = resource
    found["context"] = {"time": data["now"], _OURS: ours}
    return found


def from_authzen(data: Mapping[str, Any]) -> ContextRequest:
    """The context request that an AuthZEN request describes; other people's need no `context.agentguard`.

    Raises:
        ConfigurationError: it is not an access evaluation request, or its subject is not an agent.
    """
    subject = _entity(data, "subject", ("type", "id"))
    action = _entity(data, "action", ("name",))
    resource = _entity(data, "resource", ("type", "id"))
    if subject["type"] != "agent":
        raise ConfigurationError(
            f"subject.type is {subject['type']!r:.60}: what acts has to be an `agent`; say under "
            f"`context.{_OURS}.principal` on whose behalf"
        )
    context = _mapping(data.get("context", {}), "context")
    ours = _mapping(context.get(_OURS, {}), f"context.{_OURS}")
    unknown = sorted(set(ours) - {*_CONTEXT, "resource", "v"})
    if unknown:
        raise ConfigurationError(f"unknown key `{unknown[0]:.60}` in `context.{_OURS}`")
    if ours.get("v", _VERSION) != _VERSION:
        raise ConfigurationError(f"`context.{_OURS}.v` is {ours['v']!r:.20}; this release reads {_VERSION}")
    properties = _properties(action, "action")
    agent = _properties(subject, "subject")
    if "id" in agent:
        raise ConfigurationError("subject.properties cannot hold `id`: the subject has it")
    found: dict[str, Any] = {key: ours[key] for key in _CONTEXT if key in ours}
    if _OURS not in context:
        found["context"] = {key: value for key, value in context.items() if key != "time"}
        found["args"] = properties
    else:
        unknown = sorted(set(properties) - set(_ACTION))
        if unknown:
            raise ConfigurationError(f"unknown key `{unknown[0]:.60}` in `action.properties`")
        found.update(properties)
    found["tool"] = action["name"]
    found["agent"] = {**agent, "id": subject["id"]}
    if "resource" in ours:
        found["resource"] = ours["resource"]
    elif (resource["type"], resource["id"]) != ("tool", action["name"]) or resource.get("properties"):
        rest = _properties(resource, "resource")
        found["resource"] = {**rest, "type": resource["type"], "id": resource["id"]}
    if "time" in context:
        found["now"] = context["time"]
    return ContextRequest.from_mapping(found)


def _is_plain(resource: Any) -> bool:
    return (
        isinstance(resource, dict)
        and isinstance(resource.get("type"), str)
        and isinstance(resource.get("id"), str)
    )


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"`{what}` must be an object, not {type(value).__name__}")
    return value


def _properties(entity: Mapping[str, Any], what: str) -> dict[str, Any]:
    return dict(_mapping(entity.get("properties", {}), f"{what}.properties"))


def _entity(data: Mapping[str, Any], key: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    if key not in data:
        raise ConfigurationError(f"an access evaluation request needs `{key}`")
    entity = _mapping(data[key], key)
    for name in names:
        if not isinstance(entity.get(name), str) or not entity[name]:
            raise ConfigurationError(f"`{key}.{name}` must be a non-empty string")
    return entity
