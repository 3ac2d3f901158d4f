"""`agentguard baselines`: what is normal for an agent, learned from the ledger and approved by its owner."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.baseline_text import change_lines, content_screen, told_screen
from agentguard.cli.governing import (
    KeyOption,
    ReasonOption,
    WhoOption,
    YesOption,
    back,
    confirm,
    moment,
    open_desk,
    said,
)
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, columns, fail, print_json, say
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.governance.baseline_changes import Change
    from agentguard.governance.baseline_desk import BaselineDesk
    from agentguard.governance.baselines import Told
    from agentguard.governance.desk import Desk
    from agentguard.store.protocol import Record

__all__ = ["app"]

app = typer.Typer(
    help="What is normal for each agent; deviations from it.", no_args_is_help=True, rich_markup_mode=None
)

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id, exactly as it acts.")]


@app.command()
def learn(
    ctx: typer.Context,
    agent: Agent,
    begin: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Where the period begins: a date or time.")
    ],
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Where it ends, not included; default: now.")
    ] = None,
    zone: Annotated[
        str, typer.Option("--zone", metavar="ZONE", help="Hours of the week are in this zone.")
    ] = "UTC",
    ends: Annotated[
        str,
        typer.Option("--ends", metavar="TIME", help="When the baseline ends: a time, or a span from now."),
    ] = "90d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it and propose nothing.")] = False,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn what is normal for an agent from a period of the ledger, and propose it to the agent's owner.

    Calls that were denied, flagged, observed or ran under an exception are left out. Nothing is in force
    until the owner approves it.

    \b
    Examples:
      agentguard baselines learn billing --from 2026-10-01 --to 2026-11-01
      agentguard baselines learn billing --from 2026-10-01 --zone Europe/Berlin --ends 60d --as ben
      agentguard baselines learn billing --from 30d --dry-run

    Exit codes: 0 proposed, 1 too few calls or refused, 2 usage or configuration.
    """
    from agentguard.errors import RecordRefused
    from agentguard.governance.baseline_content import read_content

    with open_desk(ctx, config, store, directory, tenant) as (found, _):
        desk, now = _baselines(found), found.store.now()
        try:
            parts = _learned(found, agent, begin, end, zone, now)
            content = desk.draft(agent, parts, zone=zone, ends=moment(ends, now), proposer=who or "local")
            if not dry_run:
                from agentguard.governance.vouching import content_digest

                word = said(found, "baseline", agent, content_digest(content), "propose", who, key, reason)
                desk.propose(content, word)
        except RecordRefused as error:
            fail(str(error), 1)
        read = read_content(content)
        if as_json:
            print_json({"proposed": not dry_run, "content": content})
            return
        verb = "Not proposed (--dry-run)" if dry_run else "Proposed"
        say(f"{verb}: version {read.version} of the baseline of agent {visible(agent)}", "bold")
        content_screen(read)
        if read.replaces is not None:
            _differences(desk, desk.told(agent), read.version)
        if not dry_run:
            say(f"\nOnly its owner can approve it: agentguard baselines approve {agent} --as {read.owner}")


@app.command("list")
def list_(
    ctx: typer.Context,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the baselines: in force, waiting for approval, ended.

    \b
    Examples:
      agentguard baselines list
      agentguard baselines list --json
    """
    from agentguard.governance.baselines import KIND, tell

    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        now = desk.store.now()
        told = [tell(record) for record in desk.store.records(desk.tenant, KIND)]
    if as_json:
        print_json([_json(one) for one in told])
        return
    if not told:
        say("No agent has a baseline; `agentguard baselines learn AGENT --from DATE` makes one.")
        return
    rows = [
        [one.record.id, one.state.value + (", next one waits" if one.pending else ""), str(one.read.version),
         one.read.owner, f"{one.read.learned.calls:,}", str(len(one.read.tools)), ago(one.read.ends, now)]
        for one in told
    ]  # fmt: skip
    columns(("agent", "state", "version", "owner", "calls", "tools", "ends"), rows, keep=(0,))


@app.command()
def show(
    ctx: typer.Context,
    agent: Agent,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the baseline of an agent, and what a version that waits would change.

    \b
    Examples:
      agentguard baselines show billing
      agentguard baselines show billing --json
    """
    with open_desk(ctx, config, store, directory, tenant) as (found, _):
        desk = _baselines(found)
        told = desk.told(agent)
        if as_json:
            print_json(_json(told))
            return
        _screen(desk, told, found.store.now())


@app.command()
def approve(
    ctx: typer.Context,
    agent: Agent,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    yes: YesOption = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Put a baseline in force, on every process at once: by the agent's owner, for exactly what is shown.

    \b
    Examples:
      agentguard baselines approve billing --as owen
      agentguard baselines approve billing --as owen --yes --reason "looked at every tool"

    Exit codes: 0 in force, 1 refused or not confirmed, 2 usage or configuration.
    """
    with open_desk(ctx, config, store, directory, tenant) as (found, _):
        desk = _baselines(found)
        told = desk.told(agent)
        _screen(desk, told, found.store.now())
        if told.waits is None:
            fail(f"no baseline of `{agent}` waits for approval", 1)
        confirm("Approve exactly this baseline?", yes)
        after = _said(found, told, told.waits, "approve", desk.approve, who, key, reason)
        say(f"In force: version {after.read.version}, until {after.read.ends:%Y-%m-%d %H:%M}Z.", "green")


@app.command()
def reject(
    ctx: typer.Context,
    agent: Agent,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Say no to a baseline that waits; one that is in force stays.

    \b
    Examples:
      agentguard baselines reject billing --as owen --reason "the period holds an incident"
    """
    with open_desk(ctx, config, store, directory, tenant) as (found, _):
        desk = _baselines(found)
        told = desk.told(agent)
        if told.waits is None:
            fail(f"no baseline of `{agent}` waits for approval", 1)
        after = _said(found, told, told.waits, "reject", desk.reject, who, key, reason)
        say(f"Rejected. The baseline of agent {visible(agent)} is {after.state.value}.", "green")


@app.command()
def revoke(
    ctx: typer.Context,
    agent: Agent,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """End a baseline now. Rules that ask for it cannot be evaluated then, and fire. Anybody may.

    \b
    Examples:
      agentguard baselines revoke billing --as owen --reason "the agent has another task now"
    """
    with open_desk(ctx, config, store, directory, tenant) as (found, _):
        desk = _baselines(found)
        told = desk.told(agent)
        _said(found, told, told.content, "revoke", desk.revoke, who, key, reason)
        say(f"Revoked: agent {visible(agent)} has no baseline now.", "green")


def _baselines(desk: Desk) -> BaselineDesk:
    from agentguard.governance.baseline_desk import BaselineDesk

    return BaselineDesk(store=desk.store, directory=desk.directory, tenant=desk.tenant, terms=desk.terms)


def _learned(
    desk: Desk, agent: str, begin: str, end: str | None, zone: str, now: dt.datetime
) -> dict[str, object]:
    import zoneinfo

    from agentguard.governance.baseline_learning import learn as learned
    from agentguard.ledger.keys import args_hmac, known_key

    try:
        found = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        fail(f"`{zone[:60]}` is not a time zone such as `Europe/Berlin` or `UTC`")
    secret = known_key(desk.store.url)
    return learned(
        desk.store,
        desk.tenant,
        agent,
        begin=back(begin, now),
        end=now if end is None else back(end, now),
        zone=found,
        digest=None if secret is None else lambda content: args_hmac(secret, content),
    )


def _said(
    desk: Desk,
    told: Told,
    content: object,
    act: str,
    move: Callable[..., Record],
    who: str | None,
    key: Path | None,
    reason: str,
) -> Told:
    """Say it about exactly the content that was shown; a refusal ends the command with 1."""
    from agentguard.errors import RecordRefused
    from agentguard.governance.baselines import tell
    from agentguard.governance.vouching import content_digest

    assert isinstance(content, dict)
    agent = told.record.id
    word = said(desk, "baseline", agent, content_digest(content), act, who, key, reason)
    try:
        return tell(move(agent, word))
    except RecordRefused as error:
        fail(str(error), 1)


def _screen(desk: BaselineDesk, told: Told, now: dt.datetime) -> None:
    from agentguard.governance.baseline_content import read_content

    told_screen(told, now)
    shown = read_content(told.waits) if told.waits is not None else told.read
    if told.pending is not None:
        say(f"\nWaiting: version {shown.version}, proposed by {visible(shown.proposer)}", "bold")
    content_screen(shown)
    if told.pending is not None:
        _differences(desk, told, shown.version)


def _differences(desk: BaselineDesk, told: Told, version: int) -> None:
    """Against the version in force, and against the first: what widens slowly is seen in the second."""
    for since, changed in _changes(desk, told):
        change_lines(changed, since)


def _changes(desk: BaselineDesk, told: Told) -> list[tuple[str, list[Change]]]:
    from agentguard.errors import NotFound
    from agentguard.governance.baseline_changes import changes
    from agentguard.governance.baseline_content import read_content

    if told.pending is None:
        return []
    new = read_content(told.pending)
    found = [(f"version {told.read.version}, in force", changes(told.read, new))]
    for one in told.history:
        try:
            old = desk.past(str(one["digest"]))
        except NotFound:
            continue  # it was revoked or it ended; what came next followed on nothing
        found.append((f"version {old.version} of {str(one['from'])[:10]}", changes(old, new)))
        break
    return found


def _json(told: Told) -> dict[str, object]:
    return {
        "agent": told.record.id,
        "state": told.state.value,
        "digest": told.digest,
        "content": dict(told.content),
        "pending": None if told.pending is None else dict(told.pending),
        "proposed": told.proposed.to_json(),
        "approved": None if told.approved is None else told.approved.to_json(),
        "history": list(told.history),
    }
