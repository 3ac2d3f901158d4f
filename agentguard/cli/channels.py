"""`agentguard channels`: where people are told, what waits to be told, and the server that hears answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import columns, complain, fail, print_json, say
from agentguard.cli.workspace import (
    ConfigOption,
    DirectoryOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
    open_people,
    open_records,
)
from agentguard.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from agentguard.channels.configured import Configured
    from agentguard.config import Config
    from agentguard.store.protocol import Record, Store

__all__ = ["app"]

app = typer.Typer(help="Tell people, and hear them.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The channel's name.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the channels of the configuration, with what waits for them.

    \b
    Examples:
      agentguard channels list
      agentguard channels list --json
    """
    from agentguard.cli.channel_text import listed

    found = configuration(ctx, config)
    rows = listed(found, _records(found, store), tenant or found.tenant)
    if as_json:
        print_json(rows)
        return
    if not rows:
        say("No channel is configured; `docs/channels.md` shows the section `channels:`.")
        return
    head = ("name", "kind", "host", "events", "answers", "waiting", "dead", "ready")
    columns(head, [[str(row[name]) for name in head] for row in rows])


@app.command("test")
def try_(
    ctx: typer.Context,
    name: Name,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one message that says it is a test, now and not through the outbox; exit 1 when it fails.

    \b
    Examples:
      agentguard channels test ops
    """
    import datetime as dt

    from agentguard.channels.channel import Notice
    from agentguard.channels.posting import Undelivered
    from agentguard.ids import uuid7
    from agentguard.ledger.events import instant

    found = configuration(ctx, config)
    channel = _named(found, name).channel
    now = dt.datetime.now(dt.UTC)
    notice = Notice(
        id=f"test-{uuid7()}",
        type="test",
        at=instant(now),
        tenant=found.tenant,
        family="test",
        subject=name,
        said={},
        now=now,
    )
    problem = ""
    try:
        channel.send(notice)
    except Undelivered as error:
        problem = str(error)
    if as_json:
        print_json({"channel": name, "id": notice.id, "delivered": not problem, "problem": problem})
    elif not problem:
        say(f"Told channel `{visible(name)}`, message {notice.id}.", "green")
    if problem:
        if not as_json:
            complain(f"channel `{name}` was not told: {problem}")
        raise typer.Exit(1)


@app.command()
def outbox(
    ctx: typer.Context,
    channel: Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Only this one's.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also what was told.")] = False,
    fail_on_dead: Annotated[
        bool, typer.Option("--fail-on-dead", help="Exit with 1 when something was given up.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 200,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what waits to be told, and what was given up.

    \b
    Examples:
      agentguard channels outbox
      agentguard channels outbox --dead --fail-on-dead
      agentguard channels outbox --channel ops --json
    """
    from agentguard.cli.channel_text import outbox_rows, row_json

    found = configuration(ctx, config)
    records = open_records(found, store)
    states = () if everything else ("dead",) if dead else ("urgent", "waiting", "dead")
    try:
        rows = outbox_rows(records, tenant or found.tenant, states, channel, limit + 1)
        now = records.now()
    finally:
        records.close()
    more, rows = len(rows) > limit, rows[:limit]
    if as_json:
        print_json([row_json(row) for row in rows])
    elif not rows:
        say("Nothing waits, and nothing was given up." if not everything else "The outbox is empty.")
    else:
        head = ("id", "state", "next", "tries", "due", "problem")
        columns(head, [row.cells(now) for row in rows], keep=(0, 1, 2))
        say(f"{'more than ' if more else ''}{len(rows)} deliver{'y' if len(rows) == 1 else 'ies'}")
    if fail_on_dead and any(row.state == "dead" for row in rows):
        raise typer.Exit(1)


@app.command()
def retry(
    ctx: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="As `outbox` shows it, or the beginning of it.")],
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a delivery again at once: one that was given up, or waits to be tried again.

    A running guard, or `agentguard channels serve`, delivers it.

    \b
    Examples:
      agentguard channels retry ops/approval/a1b2c3
    """
    import datetime as dt

    from agentguard.channels.outbox import retry as again
    from agentguard.store.protocol import Known, RecordsChange

    found = configuration(ctx, config)
    records = open_records(found, store)
    name = tenant or found.tenant
    try:
        record = _delivery(records, name, id)

        def update(known: Known, now: dt.datetime) -> RecordsChange | None:
            there = known.get(record.key)
            after = None if there is None else again(there, now)
            return None if after is None else RecordsChange((after,))

        changed = records.change_records(name, [record.key], update)
    finally:
        records.close()
    if as_json:
        print_json({"id": record.id, "again": bool(changed)})
    elif changed:
        say(f"{visible(record.id)} is tried again now.", "green")
    else:
        complain(f"`{record.id}` is on its way, or nothing of it waits")
    if not changed:
        raise typer.Exit(1)


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")] = 8642,
    certificate: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Serve TLS with this certificate.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="... and its key.")] = None,
    silent: Annotated[
        bool, typer.Option("--no-deliver", help="Hear answers only: neither sweep nor tell.")
    ] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Hear signed answers at `POST /channels/NAME/answers`, and deliver the outbox, until it is stopped.

    It listens on loopback; put a reverse proxy with TLS before it, which has to leave bodies and the headers
    of signatures as they are.

    \b
    Examples:
      agentguard channels serve
      agentguard channels serve --port 9000 --no-deliver
    """
    from agentguard.cli.channel_server import serve as run

    if (certificate is None) != (key is None):
        fail("`--tls-cert` and `--tls-key` belong together")
    found = configuration(ctx, config)
    channels = _channels(found)
    if not channels:
        fail("no channel is configured; `docs/channels.md` shows the section `channels:`")
    people = open_people(found, directory)
    records = open_records(found, store)
    try:
        run(
            records,
            tenant or found.tenant,
            people,
            channels,
            host=host,
            port=port,
            tls=None if certificate is None or key is None else (certificate, key),
            deliver=not silent,
            sweep_s=found.sweep_s,
        )
    finally:
        records.close()


def _channels(config: Config) -> dict[str, Configured]:
    from agentguard.channels.configured import channels_of

    base = Path(os.path.abspath(config.file)).parent if config.file is not None else Path.cwd()
    return {one.channel.name: one for one in channels_of(config.channels, base)}


def _named(config: Config, name: str) -> Configured:
    from agentguard.policy.findings import suggestion

    known = [entry.name for entry in config.channels]
    if name not in known:
        hint = suggestion(name, known) if known else "none is configured"
        raise ConfigurationError(f"there is no channel `{name[:40]}`; {hint}")
    return _channels(config)[name]


def _records(config: Config, url: str | None) -> Store | None:
    """The store, where there is one already."""
    try:
        return open_records(config, url)
    except ConfigurationError:
        return None


def _delivery(store: Store, tenant: str, typed: str) -> Record:
    from agentguard.channels.outbox import KIND

    found = store.records(tenant, KIND, prefix=typed, limit=3) if typed else []
    exact = [record for record in found if record.id == typed]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if not found:
        raise NotFound(f"no delivery begins with `{typed[:60]}`; see `agentguard channels outbox`")
    raise ConfigurationError(f"several deliveries begin with `{typed[:60]}`; type more")
