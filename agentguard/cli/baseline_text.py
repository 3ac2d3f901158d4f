"""A baseline on the screen: where it comes from, what is notable, what is normal, what a version changes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from agentguard.cli.governing import word_text
from agentguard.cli.long_table import long_columns
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, console, fields, say

if TYPE_CHECKING:
    from agentguard.governance.baseline_changes import Change
    from agentguard.governance.baseline_content import BaselineContent, ToolBaseline
    from agentguard.governance.baselines import Told

__all__ = ["change_lines", "content_screen", "told_screen"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def told_screen(told: Told, now: dt.datetime) -> None:
    """Where it stands, with the versions before."""
    out, read = console(), told.read
    say(f"Baseline of agent {visible(told.record.id)}: {told.state.value}", "bold")
    rows = [
        ("version", str(read.version), ""),
        ("digest", told.digest.removeprefix("sha256:"), "dim"),
        ("proposed", word_text(told.proposed.to_json()), ""),
    ]
    if told.approved is not None:
        rows.append(("approved", word_text(told.approved.to_json()), ""))
    rows.append(("ends", f"{read.ends:%Y-%m-%d %H:%M}Z ({ago(read.ends, now)})", ""))
    for one in told.history:
        span = f"{str(one.get('from'))[:10]} to {str(one.get('until'))[:10]}"
        rows.append(("before", visible(f"version {one.get('version')}, {span}, by {one.get('by')}"), "dim"))
    fields(out, rows)


def content_screen(read: BaselineContent) -> None:
    """What somebody approves: the source of it, everything notable, and what would be normal."""
    out, learned = console(), read.learned
    left = ", ".join(f"{count:,} {why}" for why, count in learned.left_out.items()) or "nothing"
    fields(
        out,
        [
            ("learned", f"{learned.begin:%Y-%m-%d %H:%M}Z to {learned.end:%Y-%m-%d %H:%M}Z", ""),
            ("from", f"{learned.calls:,} calls on {learned.days} days in {learned.sessions:,} sessions", ""),
            ("events", f"{learned.first:,} to {learned.last:,} of {learned.tree.size:,}", ""),
            ("tree", learned.tree.root, "dim"),
            ("left out", left, ""),
            ("owner", visible(read.owner), ""),
            ("scopes", visible(", ".join(read.scopes)) or "none", ""),
            ("places", visible(", ".join(name or "(none named)" for name in read.environments)), ""),
            ("chain", visible(", ".join(read.chain)) or "nobody delegates to it", ""),
            *[(day if day else "", text, "") for day, text in _hours(read)],
        ],
    )
    say("")
    rows = [_tool_row(name, tool) for name, tool in read.tools.items()]
    long_columns(("tool", "calls", "days", "sessions", "an hour (median, p95, max)", "arguments"), rows)
    if read.notable:
        say("\nNotable:", "bold")
        for one in read.notable:
            say(visible(f"  {one.kind}: {one.text}"), "yellow")


def change_lines(changed: list[Change], since: str) -> None:
    """What a version changes."""
    widening = sum(one.widens for one in changed)
    say(f"\nAgainst {since}: {len(changed)} changes, {widening} of them widen it", "bold")
    for one in changed:
        text = f"  {'WIDENS ' if one.widens else 'narrows'}  {one.what}"
        say(visible(text), "yellow" if one.widens else "")


def _hours(read: BaselineContent) -> list[tuple[str, str]]:
    """`mon  8-11, 14` for each day that has any."""
    found = []
    for day in _DAYS:
        hours = sorted(int(hour) for hour in read.hours.get(day, {}))  # type: ignore[call-overload]
        if hours:
            found.append((day, f"{_spans(hours)} {read.zone}"))
    return found


def _spans(hours: list[int]) -> str:
    spans: list[list[int]] = []
    for hour in hours:
        if spans and spans[-1][1] == hour - 1:
            spans[-1][1] = hour
        else:
            spans.append([hour, hour])
    return ", ".join(f"{low:02d}:00-{high + 1:02d}:00" for low, high in spans)


def _tool_row(name: str, tool: ToolBaseline) -> list[str]:
    rate = tool.rate
    shapes = "; ".join(
        ", ".join(f"{argument}: {kind}" for argument, kind in one.kinds.items()) or "none"
        for one in tool.shapes[:3]
    )
    more = f"; and {len(tool.shapes) - 3} more" if len(tool.shapes) > 3 else ""
    numbers: list[Any] = [tool.calls, tool.days, tool.sessions]
    return [
        name,
        *[f"{one:,}" for one in numbers],
        f"{rate.median:,}, {rate.p95:,}, {rate.maximum:,}",
        shapes + more,
    ]
