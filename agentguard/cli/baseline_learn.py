"""`agentguard baselines learn`: from a period of the ledger to a proposal for the agent's owner."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.baseline_text import change_lines, content_screen
from agentguard.cli.governing import KeyOption, ReasonOption, WhoOption, back, moment, open_desk, said
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import fail, print_json, say
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.governance.baseline_changes import Change
    from agentguard.governance.baseline_desk import BaselineDesk
    from agentguard.governance.baselines import Told
    from agentguard.governance.desk import Desk

__all__ = ["Agent", "baselines_of", "differences", "learn"]

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id, exactly as it acts.")]


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
        desk, now = baselines_of(found), found.store.now()
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
            differences(desk, desk.told(agent), read.version)
        if not dry_run:
            say(f"\nOnly its owner can approve it: agentguard baselines approve {agent} --as {read.owner}")


def baselines_of(desk: Desk) -> BaselineDesk:
    """The desk for baselines beside the one that was opened."""
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
    upto = now if end is None else back(end, now)
    if upto > now:
        fail("the period ends in the future; nobody knows yet what is normal then")
    return learned(
        desk.store,
        desk.tenant,
        agent,
        begin=back(begin, now),
        end=upto,
        zone=found,
        digest=None if secret is None else lambda content: args_hmac(secret, content),
    )


def differences(desk: BaselineDesk, told: Told, version: int) -> None:
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
