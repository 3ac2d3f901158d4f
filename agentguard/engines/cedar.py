"""Cedar policies, evaluated in this process by `cedarpy` (extra `cedar`).

The agent is the principal (`Agent::"billing"`, its attributes on the entity), the tool the action
(`Action::"payments.transfer"`), the resource `Tool::"payments.transfer"` or what the tool's `resource` says.
Under `context` stand the parts of the request named in `include`.
"""

from __future__ import annotations

import decimal
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from agentguard.access import refuse_file
from agentguard.call import ContextRequest
from agentguard.decision import Effect
from agentguard.engines.model import Settings, Silent, input_of
from agentguard.errors import ConfigurationError
from agentguard.opinion import Opinion

__all__ = ["CedarEngine"]

_TYPE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*")
_ESCAPES: Final = frozenset({"__entity", "__extn", "__expr"})
_PARTS: Final = (
    "args",
    "environment",
    "principal",
    "chain",
    "session",
    "secrets",
    "facts",
    "context",
    "workload",
    "now",
)


class CedarEngine(Settings):
    """Asks a set of Cedar policies.

    `policies` is a file of Cedar policies, `schema` one with the schema in Cedar's own syntax: policies are
    validated against it when loaded, requests when asked. It declares the entity types `Agent` and `Tool`
    (`User` and `Group` for `principal`), an action for each tool, and a context of what `include` names.
    `silent` says what it means that no policy permits or forbids: Cedar's own deny, or no opinion.

    An error in a policy, and anything that Cedar cannot decide, is a deny: with Cedar alone a `forbid` that
    fails lets the call through. Numbers with a fraction are Cedar decimals; what Cedar has no value for
    (null, more than four digits of fraction, integers beyond 64 bits) is a deny.

    Raises:
        ConfigurationError: `cedarpy` is missing, or policies or schema are refused.
    """

    local = True

    def __init__(
        self,
        policies: str | Path,
        *,
        schema: str | Path,
        include: Iterable[str] = ("args", "environment"),
        silent: Silent = "deny",
        name: str = "cedar",
        tools: Iterable[str] = ("*",),
        permits: bool = False,
    ) -> None:
        super().__init__(name, tools, permits, 1.0)
        try:
            import cedarpy
        except ImportError:
            raise ConfigurationError(
                f"engine `{name}` needs cedarpy: pip install 'agentguard[cedar]'"
            ) from None
        self._include = tuple(include)
        unknown = sorted(set(self._include) - set(_PARTS))
        if unknown:
            raise ConfigurationError(
                f"engine `{name}`: `{unknown[0]:.40}` cannot be included; known: {', '.join(_PARTS)}"
            )
        if silent not in ("deny", "not_applicable"):
            raise ConfigurationError(f"engine `{name}`: silent must be `deny` or `not_applicable`")
        self._silent: Silent = silent
        text = _read(policies, name)
        try:
            self._schema = cedarpy.Schema.from_str(_read(schema, name))
            self._policies = cedarpy.PolicySet.from_str(text)
        except ValueError as error:
            raise ConfigurationError(f"engine `{name}`: {error}") from None
        if not json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]:
            raise ConfigurationError(f"engine `{name}`: `{policies}` holds no policy")
        checked = cedarpy.validate_policies(text, self._schema)
        if not checked.validation_passed:
            found = "; ".join(str(problem) for problem in list(checked.errors)[:5])
            raise ConfigurationError(f"engine `{name}`: the policies do not fit the schema: {found}")
        self._ask = cedarpy.is_authorized
        self._allow, self._deny = cedarpy.Decision.Allow, cedarpy.Decision.Deny

    def decide(self, request: ContextRequest) -> Opinion:
        """What the policies say; everything that is no clear answer is a deny."""
        try:
            query, entities = _query(request, self._include)
        except _NoValue as error:
            return Opinion.failed(f"{error}")
        answer = self._ask(query, self._policies, entities, self._schema)
        diagnostics = answer.diagnostics
        if diagnostics.errors or answer.decision not in (self._allow, self._deny):
            return Opinion.failed("a policy, or the request, could not be evaluated")
        names = dict(diagnostics.id_annotations_by_reason)
        rules = tuple(sorted(str(names.get(reason, reason)) for reason in diagnostics.reasons))
        if answer.decision == self._allow:
            return Opinion(effect=Effect.ALLOW, rules=rules)
        if rules:
            return Opinion(effect=Effect.DENY, rules=rules, reason=f"forbidden by {', '.join(rules)}")
        if self._silent == "not_applicable":
            return Opinion(effect=None)
        return Opinion(effect=Effect.DENY, reason="no policy permits it")


class _NoValue(Exception):
    """Something that Cedar has no value for; the message holds no value."""


def _read(source: str | Path, name: str) -> str:
    refuse_file(source, f"engine `{name}`:")
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"engine `{name}`: cannot read `{source}`: {type(error).__name__}") from None


def _query(request: ContextRequest, include: tuple[str, ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    data = input_of(request)
    agent = data["agent"]
    entities = [_entity("Agent", agent["id"], {k: v for k, v in agent.items() if k != "id"})]
    resource = data.get("resource")
    if resource is None:
        uid = {"type": "Tool", "id": request.tool}
        entities.append(_entity("Tool", request.tool, {}))
    else:
        kind, name = resource.get("type"), resource.get("id")
        if not (isinstance(kind, str) and _TYPE.fullmatch(kind) and isinstance(name, str)):
            raise _NoValue("the resource has no type and id that Cedar could name")
        uid = {"type": kind, "id": name}
        rest = {key: value for key, value in resource.items() if key not in ("type", "id")}
        entities.append(_entity(kind, name, rest))
    context: dict[str, Any] = {}
    for part in include:
        if part not in data:
            continue
        if part == "principal":
            context[part] = {"__entity": {"type": "User", "id": data[part]["id"]}}
            entities += _person(data[part])
        elif part == "chain":
            links = [link for link in data[part] if link["id"] != agent["id"]]
            context[part] = [{"__entity": {"type": "Agent", "id": link["id"]}} for link in data[part]]
            known = {link["id"]: link for link in links}
            entities += [
                _entity("Agent", name, {k: v for k, v in link.items() if k != "id"})
                for name, link in known.items()
            ]
        else:
            context[part] = _value(data[part])
    query = {
        "principal": {"type": "Agent", "id": agent["id"]},
        "action": {"type": "Action", "id": request.tool},
        "resource": uid,
        "context": context,
    }
    return query, entities


def _person(person: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups = person.get("groups", [])
    rest = {key: value for key, value in person.items() if key not in ("id", "groups")}
    parents = [{"type": "Group", "id": str(group)} for group in groups]
    return [
        {**_entity("User", person["id"], rest), "parents": parents},
        *(_entity("Group", str(group), {}) for group in groups),
    ]


def _entity(kind: str, name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"uid": {"type": kind, "id": name}, "attrs": _value(attributes), "parents": []}


def _value(value: Any) -> Any:
    """A JSON value as Cedar's JSON.

    INVARIANT: no mapping from outside becomes an entity or an extension value: its escapes are refused.
    """
    if isinstance(value, Mapping):
        if _ESCAPES & value.keys():
            raise _NoValue("a mapping has a key that Cedar reads as an escape")
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    if isinstance(value, float):
        return {"__extn": {"fn": "decimal", "arg": _decimal(value)}}
    return value  # null and integers beyond 64 bits are refused by Cedar


def _decimal(value: float) -> str:
    exact = decimal.Decimal(repr(value))
    exponent = exact.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -4 or abs(exact) >= 922337203685477:
        raise _NoValue("a number is beyond Cedar's decimals of four digits")
    return f"{exact:.4f}"
