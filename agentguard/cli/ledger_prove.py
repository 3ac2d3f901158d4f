"""`agentguard ledger prove`: that an event is in a signed log, for whoever has no store; and checking it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from agentguard.cli.checkpoint_keys import (
    CheckpointOption,
    KeyOption,
    kept_checkpoints,
    origins_of,
    verifier_keys,
)
from agentguard.cli.safe_text import visible
from agentguard.cli.terminal import console, fail, fields, print_json, say
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
    from agentguard.ledger.kept import Kept
    from agentguard.ledger.proofs import Consistency, Inclusion
    from agentguard.store.protocol import Store

__all__ = ["prove"]


def prove(
    ctx: typer.Context,
    event: Annotated[
        str | None,
        typer.Argument(
            metavar="[EVENT]",
            help="Its number, its id or the beginning of it, or the id of its call or approval.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            "--since", metavar="SIZE", min=1, help="That the log goes on from the checkpoint of this size."
        ),
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="PROOF", help="Check a proof; needs no store.")
    ] = None,
    checkpoint: CheckpointOption = None,
    key: KeyOption = None,
    tlog: Annotated[
        bool, typer.Option("--tlog-proof", help="Print it as a C2SP tlog-proof, the event as extra data.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the proof there.")
    ] = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    tenant: TenantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that an event is in the ledger that a checkpoint was signed for.

    The proof holds the event, the hashes that lead from it to the root, and the checkpoint. Whoever has the
    verifier key can check it without the store. With `--since` it proves instead that nothing of the log of
    an earlier checkpoint was changed by the newest one.

    \b
    Examples:
      agentguard ledger prove 41 --output event-41.json
      agentguard ledger prove 0193a7c2-61 --checkpoint checkpoints.log --key KEYS --json
      agentguard ledger prove --since 1000 --output goes-on.json
      agentguard ledger prove --check event-41.json --key example.com/agents/default+1f2e3d4c+AQ...

    Exit codes: 0 proven, 1 not, 2 usage or the store cannot be read.
    """
    from agentguard.errors import CheckpointRefused

    if [event, since, check].count(None) != 2:
        fail("name one of: an event, `--since SIZE`, or `--check PROOF`")
    if tlog and event is None:
        fail("`--tlog-proof` is for the proof of an event")
    found = configuration(ctx, config)
    try:
        if check is not None:
            _check(found, check, key, as_json)
            return
        name = tenant or found.tenant
        kept = kept_checkpoints(found, checkpoint, key, name)
        newest = _newest(kept, name)
        records = open_records(found, store)
        try:
            proof = _made(records, name, event, since, kept, newest)
        finally:
            records.close()
    except CheckpointRefused as error:
        fail(f"not proven: {error}", 1)
    _written(proof, output, tlog, as_json)


def _made(
    records: Store, tenant: str, event: str | None, since: int | None, kept: Kept | None, newest: Checkpoint
) -> Inclusion | Consistency:
    from agentguard.ledger.proving import find_event, prove_consistency, prove_inclusion

    if event is not None:
        return prove_inclusion(records, tenant, find_event(records, tenant, event).seq, newest)
    earlier = [one for _, one in kept.checkpoints if one.size == since] if kept is not None else []
    if not earlier:
        fail(f"there is no checkpoint of {since:,} events of tenant `{tenant}`")
    return prove_consistency(records, tenant, earlier[0], newest)


def _newest(kept: Kept | None, tenant: str) -> Checkpoint:
    """The largest checkpoint of a tenant."""
    if kept is None:
        fail("a proof needs a checkpoint; name its file with `--checkpoint FILE`")
    if kept.refused:
        fail("\n".join(["a checkpoint does not count:", *kept.refused[:3]]))
    if not kept.checkpoints:
        fail(f"there is no checkpoint of tenant `{tenant}`; make one with `agentguard ledger checkpoint`")
    return max([one for _, one in kept.checkpoints], key=lambda one: one.size)


def _written(proof: Inclusion | Consistency, output: Path | None, tlog: bool, as_json: bool) -> None:
    from agentguard.ledger.proofs import Inclusion

    text = (
        proof.to_tlog()
        if tlog and isinstance(proof, Inclusion)
        else json.dumps(proof.to_json(), indent=2, ensure_ascii=True) + "\n"
    )
    if output is not None:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    if tlog and output is None:
        typer.echo(text, nl=False)
    elif as_json:
        print_json(proof.to_json())
    else:
        _show(proof)
    if output is not None and not as_json:
        say(f"Written to {visible(os.fspath(output))}; `agentguard ledger prove --check` checks it.", "green")


def _check(config: Config, path: Path, keys: list[str] | None, as_json: bool) -> None:
    """Check a proof without a store."""
    from agentguard.errors import CheckpointRefused
    from agentguard.ledger.proofs import MAX_PROOF, Inclusion, read_proof

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_PROOF + 1)
    except UnicodeDecodeError:
        _refused("it is no text", as_json)
    try:
        proof = read_proof(text)
        counted = verifier_keys(config, keys, origins_of([proof.checkpoint]))
        if isinstance(proof, Inclusion):
            covering = proof.check(counted)
        else:
            _, covering = proof.check(counted)
    except CheckpointRefused as error:
        _refused(str(error), as_json)
    if as_json:
        print_json({"ok": True, "origin": covering.origin, "size": covering.size, "proof": proof.to_json()})
        return
    say("Proven.", "green")
    _show(proof)


def _refused(why: str, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"ok": False, "why": why})
        raise typer.Exit(1)
    fail(f"not proven: {why}", 1)


def _show(proof: Inclusion | Consistency) -> None:
    """What the proof says, for people: every text of it made visible."""
    from agentguard.ledger.log import leaf_hash
    from agentguard.ledger.proofs import Inclusion

    origin, size, root = proof.checkpoint.split("\n")[:3]
    rows: list[tuple[str, str, str]] = []
    if isinstance(proof, Inclusion):
        event: dict[str, Any] = json.loads(proof.leaf)
        rows += [
            ("event", f"{event.get('type')} {event.get('id')} of {event.get('at')}", "bold"),
            ("leaf", proof.leaf.decode("utf-8", "replace"), ""),
            ("hash", base64.b64encode(leaf_hash(proof.leaf)).decode(), ""),
            ("index", f"{proof.index} of {size} (event {proof.index + 1})", ""),
        ]
    else:
        earlier = proof.earlier.split("\n")
        rows.append(("earlier", f"{earlier[1]} events, root {earlier[2]}", "bold"))
    path = [base64.b64encode(part).decode() for part in proof.path]
    rows += [("path" if not number else "", part, "") for number, part in enumerate(path or ["(none)"])]
    rows.append(("signed", f"{origin}, {size} events, root {root}", ""))
    fields(console(), [(label, visible(text), style) for label, text, style in rows])
