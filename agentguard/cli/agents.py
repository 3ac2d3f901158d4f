"""`agentguard agents`: who acts, who answers for it, and the end of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.cli.agent_list import findings, list_, show
from agentguard.cli.governing import KeyOption, ReasonOption, WhoOption, open_desk, said, swept
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import fail, say
from agentguard.cli.workspace import ConfigOption, DirectoryOption, StoreOption, TenantOption

if TYPE_CHECKING:
    from agentguard.governance.desk import Desk
    from agentguard.governance.vouching import Word
    from agentguard.store.protocol import Record

__all__ = ["app"]

app = typer.Typer(
    help="The inventory of agents; suspending one.", no_args_is_help=True, rich_markup_mode=None
)
app.command("list")(list_)
app.command()(show)
app.command()(findings)

Id = Annotated[str, typer.Argument(metavar="ID", help="The agent's id, exactly as it acts.")]
Many = list[str] | None


@app.command()
def register(
    ctx: typer.Context,
    id: Id,
    owner: Annotated[str | None, typer.Option("--owner", help="Who answers for it.")] = None,
    tag: Annotated[Many, typer.Option("--tag", help="A tag; may be repeated.")] = None,
    environment: Annotated[
        Many, typer.Option("--environment", help="Where it acts; may be repeated.")
    ] = None,
    credential: Annotated[
        Many,
        typer.Option(
            "--credential",
            metavar="NAME[,KEY=VALUE]",
            help="A credential, with issuer, fingerprint, rotated and expires as they are known.",
        ),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="Anything else.")] = None,
    who: WhoOption = None,
    key: KeyOption = None,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    store: StoreOption = None,
    directory: DirectoryOption = None,
    tenant: TenantOption = None,
) -> None:
    """Put an agent into the inventory, or change what it says; what is not named stays as it is.

    \b
    Examples:
      agentguard agents register billing --owner ana --environment prod
      agentguard agents register billing --credential payments-token,issuer=vault,rotated=2026-11-01
    """
    given = {"owner": owner, "tags": tag, "environments": environment, "note": note}
    with open_desk(ctx, config, store, directory, tenant) as (desk, _):
        from agentguard.governance import agents

        known = _record(desk, id)
        before = {} if known is None else dict(known.body.get("facts", {}))
        facts = {**before, **{name: value for name, value in given.items() if value is not None}}
        if credential:
            facts["credentials"] = [_credential(text) for text in credential]
        facts = agents.facts_of(facts)
        digest = agents.state_digest(desk.tenant, id, known, facts)
        word = said(desk, "agent", id, digest, "register", who, key, reason)
        after = _done(lambda: desk.register(id, facts, word))
        say(f"{'Registered' if known is None else 'Changed'}: agent {visible(id)} is {after.state}.", "green")


@app.command()
def suspend(
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
    """Deny every call of an agent from now on, on every process, also where it delegates to others.

    Anybody may: it takes rights away. The id is taken exactly: another spelling is another agent.

    \b
    Examples:
      agentguard agents suspend billing --reason "its token leaked"
      agentguard agents suspend billing --as ana
    """
    _stop(ctx, id, "suspend", who, key, reason, config, store, directory, tenant)


@app.command()
def restore(
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
    """Let a suspended agent act again: by somebody who may approve exceptions, and does not own it.

    \b
    Examples:
      agentguard agents restore billing --as ana --reason "the token was rotated"
    """
    _stop(ctx, id, "restore", who, key, reason, config, store, directory, tenant)


@app.command()
def offboard(
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
    """Deny every call of an agent for good; its id is not used again.

    \b
    Examples:
      agentguard agents offboard billing --as ana --reason "replaced by billing-2"
    """
    _stop(ctx, id, "offboard", who, key, reason, config, store, directory, tenant)


def _stop(
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
        from agentguard.governance import agents

        known = _record(desk, id)
        digest = agents.state_digest(desk.tenant, id, known)
        word = said(desk, "agent", id, digest, act, who, key, reason)
        moves: dict[str, Callable[[str, Word], Record]] = {
            "suspend": desk.suspend,
            "restore": desk.restore,
            "offboard": desk.offboard,
        }
        after = _done(lambda: moves[act](id, word))
        ends = {"suspend": "every call of it is denied", "restore": "its calls are decided by the policies",
                "offboard": "every call of it is denied, for good"}  # fmt: skip
        say(f"Agent {visible(id)} is {after.state}: {ends[act]}, from now on.", "green")
        if known is None and act != "restore" and not _seen(desk, id):
            say(
                "No agent of this id was registered or seen; `agentguard agents list` shows those that were.",
                "yellow",
            )


def _done(move: Callable[[], Record]) -> Record:
    from agentguard.errors import RecordRefused

    try:
        return move()
    except RecordRefused as error:
        fail(str(error), 1)


def _record(desk: Desk, id: str) -> Record | None:
    from agentguard.errors import NotFound
    from agentguard.governance.agents import KIND
    from agentguard.governance.sightings import keepable

    if not keepable(id):
        fail("an agent's id is printable and has 1 to 256 characters")
    try:
        return desk.store.record(desk.tenant, KIND, id)
    except NotFound:
        return None


def _seen(desk: Desk, id: str) -> bool:
    swept(desk)
    from agentguard.governance.sightings import KIND

    return any(record.id == id for record in desk.store.records(desk.tenant, KIND, prefix=id, limit=1))


def _credential(text: str) -> dict[str, str]:
    """`NAME,issuer=vault,rotated=2026-11-01` as facts."""
    name, *rest = text.split(",")
    found = {"name": name.strip()}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals or key.strip() not in ("issuer", "fingerprint", "rotated", "expires"):
            fail(f"`{part}` is no fact of a credential; write issuer=, fingerprint=, rotated= or expires=")
        found[key.strip()] = value.strip()
    return found
