"""`agentguard approvals edit`: let other arguments be decided instead of those that wait."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from agentguard.cli.terminal import columns, fail, say
from agentguard.cli.workspace import (
    ConfigOption,
    DirectoryOption,
    StoreOption,
    TenantOption,
    configuration,
    find_approval,
    open_people,
    open_records,
)

__all__ = ["edit"]


def edit(
    ctx: typer.Context,
    id: Annotated[
        str, typer.Argument(metavar="ID", help="The approval's id, or at least 6 characters of it.")
    ],
    changes: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=VALUE", help="An argument and its new value; may be repeated."),
    ],
    who: Annotated[
        str | None,
        typer.Option("--as", metavar="SUBJECT", help="Edit as this reviewer, signed; else as `local`."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The reviewer's private key; default: your own settings."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")] = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Propose other arguments for a call that waits; you do not vote on what comes of it.

    The question that you edit is over, with its votes, and the edited call is decided again: where the
    policies allow it it runs, where they ask somebody else answers. A value is JSON; anything else is text.

    \b
    Examples:
      agentguard approvals edit a7f3b2 --set amount=900 --as ana --reason "the rest next month"
      agentguard approvals edit a7f3b2 --set payee="ACME Ltd" --set items[0].count=2

    Exit codes: 0 proposed, 1 refused, 2 usage or configuration.
    """
    from agentguard.cli.approval_text import SHORT
    from agentguard.cli.signing_keys import signed_edit
    from agentguard.stepup.eligibility import LOCAL
    from agentguard.stepup.proposing import Edit, edited_arguments, propose

    if key is not None and who is None:
        fail("`--key` signs for somebody: say who with `--as SUBJECT`")
    wanted = dict(_change(text) for text in changes)
    found = configuration(ctx, config)
    records = open_records(found, store)
    try:
        approval = find_approval(records, tenant or found.tenant, id)
        arguments = edited_arguments(approval, wanted)
        if who is not None:
            proposed = signed_edit(approval, arguments, who, key, reason, records.now())
        else:
            proposed = Edit(subject=LOCAL, arguments=arguments, digest=approval.digest, reason=reason)
        propose(records, open_people(found, directory), approval.tenant, approval.id, proposed)
    finally:
        records.close()
    columns(
        ("argument", "proposed"),
        [(path, json.dumps(value, ensure_ascii=False)) for path, value in wanted.items()],
    )
    say(f"Approval {approval.id[:SHORT]} is over; the edited call is decided again where it waits.", "green")


def _change(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        fail(f"`{text}` is no `NAME=VALUE`, such as `amount=900`")
    path = name if name.startswith("args.") else f"args.{name}"
    try:
        return path, json.loads(value)
    except ValueError:
        return path, value
