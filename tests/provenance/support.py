"""Definitions of tools, as short as a test wants them."""

from __future__ import annotations

from typing import Any


def tool(
    name: str, description: str = "", /, *, hints: dict[str, Any] | None = None, **arguments: Any
) -> Any:
    """A definition; an argument is its type, or its schema."""
    properties = {one: {"type": kind} if isinstance(kind, str) else kind for one, kind in arguments.items()}
    return {
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": properties},
        "annotations": hints or {},
    }
