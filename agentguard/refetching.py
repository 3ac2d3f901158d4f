"""A fetched bundle that changes while the guard runs: asked for, verified, swapped."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from agentguard.errors import PolicyError
from agentguard.fetching import RemoteBundle, Unreachable
from agentguard.watching import Look, Watch

if TYPE_CHECKING:
    from agentguard.guard import Guard

__all__ = ["BundleWatch"]

_SHORTEST_S: Final = 1.0
_STALE_S: Final = 3600
_MOST_SAID: Final = 16
log = logging.getLogger("agentguard")


class BundleWatch(Watch):
    """Asks for a bundle.

    A server that does not answer, and a bundle that is refused, leave the old policies in force. Each is
    logged and recorded as `policy.refused` once, until the server has what is in force again; every further
    hour of that is a warning. `bundle.stale_s` says how long it is since the server last answered.
    """

    def __init__(self, guard: Guard, bundle: RemoteBundle, every_s: float) -> None:
        self.bundle: Final = bundle
        self._said: set[str] = set()
        self._hours = 0
        super().__init__(guard, every_s, shortest_s=_SHORTEST_S)

    def _look(self, guard: Guard) -> Look:
        try:
            found = self.bundle.fetch()
        except Exception as error:
            return self._failed(guard, error)
        if guard.closed:  # meanwhile: a fetch may take long
            return "unchanged"
        if found is not None:
            try:
                guard.check_version(found.snapshot)
            except PolicyError as error:
                self.bundle.refused(found.content, found.etag, error)
                return self._failed(guard, error)
            self._put_in_force(guard, found.snapshot)
            self.bundle.accepted(found)
        if self._said:
            log.warning("the bundle at %s can be fetched again", self.bundle.url)
        self._said, self._hours = set(), 0
        return "unchanged" if found is None else "loaded"

    def _failed(self, guard: Guard, error: Exception) -> Look:
        """Say it once: a server that is down for a day is one record."""
        unreachable = isinstance(error, Unreachable)
        what = "unreachable" if unreachable else str(error)
        if guard.closed:
            return "unchanged"
        if what not in self._said and len(self._said) < _MOST_SAID:
            self._refused(guard, error)
            self._said.add(what)
        hours = int((self.bundle.stale_s or 0) // _STALE_S)
        if hours > self._hours:
            self._hours = hours
            log.warning("policies have not been confirmed for %d h: %s", hours, error)
        return "unreachable" if unreachable else "refused"
