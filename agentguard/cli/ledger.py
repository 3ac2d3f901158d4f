"""`agentguard ledger`: check the record offline, read it, export it, sign it, and prove what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentguard.cli.checkpoint import checkpoint, keygen, vkey
from agentguard.cli.checkpoint_keys import CheckpointOption, KeyOption, kept_checkpoints
from agentguard.cli.export import export
from agentguard.cli.ledger_prove import prove
from agentguard.cli.long_table import long_columns
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import fail, print_json, say
from agentguard.cli.workspace import (
    ConfigOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
    open_records,
)

if TYPE_CHECKING:
    from agentguard.ledger.verify import Report, TenantReport

__all__ = ["app"]

app = typer.Typer(
    help="The tamper-evident record: verify it, read it, export it, sign it, prove what is in it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

app.command()(export)
app.command()(checkpoint)
app.command()(prove)
app.command()(keygen)
app.command()(vkey)


@app.command()
def verify(
    ctx: typer.Context,
    checkpoint: CheckpointOption = None,
    key: KeyOption = None,
    payloads: Annotated[
        bool,
        typer.Option("--payloads", help="Compare arguments with their digests too; needs the ledger's key."),
    ] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every event of the ledger against its hash, and the events against each other.

    Every tenant is checked unless one is named. Whoever may write to the store can rewrite all of it, hashes
    included: only checkpoints that were kept elsewhere show that, and that an old copy was put back. Every
    one in the file is compared. Those of the configured file are, where none is named.

    \b
    Examples:
      agentguard ledger verify
      agentguard ledger verify --checkpoint checkpoints.log --key example.com/agents/default+1f2e3d4c+AQ...
      agentguard ledger verify --store sqlite:///agentguard.db --payloads --json

    Exit codes: 0 intact, 1 something is wrong, 2 usage or the store cannot be read.
    """
    from agentguard.ledger.keys import known_key
    from agentguard.ledger.verify import verify as verified

    found = configuration(ctx, config)
    kept = kept_checkpoints(found, checkpoint, key, tenant)
    records = open_records(found, store)
    try:
        secret = known_key(records.url) if payloads else None
        if payloads and secret is None:
            fail("`--payloads` needs the ledger's key: AGENTGUARD_LEDGER_KEY, or the file beside the store")
        report = verified(records, tenant, checkpoints=kept, payloads_key=secret)
        url = records.url
    finally:
        records.close()
    if as_json:
        print_json(report.to_json())
        raise typer.Exit(0 if report.ok else 1)
    for one in report.tenants:
        _tenant(one, compared=kept is not None)
    for refused in report.refused:
        say(f"NOT INTACT  {visible(refused)}", "bold red")
    if kept is not None and kept.others:
        say(f"{kept.others:,} checkpoints of other tenants were not looked at")
    _end(report, url, compared=kept is not None)
    raise typer.Exit(0 if report.ok else 1)


def _tenant(one: TenantReport, *, compared: bool) -> None:
    """What was found of one tenant."""
    verdict = "intact" if one.ok else "NOT INTACT"
    say(f"{verdict}  {_events(one.size)} of tenant {visible(one.tenant)}", "green" if one.ok else "bold red")
    say(f"  root {one.root}")
    if one.checkpoints:
        agree = "checkpoint agrees" if one.checkpoints == 1 else "checkpoints agree"
        say(f"  {one.checkpoints:,} {agree}; the first {_events(one.covered)} are vouched for")
    elif compared:
        say("  no checkpoint vouches for it", "yellow")
    if one.payloads is not None:
        gone = f"; of {one.payloads.missing:,} nothing is kept (erased, or never kept)"
        say(
            f"  {one.payloads.same:,} digests are those of what is kept beside the ledger"
            + (gone if one.payloads.missing else "")
        )
    if one.open_decisions:
        lost = "calls were let run and have no outcome: they run now, or their end is lost"
        say(f"  {one.open_decisions} {lost}")
    if one.open_windows:
        lost = "batched writers never closed their window: they write now, or its records are missing"
        say(f"  {one.open_windows} {lost}", "yellow")
    for wrong in one.findings:
        many = wrong.upto is not None and wrong.upto != wrong.seq
        where = f"events {wrong.seq} to {wrong.upto}: " if many else f"event {wrong.seq}: "
        say(visible(f"  {where if wrong.seq is not None else ''}{wrong.kind}: {wrong.message}"), "red")


def _end(report: Report, url: str, *, compared: bool) -> None:
    if report.strays:
        say(
            f"NOT INTACT  {report.strays:,} records of a tenant that is gone: somebody took it away",
            "bold red",
        )
    elif not report.tenants:
        say("The ledger is empty: nothing was decided yet.")
    wrongs = sum(len(one.findings) for one in report.tenants) + bool(report.strays) + len(report.refused)
    end = "no problems" if report.ok else f"{wrongs} problem{'' if wrongs == 1 else 's'}"
    say(f"Verified {_events(report.size)} of {_place(url)}: {end}.")
    if report.tenants and not compared:
        say("Not compared with any checkpoint: a rewrite of the whole store would not be seen.", "dim")


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
    long_columns(
        ("#", "at", "event", "tool", "agent", "what"),
        [(str(seq), _time(event["at"]), event["type"], *_cells(event)) for seq, event in rows],
        keep=(0, 1, 2),
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
    if "word" in event or "words" in event or "exception" in event or "grant" in event:
        return _said(event)
    parts = [
        str(event[key])
        for key in ("verdict", "status", "subject", "rule", "owner", "error")
        if event.get(key)
    ]
    if event.get("approval"):
        parts.append(str(event["approval"])[:9])
    return "  ".join(parts)


def _said(event: dict[str, Any]) -> str:
    """Of an exception, a grant, a baseline or an agent: which, by whom, and why."""
    words = event.get("words") or ([event["word"]] if event.get("word") else [])
    by = ", ".join(str(word.get("subject")) for word in words)
    reason = next((str(word["reason"]) for word in words if word.get("reason")), "")
    name = event.get("exception") or event.get("grant") or event.get("baseline") or ""
    parts = [str(name), f"by {by}" if by else "", reason]
    return "  ".join(part for part in parts if part)


def _time(at: str) -> str:
    import datetime as dt

    return f"{dt.datetime.fromisoformat(at).astimezone():%m-%d %H:%M:%S}"


def _events(number: int) -> str:
    return f"{number:,} event{'' if number == 1 else 's'}"


def _place(url: str) -> str:
    from pathlib import Path

    from agentguard.access import near

    return near(Path(url.removeprefix("sqlite:///"))) if url.startswith("sqlite:///") else url
