"""Who is concerned by a call and does not answer for it: every person behind the names that stand with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from agentguard.errors import NotFound

if TYPE_CHECKING:
    from agentguard.stepup.directory import Directory
    from agentguard.stepup.model import Approval
    from agentguard.store.protocol import Store

__all__ = ["barred_from", "people_behind"]

GROUP: Final = "group:"
_AGENT: Final = "agent"
"""The kind of the inventory's records (`agentguard.governance.agents`), which lies above this package."""


def people_behind(directory: Directory, names: Collection[str]) -> frozenset[str]:
    """Canonical subjects: each name's own, and the members of a `group:NAME`.

    Raises:
        ConfigurationError: the directory cannot be read.
    """
    found = {directory.subject(name) for name in names}
    for name in names:
        if name.startswith(GROUP):
            found |= directory.members(name.removeprefix(GROUP))
    return frozenset(found)


def barred_from(store: Store, directory: Directory, approval: Approval) -> frozenset[str]:
    """Who may not answer: whom the call names, and whoever owns the agent by the inventory of today.

    What a session says of its agent's owner is the word of the agent's own process.

    Raises:
        ConfigurationError: the directory cannot be read.
        StoreError: the store could not do it.
    """
    owner = _owner(store, approval)
    return people_behind(directory, approval.excluded | ({owner} if owner else frozenset()))


def _owner(store: Store, approval: Approval) -> str | None:
    try:
        facts = store.record(approval.tenant, _AGENT, approval.agent).body.get("facts")
    except NotFound:
        return None
    owner = facts.get("owner") if isinstance(facts, Mapping) else None
    return owner if isinstance(owner, str) else None
