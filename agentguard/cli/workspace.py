"""What a command works on: the configuration, the store and the directory, found or told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentguard.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentguard.config import Config
    from agentguard.policy import Files, Snapshot
    from agentguard.stepup.directory import Directory
    from agentguard.stepup.model import Approval
    from agentguard.store.protocol import Store

__all__ = [
    "ConfigOption",
    "DirectoryOption",
    "JsonOption",
    "StoreOption",
    "TenantOption",
    "configuration",
    "find_approval",
    "open_people",
    "open_records",
    "policies_of",
    "snapshot_of",
]

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The configuration; default: agentguard.yaml here."),
]
StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="The store, such as sqlite:///agentguard.db.")
]
DirectoryOption = Annotated[
    Path | None, typer.Option("--directory", metavar="FILE", help="The directory of reviewers.")
]
TenantOption = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="The tenant.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data for programs.")]

PREFIX: Final = 6
"""Characters of an approval's id that have to be typed at least."""


def configuration(ctx: typer.Context, named: Path | None) -> Config:
    """The configuration: named on the command line, found here, or the defaults where there is no file.

    Raises:
        ConfigurationError: it is refused.
    """
    from agentguard.config import Config, find_config, load_config
    from agentguard.policy import Default

    path = find_config(explicit=named or (ctx.obj if isinstance(ctx.obj, Path) else None))
    if path is not None:
        return load_config(path)
    return Config(policies=(), default=Default())


def policies_of(config: Config, paths: Sequence[Path] = ()) -> Files:
    """The policy files that are named, else those of the configuration.

    Raises:
        ConfigurationError: nothing is named anywhere.
    """
    from agentguard.access import near
    from agentguard.policy import read_files

    named = [os.fspath(path) for path in paths] or [near(path) for path in config.policies]
    if not named:
        raise ConfigurationError(
            "no policies are named and there is no `agentguard.yaml` here; name a file or folder, "
            "or run `agentguard init`"
        )
    return read_files(named)


def snapshot_of(config: Config, paths: Sequence[Path] = ()) -> Snapshot:
    """The compiled policies; files that anybody may change are refused.

    Raises:
        ConfigurationError: nothing is named, or something is wrong; the message holds every finding.
    """
    from agentguard.access import check_access, near
    from agentguard.errors import PolicyError
    from agentguard.packs import located
    from agentguard.policy import Snapshot

    named = [os.fspath(path) for path in located(paths)] or [near(path) for path in config.policies]
    files = policies_of(config, paths)
    loose = check_access([*named, *files.names])
    if loose:
        raise PolicyError(
            "\n".join(f"{one.file}: {one.code} {one.message}; {one.hint}" for one in loose), loose
        )
    return Snapshot.load(named, default=config.default)


def open_records(config: Config, url: str | None) -> Store:
    """The store, which has to exist.

    Raises:
        ConfigurationError: there is none, or its memory is another process's.
        StoreError: it cannot be opened.
    """
    from agentguard.access import near
    from agentguard.store.opening import open_store

    named = url or config.store
    if named.startswith("memory:"):
        raise ConfigurationError("the store `memory:` lives in the agent's process; use `sqlite:///file.db`")
    file = Path(named.removeprefix("sqlite:///"))
    if named.startswith("sqlite:///") and not file.exists():
        raise ConfigurationError(
            f"there is no store `{near(file)}`: nothing was recorded yet, or it lies elsewhere "
            "(`--store URL`, or run this where `agentguard.yaml` is)"
        )
    return open_store(named, create=False)


def open_people(config: Config, path: Path | None) -> Directory:
    """The directory of reviewers; empty where none is configured.

    Raises:
        ConfigurationError: the file is missing, refused, or may be changed by anybody.
    """
    from agentguard.access import check_access
    from agentguard.stepup.directory import open_directory

    found = path or config.directory
    for one in check_access([found] if found is not None else []):
        raise ConfigurationError(f"{one.file}: {one.code} {one.message}; {one.hint}")
    return open_directory(found)


def find_approval(store: Store, tenant: str, typed: str) -> Approval:
    """The approval whose id begins with what was typed.

    Raises:
        ConfigurationError: too short, or more than one begins like this.
        NotFound: none does.
    """
    if len(typed) < PREFIX or not typed.isalnum():
        raise ConfigurationError(f"name an approval by at least {PREFIX} letters and digits of its id")
    found = store.approvals(tenant, prefix=typed.lower(), limit=3)
    if not found:
        raise NotFound(f"no approval begins with `{typed}`; see `agentguard approvals list --all`")
    if len(found) > 1:
        raise ConfigurationError(
            f"several approvals begin with `{typed}`: {', '.join(one.id[:14] for one in found)}; type more"
        )
    return found[0]
