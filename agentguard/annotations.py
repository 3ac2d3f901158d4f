"""What a function's annotations say: which classes its arguments may be, and whether arguments fit them."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from agentguard.binding import Binder
from agentguard.canonical import class_name
from agentguard.tools import ArgumentCheck

__all__ = ["annotated_classes", "signature_check"]


def annotated_classes(function: Callable[..., Any]) -> dict[str, type[Any]]:
    """Dataclasses, pydantic models and enums named in a function's annotations, also inside generics.

    Only these may be built from stored arguments, so a store cannot name classes of its own.
    """
    try:
        hints = typing.get_type_hints(function, include_extras=False)
    except Exception:
        # What cannot be resolved names no class; resuming such a call says which one is missing.
        return {}
    found: dict[str, type[Any]] = {}
    seen: set[int] = set()
    pending: list[Any] = [hint for name, hint in hints.items() if name != "return"]
    while pending:
        hint = pending.pop()
        if id(hint) in seen:
            continue
        seen.add(id(hint))
        pending.extend(typing.get_args(hint))
        if not isinstance(hint, type):
            continue
        if issubclass(hint, enum.Enum):
            found[class_name(hint)] = hint
        elif issubclass(hint, BaseModel):
            found[class_name(hint)] = hint
            pending.extend(field.annotation for field in hint.model_fields.values())
        elif dataclasses.is_dataclass(hint):
            found[class_name(hint)] = hint
            try:
                pending.extend(typing.get_type_hints(hint).values())
            except Exception:
                continue
    return found


def signature_check(binder: Binder | None, run: Callable[..., Any] | None) -> ArgumentCheck | None:
    """Whether rewritten arguments fit a function's annotations, as pydantic reads them."""
    if binder is None or run is None:
        return None
    made: list[dict[str, Any]] = []

    def adapters() -> dict[str, Any]:
        from pydantic import TypeAdapter

        found: dict[str, Any] = {}
        try:
            hints = typing.get_type_hints(run)
        except Exception:
            return found
        for name, hint in hints.items():
            if name in binder.names and name not in binder.collected:
                try:
                    found[name] = TypeAdapter(hint)
                except Exception:
                    continue  # a class that pydantic does not know is not checked
        return found

    def check(arguments: Mapping[str, Any]) -> str | None:
        from pydantic import ValidationError

        unknown = binder.unknown(arguments)
        if unknown is not None:
            return f"`{unknown}`: it has no such parameter"
        if not made:
            made.append(adapters())
        for name, value in arguments.items():
            adapter = made[0].get(name)
            if adapter is not None:
                try:
                    adapter.validate_python(value)
                except ValidationError as error:
                    return f"`{name}`: {error.errors()[0]['type']}"
        return None

    return check
