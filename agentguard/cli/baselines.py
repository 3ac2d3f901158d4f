"""`agentguard baselines`: what is normal for an agent, learned from the ledger and approved by its owner."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from agentguard.cli.baseline_learn import Agent, baselines_of, differences, learn
from agentguard.cli.baseline_text import content_screen, told_screen
from agentguard.cli.governing import (
    KeyOption,
    ReasonOption,
    WhoOption,
    YesOption,
    confirm,
    open_desk,
    said,
)
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, columns, fail, print_json, say
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.governance.baseline_desk import BaselineDesk
    from agentguard.governance.baselines import Told
    from agentguard.governance.desk import Desk
    from agentguard.store.protocol import Record

__all__ = ["app"]

app = typer.Typer(
    help="What is normal for each agent; deviations from it.", no_args_is_help=True, rich_markup_mode=None
)

app.command()(learn)


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
        desk = baselines_of(found)
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
        desk = baselines_of(found)
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
        desk = baselines_of(found)
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
        desk = baselines_of(found)
        told = desk.told(agent)
        _said(found, told, told.content, "revoke", desk.revoke, who, key, reason)
        say(f"Revoked: agent {visible(agent)} has no baseline now.", "green")


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
        differences(desk, told, shown.version)


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
