"""How one version of a baseline differs from another: what a person who approves has to see.

A change `widens` where calls would be normal with the newer version that were not with the older one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentguard.governance.baseline_content import ArgumentRange, BaselineContent, ToolBaseline

__all__ = ["Change", "changes"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, in words."""

    what: str
    widens: bool

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "widens": self.widens}


def changes(old: BaselineContent, new: BaselineContent) -> list[Change]:
    """Every difference, what widens first."""
    found = [
        *_tools(old.tools, new.tools),
        *_names("scope", old.scopes, new.scopes),
        *_names("environment", old.environments, new.environments),
        *_names("hour", _cells(old), _cells(new)),
        *_names("delegating agent", dict.fromkeys(old.chain), dict.fromkeys(new.chain)),
    ]
    if old.zone != new.zone:
        found.append(Change(f"zone: {old.zone} is {new.zone}", True))
    return sorted(found, key=lambda one: not one.widens)


def _cells(content: BaselineContent) -> dict[str, None]:
    return {f"{day} {hour}": None for day, hours in content.hours.items() for hour in hours}


def _names(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in new:
        if name not in old:
            yield Change(f"new {what} `{name or 'none'}`", True)
    for name in old:
        if name not in new:
            yield Change(f"no longer: {what} `{name or 'none'}`", False)


def _tools(old: Mapping[str, ToolBaseline], new: Mapping[str, ToolBaseline]) -> Iterator[Change]:
    yield from _names("tool", old, new)
    for name, tool in new.items():
        if name in old:
            yield from _tool(name, old[name], tool)


def _tool(name: str, old: ToolBaseline, new: ToolBaseline) -> Iterator[Change]:
    before, after = old.rate.p95, new.rate.p95
    if before != after:
        yield Change(f"`{name}`: {after:,} calls an hour (p95), and not {before:,}", after > before)
    known, found = [one.kinds for one in old.shapes], [one.kinds for one in new.shapes]
    for kinds in found:
        if kinds not in known:
            yield Change(f"`{name}`: new arguments {_shown(kinds)}", True)
    for kinds in known:
        if kinds not in found:
            yield Change(f"`{name}`: no longer with arguments {_shown(kinds)}", False)
    for argument, measured in new.arguments.items():
        if argument in old.arguments:
            yield from _argument(f"`{name}`: {argument}", old.arguments[argument], measured)


def _argument(name: str, old: ArgumentRange, new: ArgumentRange) -> Iterator[Change]:
    if old.length != new.length:
        wider = new.length is not None and (old.length is None or new.length > old.length)
        yield Change(f"{name} is {_longest(new.length)} long, and not {_longest(old.length)}", wider)
    if old.number != new.number:
        low, high = new.number or (0, 0)
        wider = new.number is not None and (old.number is None or low < old.number[0] or high > old.number[1])
        yield Change(f"{name} has {_digits(new.number)} digits, and not {_digits(old.number)}", wider)
    if old.words != new.words:
        more = old.words is not None and (new.words is None or bool({*new.words} - {*old.words}))
        text = "any word" if new.words is None else f"{len(new.words)} words"
        yield Change(f"{name} is one of {text}, and not of {len(old.words or ()) or 'any'}", more)


def _longest(bucket: int | None) -> str:
    return "not measured" if bucket is None else f"up to {max(0, 2**bucket - 1):,}"


def _digits(number: tuple[int, int] | None) -> str:
    return "no" if number is None else f"{number[0]} to {number[1]}"


def _shown(kinds: Mapping[str, str]) -> str:
    return "(" + ", ".join(f"{name}: {kind}" for name, kind in kinds.items()) + ")"
