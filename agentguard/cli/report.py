"""`agentguard report`: governance over a period on one page, in a terminal, as JSON or as HTML."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from agentguard.cli.governing import back, desk_of, swept
from agentguard.cli.terminal import complain, fail, print_json, say
from agentguard.cli.workspace import ConfigOption, DirectoryOption, StoreOption, TenantOption, configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentguard.config import Config
    from agentguard.governance.desk import Desk
    from agentguard.policy.rules import Rule

__all__ = ["report"]

_MONTH: Final = dt.timedelta(days=30)


def report(
    ctx: typer.Context,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Where it begins; default: 30 days before --to."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Where it ends, not included; default: now.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="ID", help="Only this agent.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts to this file.")
    ] = None,
    fail_on: Annotated[
        Literal["findings"] | None,
        typer.Option("--fail-on", metavar="findings", help="Exit with 1 where there is any finding."),
    ] = None,
    per_hour: Annotated[
        int, typer.Option("--per-hour", min=1, help="More questions an hour overload a person.")
    ] = 30,
    per_minute: Annotated[
        int, typer.Option("--per-minute", min=2, help="So many approvals in 60 s are too fast.")
    ] = 10,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not check the whole ledger, which takes a while.")
    ] = False,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", metavar="FILE", help="Compare with these; default: those configured."),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", metavar="VKEY", help="Whose checkpoints count.")
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """What deviated, who was asked and how they answered, what is overdue, what is evidence for a control.

    The events of the period are read in one pass; flags, exceptions, agents and the ledger are shown as they
    stand now.

    \b
    Examples:
      agentguard report
      agentguard report --from 2026-10-01 --to 2026-11-01 --html october.html
      agentguard report --agent billing --json
      agentguard report --from 7d --fail-on findings

    Exit codes: 0 made, 1 findings with `--fail-on findings`, 2 usage or configuration.
    """
    from agentguard.cli.checkpoint_keys import kept_checkpoints
    from agentguard.cli.report_text import screen
    from agentguard.governance.report import Limits, make

    found = configuration(ctx, config)
    desk = desk_of(found, store, directory, tenant)
    try:
        swept(desk)
        _flags(desk)
        now = desk.store.now()
        upto = now if end is None else back(end, now)
        since = upto - _MONTH if begin is None else back(begin, now)
        if since >= upto:
            fail("the period begins when it ends, or later; look at `--from` and `--to`")
        made = make(
            desk.store,
            desk.tenant,
            begin=since,
            end=upto,
            directory=desk.directory,
            agent=agent,
            rules=_rules(found),
            limits=Limits(per_hour=per_hour, per_minute=per_minute),
            verify=not no_verify,
            checkpoints=None if no_verify else kept_checkpoints(found, checkpoint, key, desk.tenant),
        )
    finally:
        desk.store.close()
    if html is not None:
        from agentguard.cli.report_html import page

        html.write_text(page(made), encoding="utf-8", newline="\n")
    if as_json:
        print_json(made.model_dump(mode="json"))
    elif html is not None:
        say(f"Wrote {html}.")
    else:
        screen(made)
    raise typer.Exit(1 if fail_on is not None and made.findings else 0)


def _flags(desk: Desk) -> None:
    """Take in what was flagged since; where the store cannot be written, say that figures are older."""
    from agentguard.errors import StoreError
    from agentguard.governance.flag_sweeping import sweep

    try:
        sweep(desk.store, desk.tenant)
    except StoreError as error:
        complain(f"flags are as of the last look at the ledger: {error}")


def _rules(config: Config) -> Sequence[Rule] | None:
    """The rules of the configured policies; None where there are none that load."""
    from agentguard.cli.workspace import snapshot_of
    from agentguard.errors import ConfigurationError, PolicyError

    try:
        return snapshot_of(config).rules
    except PolicyError as error:
        complain(f"which rules are unused cannot be told: {str(error).splitlines()[0]}")
    except ConfigurationError:
        pass
    return None
