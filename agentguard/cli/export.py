"""`agentguard ledger export`: recorded decisions as lines of JSON, for `agentguard replay --jsonl`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from agentguard.cli.replay import source, time_of
from agentguard.cli.terminal import complain, fail
from agentguard.cli.workspace import ConfigOption, StoreOption, TenantOption, configuration

__all__ = ["export"]


def export(
    ctx: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write there, for your eyes only; default: print."),
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
    """Write recorded decisions with what they were decided on, one JSON object a line.

    The lines hold arguments and everything else that a decision looked at, as far as it was not erased.

    \b
    Examples:
      agentguard ledger export --output decisions.jsonl
      agentguard ledger export --from 2026-11-01 --to 2026-12-01 | gzip > november.jsonl.gz

    Exit codes: 0 written, 1 with records that are damaged, 2 usage or the store cannot be read.
    """
    from agentguard.ledger.recorded_lines import line_of, line_of_approval

    found = configuration(ctx, config)
    span = time_of(begin, "--from"), time_of(end, "--to")
    count = damaged = bare = 0
    with _opened(output) as file, source(found, store, None, tenant, span) as (reader, _, _records):
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
    if damaged:
        fail(f"{damaged:,} records are damaged; run `agentguard ledger verify`", 1)


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[str]]:
    """A new file that nobody else may read, or standard output."""
    if path is None:
        yield sys.stdout
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8", newline="\n") as file:
        yield file
