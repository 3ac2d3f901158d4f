"""`agentguard exceptions break-glass`: an emergency exception, short, loud and reviewed afterwards."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentguard.cli.exception_request import check_rules
from agentguard.cli.governing import KeyOption, WhoOption, YesOption, confirm, open_desk, said
from agentguard.cli.terminal import console, fail, fields, print_json, say, width
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.governance.desk import Desk

__all__ = ["break_glass"]


def break_glass(
    ctx: typer.Context,
    agent: Annotated[str, typer.Option("--agent", help="The agent that it is for.")],
    rule: Annotated[list[str], typer.Option("--rule", metavar="POLICY/RULE", help="A rule that it waives.")],
    tool: Annotated[list[str], typer.Option("--tool", metavar="NAME", help="A tool that it is for.")],
    reason: Annotated[str, typer.Option("--reason", help="What the emergency is.")],
    owner: Annotated[str, typer.Option("--owner", help="Who reviews it within a day: somebody else.")],
    minutes: Annotated[
        int | None, typer.Option("--minutes", min=1, help="For how long; default: as long as is permitted.")
    ] = None,
    uses: Annotated[int, typer.Option("--uses", min=1, help="How many calls it covers at most.")] = 20,
    who: WhoOption = None,
    key: KeyOption = None,
    yes: YesOption = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Waive rules for one agent at once, for minutes, with a reason: an approver may do it alone.

    It has to be configured: `governance: {break_glass_minutes: 60}`; with `break_glass_dual: true` a second
    approver has to approve it first. Rules that are `non_waivable` stay. It opens a flag that has to be
    reviewed within a day, each use is flagged, and the report names it.

    \b
    Examples:
      agentguard exceptions break-glass --as ana --agent billing --rule pay/night --tool pay \\
          --reason "payroll runs out at midnight" --minutes 30 --owner cai

    Exit codes: 0 in force, or waiting for a second approver; 1 refused or not confirmed, 2 usage.
    """
    from agentguard.cli.exception_text import content_rows
    from agentguard.errors import RecordRefused

    with open_desk(ctx, config, store, directory, tenant) as (desk, found):
        now, longest = desk.store.now(), desk.terms.break_glass_minutes
        until = now + dt.timedelta(minutes=minutes or longest or 1)
        document = _document(agent, rule, tool, reason, owner, until, uses)
        try:
            content = desk.draft(document, who or "local", emergency=True)
            check_rules(found, desk, content, now)
            out = console()
            out.width = width()
            if not as_json:
                fields(out, list(content_rows(content, now)))
            confirm("Break the glass?", yes)
            state = _said(desk, content, who, key)
        except RecordRefused as error:
            fail(str(error), 1)
    id = content["id"]
    if as_json:
        print_json({"id": id, "state": state, "content": content})
    elif state == "active":
        say(
            f"In force: {id} until {content['expires'][:16]}Z. It is flagged, and has to be reviewed.",
            "yellow",
        )
        say(f"  to end it   agentguard exceptions revoke {id}")
    else:
        say(f"Asked for: {id}. A second approver has to approve it:", "yellow")
        say(f"  agentguard exceptions approve {id} --as NAME")


def _document(
    agent: str, rules: list[str], tools: list[str], reason: str, owner: str, until: dt.datetime, uses: int
) -> dict[str, Any]:
    return {
        "agent": agent, "rules": rules, "tools": tools, "reason": reason, "owner": owner, "uses": uses,
        "risk": "rules are waived in an emergency", "expires": until.isoformat(),
        "remediate_by": (until + dt.timedelta(days=1)).isoformat(),
        "control": {"reserve": {"key": "break-glass", "per": ["agent.id"], "limit": uses, "window": "1d"}},
    }  # fmt: skip


def _said(desk: Desk, content: dict[str, Any], who: str | None, key: Any) -> str:
    """Ask for it, and approve it where one person may."""
    from agentguard.governance.vouching import content_digest

    id, digest = content["id"], content_digest(content)
    reason = content["reason"]
    record = desk.request(content, said(desk, "exception", id, digest, "request", who, key, reason))
    if not desk.terms.break_glass_dual:
        record = desk.approve(id, said(desk, "exception", id, digest, "approve", who, key, reason))
    return record.state
