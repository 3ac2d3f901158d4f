"""`agentguard ledger export`: recorded decisions for a replay, or events for other tools."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal

import typer

from agentguard.cli.replay import source, span_of
from agentguard.cli.terminal import complain, fail
from agentguard.cli.workspace import ConfigOption, StoreOption, TenantOption, configuration, open_records

if TYPE_CHECKING:
    import datetime as dt

    from agentguard.config import Config

__all__ = ["export"]


_Span = tuple["dt.datetime | None", "dt.datetime | None"]


def export(
    ctx: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write there, for your eyes only; default: print."),
    ] = None,
    format: Annotated[
        Literal["jsonl", "events", "ocsf", "csv"],
        typer.Option(
            "--format",
            help="jsonl: decisions with their arguments, for a replay; the others: events.",
        ),
    ] = "jsonl",
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="TYPE", help="Only events of this type; `approval.` for all that begin so."
        ),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From this time on: 2026-11-20[T08:00[+01:00]]."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this time.")] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
) -> None:
    """Write the record for other tools, one object or row a line.

    By default recorded decisions with what they were decided on, for `agentguard replay --jsonl`: these lines
    hold arguments and everything else that a decision looked at, as far as it was not erased. The other
    formats hold events, and no argument: `events` as they are, `ocsf` as OCSF 1.8, `csv` for spreadsheets,
    with formulas made harmless. A time without a zone is UTC.

    \b
    Examples:
      agentguard ledger export --output decisions.jsonl
      agentguard ledger export --format ocsf --from 2026-11-01 --to 2026-12-01 --output november.ocsf.jsonl
      agentguard ledger export --format csv --type decision --type approval. --output november.csv
      agentguard ledger export --format events | gzip > events.jsonl.gz

    Exit codes: 0 written, 1 with records that are damaged, 2 usage or the store cannot be read.
    """
    found = configuration(ctx, config)
    span = span_of(begin, end)
    if format == "jsonl":
        if types:
            fail("`--type` is for events; name `--format events`, `ocsf` or `csv`")
        damaged = _decisions(found, store, tenant, span, output)
    else:
        damaged = _events(found, store, tenant, span, output, format, types or [])
    if damaged:
        fail(f"{damaged:,} records are damaged; run `agentguard ledger verify`", 1)


def _decisions(
    config: Config, store: str | None, tenant: str | None, span: _Span, output: Path | None
) -> int:
    """Recorded decisions with what they were decided on; returns how many are damaged."""
    from agentguard.ledger.recorded_lines import line_of, line_of_approval

    count = damaged = bare = 0
    with source(config, store, None, tenant, span) as (reader, _, _records), _opened(output) as file:
        for recorded in reader:
            file.write(line_of(recorded) + "\n")
            count += 1
            damaged += recorded.problem == "damaged"
            bare += recorded.request is None and not recorded.own
        for opened in reader.approvals.values():
            file.write(line_of_approval(opened) + "\n")
    complain(
        f"{count:,} decisions"
        + (f", {bare:,} of them without what a replay needs" if bare else "")
        + " written"
    )
    return damaged


def _events(
    config: Config,
    store: str | None,
    tenant: str | None,
    span: _Span,
    output: Path | None,
    format: Literal["events", "ocsf", "csv"],
    types: list[str],
) -> int:
    """Events; returns how many are damaged."""
    from agentguard.cli.export_formats import lines_of
    from agentguard.ledger.exporting import exported

    damaged: list[int] = []
    count = 0
    records = open_records(config, store)
    try:
        events = exported(records, tenant or config.tenant, begin=span[0], end=span[1], types=types)
        with _opened(output) as file:
            for line in lines_of(format, events, damaged.append):
                file.write(line)
                count += 1
    finally:
        records.close()
    complain(f"{count - (format == 'csv'):,} events written")
    return len(damaged)


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[str]]:
    """A new file that nobody else may read, or standard output."""
    if path is None:
        yield sys.stdout
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8", newline="") as file:
        yield file
