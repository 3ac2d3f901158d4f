"""Where `agentguard tools` finds definitions: files of JSON and JSON lines, and Python modules."""

from __future__ import annotations

import gzip
import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentguard.errors import ArgumentsError, ConfigurationError

if TYPE_CHECKING:
    from agentguard.provenance.definitions import Definition, NoDefinition

__all__ = ["of_file", "of_module", "rows_of"]

MAX_BYTES: Final = 64 * 1024 * 1024


def of_file(path: Path) -> Iterator[Definition | NoDefinition]:
    """Definitions in a file: one JSON document, or one document a line; `.gz` is unpacked.

    Raises:
        ConfigurationError: there is no such file, it is too large, or it is not JSON.
    """
    from agentguard.provenance.definitions import definitions_in

    for where, found in rows_of(path):
        yield from definitions_in(found, where)


def rows_of(path: Path) -> Iterator[tuple[str, Any]]:
    """The documents of a file, each with where it stands; a line that is not JSON is its text."""
    text = _text(path)
    whole = _loads(text)
    if not isinstance(whole, ArgumentsError):
        yield "", whole
        return
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) < 2:
        raise ConfigurationError(f"`{path}` is not JSON: {whole}")
    for number, line in lines:
        found = _loads(line)
        broken = isinstance(found, ArgumentsError)
        yield f"line {number}: ", line[:40] if broken else found


def _text(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigurationError(f"`{path}` is larger than {MAX_BYTES >> 20} MiB; split it")
        return content.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"`{path}` cannot be read: {why.lower()}") from None


def _loads(text: str) -> Any:
    from agentguard.canonical import loads

    try:
        return loads(text, what="definition", limit=MAX_BYTES)
    except ArgumentsError as error:
        return error


def of_module(name: str) -> Iterator[Definition | NoDefinition]:
    """Tools that a module holds: those of its guards, objects with `name`, `description` and a schema, and
    lists of definitions. The module is imported, which runs its code.

    Raises:
        ConfigurationError: it cannot be imported, or holds no tool.
    """
    from agentguard.provenance.definitions import NoDefinition

    sys.path.insert(0, "")
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise ConfigurationError(f"the module `{name}` cannot be imported: {error}") from None
    finally:
        sys.path.remove("")
    # A tool under several names of the module is one tool.
    held = _held(vars(module).values())
    found = {str(one) if isinstance(one, NoDefinition) else one.name: one for one in held}
    if not found:
        raise ConfigurationError(
            f"the module `{name}` holds no tool: no guard, no tool object, no list of them"
        )
    yield from found.values()


def _held(values: Iterable[object]) -> Iterator[Definition | NoDefinition]:
    from agentguard.guard import Guard
    from agentguard.provenance.definitions import definitions_in

    for value in list(values):
        if isinstance(value, Guard):
            yield from _guarded(value)
        elif isinstance(value, (list, tuple)) and value and all(_told(one) for one in value):
            yield from (one for each in value for one in definitions_in(_told(each)))
        elif not isinstance(value, (type, list, tuple, Mapping)):
            told = _told(value)
            if told is not None:
                yield from definitions_in(told)


def _guarded(guard: Any) -> Iterator[Definition]:
    from agentguard.provenance.definitions import Definition

    for name in guard.tools:
        yield guard.registry.definition(name) or Definition(name=name)


def _told(value: Any) -> Mapping[str, Any] | None:
    """A definition, or a framework's tool as one; None for anything else."""
    if isinstance(value, Mapping):
        return value if "name" in value or "function" in value else None
    schema = getattr(value, "tool_call_schema", None) or getattr(value, "params_json_schema", None)
    name, description = getattr(value, "name", None), getattr(value, "description", None)
    if schema is None or not isinstance(name, str):
        return None
    made = schema if isinstance(schema, Mapping) else schema.model_json_schema()
    return {"name": name, "description": description or "", "parameters": made}
