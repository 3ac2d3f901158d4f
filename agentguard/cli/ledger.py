"""`agentguard ledger`: check the record offline, and read it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agentguard.cli.export import export
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import columns, print_json, say
from agentguard.cli.workspace import (
    ConfigOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
    open_records,
)

__all__ = ["app"]

app = typer.Typer(
    help="The tamper-evident record: verify it, read it, export it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

app.command()(export)


@app.command()
def verify(
    ctx: typer.Context,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every event of the ledger against its hash, and the events against each other.

    Every tenant is checked unless one is named. Whoever may write to the store can rewrite all of it: keep
    the printed root somewhere else, and compare.

    \b
    Examples:
      agentguard ledger verify
      agentguard ledger verify --store sqlite:///agentguard.db --json

    Exit codes: 0 intact, 1 something is wrong, 2 usage or the store cannot be read.
    """
    from agentguard.ledger.verify import verify as verified

    found = configuration(ctx, config)
    records = open_records(found, store)
    try:
        report = verified(records, tenant)
        url = records.url
    finally:
        records.close()
    if as_json:
        print_json(report.to_json())
        raise typer.Exit(0 if report.ok else 1)
    for one in report.tenants:
        verdict = "intact" if one.ok else "NOT INTACT"
        style = "green" if one.ok else "bold red"
        say(f"{verdict}  {_events(one.size)} of tenant {visible(one.tenant)}", style)
        say(f"  root {one.root}")
        if one.open_decisions:
            lost = "calls were let run and have no outcome: they run now, or their end is lost"
            say(f"  {one.open_decisions} {lost}")
        if one.open_windows:
            lost = "batched writers never closed their window: they write now, or its records are missing"
            say(f"  {one.open_windows} {lost}", "yellow")
        for wrong in one.findings:
            where = f"event {wrong.seq}: " if wrong.seq is not None else ""
            say(f"  {where}{wrong.kind}: {wrong.message}", "red")
    if report.strays:
        say(
            f"NOT INTACT  {report.strays:,} records of a tenant that is gone: somebody took it away",
            "bold red",
        )
    elif not report.tenants:
        say("The ledger is empty: nothing was decided yet.")
    wrongs = sum(len(one.findings) for one in report.tenants) + bool(report.strays)
    end = "no problems" if report.ok else f"{wrongs} problem{'' if wrongs == 1 else 's'}"
    say(f"Verified {_events(report.size)} of {_place(url)}: {end}.")
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def show(
    ctx: typer.Context,
    last: Annotated[int, typer.Option("--last", min=1, max=100_000, help="The newest so many events.")] = 20,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the newest events of the ledger, oldest first.

    \b
    Examples:
      agentguard ledger show
      agentguard ledger show --last 100 --json
    """
    import json

    found = configuration(ctx, config)
    name = tenant or found.tenant
    records = open_records(found, store)
    try:
        size, _ = records.head(name)
        rows = [(row.seq, json.loads(row.leaf)) for row in records.events(name, after=max(0, size - last))]
    finally:
        records.close()
    if as_json:
        print_json([{"seq": seq, **event} for seq, event in rows])
        return
    if not rows:
        say(f"The ledger of tenant {visible(name)} is empty.")
        return
    columns(
        ("#", "at", "event", "tool", "agent", "what"),
        [(str(seq), _time(event["at"]), event["type"], *_cells(event)) for seq, event in rows],
        keep=(0, 1),
    )
    more = f"  (--last N shows more of {size:,})" if size > len(rows) else ""
    say(f"{_events(len(rows))}{more}")


def _cells(event: dict[str, Any]) -> tuple[str, str, str]:
    return str(event.get("tool", "")), str(event.get("agent", "")), _what(event)


def _what(event: dict[str, Any]) -> str:
    """The one thing to know about an event."""
    kind = event["type"]
    if kind == "decision":
        decided = event["decision"]
        by = next((m for m in decided.get("matched", ()) if m["effect"] == decided["effect"]), None)
        name = f" by {by['policy']}/{by['rule_id']}" if by is not None else ""
        return f"{decided['effect']}{name}  {event['id'][-12:]}"
    parts = [
        str(event[key])
        for key in ("verdict", "status", "subject", "rule", "owner", "error")
        if event.get(key)
    ]
    if event.get("approval"):
        parts.append(str(event["approval"])[:9])
    return "  ".join(parts)


def _time(at: str) -> str:
    import datetime as dt

    return f"{dt.datetime.fromisoformat(at).astimezone():%m-%d %H:%M:%S}"


def _events(number: int) -> str:
    return f"{number:,} event{'' if number == 1 else 's'}"


def _place(url: str) -> str:
    from pathlib import Path

    from agentguard.access import near

    return near(Path(url.removeprefix("sqlite:///"))) if url.startswith("sqlite:///") else url
