"""Inferred facts as a table for review, and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from agentguard.cli.long_table import long_columns
from agentguard.cli.terminal import columns, say

if TYPE_CHECKING:
    from agentguard.provenance.definitions import Definition
    from agentguard.provenance.facts import Inference

__all__ = ["QUIET_ROLES", "facts_text", "roles_text", "show_table", "table_json"]

_WORDS: Final[Mapping[str, str]] = {
    "destructive": "destroys", "external": "outside", "executes": "executes", "touches_secrets": "secrets",
    "untrusted_output": "untrusted",
}  # fmt: skip
QUIET_ROLES: Final = frozenset({"content", "object", "other", "query", "time"})
"""Roles of arguments that the table leaves out: by themselves they send, pay and reach nothing."""

_SHORT: Final = 300


def facts_text(facts: Mapping[str, Any]) -> str:
    """The facts that hold, in words."""
    found = ["writes"] if facts.get("writes") else ["reads"] if facts.get("reads") else []
    return ", ".join([*found, *(word for key, word in _WORDS.items() if facts.get(key))])


def roles_text(roles: Mapping[str, str]) -> str:
    """The sensitive arguments, each with its role."""
    return ", ".join(f"{name}: {role}" for name, role in roles.items() if role not in QUIET_ROLES)


def show_table(found: Sequence[tuple[Definition, Inference]]) -> None:
    """Every tool with what it does, its sensitive arguments, and which word told."""
    rows = [
        (
            one.name,
            inferred.facts["action"] + ("" if inferred.known else " ?"),
            facts_text(inferred.facts),
            roles_text(inferred.facts["roles"]),
            inferred.why["action"],
        )
        for one, inferred in found
    ]
    table = columns if len(rows) <= _SHORT else long_columns
    table(("tool", "action", "facts", "sensitive arguments", "why"), rows, keep=(1,))
    unknown = sum(not inferred.known for _, inferred in found)
    say(f"{len(found):,} tools, {unknown:,} of which no word told what they do (`?`): look at those first")


def table_json(one: Definition, inferred: Inference) -> dict[str, Any]:
    """A row as data."""
    return {
        "name": one.name,
        "definition": one.digest,
        "known": inferred.known,
        "facts": dict(inferred.facts),
        "why": dict(inferred.why),
    }
