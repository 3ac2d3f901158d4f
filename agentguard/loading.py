"""Policies as a guard is given them: files that nobody else may change, loaded and then looked at again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agentguard.packs import located

if TYPE_CHECKING:
    from agentguard.fetching import RemoteBundle
    from agentguard.guard import Guard
    from agentguard.policy import PolicyPaths, Snapshot
    from agentguard.watching import Watch

__all__ = ["loaded", "watch_of"]


def loaded(paths: PolicyPaths) -> Snapshot:
    """All of the paths, with the folder of each pack that is named.

    Raises:
        ConfigurationError: anybody may change one, or there is no such pack; PolicyError: they were refused.
    """
    from agentguard.access import refuse_writable  # here: they bring the whole policy language
    from agentguard.policy import Snapshot

    listed = located(paths)
    refuse_writable(listed)
    return Snapshot.load(listed)


def watch_of(
    guard: Guard, paths: PolicyPaths | RemoteBundle, every_s: float, load: Callable[[], Snapshot] | None
) -> Watch:
    """What looks at policy files, or asks for a bundle; see `Guard.watch`."""
    from agentguard.fetching import RemoteBundle
    from agentguard.refetching import BundleWatch
    from agentguard.reloading import PolicyWatch

    if isinstance(paths, RemoteBundle):
        return BundleWatch(guard, paths, every_s)
    listed = located(paths)
    return PolicyWatch(guard, listed, load or (lambda: loaded(listed)), every_s)
