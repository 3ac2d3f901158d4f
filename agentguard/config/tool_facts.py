"""The file of tool facts: what is known of tools, by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field

from agentguard.config.document import Text
from agentguard.config.files import read_mapping
from agentguard.config.findings import refused
from agentguard.config.shape import Place, keys_of, validated
from agentguard.errors import ConfigurationError
from agentguard.tools import ToolFacts, tool_name

if TYPE_CHECKING:
    from agentguard.policy import Finding, Source

__all__ = ["ToolDocument", "ToolEntry", "load_tool_facts", "read_tool_facts"]

Names = Annotated[tuple[Text, ...], Field(strict=False)]


class ToolDocument(ToolFacts):
    """What a tool-facts file says of one tool."""

    model_config = ConfigDict(strict=True)

    sensitive: Names = ()
    labels: Names = ()
    secrets: Names = ()
    injected: Names = ()
    topics: Names | None = None
    inferred: Names | None = None
    arguments: Names | None = None
    definition: Text | None = Field(
        default=None, description="digest of the definition that was looked at; another one is noticed"
    )
    parameters: dict[str, Any] | None = Field(default=None, alias="schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """One tool of a tool-facts file; `schema` is the JSON Schema of its arguments, where one is given."""

    facts: ToolFacts = field(default_factory=ToolFacts)
    secrets: tuple[str, ...] = ()
    injected: tuple[str, ...] = ()
    definition: str | None = None
    arguments: tuple[str, ...] | None = None
    schema: Mapping[str, Any] | None = None
    where: str = ""


def load_tool_facts(path: str | os.PathLike[str]) -> Mapping[str, ToolEntry]:
    """The tools of a tool-facts file, by name; read-only.

    Raises:
        ConfigurationError: it cannot be read or is refused; the message holds every problem with its place.
    """
    tools, findings = read_tool_facts(path)
    if findings:
        raise refused(path, findings)
    return tools


def read_tool_facts(path: str | os.PathLike[str]) -> tuple[Mapping[str, ToolEntry], list[Finding]]:
    """The tools that are right, and everything that is wrong with the file."""
    source, findings = read_mapping(path, "tool facts begin with the name of a tool")
    found: dict[str, ToolEntry] = {}
    for name in source.data if source is not None else ():
        assert source is not None
        try:
            tool_name(name)
        except ConfigurationError as error:
            findings.append(source.finding("AG302", str(error), (name,), key=True))
            continue
        raw = {} if source.data[name] is None else source.data[name]
        tool, problems = validated(ToolDocument, source, raw, (name,), keys=_keys)
        problems = problems or list(_contradictions(source, name, tool))
        findings += problems
        if tool is None or problems:
            continue
        facts = tool.model_dump(exclude={"secrets", "injected", "arguments", "definition", "parameters"})
        found[name] = ToolEntry(
            facts=ToolFacts(**facts),
            secrets=tool.secrets,
            injected=tool.injected,
            definition=tool.definition,
            arguments=_arguments(tool),
            schema=tool.parameters,
            where=f"{source.file}:{source.place((name,), key=True).line}",
        )
    return MappingProxyType(found), findings


def _keys(at: Place) -> list[str]:
    return keys_of(ToolDocument)


def _contradictions(source: Source, name: str, tool: ToolDocument | None) -> Iterator[Finding]:
    """What each key allows and all together do not."""
    from agentguard.policy.findings import suggestion

    if tool is None:
        return
    if tool.arguments is not None and tool.parameters is not None:
        message = f"`{name}` has both `arguments` and `schema`"
        yield source.finding("AG303", message, (name, "arguments"), key=True, hint="keep the schema")
    if tool.parameters is not None and tool.parameters.get("type", "object") != "object":
        message = f"the `schema` of `{name}` must describe an object: its properties are the arguments"
        yield source.finding("AG303", message, (name, "schema"), key=True)
    try:
        tool.to_facts()
    except ConfigurationError as error:
        yield source.finding("AG303", f"`{name}`: {error}", (name, "read_only"), key=True)
    known = _arguments(tool)
    for index, argument in enumerate(tool.sensitive):
        if known is not None and argument not in known:
            message = f"`{name}` has no argument `{argument}` that could be sensitive"
            at = (name, "sensitive", index)
            yield source.finding("AG303", message, at, hint=suggestion(argument, known))
    for index, argument in enumerate(tool.injected):
        if known is not None and argument in known:
            message = f"`{argument}` of `{name}` is injected and an argument; it can only be one of them"
            yield source.finding("AG303", message, (name, "injected", index))


def _arguments(tool: ToolDocument) -> tuple[str, ...] | None:
    """The names of a tool's arguments; None where they are not known or any name is taken."""
    if tool.parameters is None:
        return tool.arguments
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping) or tool.parameters.get("additionalProperties"):
        return None
    return tuple(str(name) for name in properties)
