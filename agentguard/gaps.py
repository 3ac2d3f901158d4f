"""Gaps that can be seen before a session starts: what a strict guard refuses to run with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentguard.guard import Guard

__all__ = ["gaps", "unregistered"]


def unregistered(guard: Guard) -> list[str]:
    """Exact tool names that a policy or an engine speaks of and nobody registered."""
    named = [*[rule.tools for rule in guard.snapshot.rules], *[engine.tools for engine in guard.engines]]
    return guard.registry.missing(
        pattern for patterns in named for pattern in patterns if not pattern.endswith("*")
    )


def gaps(guard: Guard) -> list[str]:
    """Each of them in words: tools that are unknown, changed, or reached around the guard."""
    return [
        *(f"a policy or an engine names `{name}`, which nobody registered" for name in guard.unknown_tools()),
        *(
            f"the definition of `{name}` is not the one that was pinned; look at it with "
            "`agentguard tools check`"
            for name, tool in guard.tools.items()
            if tool.facts.get("changed") is True
        ),
        *guard.bypasses(),
    ]
