"""What of a tool's parameters is an argument of the model's, and what LangChain injects."""

from __future__ import annotations

import hashlib
import inspect
import json
import typing
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolRuntime
from langgraph.store.base import BaseStore
from pydantic import BaseModel, ValidationError

from agentguard import Tool

__all__ = ["Parameters", "fits", "misfit", "schema_of", "unwritable"]

_INJECTED_KINDS: Final = (ToolRuntime, BaseStore, BaseRunManager, BaseCallbackManager)
"""What no model can send: a value of such a type is injected, whatever its parameter is called."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one tool: which are injected, and what positional ones are called."""

    injected: frozenset[str]
    visible: tuple[str, ...] | None
    positional: tuple[str, ...]

    @classmethod
    def of(cls, tool: BaseTool, run: Callable[..., Any]) -> Parameters:
        """Read them from the tool's schema and the signature of what runs."""
        shown = _fields(tool.tool_call_schema)
        full = _fields(tool.args_schema) if tool.args_schema is not None else None
        injected = set(getattr(tool, "_injected_args_keys", ()))
        if shown is not None and full is not None:
            injected |= full - shown
        parameters = _signature(run)
        names = _names(tool)
        injected |= _framework(run) | ({"callbacks"} & set(parameters))
        injected -= set(names) if shown is None else shown
        # What LangChain itself always fills, whatever a schema says.
        injected |= _framework(type(tool)._run) | _framework(type(tool)._arun)
        order = [
            name
            for name, parameter in parameters.items()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            and name not in injected
        ]
        return cls(
            frozenset(injected),
            None if shown is None else tuple(sorted(shown)),
            tuple(dict.fromkeys((*order, *names))),
        )

    def split(
        self, tool: Tool, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments to decide on, and what is injected; together they are the call."""
        given = {self._name(index): value for index, value in enumerate(args)}
        injected: dict[str, Any] = {}
        for name, value in kwargs.items():
            if name in self.injected or isinstance(value, _INJECTED_KINDS):
                injected[name] = value
            else:
                given[name] = value
        if tool.binder is not None and not args:
            try:
                # With the defaults of the function: the same call as its own guard would see. What is
                # injected further inside, such as a config, is not there yet.
                hidden = {name: injected.get(name) for name in tool.binder.injected}
                bound, more = tool.binder.bind((), {**given, **hidden})
                return bound, {**injected, **{k: v for k, v in more.items() if k in injected}}
            except Exception:
                pass
        return given, injected

    def _name(self, index: int) -> str:
        return self.positional[index] if index < len(self.positional) else f"arg{index}"

    def join(
        self, count: int, arguments: Mapping[str, Any], injected: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The call again, with `count` positional arguments."""
        rest = dict(arguments)
        args = tuple(rest.pop(self._name(index)) for index in range(count))
        return args, {**rest, **injected}

    def text(self, given: Any) -> str:
        """One line for one input, without what is injected; to compare two inputs, not to show. What cannot
        be written down is like nothing else."""
        try:
            if isinstance(given, Mapping):
                given = sorted(
                    (str(key), repr(value))
                    for key, value in given.items()
                    if key not in self.injected and not isinstance(value, _INJECTED_KINDS)
                )
            return hashlib.sha256(repr(given).encode("utf-8", "backslashreplace")).hexdigest()
        except Exception:
            return uuid.uuid4().hex


def _signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _framework(function: Callable[..., Any]) -> set[str]:
    """The parameters that LangChain itself fills: the run manager and the config."""
    found: set[str] = set()
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        hints = {}
    for name, parameter in _signature(function).items():
        hint = hints.get(name, parameter.annotation)
        config = hint is RunnableConfig or (isinstance(hint, str) and "RunnableConfig" in hint)
        if config or name == "run_manager":
            found.add(name)
    return found


def _names(tool: BaseTool) -> tuple[str, ...]:
    try:
        return tuple(tool.args)
    except KeyError:
        return ()  # a JSON schema without properties


def _fields(schema: object) -> set[str] | None:
    """The names of a schema's fields; None where the schema does not say them all."""
    if isinstance(schema, dict):
        return None
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return set(schema.model_fields)
    found = getattr(schema, "__fields__", None)
    return set(found) if found is not None else None


def schema_of(tool: BaseTool) -> Any:
    """The schema and the words as the model is shown them, as plain JSON; part of the tool's definition."""
    schema: Any = tool.tool_call_schema
    found = schema if isinstance(schema, dict) else schema.model_json_schema()
    return json.loads(json.dumps(found, sort_keys=True, default=lambda value: type(value).__qualname__))


class Check(Protocol):
    """Says what is wrong with arguments: names and kinds, never values."""

    def __call__(self, arguments: Mapping[str, Any]) -> str | None:
        """None when they fit."""
        ...


def fits(tool: BaseTool) -> Check:
    """Whether arguments fit the tool's schema: before a person is asked, and after a policy rewrote them."""

    def check(arguments: Mapping[str, Any]) -> str | None:
        schema = tool.tool_call_schema
        if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
            return None
        known = schema.model_fields
        try:
            schema.model_validate(
                {name: value for name, value in arguments.items() if name in known},
                by_alias=True,
                by_name=True,
            )
        except ValidationError as error:
            first = error.errors()[0]
            return f"`{'.'.join(str(part) for part in first['loc'])}`: {first['type']}"
        return None

    return check


def unwritable(given: Any) -> tuple[str, bool] | None:
    """What is wrong with an input that cannot be written as text: LangChain would fail on it, unrecorded."""
    try:
        repr(given)
    except Exception as error:
        return f"they cannot be written down ({type(error).__name__})", False
    return None


def misfit(tool: BaseTool, parameters: Parameters, given: Any) -> tuple[str, bool] | None:
    """What of a model's own arguments does not fit the tool, and whether LangChain will refuse it by itself.

    LangChain drops an unknown argument silently, and refuses a missing one without a record.
    """
    if not isinstance(given, Mapping) or parameters.visible is None:
        return None
    schema = tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return None
    whole = tool.args_schema
    full = whole if isinstance(whole, type) and issubclass(whole, BaseModel) else None
    fields = full.model_fields if full is not None else {}
    takes_any = full is not None and full.model_config.get("extra") == "allow"
    aliases = {name: field.validation_alias or field.alias for name, field in fields.items()}
    names = {alias: name for name, alias in aliases.items() if isinstance(alias, str)}
    own = {
        names.get(str(name), str(name)): value
        for name, value in given.items()
        if name not in parameters.injected and not isinstance(value, _INJECTED_KINDS)
    }
    simple = all(alias is None or isinstance(alias, str) for alias in aliases.values())
    unknown = sorted(set(own) - set(parameters.visible))
    if unknown and simple and not takes_any:
        return f"got an unexpected argument `{unknown[0][:80]}`", False
    try:
        schema.model_validate(own, by_alias=True, by_name=True)
    except ValidationError as error:
        first = error.errors()[0]
        return f"`{'.'.join(str(part) for part in first['loc'])}`: {first['type']}", True
    return None
