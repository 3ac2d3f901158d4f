"""`agentguard grants`: rights for a time, given with approvals; see them, take them back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentguard.cli.governing import (
    KeyOption,
    ReasonOption,
    WhoOption,
    find_record,
    open_desk,
    said,
    swept,
    word_text,
)
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, columns, complain, console, fail, fields, print_json, say, width
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.governance.desk import Desk
    from agentguard.governance.grants import GrantTold
    from agentguard.store.protocol import Record

__all__ = ["app", "terms_rows"]

app = typer.Typer(
    help="Rights for a time, given with approvals.", no_args_is_help=True, rich_markup_mode=None
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The grant's id, or 3 characters of it.")]
Row = tuple[str, str, str]


@app.command("list")
def list_(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the grants in force, those that expire first at the top.

    \b
    Examples:
      agentguard grants list
      agentguard grants list --all --json
    """
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        swept(desk)
        now = desk.store.now()
        rows = sorted(_told(desk, None), key=lambda one: (one[0].read.expires, one[0].record.id))
    kept = [row for row in rows if everything or _state(row, now) in ("active", "requested", "refused")]
    if as_json:
        print_json([_json(row, now) for row in kept])
        return
    if not kept:
        say("There are none." if everything else "No grant is in force.")
        return
    columns(
        ("id", "state", "agent", "for", "tool", "satisfies", "expires", "uses"),
        [
            (
                told.record.id,
                _state(row, now),
                told.read.agent,
                told.read.principal or "",
                ", ".join(told.read.tools),
                ", ".join(told.read.rules),
                ago(told.read.expires, now),
                f"{row[1]}" + (f"/{told.read.uses}" if told.read.uses else ""),
            )
            for row in kept
            for told in (row[0],)
        ],
    )
    say(f"{len(kept)} grant{'' if len(kept) == 1 else 's'}; `agentguard grants show ID` says more")


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
    """Show one grant: what it permits, to whom, until when, and who gave it.

    \b
    Examples:
      agentguard grants show GR-3F9ZK1TB
    """
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        swept(desk)
        rows = _told(desk, find_record(desk, "grant", id))
        now = desk.store.now()
    if not rows:
        raise typer.Exit(1)
    row = rows[0]
    if as_json:
        print_json(_json(row, now))
        return
    told, used, refused = row
    out = console()
    out.width = width()
    say(f"GRANT  {visible(told.record.id)}   {_state(row, now)}", "bold yellow")
    fields(out, list(terms_rows(told.content, now)))
    shown: list[Row] = [
        ("given by" if not number else "", word_text(word.to_json()), "")
        for number, (_, word) in enumerate(told.words)
    ]
    if told.record.body.get("ended"):
        shown.append(("ended", word_text(told.record.body["ended"]), ""))
    shown.append(("used", f"{used} times", ""))
    if refused:
        shown.append(("REFUSED", visible(refused), "bold red"))
    fields(out, shown)


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
    """End a grant now, on every process. Anybody may: it takes a right away.

    \b
    Examples:
      agentguard grants revoke GR-3F9ZK1TB --as ana --reason "no longer needed"
    """
    from agentguard.errors import RecordRefused
    from agentguard.governance import grants

    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        record = find_record(desk, "grant", id)
        digest = grants.tell(record).digest
        word = said(desk, "grant", record.id, digest, "revoke", who, key, reason)
        try:
            desk.revoke(record.id, word)
        except RecordRefused as error:
            fail(str(error), 1)
        say(f"Revoked: grant {record.id} permits nothing any more.", "green")


def terms_rows(content: Mapping[str, Any], now: dt.datetime) -> Iterator[Row]:
    """What somebody who gives it has to see: everything that the digest covers."""
    expires = dt.datetime.fromisoformat(content["expires"])
    for_ = f" for {content['principal']}" if "principal" in content else ""
    bound = content["bound"]
    yield "agent", visible(f"{content['agent']}{for_}"), "bold"
    yield "permits", visible(", ".join(content["tools"])), "bold"
    yield "instead of", visible(", ".join(content["rules"])), ""
    if "arguments" in bound:
        yield "when", visible(f"exactly these arguments ({bound['arguments'][:23]}…)"), ""
    else:
        yield "when", visible(str(content.get("when", "always"))), "yellow"
    same = [f"environment {bound['environment']}"] if bound.get("environment") else []
    same += [f"secrets {', '.join(bound['secrets'])}"] if bound.get("secrets") else []
    same += [f"delegated by {', '.join(bound['chain'])}"] if bound.get("chain") else []
    same += [f"session {bound['session']}"] if bound.get("session") else []
    yield "only in", visible("; ".join([*same, *_definitions(bound)])), ""
    uses = f", at most {content['uses']} uses" if content.get("uses") else ", any number of uses"
    yield "until", f"{expires:%Y-%m-%d %H:%M:%SZ} ({ago(expires, now)}){uses}", "bold"
    yield "reason", visible(content["reason"]), ""
    yield "approval", visible(content["approval"]), ""


def _definitions(bound: Mapping[str, Any]) -> list[str]:
    one = bound.get("tool_digest")
    known = {"": one} if one else bound.get("tool_digests") or {}
    return [f"definition {f'of {name} ' if name else ''}{found[7:19]}" for name, found in known.items()]


Told = tuple["GrantTold", int, str]


def _told(desk: Desk, only: Record | None) -> list[Told]:
    """Grants with their uses, and why one is refused."""
    from agentguard.errors import RecordRefused
    from agentguard.governance import grants, in_force
    from agentguard.governance.usage import KIND as USAGE

    usage = {record.id: record.body for record in desk.store.records(desk.tenant, USAGE)}
    register = in_force(
        *desk.store.register(desk.tenant), tenant=desk.tenant, directory=desk.directory, terms=desk.terms
    )
    refused = {one.id: one.message for one in register.refused}
    found: list[Told] = []
    for record in [only] if only is not None else desk.store.records(desk.tenant, grants.KIND):
        try:
            told = grants.tell(record)
        except RecordRefused as error:
            complain(f"grant `{record.id}` cannot be read and permits nothing: {error}")
            continue
        used = usage.get(record.id, {}).get("uses", 0)
        found.append((told, int(used), refused.get(record.id, "")))
    return found


def _state(row: Told, now: dt.datetime) -> str:
    told, used, refused = row
    state = told.state.value
    if state in ("active", "requested") and now >= told.read.expires:
        return "expired"
    if state != "active":
        return state
    if refused:
        return "refused"
    return "spent" if told.read.uses is not None and used >= told.read.uses else "active"


def _json(row: Told, now: dt.datetime) -> dict[str, Any]:
    told, used, refused = row
    return {
        "id": told.record.id,
        "state": _state(row, now),
        "content": dict(told.content),
        "digest": told.digest,
        "words": [{"stage": stage, **word.to_json()} for stage, word in told.words],
        "uses": used,
        "refused": refused or None,
    }
