"""What the guard knows about a tool: its name, facts, scopes and definition digest."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentguard.binding import Binder
from agentguard.canonical import digest, encode
from agentguard.decision import plain
from agentguard.errors import ConfigurationError
from agentguard.implementation import code_of, implementation

__all__ = [
    "Action",
    "ArgumentCheck",
    "Role",
    "Tool",
    "ToolFacts",
    "definition_digest",
    "shown_name",
    "tool_entries",
    "tool_name",
]

_NAME_LIMIT: Final = 200

Action = Literal[
    "read", "fetch", "send", "pay", "book", "create", "update", "delete", "grant", "credential", "execute"
]
"""What a tool mainly does. `fetch` reads from an address that an argument gives, `grant` gives somebody a
right or membership, `credential` sets a password, token or key; `update` is also what cannot be told."""

Role = Literal[
    "recipient",
    "destination",
    "attachment",
    "path",
    "object",
    "command",
    "query",
    "amount",
    "permission",
    "credential",
    "content",
    "time",
    "other",
]
"""What an argument is to its tool: who gets it (person, address, account, channel), where it goes (URL,
host), what is sent along, which file, which thing (by id or name), what is executed, what is searched for,
how much, which right, which secret, free text, when."""


class ToolFacts(BaseModel):
    """What a tool does, as conditions see it under `facts`; an absent fact is unknown, not false.

    `sensitive` names arguments whose values are masked on screens and in messages. `untrusted_output` says
    that the tool returns other people's words (mail, web pages, documents): the session is labelled
    `untrusted` once it ran. `read_only` and `idempotent` are promises of the operator. `executes` says that
    it runs code or commands, `touches_secrets` that credentials pass through it. `action`, `roles` (of
    arguments by name, `message.to` for parts) and `topics` (what it is about, such as `mail`) are what
    provenance rules ask for. `inferred` names the facts that nobody declared, `uncertain` says that no word
    told what the tool does, and `changed` that its definition is not the one that was looked at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    reads: bool | None = None
    writes: bool | None = None
    destructive: bool | None = None
    external: bool | None = None
    read_only: bool | None = None
    idempotent: bool | None = None
    untrusted_output: bool | None = None
    executes: bool | None = None
    touches_secrets: bool | None = None
    uncertain: bool | None = None
    changed: bool | None = None
    inferred: tuple[str, ...] | None = None
    action: Action | None = None
    roles: Mapping[str, Role] | None = None
    topics: tuple[str, ...] | None = None
    sensitive: tuple[str, ...] = ()
    labels: tuple[str, ...] = Field(
        default=(), description="free words for conditions: `'pii' in facts.labels`"
    )

    def to_facts(self) -> Mapping[str, Any]:
        found = {key: value for key, value in self if value is not None}
        if self.read_only and (self.writes or self.destructive or self.executes):
            raise ConfigurationError(
                "a tool cannot be read_only and write, destroy or execute; correct its facts"
            )
        if self.roles is not None:
            found["roles"] = types.MappingProxyType(dict(self.roles))
        return types.MappingProxyType(found)

    @classmethod
    def parse(cls, value: ToolFacts | Mapping[str, Any] | None, where: str) -> ToolFacts:
        if value is None:
            return cls()
        if isinstance(value, ToolFacts):
            return value
        try:
            return cls.model_validate(dict(value))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            known = ", ".join(cls.model_fields)
            raise ConfigurationError(
                f"{where}: `{name}`: {first['msg'].lower()}; facts are: {known}"
            ) from None


class ArgumentCheck(Protocol):
    """Says whether arguments fit the tool's schema: before people are asked, after a policy rewrote them."""

    def __call__(self, arguments: Mapping[str, Any]) -> str | None:
        """None when they fit, else what is wrong: names and types, never values, for it is recorded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A registered tool. `digest` is over its definition; `classes` are those its annotations name.

    `code` is what `run` consisted of when it was registered, so that a swap is seen.
    """

    name: str
    digest: str
    facts: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    arguments: tuple[str, ...] | None = None
    run: Callable[..., Any] | None = None
    binder: Binder | None = None
    check: ArgumentCheck | None = None
    classes: Mapping[str, type[Any]] = field(default_factory=dict)
    resource: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None = None
    where: str = ""
    code: object = None

    @property
    def read_only(self) -> bool:
        return self.facts.get("read_only") is True

    @property
    def current(self) -> str:
        """The digest of the definition as it is now: another one once the code was swapped."""
        if self.code is not None and code_of(self.run) is not self.code:
            return "changed"
        return self.digest


def tool_name(name: object) -> str:
    """A name that policies can match: printable ASCII without blanks, so that no look-alike passes for it."""
    if (
        not isinstance(name, str)
        or not name
        or len(name) > _NAME_LIMIT
        or not name.isascii()
        or not all(char.isalnum() or char in "._-/:" for char in name)
    ):
        raise ConfigurationError(
            f"{name!r:.120} cannot name a tool: use letters, digits and . _ - / : of ASCII, at most "
            f"{_NAME_LIMIT} characters"
        )
    return name


def shown_name(name: object) -> str:
    """A name from outside as a record may hold it: ASCII, bounded, nothing hidden."""
    return ascii(name)[1:-1][:_NAME_LIMIT] if isinstance(name, str) else type(name).__name__


def definition_digest(name: str, definition: Mapping[str, Any], code: object = None) -> str:
    """What the tool is, as a digest: its name, its definition (signature or schema, text), its code.

    A tool whose definition or implementation changed between question and answer has another digest, and
    the approval does not fit it any more.
    """
    head = encode({"v": 1, "name": name, "definition": plain(definition)})
    return digest(head + implementation(code))


def tool_entries(source: str | Path | Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]]:
    if source is None:
        return {}
    if isinstance(source, Mapping):
        return {tool_name(name): _entry(name, entry) for name, entry in source.items()}
    from agentguard.config import load_tool_facts

    return {
        name: {
            "facts": entry.facts,
            "secrets": entry.secrets,
            "injected": entry.injected,
            "definition": entry.definition,
        }
        for name, entry in load_tool_facts(Path(source)).items()
    }


def _entry(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a mapping says of a tool: facts as in a file, or under `facts`."""
    flat = {key: value for key, value in entry.items() if key in ToolFacts.model_fields}
    rest = {key: value for key, value in entry.items() if key not in flat}
    unknown = sorted(set(rest) - {"facts", "secrets", "injected", "definition"})
    if unknown:
        known = ", ".join(sorted({*ToolFacts.model_fields, "definition", "facts", "injected", "secrets"}))
        raise ConfigurationError(f"tool `{name}`: unknown key `{unknown[0]}`; known keys: {known}")
    nested = ToolFacts.parse(rest.get("facts"), f"tool `{name}`").model_dump(exclude_defaults=True)
    return {**rest, "facts": {**nested, **flat}}
