"""`agentguard agents list`, `show` and `findings`: who acts, as who, and what is wrong with it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentguard.cli.governing import open_desk, swept, word_text
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import ago, columns, console, fail, fields, print_json, say, width
from agentguard.cli.workspace import ConfigOption, DirectoryOption, JsonOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.governance.desk import Desk
    from agentguard.governance.findings import Inventory
    from agentguard.store.protocol import Record

__all__ = ["findings", "list_", "show"]

Id = Annotated[str, typer.Argument(metavar="ID", help="The agent's id, exactly as it acts.")]


def list_(
    ctx: typer.Context,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="STATUS", help="Only these: seen, active, suspended, offboarded."),
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the agents that were registered, suspended or seen in the ledger.

    \b
    Examples:
      agentguard agents list
      agentguard agents list --status seen --json
    """
    for word in status or ():
        if word not in ("seen", "active", "suspended", "offboarded"):
            fail(f"`{word}` is no status; write seen, active, suspended or offboarded")
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        found, now = _inventory(desk), desk.store.now()
    ids = [id for id in found.ids if not status or found.status(id) in status]
    if as_json:
        print_json([_json(found, id) for id in ids])
        return
    if not ids:
        say("No agent was seen or registered yet." if not status else "There are none.")
        return
    columns(
        ("agent", "status", "owner", "environments", "calls", "last seen"),
        [
            (
                id,
                found.status(id),
                found.facts(id).get("owner") or ", ".join(found.seen(id).get("owners", ())),
                ", ".join(found.seen(id).get("environments", ())),
                f"{found.seen(id).get('calls', 0):,}",
                _when(found.last_seen(id), now),
            )
            for id in ids
        ],
        keep=(1,),
    )
    say(f"{len(ids)} agent{'' if len(ids) == 1 else 's'}; `agentguard agents findings` says what is wrong")


def show(
    ctx: typer.Context,
    id: Id,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one agent: who answers for it, what it was seen doing, and its exceptions and grants.

    \b
    Examples:
      agentguard agents show billing
    """
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        found, now = _inventory(desk), desk.store.now()
        rights = [record.id for record in _rights(desk, id)]
    if id not in found.ids:
        fail(f"no agent `{id}` was registered or seen; see `agentguard agents list`", 1)
    if as_json:
        print_json({**_json(found, id), "rights": rights})
        return
    facts, seen, record = found.facts(id), found.seen(id), found.agents.get(id)
    out = console()
    out.width = width()
    stopped = found.status(id) in ("suspended", "offboarded")
    say(f"AGENT  {visible(id)}   {found.status(id)}", "bold red" if stopped else "bold yellow")
    rows = [("owner", visible(str(facts.get("owner", "nobody"))), "")]
    rows += [
        (name, visible(", ".join(facts[name])), "") for name in ("tags", "environments") if facts.get(name)
    ]
    for one in facts.get("credentials", ()):
        parts = [
            f"{key} {one[key]}" for key in ("issuer", "fingerprint", "rotated", "expires") if one.get(key)
        ]
        rows.append(("holds", visible(f"{one['name']}  {', '.join(parts)}"), ""))
    if facts.get("note"):
        rows.append(("note", visible(facts["note"]), ""))
    if record is not None:
        word = record.body.get("word", {})
        rows.append(("changed", visible(f"{word.get('act')} by ") + word_text(word), ""))
    if seen:
        rows.append(("seen", f"{seen.get('calls', 0):,} calls, {_when(found.last_seen(id), now)}", ""))
        for name in ("owners", "environments", "scopes", "tools"):
            if seen.get(name):
                more = " and more" if seen.get("more") else ""
                rows.append((f"  {name}", visible(", ".join(seen[name])) + more, ""))
    if rights:
        rows.append(("rights", ", ".join(rights), ""))
    fields(out, rows)


def findings(
    ctx: typer.Context,
    quiet: Annotated[
        int,
        typer.Option("--quiet-days", min=1, max=3660, help="Days for which an active agent may go unseen."),
    ] = 30,
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong: nobody answers for an agent, several use one, nobody uses one, ids that look alike.

    \b
    Examples:
      agentguard agents findings
      agentguard agents findings --quiet-days 90 --json

    Exit codes: 0 nothing found, 1 findings, 2 usage or configuration.
    """
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        found = _inventory(desk)
        now = desk.store.now()
        wrong = found.findings(desk.directory, now, quiet=dt.timedelta(days=quiet))
    if as_json:
        print_json([{"agent": one.agent, "kind": one.kind, "message": one.message} for one in wrong])
        raise typer.Exit(1 if wrong else 0)
    if wrong:
        columns(
            ("agent", "finding", "what"), [(one.agent, one.kind, one.message) for one in wrong], keep=(1,)
        )
    number = f"{len(wrong)} finding{'' if len(wrong) == 1 else 's'}" if wrong else "nothing found"
    say(f"Looked at {len(found.ids)} agent{'' if len(found.ids) == 1 else 's'}: {number}.")
    raise typer.Exit(1 if wrong else 0)


def _inventory(desk: Desk) -> Inventory:
    from agentguard.governance.findings import inventory

    swept(desk)
    return inventory(desk.store, desk.tenant)


def _rights(desk: Desk, id: str) -> list[Record]:
    """The exceptions and grants in force for an agent."""
    _, records = desk.store.register(desk.tenant)
    return [record for record in records if record.body.get("content", {}).get("agent") == id]


def _when(at: dt.datetime | None, now: dt.datetime) -> str:
    return "never" if at is None else ago(at, now)


def _json(found: Inventory, id: str) -> dict[str, Any]:
    record = found.agents.get(id)
    return {
        "id": id,
        "status": found.status(id),
        "facts": dict(found.facts(id)),
        "seen": dict(found.seen(id)),
        "word": None if record is None else record.body.get("word"),
    }
