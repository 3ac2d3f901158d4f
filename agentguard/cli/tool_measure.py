"""How far inference agrees with the hints that tools declare: counted, by halves of the servers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentguard.cli.terminal import columns, complain, print_json, say
from agentguard.cli.tool_reading import rows_of
from agentguard.provenance.definitions import NoDefinition, definition_of
from agentguard.provenance.facts import inference
from agentguard.provenance.tool_hints import Hints

__all__ = ["Measured", "measured", "show_measured"]

_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class _One:
    """A tool with what is inferred without its hints, and what these say."""

    name: str
    server: str
    writes: bool
    destroys: bool
    known: bool
    hints: Hints

    @property
    def half(self) -> str:
        """`a` or `b`, by a digest of the server's name, so that no server is in both."""
        return "ab"[hashlib.sha256(self.server.encode("utf-8", "replace")).digest()[0] % 2]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was compared, what could not be read, and the tools on which both do not agree."""

    tools: tuple[_One, ...]
    broken: tuple[str, ...]

    def part(self, half: str) -> Sequence[_One]:
        return [one for one in self.tools if half in ("all", one.half)]


def measured(path: Path) -> Measured:
    """Infer every tool of a file without its hints, beside them. A row may name its `server`.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    tools: list[_One] = []
    broken: list[str] = []
    for where, row in rows_of(path):
        try:
            found = definition_of(row, where)
        except NoDefinition as error:
            broken.append(str(error))
            continue
        bare = inference({**found.plain(), "annotations": {}})
        server = row.get("server") if isinstance(row, Mapping) else None
        tools.append(
            _One(
                name=found.name,
                server=str(server or ""),
                writes=bare.facts["writes"],
                destroys=bare.facts["destructive"],
                known=bare.known,
                hints=Hints.of(found.annotations),
            )
        )
    return Measured(tuple(tools), tuple(broken))


def _confusion(part: Sequence[_One], what: str) -> dict[str, int]:
    """Tools by what is declared and what is inferred; only those that declare it."""
    if what == "read-only":
        pairs = [(one.hints.read_only, not one.writes) for one in part if one.hints.read_only is not None]
    else:
        pairs = [(one.hints.destructive, one.destroys) for one in part if one.hints.destructive is not None]
    return {
        "declared": len(pairs),
        "both yes": sum(told is True and found for told, found in pairs),
        "both no": sum(told is False and not found for told, found in pairs),
        "only declared": sum(told is True and not found for told, found in pairs),
        "only inferred": sum(told is False and found for told, found in pairs),
    }


def _rows(found: Measured) -> Iterator[dict[str, Any]]:
    for half in ("a", "b", "all"):
        part = found.part(half)
        for what in ("read-only", "destructive"):
            counts = _confusion(part, what)
            agreed = counts["both yes"] + counts["both no"]
            share = agreed / counts["declared"] if counts["declared"] else None
            yield {"half": half, "hint": what, "tools": len(part), **counts, "agreement": share}


def _disagreeing(found: Measured) -> list[str]:
    """Tools that are taken for more harmless than they declare, then those for more dangerous."""
    worse: list[str] = []
    milder: list[str] = []
    for one in found.tools:
        if one.hints.read_only is not None and one.hints.read_only == one.writes:
            (milder if one.writes else worse).append(f"`{one.name}` of {one.server or 'one server'}")
    return [f"declared to write, inferred to read: {text}" for text in worse] + [
        f"declared read-only, inferred to write: {text}" for text in milder
    ]


def show_measured(path: Path, *, as_json: bool) -> None:
    """Print the agreement, and how many tools a word told anything of."""
    found = measured(path)
    rows = list(_rows(found))
    known = sum(one.known for one in found.tools)
    servers = len({one.server for one in found.tools})
    differ = _disagreeing(found)
    if as_json:
        print_json(
            {
                "tools": len(found.tools), "servers": servers, "known": known, "rows": rows,
                "disagreeing": differ, "broken": list(found.broken),
            }
        )  # fmt: skip
        return
    heads = ("both yes", "both no", "only declared", "only inferred")
    columns(
        ("half", "hint", "declared", *heads, "agreement"),
        [
            (
                row["half"],
                row["hint"],
                str(row["declared"]),
                *(str(row[head]) for head in heads),
                "-" if row["agreement"] is None else f"{row['agreement']:.1%}",
            )
            for row in rows
        ],
    )
    say(f"{len(found.tools):,} tools of {servers:,} servers; a word told what {known:,} of them do")
    for text in differ[:_LISTED]:
        say(f"  {text}", "dim")
    if len(differ) > _LISTED:
        say(f"  and {len(differ) - _LISTED} more: `--json`", "dim")
    for text in found.broken[:_LISTED]:
        complain(text)
    if len(found.broken) > _LISTED:
        complain(f"{len(found.broken):,} rows describe no tool")
