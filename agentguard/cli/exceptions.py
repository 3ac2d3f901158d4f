"""`agentguard exceptions`: documented deviations, asked for, approved, confirmed and ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentguard.cli.break_glass import break_glass
from agentguard.cli.exception_list import list_
from agentguard.cli.exception_request import check_rules, request
from agentguard.cli.governing import (
    KeyOption,
    ReasonOption,
    WhoOption,
    YesOption,
    confirm,
    find_record,
    moment,
    open_desk,
    said,
    swept,
)
from agentguard.cli.terminal import fail, print_json, say
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.cli.exception_text import Listed
    from agentguard.governance.desk import Desk
    from agentguard.store.protocol import Record

__all__ = ["app"]

app = typer.Typer(
    help="Documented deviations from rules: ask, approve, confirm, end.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command()(request)
app.command("list")(list_)
app.command("break-glass")(break_glass)

Id = Annotated[str, typer.Argument(metavar="ID", help="The exception's id, or 3 characters of it.")]


@app.command()
def show(
    ctx: typer.Context,
    id: Id,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one exception: what it waives, for whom, what is done instead, who vouches for it, its uses.

    \b
    Examples:
      agentguard exceptions show EX-7K2M9QXA
      agentguard exceptions show 7k2 --json
    """
    from agentguard.cli.exception_text import screen

    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        swept(desk)
        one, now = _told(desk, find_record(desk, "exception", id)), desk.store.now()
    if as_json:
        print_json(one.to_json(now))
        return
    screen(one, now)


@app.command()
def approve(
    ctx: typer.Context,
    id: Id,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    yes: YesOption = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Put an exception in force, or its renewal, on every process at once.

    The requester, the agent, its owners and the person whom it is for cannot. What is signed is exactly what
    is shown.

    \b
    Examples:
      agentguard exceptions approve 7k2 --as ana
      agentguard exceptions approve 7k2 --as ana --key ~/keys/ana.jwk --yes

    Exit codes: 0 in force, 1 refused or not confirmed, 2 usage or configuration.
    """
    from agentguard.cli.exception_text import screen
    from agentguard.governance.exception_record import ExceptionState

    with open_desk(ctx, config, store, directory, tenant) as (desk, found):
        swept(desk)  # whom the ledger saw as an owner cannot approve
        one, now = _told(desk, find_record(desk, "exception", id)), desk.store.now()
        screen(one, now)
        told = one.told
        if told.state is ExceptionState.ACTIVE and told.pending is None and now < told.read.expires:
            until = told.content["expires"][:16]
            say(f"It was in force already: exception {told.record.id}, until {until}Z.")
            return
        content = told.pending if told.pending is not None else told.content
        check_rules(found, desk, content, now)
        confirm("Approve exactly this exception?", yes)
        record = _act(desk, desk.approve, told.record, content, "approve", who, key, reason)
        say(f"In force: exception {record.id}, until {content['expires'][:16]}Z.", "green")


@app.command()
def reject(
    ctx: typer.Context,
    id: Id,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Say no to a request, or to a renewal: then what is in force stays until it expires.

    \b
    Examples:
      agentguard exceptions reject 7k2 --as ana --reason "remedy the cause instead"
    """
    _decline(ctx, id, "reject", who, key, reason, config, store, directory, tenant)


@app.command()
def withdraw(
    ctx: typer.Context,
    id: Id,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Take back a request, or the wish to renew.

    \b
    Examples:
      agentguard exceptions withdraw 7k2 --as ben
    """
    _decline(ctx, id, "withdraw", who, key, reason, config, store, directory, tenant)


@app.command()
def revalidate(
    ctx: typer.Context,
    id: Id,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    yes: YesOption = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Confirm that it is still needed and that its control works. The expiry stays.

    It also stands in for an approver who has left: their signature is not believed any more.

    \b
    Examples:
      agentguard exceptions revalidate 7k2 --as cai --reason "control checked"
    """
    from agentguard.cli.exception_text import screen

    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        swept(desk)
        one = _told(desk, find_record(desk, "exception", id))
        screen(one, desk.store.now())
        confirm("Confirm exactly this exception?", yes)
        told = one.told
        _act(desk, desk.revalidate, told.record, told.content, "revalidate", who, key, reason)
        say(f"Confirmed: exception {told.record.id}.", "green")


@app.command()
def renew(
    ctx: typer.Context,
    id: Id,
    expires: Annotated[
        str,
        typer.Option("--expires", metavar="TIME", help="A date, a time, or a span from now such as `14d`."),
    ],
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Ask for a later expiry; somebody else has to approve it before it counts. Renewals are counted.

    \b
    Examples:
      agentguard exceptions renew 7k2 --expires 14d --as ben --reason "the remedy is late"
    """
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        record = find_record(desk, "exception", id)
        later = moment(expires, desk.store.now()).isoformat()
        content = desk.draft_renewal(record, later, who or "local", reason or None)
        _act(desk, desk.renew, record, content, "renew", who, key, reason, whole=True)
        say(f"Asked for renewal {content['renewal']} of exception {record.id}.", "green")
        say(f"  to approve   agentguard exceptions approve {record.id} --as NAME")


@app.command()
def revoke(
    ctx: typer.Context,
    id: Id,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """End an exception now, on every process. Anybody may: it takes rights away and gives none.

    \b
    Examples:
      agentguard exceptions revoke 7k2 --as ana --reason "the migration is over"
      agentguard exceptions revoke EX-7K2M9QXA
    """
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        record = find_record(desk, "exception", id)
        told = _told(desk, record).told
        _act(desk, desk.revoke, record, told.content, "revoke", who, key, reason)
        say(f"Revoked: exception {record.id} waives nothing any more.", "green")


def _decline(
    ctx: typer.Context,
    id: str,
    act: str,
    who: str | None,
    key: Path | None,
    reason: str,
    config: Path | None,
    store: str | None,
    directory: Path | None,
    tenant: str | None,
) -> None:
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        told = _told(desk, find_record(desk, "exception", id)).told
        content = told.pending if told.pending is not None else told.content
        move = desk.reject if act == "reject" else desk.withdraw
        record = _act(desk, move, told.record, content, act, who, key, reason)
        what = "the renewal of exception" if told.pending is not None else "exception"
        say(f"{'Rejected' if act == 'reject' else 'Withdrawn'}: {what} {record.id}.", "green")


def _act(
    desk: Desk,
    move: Callable[..., Record],
    record: Record,
    content: Mapping[str, Any],
    act: str,
    who: str | None,
    key: Path | None,
    reason: str,
    *,
    whole: bool = False,
) -> Record:
    """Say it about exactly the content that was shown; a refusal ends the command with 1."""
    from agentguard.errors import RecordRefused
    from agentguard.governance.vouching import content_digest

    word = said(desk, "exception", record.id, content_digest(content), act, who, key, reason)
    try:
        return move(content if whole else record.id, word)
    except RecordRefused as error:
        fail(str(error), 1)


def _told(desk: Desk, record: Record) -> Listed:
    from agentguard.cli.exception_text import listed

    found, damaged = listed(desk, [record])
    if damaged:
        fail(f"exception `{record.id}` cannot be read: {damaged[0][1]}; it waives nothing", 1)
    return found[0]
