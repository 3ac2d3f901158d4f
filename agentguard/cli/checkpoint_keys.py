"""Whose signature under a checkpoint counts: named on the command line, or of the configured key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentguard.errors import ConfigurationError

if TYPE_CHECKING:
    from agentguard.config import Config
    from agentguard.ledger.kept import Kept
    from agentguard.ledger.notes import VerifierKey

__all__ = ["CheckpointOption", "KeyOption", "kept_checkpoints", "origins_of", "verifier_keys"]

CheckpointOption = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", metavar="FILE", help="A file of signed checkpoints, kept elsewhere."),
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="VKEY",
        help="Whose signature counts: name+id+base64, or a file of such; default: the configured key's.",
    ),
]


def verifier_keys(
    config: Config, named: Sequence[str] | None, origins: Iterable[str], tenant: str | None = None
) -> list[VerifierKey]:
    """The keys that are named; else the configured key, under the tenant's name and under each of these logs'
    names in its deployment.

    Raises:
        ConfigurationError: one is no key, or none is named and none is configured.
    """
    from agentguard.ledger.checkpoint_options import signer_of
    from agentguard.ledger.notes import VerifierKey

    if named:
        return [VerifierKey.parse(line) for text in named for line in _lines(text)]
    options = config.checkpoint
    if options is None:
        raise ConfigurationError("whose signature counts? name the key with `--key VKEY`")
    own = signer_of(options.key, options.name, tenant or config.tenant).verifier
    deployment = own.name.rpartition("/")[0]
    logs = dict.fromkeys([own.name, *(one for one in origins if one.rpartition("/")[0] == deployment)])
    return [VerifierKey(name, own.public) for name in logs]


def kept_checkpoints(
    config: Config, files: Sequence[Path] | None, keys: Sequence[str] | None, tenant: str | None
) -> Kept | None:
    """The checkpoints of the files that are named, else of the configured one; None where there is none.

    Raises:
        ConfigurationError: a file cannot be read, or nobody says whose signature counts.
    """
    from agentguard.ledger.checkpoint_file import read_notes
    from agentguard.ledger.kept import read_kept

    paths = list(files or ())
    configured = None if config.checkpoint is None else config.checkpoint.file
    if not paths and configured is not None and configured.exists():
        paths = [configured]
    if not paths:
        if keys:
            raise ConfigurationError("`--key` is of checkpoints; name their file with `--checkpoint FILE`")
        return None
    origins = origins_of(note for _, note in read_notes(paths)) if not keys else []
    return read_kept(paths, verifier_keys(config, keys, origins, tenant), tenant)


def origins_of(notes: Iterable[str]) -> list[str]:
    """The logs that these notes say they are of, where that can name a key; any other is refused anyway."""
    found = dict.fromkeys(note.partition("\n")[0] for note in notes)
    return [one for one in found if one.isascii() and one.isprintable() and not {" ", "+"} & set(one)]


def _lines(text: str) -> list[str]:
    """A key, or the keys in a file."""
    if text.count("+") >= 2 and not Path(text).exists():
        return [text]
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"`{text[:120]}` is no verifier key, and no file of them") from error
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not found:
        raise ConfigurationError(f"`{text[:120]}` holds no verifier key")
    return found
