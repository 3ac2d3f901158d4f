"""The hints of an MCP server about its tools: claims of the server.

Source: `ToolAnnotations` of the Model Context Protocol, which wants no decision to rest on them unless the
server is trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["Hints"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What is claimed; None where nothing is. Anything but true and false claims nothing."""

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None

    @classmethod
    def of(cls, annotations: object) -> Self:
        if not isinstance(annotations, Mapping):
            return cls()
        return cls(
            read_only=_flag(annotations, "readOnlyHint"),
            destructive=_flag(annotations, "destructiveHint"),
            idempotent=_flag(annotations, "idempotentHint"),
            open_world=_flag(annotations, "openWorldHint"),
        )


def _flag(annotations: Mapping[str, Any], name: str) -> bool | None:
    value = annotations.get(name)
    return value if isinstance(value, bool) else None
