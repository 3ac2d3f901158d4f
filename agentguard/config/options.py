"""The options of a guard that a configuration file describes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentguard.access import check_access, near
from agentguard.bundled import BundleEntry, remote_of
from agentguard.channels.options import files_of as channel_files
from agentguard.config.findings import refused
from agentguard.config.model import Config
from agentguard.config.reading import load_config
from agentguard.engines.configured import engine_of, files_of

if TYPE_CHECKING:
    from agentguard.channels.channel import OutboxChannel
    from agentguard.fetching import RemoteBundle
    from agentguard.policy import Snapshot

__all__ = ["Watch", "guard_options"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What is looked at for changes, how files of policies are loaded, and how often."""

    paths: tuple[str, ...] | RemoteBundle
    load: Callable[[], Snapshot] | None
    every_s: float


def guard_options(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The keyword arguments of `Guard` that a configuration file describes.

    Raises:
        ConfigurationError: the file, a policy or the directory is refused, or anybody may change one.
    """
    config = load_config(path)
    base = Path(os.path.abspath(path)).parent
    files = [file for entry in config.engines for file in files_of(entry, base)]
    files += [file for channel in config.channels for file in channel_files(channel, base)]
    others = [near(other) for other in (config.directory, config.tools, *files) if other is not None]
    loose = check_access(dict.fromkeys(others))
    if loose:
        raise refused(path, loose)
    return {
        **_policies(config, base),
        "store": config.store,
        "directory": config.directory,
        "tool_facts": config.tools,
        "infer_facts": config.infer_facts,
        "environment": config.environment,
        "tenant": config.tenant,
        "record": config.record,
        "pause": config.pause,
        "strict": config.strict,
        "max_pending": config.max_pending,
        "sweep_s": config.sweep_s,
        "replayable": config.replayable,
        "governance": config.governance,
        "checkpoint": config.checkpoint,
        "engines": [engine_of(entry, base) for entry in config.engines],
        "outbox": _outbox(config, base),
    }


def _outbox(config: Config, base: Path) -> list[OutboxChannel]:
    if not config.channels:
        return []
    from agentguard.channels.configured import channels_of  # here: few configurations have channels

    return [one.channel for one in channels_of(config.channels, base)]


def _policies(config: Config, base: Path) -> dict[str, Any]:
    """The policies to begin with, and what is looked at for others."""
    from agentguard.policy import Snapshot, read_files

    path, bundle = config.file or base, config.bundle
    if isinstance(bundle, BundleEntry):
        assert config.trust is not None  # INVARIANT: the configuration was refused otherwise
        remote = remote_of(bundle, base=base, trust=config.trust, store=config.store, default=config.default)
        watch = None if config.reload_s is None else Watch(remote, None, config.reload_s)
        return {"snapshot": remote.snapshot(), "watch": watch}
    named = [near(one) for one in (config.policies if bundle is None else (bundle,))]

    def load() -> Snapshot:
        trusted = [] if config.trust is None else [near(config.trust)]
        read = read_files(named).names if bundle is None else ()
        loose = check_access(dict.fromkeys([*named, *read, *trusted]))
        if loose:
            raise refused(path, loose)
        if bundle is None or config.trust is None:
            return Snapshot.load(named, default=config.default)
        from agentguard.policy.bundle import Bundle, trusted_keys

        return Bundle.open(bundle, trusted_keys(config.trust)).snapshot(default=config.default)

    return {
        "snapshot": load(),
        "watch": None if config.reload_s is None else Watch(tuple(named), load, config.reload_s),
    }
