"""`agentguard ledger checkpoint`, `keygen` and `vkey`: signed checkpoints of the ledger, and their keys."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import fail, print_json, say
from agentguard.cli.workspace import (
    ConfigOption,
    JsonOption,
    StoreOption,
    TenantOption,
    configuration,
    open_records,
)

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.ledger.checkpoints import Checkpoint
    from agentguard.ledger.notes import Signer

__all__ = ["checkpoint", "keygen", "vkey"]

SignKeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="KEY.jwk", help="The private key; default: of the configuration."),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="The deployment, such as example.com/agents."),
]


def checkpoint(
    ctx: typer.Context,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Append it to this file.")] = None,
    to_command: Annotated[
        str | None,
        typer.Option("--to-command", metavar="COMMAND", help="Hand it to this command on its input."),
    ] = None,
    key: SignKeyOption = None,
    name: NameOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign how many events the ledger has and their root, and keep that outside the store.

    Every tenant's ledger is signed unless one is named. Where neither a file nor a command is named or
    configured the checkpoint is printed. Nothing is signed that contradicts the newest one in the file.

    \b
    Examples:
      agentguard ledger checkpoint
      agentguard ledger checkpoint --key checkpoint.jwk --name example.com/agents --to checkpoints.log
      agentguard ledger checkpoint --to-command "ssh audit@log.example.com append"

    Exit codes: 0 made, or nothing new; 1 the ledger is not what was signed before; 2 usage, or not delivered.
    """
    from agentguard.access import near
    from agentguard.errors import CheckpointRefused, NotFound
    from agentguard.ledger.checkpointing import Checkpointer

    found = configuration(ctx, config)
    private, deployment = _signing(found, key, name)
    file, command = _places(found, to, to_command)
    records = open_records(found, store)
    made: list[tuple[str, Checkpoint | None, Checkpoint | None]] = []
    try:
        known = records.tenants()
        if tenant is not None and tenant not in known:
            raise NotFound(f"the store has no tenant `{tenant}`; it has {', '.join(known[:5]) or 'none'}")
        for one in [tenant] if tenant is not None else known:
            signer = _signer(private, deployment, one)
            making = Checkpointer(records, one, signer, file=file, command=command)
            fresh = making.make()
            made.append((str(signer.verifier), fresh, making.last))
    except CheckpointRefused as error:
        fail(str(error), 1)
    finally:
        records.close()
    if as_json:
        print_json([_json(vkey, fresh, last) for vkey, fresh, last in made])
    elif file is None and not command:
        sys.stdout.write("\n".join([fresh.note for _, fresh, _ in made if fresh is not None]))
    else:
        where = " and ".join([*([near(file)] if file is not None else []), *command[:1]])
        for vkey, _, last in made:
            assert last is not None
            say(f"{last.size:,} events of tenant {visible(last.tenant)}, signed: {visible(where)}", "green")
            say(f"  key {vkey}")
    if not made:
        say("The ledger is empty: there is nothing to sign.")


def keygen(
    key: Annotated[Path, typer.Argument(metavar="KEY.jwk", help="Where the private key goes.")],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The deployment, such as example.com/agents.")
    ],
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="The tenant.")] = "default",
) -> None:
    """Make a key that signs checkpoints, and print the verifier key to give to auditors.

    Keep the private key where no agent runs: whoever reads it can sign another history.

    \b
    Examples:
      agentguard ledger keygen checkpoint.jwk --name example.com/agents
    """
    from agentguard.ledger.checkpoints import origin_of
    from agentguard.stepup.enrolment import write_private
    from agentguard.stepup.signing import generate_key

    origin_of(name, tenant)
    write_private(key, generate_key().private)
    say(f"Made {key}: it signs; keep it where no agent can read it.", "green")
    sys.stdout.write(f"{_signer(key, name, tenant).verifier}\n")


def vkey(
    ctx: typer.Context,
    key: SignKeyOption = None,
    name: NameOption = None,
    tenant: TenantOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the verifier key of a tenant's checkpoints, for `agentguard ledger verify --key`.

    \b
    Examples:
      agentguard ledger vkey
      agentguard ledger vkey --key checkpoint.jwk --name example.com/agents --tenant eu
    """
    found = configuration(ctx, config)
    private, deployment = _signing(found, key, name)
    sys.stdout.write(f"{_signer(private, deployment, tenant or found.tenant).verifier}\n")


def _signing(config: Config, key: Path | None, name: str | None) -> tuple[Path, str]:
    options = config.checkpoint
    private = key or (options.key if options is not None else None)
    deployment = name or (options.name if options is not None else None)
    if private is None or deployment is None:
        fail(
            "name the key and the deployment with `--key KEY.jwk --name NAME`, or in the section "
            "`checkpoint:` of agentguard.yaml; `agentguard ledger keygen` makes a key"
        )
    return private, deployment


def _signer(key: Path, name: str, tenant: str) -> Signer:
    from agentguard.ledger.checkpoint_options import signer_of

    return signer_of(key, name, tenant)


def _places(config: Config, to: Path | None, to_command: str | None) -> tuple[Path | None, tuple[str, ...]]:
    """Where it goes: as the command line says, else as the configuration does."""
    if to is None and to_command is None:
        options = config.checkpoint
        return (None, ()) if options is None else (options.file, options.command)
    try:
        command = tuple(shlex.split(to_command)) if to_command is not None else ()
    except ValueError as error:
        _no_command(str(error))
    if to_command is not None and not command:
        _no_command("it is empty")
    return to, command


def _no_command(why: str) -> NoReturn:
    fail(f"`--to-command` is no command: {why}")


def _json(vkey: str, fresh: Checkpoint | None, last: Checkpoint | None) -> dict[str, object]:
    import base64

    assert last is not None
    return {
        "tenant": last.tenant,
        "origin": last.origin,
        "size": last.size,
        "root": base64.b64encode(last.root).decode(),
        "new": fresh is not None,
        "key": vkey,
        "checkpoint": last.note,
    }
