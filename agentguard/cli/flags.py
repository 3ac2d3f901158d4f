"""`agentguard flags`: what ran although a rule objected, who answers for it, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agentguard.cli.flag_answers import desk_of, find, items_of, refusals, said, settle
from agentguard.cli.flag_convert import convert
from agentguard.cli.governing import KeyOption, ReasonOption, WhoOption
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import fail, print_json, say
from agentguard.cli.workspace import (
    ConfigOption,
    DirectoryOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
)

if TYPE_CHECKING:
    import datetime as dt

    from agentguard.governance.flag_item import Item

__all__ = ["app"]

app = typer.Typer(help="List, read and resolve flags.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="ID", help="The flag's id, or at least 4 characters behind FL-.")]
Said = Literal["accepted", "false-positive", "converted", "exception"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which items a list shows."""

    states: tuple[str, ...]
    owner: str | None
    agent: str | None
    rule: str | None
    overdue: bool
    breach: bool

    def __call__(self, item: Item, now: dt.datetime) -> bool:
        return (
            (self.owner is None or self.owner in (item.policy.owner, item.holder))
            and (self.agent is None or self.agent == item.agent)
            and (self.rule is None or self.rule in (item.rule, item.rule.partition("/")[2]))
            and (not self.overdue or item.overdue(now))
            and (not self.breach or (item.unresolved and item.breached is not None))
        )


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Only these: open, acknowledged, resolved."),
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="Only what NAME owns, or has now.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="ID", help="Only this agent's.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", metavar="NAME", help="Only this rule's.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that are overdue.")] = False,
    breach: Annotated[bool, typer.Option("--breach", help="Only governance breaches.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    fail_on_breach: Annotated[
        bool, typer.Option("--fail-on-breach", help="Exit with 1 when a breach is listed.")
    ] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the flags that wait for somebody, the gravest first.

    Calls of one kind (rule, agent, tool, kinds of arguments) are one flag. What was flagged meanwhile is
    taken in first, and what is overdue is passed on.

    \b
    Examples:
      agentguard flags list
      agentguard flags list --owner ana --overdue
      agentguard flags list --breach --fail-on-breach
      agentguard flags list --all --json

    Exit codes: 0 listed, 1 a breach is listed with `--fail-on-breach`, 2 usage or configuration.
    """
    from agentguard.cli import flag_text as about
    from agentguard.governance.flag_item import FlagState
    from agentguard.policy.findings import suggestion

    known = [one.value for one in FlagState]
    for word in state or ():
        if word not in known:
            fail(f"`{word}` is no state; {suggestion(word, known)}")
    waiting = (FlagState.OPEN.value, FlagState.ACKNOWLEDGED.value)
    states = tuple(state) if state else () if everything else waiting
    wanted = _Wanted(states, owner, agent, rule, overdue, breach)
    with desk_of(configuration(ctx, config), store, tenant, None) as desk:
        now = desk.store.now()
        items = sorted((one for one in items_of(desk, states) if wanted(one, now)), key=about.gravest_first)
    if as_json:
        print_json([about.item_json(item, now) for item in items])
    else:
        if items:
            about.table(items, now)
        say(about.counted(items, now))
    if fail_on_breach and any(item.unresolved and item.breached is not None for item in items):
        raise typer.Exit(1)


@app.command()
def show(
    ctx: typer.Context,
    id: Id,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one flag: what was flagged, how often, who has it until when, and what happened to it.

    \b
    Examples:
      agentguard flags show FL-0AKQMG3D
      agentguard flags show 0akq --json
    """
    from agentguard.cli import flag_text as about

    with desk_of(configuration(ctx, config), store, tenant, None) as desk:
        item, now = find(desk, id), desk.store.now()
    if as_json:
        print_json(about.item_json(item, now))
        return
    about.screen(item, now)


@app.command()
def acknowledge(
    ctx: typer.Context,
    id: Id,
    reason: ReasonOption,
    who: WhoOption = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Say that somebody is on it: whoever has it gets the time of one review from now.

    Once at each level. It does not end the flag, nor a breach.

    \b
    Examples:
      agentguard flags acknowledge FL-0AKQMG3D --as ana --reason "asking the team"

    Exit codes: 0 counted, 1 refused, 2 usage or configuration.
    """
    with desk_of(configuration(ctx, config), store, tenant, directory) as desk, refusals():
        item = find(desk, id)
        desk.acknowledge(item.id, said(desk, "acknowledge", item, item.digest(desk.tenant), who, key, reason))
        after = desk.item(item.id)
    by = f"resolve it by {after.step:%Y-%m-%d %H:%M} UTC"
    more = by if after.breached is None else "it stays a breach until it is resolved"
    say(f"Acknowledged: {visible(item.id)}; {more}.", "green")


@app.command()
def resolve(
    ctx: typer.Context,
    id: Id,
    resolution: Annotated[
        Said, typer.Argument(metavar="RESOLUTION", help="accepted, false-positive, converted, exception.")
    ],
    reason: ReasonOption,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Until when it holds: 2027-03-01; accepted needs it."),
    ] = None,
    exception: Annotated[
        str | None, typer.Option("--exception", metavar="EX-ID", help="The exception in force.")
    ] = None,
    who: WhoOption = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Say what became of a flag, and why.

    accepted: the risk is lived with until a date. false-positive: it is no violation; it stays away for 90
    days, or until the date. converted: the rule is enforced now. exception: an exception in force covers it,
    until that ends. Calls of the same kind join it until then; a later one, or one with more at stake, opens
    it again.

    \b
    Examples:
      agentguard flags resolve FL-0AKQMG3D false-positive --as ana --reason "a test account"
      agentguard flags resolve FL-0AKQMG3D accepted --until 2027-03-01 --as ana --reason "until the migration"
      agentguard flags resolve FL-0AKQMG3D exception --exception EX-7K2M9QXA --as ana --reason "approved"

    Exit codes: 0 resolved, 1 refused, 2 usage or configuration.
    """
    from agentguard.cli.replay import time_of
    from agentguard.governance.flag_item import Resolution

    with desk_of(configuration(ctx, config), store, tenant, directory) as desk, refusals():
        item = find(desk, id)
        drafted = desk.draft(
            item.id, Resolution(resolution), until=time_of(until, "--until"), exception=exception
        )
        settle(desk, item, drafted, who, key, reason)
    say(f"Resolved: {visible(item.id)} as {resolution}, until {drafted['until'][:10]}.", "green")


app.command()(convert)
