"""Definitions of tools in the spellings of model providers and of MCP, as one form with a digest."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args, get_origin

from agentguard.canonical import digest, encode
from agentguard.decision import plain

__all__ = ["Definition", "NoDefinition", "definition_of", "definitions_in", "of_signature", "registered"]

_SCHEMAS: Final = ("parameters", "input_schema", "inputSchema", "args_schema", "schema")
_TYPES: Final[Mapping[str, str]] = {
    "str": "string", "int": "integer", "bool": "boolean", "float": "number", "dict": "object",
    "Mapping": "object", "list": "array", "tuple": "array", "set": "array", "Sequence": "array",
}  # fmt: skip


class NoDefinition(ValueError):
    """What was read describes no tool; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A tool as a model is shown it; `parameters` is a JSON Schema, `annotations` are MCP hints."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As data: what facts are inferred from."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": plain(self.parameters),
            "annotations": plain(self.annotations),
        }

    @property
    def digest(self) -> str:
        """Over all of it: a changed word is another definition."""
        return digest(encode({"v": 1, **self.plain()}))


def definition_of(found: object, where: str = "tool") -> Definition:
    """A tool as OpenAI (`function`), Anthropic (`input_schema`) or MCP (`inputSchema`) write it.

    Raises:
        NoDefinition: it has no name, or parts of another type.
    """
    if not isinstance(found, Mapping):
        raise NoDefinition(f"{where}: a definition is an object, not a {type(found).__name__}")
    inner = found.get("function")
    told: Mapping[str, Any] = inner if isinstance(inner, Mapping) else found
    name = told.get("name")
    if not isinstance(name, str) or not name:
        raise NoDefinition(f"{where}: it has no `name`")
    where = f"{where} `{name[:80]}`"
    parameters: Any = next((told[key] for key in _SCHEMAS if told.get(key) is not None), {})
    if isinstance(parameters, (list, tuple)):
        parameters = _listed(parameters)
    annotations = told.get("annotations") or {}
    description = told.get("description") or ""
    for what, value, kind in (
        ("the schema", parameters, Mapping), ("annotations", annotations, Mapping),
        ("description", description, str),
    ):  # fmt: skip
        if not isinstance(value, kind):
            raise NoDefinition(f"{where}: {what} has the wrong type, {type(value).__name__}")
    return Definition(name=name, description=description, parameters=parameters, annotations=annotations)


def _listed(parameters: Iterable[Any]) -> dict[str, Any]:
    """A list of named parameters as a schema."""
    named = [one for one in parameters if isinstance(one, Mapping) and isinstance(one.get("name"), str)]
    return {
        "type": "object",
        "properties": {
            one["name"]: {key: one[key] for key in one if key not in ("name", "required")} for one in named
        },
        "required": [one["name"] for one in named if one.get("required") is True],
    }


def definitions_in(data: object, where: str = "") -> Iterator[Definition | NoDefinition]:
    """Every definition in a list, a `tools/list` result, or a definition alone; what is none, as an error."""
    if isinstance(data, Mapping) and isinstance(data.get("result"), Mapping):
        data = data["result"]
    if isinstance(data, Mapping) and isinstance(data.get("tools"), (list, tuple)):
        data = data["tools"]
    listed = list(data) if isinstance(data, (list, tuple)) else [data]
    for index, one in enumerate(listed):
        try:
            yield definition_of(one, f"{where}tool {index + 1}" if len(listed) > 1 else f"{where}tool")
        except NoDefinition as error:
            yield error


def of_signature(
    name: str, signature: inspect.Signature, doc: str = "", hidden: Iterable[str] = ()
) -> Definition:
    """A function as a definition: its documentation, and its parameters with the plain types they name."""
    properties = {
        parameter.name: _annotated(parameter.annotation)
        for parameter in signature.parameters.values()
        if parameter.name not in set(hidden)
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    required = [one for one in properties if signature.parameters[one].default is inspect.Parameter.empty]
    schema = {"type": "object", "properties": properties, "required": required}
    return Definition(name=name, description=doc, parameters=schema)


def _annotated(annotation: object) -> dict[str, Any]:
    if get_origin(annotation) is Literal:
        return {"enum": [value for value in get_args(annotation) if isinstance(value, (str, int, bool))]}
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    words = str(text).replace(" ", "").replace("None", "").strip("|").partition("[")[0]
    kind = _TYPES.get(words.rpartition(".")[2])
    return {} if kind is None else {"type": kind}


def registered(
    name: str, described: Mapping[str, Any], signature: inspect.Signature | None, hidden: Iterable[str]
) -> Definition | None:
    """The definition of a tool from what it was registered with; None where nothing says what it is."""
    inner = described.get("tool")
    told: Mapping[str, Any] = inner if isinstance(inner, Mapping) else described
    if isinstance(told.get("function"), Mapping):
        told = told["function"]
    schema = next((told[key] for key in _SCHEMAS if isinstance(told.get(key), Mapping)), None)
    doc = told.get("description") or told.get("doc") or ""
    if schema is not None:
        text = doc or schema.get("description") or ""
        hints = told.get("annotations")
        return Definition(
            name=name,
            description=str(text),
            parameters=schema,
            annotations=hints if isinstance(hints, Mapping) else {},
        )
    if signature is not None:
        return of_signature(name, signature, str(doc), hidden)
    return Definition(name=name, description=str(doc)) if doc else None
