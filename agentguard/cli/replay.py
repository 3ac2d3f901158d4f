"""`agentguard replay`: a candidate set of policies over recorded decisions, and what would be different."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace as with_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from agentguard.cli.terminal import complain, fail, print_json
from agentguard.cli.workspace import (
    ConfigOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
    open_people,
    open_records,
    snapshot_of,
)

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.policy import Snapshot
    from agentguard.policy.replay import Accepted, Opened, Recorded, Report
    from agentguard.store.protocol import Store

__all__ = ["progress", "replay", "source", "span_of", "time_of"]

_RECORDED: Final = "recorded"
_EVERY: Final = 2000
_MOST: Final = 1_000_000
_Span = tuple[dt.datetime | None, dt.datetime | None]


class _Reader(Protocol):
    """What yields recorded decisions: a store's or a file's reader."""

    seen: int
    approvals: dict[str, Opened]

    def __iter__(self) -> Iterator[Recorded]: ...


def replay(
    ctx: typer.Context,
    candidate: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CANDIDATE", help="Policy files and folders; default: the configuration's."),
    ] = None,
    store: StoreOption = None,
    jsonl: Annotated[
        Path | None,
        typer.Option("--jsonl", metavar="FILE", help="Recorded decisions as `ledger export` writes them."),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From this time on: 2026-11-20[T08:00[+01:00]]."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this time.")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="PATH", help="Compare with these policies; default: with what was recorded."
        ),
    ] = None,
    accept: Annotated[
        Path | None, typer.Option("--accept", metavar="FILE", help="Loosenings that are wanted.")
    ] = None,
    write_accept: Annotated[
        Path | None,
        typer.Option("--write-accept", metavar="FILE", help="Write the loosenings found, for --accept."),
    ] = None,
    register: Annotated[
        Path | None,
        typer.Option("--register", metavar="FILE", help="Exceptions and grants; default: the store's."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Stop after so many decisions.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List every changed call, tool and agent.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts there.")
    ] = None,
    config: ConfigOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide recorded calls again under a candidate set of policies and show what changes.

    Loosened calls stand first: calls that would run with less than was asked of them. Records that were
    erased, or that lack a fact the candidate reads, are counted and never guessed. A guard keeps what a
    replay needs with `replayable: true`.

    \b
    Examples:
      agentguard replay candidate/
      agentguard replay candidate/ --from 2026-11-01 --html replay.html
      agentguard replay candidate/ --against policies/ --json
      agentguard replay candidate/ --jsonl decisions.jsonl --accept accepted.yaml

    Exit codes: 0 nothing is loosened but what was accepted, 1 something is, or a record is damaged, 2 usage,
    a set that does not load, or nothing that could be replayed.
    """
    from agentguard.access import near
    from agentguard.policy.replay import Replay, written

    found = configuration(ctx, config)
    if jsonl is not None and store is not None:
        fail("name `--store` or `--jsonl`, and not both")
    span = span_of(begin, end)
    accepted = None if accept is None else _accepted(accept)
    new = snapshot_of(found, candidate or ())
    old = (
        None if not against or against == [_RECORDED] else snapshot_of(found, [Path(one) for one in against])
    )
    name = tenant or found.tenant
    with source(found, store, jsonl, name if jsonl is None else tenant, span) as (reader, total, records):
        new, old = _registered(found, new, old, register, records, name)
        running = Replay(new, against=old, keep=_MOST if everything else 0)
        _run(reader, running, limit, total)
        report = running.report(reader.approvals.values(), accepted)
    if write_accept is not None:
        _write(write_accept, _yaml(written(report.groups)))
    shown = _Shown(
        tuple([os.fspath(one) for one in candidate or ()] or map(near, found.policies)), everything
    )
    if html is not None:
        from agentguard.cli.replay_html import page

        _write(html, page(report, shown.candidate))
    shown.show(report, as_json)
    if not report.replayed:
        fail(_nothing(report), 2)
    raise typer.Exit(0 if report.ok else 1)


class _Shown:
    """Prints a report."""

    def __init__(self, candidate: tuple[str, ...], everything: bool) -> None:
        self.candidate = candidate
        self.everything = everything

    def show(self, report: Report, as_json: bool) -> None:
        if as_json:
            print_json(report.to_json())
            return
        from agentguard.cli.replay_text import show

        show(report, self.candidate, everything=self.everything)


def time_of(text: str | None, option: str) -> dt.datetime | None:
    """A time; one without a zone is UTC."""
    if text is None:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        fail(f"`{option}`: `{text[:40]}` is no time; write 2026-11-20 or 2026-11-20T08:00+01:00")
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)


def span_of(begin: str | None, end: str | None, until: str = "--to") -> _Span:
    """The period between `--from` and the option `until`; one that holds no instant is a usage error."""
    first, last = time_of(begin, "--from"), time_of(end, until)
    if first is not None and last is not None and first >= last:
        fail(f"the period begins when it ends, or later; look at `--from` and `{until}`")
    return first, last


@contextlib.contextmanager
def source(
    config: Config,
    url: str | None,
    jsonl: Path | None,
    tenant: str | None,
    span: _Span,
) -> Iterator[tuple[_Reader, int, Store | None]]:
    """Where the records come from, how much there is, and the store if it is one."""
    begin, end = span
    if jsonl is not None:
        from agentguard.ledger.recorded_lines import LineReader

        with open(jsonl, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            yield LineReader(file, tenant=tenant, begin=begin, end=end), os.fstat(file.fileno()).st_size, None
        return
    from agentguard.ledger.keys import known_key
    from agentguard.ledger.recorded import StoreReader

    records = open_records(config, url)
    try:
        key = known_key(records.url)
        if key is None:
            complain("the ledger's key is not here, so payloads are not compared with their digests")
        name = tenant or config.tenant
        reader = StoreReader(records, name, key=key, begin=begin, end=end)
        yield reader, records.head(name)[0], records
    finally:
        records.close()


def _registered(
    config: Config,
    new: Snapshot,
    old: Snapshot | None,
    named: Path | None,
    records: Store | None,
    tenant: str,
) -> tuple[Snapshot, Snapshot | None]:
    """Both sets with the exceptions and grants that are named, or that the store holds.

    Agents that are suspended today are left out: what was recorded of them would all be denied.
    """
    from agentguard.governance import in_force
    from agentguard.policy import Register

    if named is not None:
        register = Register.from_mapping(_document(named))
    elif records is not None:
        version, rows = records.register(tenant)
        people = open_people(config, None)
        register = in_force(version, rows, tenant=tenant, directory=people, terms=config.governance)
        register = with_(register, suspended={})
    else:
        return new, old
    return new.with_register(register), None if old is None else old.with_register(register)


def _accepted(path: Path) -> Accepted:
    from agentguard.errors import ConfigurationError
    from agentguard.policy.replay import read_accepted

    try:
        return read_accepted(_document(path))
    except ConfigurationError as error:
        fail(f"`{path}`: {error}")


def _document(path: Path) -> Any:
    """A YAML file as plain data, read as strictly as a policy."""
    from agentguard.policy import read_files

    files = read_files(path)
    if files.findings or len(files.sources) != 1:
        fail("\n".join(one.message for one in files.findings) or f"`{path}` is not one file")
    return files.sources[0].data


def _run(reader: _Reader, running: Any, limit: int | None, total: int) -> None:
    """Take every record; a bar on standard error where a person looks at it."""
    from itertools import islice

    from agentguard.policy.prepare import collector_paused

    take = running.take
    with progress(total) as moved, collector_paused():  # reading and deciding make no cycles
        for number, recorded in enumerate(islice(iter(reader), limit), 1):
            take(recorded)
            if not number % _EVERY:
                moved(reader.seen)
            if number == limit:
                complain(f"stopped after {number:,} decisions, as `--limit` says")


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda seen: None
        return
    from rich.progress import Progress

    from agentguard.cli.terminal import console

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("records", total=max(total, 1))
        yield lambda seen: bar.update(task, completed=seen)


def _nothing(report: Report) -> str:
    if not (report.unreplayable or report.damages or report.own):
        return "there is no recorded decision in that time; is it the right store and tenant?"
    if report.problems.get("context"):
        return (
            "no record could be replayed: they were made without `replayable: true` in agentguard.yaml "
            "(or `Guard(..., replayable=True)`), which keeps what a replay needs from then on"
        )
    return "no record could be replayed"


def _yaml(data: object) -> str:
    import json

    import yaml

    # Through JSON, so that the same list twice is no alias, which a strict reader refuses.
    return str(yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False, allow_unicode=False, width=100))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
