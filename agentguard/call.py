"""What is asked: one intended tool call and everything a decision about it may look at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from agentguard.canonical import digest, freeze
from agentguard.decision import plain
from agentguard.errors import ArgumentsError, ConfigurationError

__all__ = ["AgentIdentity", "ContextRequest", "Principal", "binding_digest"]

EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


def _empty() -> Mapping[str, Any]:
    return EMPTY


def _subject(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 256 or not value.isprintable():
        raise ConfigurationError(
            f"{what} must be a printable, non-empty string of at most 256 characters, not {value!r:.80}"
        )
    return str(value)


@dataclass(frozen=True, slots=True, init=False)
class AgentIdentity:
    """Who acts: an agent's id, the person who answers for it, its tags and further flat attributes.

    Conditions see `agent.id`, `agent.owner`, `agent.tags` and each attribute by its name (`agent.role`).
    """

    id: str
    owner: str | None
    tags: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __init__(
        self,
        id: str,
        *,
        owner: str | None = None,
        tags: Iterable[str] = (),
        **attributes: Any,
    ) -> None:
        set_ = object.__setattr__
        set_(self, "id", _subject(id, "an agent's id"))
        set_(self, "owner", None if owner is None else _subject(owner, "an agent's owner"))
        if isinstance(tags, str):
            raise ConfigurationError(f"tags is one string, {tags!r}; pass a list of strings")
        set_(self, "tags", tuple(_subject(tag, "a tag") for tag in tags))
        set_(self, "attributes", freeze(attributes).view)

    def to_facts(self) -> Mapping[str, Any]:
        """As conditions see it; absent facts have no key."""
        facts: dict[str, Any] = {**self.attributes, "id": self.id, "tags": self.tags}
        if self.owner is not None:
            facts["owner"] = self.owner
        return MappingProxyType(facts)


@dataclass(frozen=True, slots=True)
class Principal:
    """The person on whose behalf the agent acts."""

    id: str
    groups: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _subject(self.id, "a principal's id")
        if isinstance(self.groups, str):
            raise ConfigurationError(f"groups is one string, {self.groups!r}; pass a list of strings")
        object.__setattr__(self, "groups", tuple(_subject(group, "a group") for group in self.groups))

    def to_facts(self) -> Mapping[str, Any]:
        """As conditions see it."""
        return MappingProxyType({**freeze(self.attributes).view, "id": self.id, "groups": self.groups})


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRequest:
    """Everything one decision may look at, as data; a key that is absent is a fact nobody supplied.

    `args` is a read-only tree (mappings and tuples) in which int and float stay apart. `supplied` holds what
    fact providers fetched, under `provenance`, `secret`, `history`, `rates`, `baseline` and `engines`.
    `chain` lists the delegating agents, outermost first.
    """

    tool: str
    args: Mapping[str, Any]
    agent: Mapping[str, Any]
    tenant: str = "default"
    call_id: str = ""
    tool_digest: str = ""
    principal: Mapping[str, Any] | None = None
    chain: tuple[Mapping[str, Any], ...] = ()
    environment: str | None = None
    secrets: tuple[str, ...] = ()
    session: Mapping[str, Any] = field(default_factory=_empty)
    resource: Mapping[str, Any] | None = None
    workload: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=_empty)
    context: Mapping[str, Any] = field(default_factory=_empty)
    now: dt.datetime
    supplied: Mapping[str, Mapping[str, Any]] = field(default_factory=_empty)

    def bindings(self) -> dict[str, Any]:
        """The variables of a condition; what nobody supplied is absent, so that reading it is an error."""
        found: dict[str, Any] = {
            "tool": self.tool,
            "args": self.args,
            "agent": self.agent,
            "chain": self.chain,
            "secrets": self.secrets,
            "session": self.session,
            "facts": self.facts,
            "context": self.context,
            "now": self.now,
        }
        if self.principal is not None:
            found["principal"] = self.principal
        if self.environment is not None:
            found["environment"] = self.environment
        if self.resource is not None:
            found["resource"] = self.resource
        if self.workload is not None:
            found["workload"] = self.workload
        return found

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> ContextRequest:
        """A request from plain data, as `agentguard explain` reads it.

        Raises:
            ConfigurationError: an unknown key, or a value of the wrong shape.
        """
        unknown = sorted(set(data) - _KEYS)
        if unknown:
            raise ConfigurationError(
                f"unknown key `{unknown[0]}` in a context request; known keys: {', '.join(sorted(_KEYS))}"
            )
        for key in ("tool", "agent"):
            if key not in data:
                raise ConfigurationError(f"a context request needs `{key}`")
        tool, agent = data["tool"], data["agent"]
        if not isinstance(tool, str) or not tool:
            raise ConfigurationError("`tool` must be a non-empty string")
        if isinstance(agent, str):
            agent = {"id": agent}
        principal = data.get("principal")
        if isinstance(principal, str):
            principal = {"id": principal, "groups": []}
        values: dict[str, Any] = {
            "tool": tool,
            "args": _tree(data.get("args", {}), "args"),
            "agent": _tree(agent, "agent"),
            "now": _instant(data.get("now")),
        }
        if not isinstance(values["agent"].get("id"), str):
            raise ConfigurationError("`agent.id` must be a string")
        if principal is not None:
            values["principal"] = _tree(principal, "principal")
        for key in ("tenant", "call_id", "tool_digest", "environment"):
            if data.get(key) is not None:
                if not isinstance(data[key], str):
                    raise ConfigurationError(f"`{key}` must be a string")
                values[key] = data[key]
        for key in ("session", "resource", "workload", "facts", "context", "supplied"):
            if data.get(key) is not None:
                values[key] = _tree(data[key], key)
        values["chain"] = tuple(
            _tree({"id": link} if isinstance(link, str) else link, "chain")
            for link in _sequence(data.get("chain", ()), "chain")
        )
        secrets = _sequence(data.get("secrets", ()), "secrets")
        if not all(isinstance(scope, str) for scope in secrets):
            raise ConfigurationError("`secrets` must be a list of strings")
        values["secrets"] = tuple(secrets)
        return cls(**values)

    @classmethod
    def from_authzen(cls, data: Mapping[str, Any]) -> ContextRequest:
        """A request from an AuthZEN 1.0 access evaluation request; see `agentguard.authzen`.

        Raises:
            ConfigurationError: it is none, or its subject is not an agent.
        """
        from agentguard.authzen import from_authzen

        return from_authzen(data)

    def to_authzen(self) -> dict[str, Any]:
        """The same as an AuthZEN 1.0 access evaluation request, from which `from_authzen` makes it again."""
        from agentguard.authzen import to_authzen

        return to_authzen(self)

    def to_mapping(self) -> dict[str, Any]:
        """The same as plain JSON data; absent facts have no key."""
        data: dict[str, Any] = {
            "tenant": self.tenant,
            "call_id": self.call_id,
            "tool": self.tool,
            "tool_digest": self.tool_digest,
            "args": plain(self.args),
            "agent": plain(self.agent),
            "chain": plain(self.chain),
            "secrets": list(self.secrets),
            "session": plain(self.session),
            "facts": plain(self.facts),
            "context": plain(self.context),
            "now": self.now.isoformat(),
            "supplied": plain(self.supplied),
        }
        for key, value in (
            ("principal", self.principal),
            ("environment", self.environment),
            ("resource", self.resource),
            ("workload", self.workload),
        ):
            if value is not None:
                data[key] = plain(value)
        return data


_KEYS: Final = frozenset(ContextRequest.__dataclass_fields__)


def _tree(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"`{what}` must be a mapping, not {type(value).__name__}")
    try:
        return freeze(value).view
    except ArgumentsError as error:
        raise ConfigurationError(f"`{what}` of a context request: {error}") from None


def _sequence(value: object, what: str) -> Sequence[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ConfigurationError(f"`{what}` must be a list")
    return value


def _instant(value: object) -> dt.datetime:
    if value is None:
        return dt.datetime.now(dt.UTC)
    if isinstance(value, str):
        text = value[:40]
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise ConfigurationError(f"`now` is not an ISO 8601 time: {text!r}") from None
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        raise ConfigurationError("`now` must be a time with a zone, such as 2026-11-20T10:00:00Z")
    return value


def binding_digest(request: ContextRequest, arguments: bytes) -> str:
    """What an approval is bound to (DESIGN 3.9): who calls what with which exact arguments, and when once.

    `arguments` are the canonical bytes that would run. The policies' digest is not part of it.
    """
    head = freeze(
        {
            "v": 1,
            "tenant": request.tenant,
            "call_id": request.call_id,
            "tool": request.tool,
            "tool_digest": request.tool_digest,
            "agent": plain(request.agent),
            "principal": plain(request.principal),
            "chain": plain(request.chain),
            "secrets": sorted(request.secrets),
            "session": request.session.get("id"),
        }
    ).canonical
    return digest(len(head).to_bytes(8, "big") + head + arguments)
