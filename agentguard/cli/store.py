"""`agentguard store`: what is done to a store as a whole."""

from __future__ import annotations

from typing import Annotated

import typer

from agentguard.cli.governing import YesOption, confirm
from agentguard.cli.terminal import fail, print_json, say
from agentguard.cli.workspace import ConfigOption, JsonOption, StoreOption, configuration, open_records

__all__ = ["app"]

app = typer.Typer(help="The store as a whole.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """The store as a whole."""


@app.command("renew-epoch")
def renew_epoch(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in every tenant's ledger.")],
    yes: YesOption = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin another life of a store after a backup was restored: no approval from before runs any more.

    A backup brings back approvals that were used since it was made. After this every one that is open or
    approved has to be asked for again, in every tenant. Each ledger says so first. Then compare the ledger
    with checkpoints that were kept elsewhere: `agentguard ledger verify --checkpoint FILE`.

    \b
    Examples:
      agentguard store renew-epoch --reason "restored the backup of 2026-11-20"
      agentguard store renew-epoch --reason "restored" --yes --json

    Exit codes: 0 renewed, 1 not confirmed, 2 usage or configuration.
    """
    import secrets

    from agentguard.ids import uuid7
    from agentguard.ledger.events import store_renewed
    from agentguard.stepup.model import State

    if not reason.strip():
        fail("say why: `--reason TEXT`")
    found = configuration(ctx, config)
    records = open_records(found, store)
    try:
        tenants = records.tenants() or [found.tenant]
        open_states = (State.REQUESTED, State.APPROVED)
        waiting = {one: len(records.approvals(one, states=open_states, limit=1_000_000)) for one in tenants}
        total = sum(waiting.values())
        say(f"{total:,} approvals of {len(tenants):,} tenants are open; none of them will run.")
        confirm("Begin another life of this store?", yes)
        previous, epoch = records.epoch, secrets.token_hex(16)
        for tenant in tenants:
            event = store_renewed(
                id=uuid7(), tenant=tenant, at=records.now(), epoch=epoch, previous=previous,
                waiting=waiting[tenant], reason=reason,
            )  # fmt: skip
            records.append(tenant, (event,))
        records.renew_epoch(epoch)
    finally:
        records.close()
    if as_json:
        print_json({"epoch": epoch, "previous": previous, "tenants": waiting})
        return
    say(f"Renewed: {total:,} open approvals have to be asked for again.", "green")
    say("  now compare   agentguard ledger verify --checkpoint FILE")
