"""The way in for an edit: who is it, how do we know, may they, and then the store.

An edit is a new proposal. It ends the question that it is about, and the guard that holds the call decides
the edited arguments as if the agent had sent them; the editor does not vote on what comes of it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentguard.canonical import digest, encode, freeze
from agentguard.errors import ArgumentsError, ConfigurationError, VoteRefused
from agentguard.paths import steps
from agentguard.stepup import machine
from agentguard.stepup.ballot import Answer, identify, memberships_of
from agentguard.stepup.concerned import barred_from
from agentguard.stepup.model import Approval, Assurance, Proposal
from agentguard.stepup.waiting import wake
from agentguard.store.protocol import ApprovalChange, Store

if TYPE_CHECKING:
    from agentguard.stepup.directory import Directory

__all__ = ["Edit", "edited_arguments", "propose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What somebody wants to run instead, and how we know who; the rest is as in `Answer`.

    `arguments` are canonical bytes, as `edited_arguments` makes them.
    """

    subject: str
    arguments: bytes
    digest: str
    reason: str = ""
    assurance: Assurance = "local"
    signature: str | None = None


def edited_arguments(approval: Approval, changes: Mapping[str, Any]) -> bytes:
    """The approval's arguments with other values at some paths (`args.amount`), in their canonical form.

    Raises:
        VoteRefused: the arguments were erased, or a path leads nowhere, or a value cannot be an argument.
    """
    if approval.arguments is None:
        raise VoteRefused(f"the arguments of `{approval.id}` were erased; it cannot be edited")
    tree = json.loads(approval.arguments)
    for path, value in changes.items():
        try:
            *way, last = steps(path)
            written = json.loads(freeze({"value": value}).canonical)["value"]
            place = tree
            for step in way:
                place = place[_escaped(step)]
            place[_escaped(last)]  # only what is there can be edited
            place[_escaped(last)] = written
        except (KeyError, IndexError, TypeError, ValueError, ArgumentsError) as error:
            raise VoteRefused(f"`{path}` cannot be edited: {error}; name one that is there") from None
    return encode(tree)


def propose(store: Store, directory: Directory, tenant: str, approval_id: str, edit: Edit) -> Approval:
    """End a question with a proposal; whoever waits in this process goes on with it at once.

    Raises:
        VoteRefused: it does not count, with the reason and who could edit.
        NotFound: there is no such approval in this tenant.
        StoreError: the store could not do it; nothing was recorded.
    """
    approval = store.approval(tenant, approval_id)
    if edit.digest != approval.digest:
        raise VoteRefused(f"`{approval_id}` asks about another call than was shown; look at it again")
    if edit.arguments == approval.arguments:
        raise VoteRefused("the edit changes nothing; approve it, or deny it")
    proposed = digest(edit.arguments)
    answer = Answer(
        subject=edit.subject,
        verdict="deny",
        digest=edit.digest,
        reason=edit.reason,
        assurance=edit.assurance,
        signature=edit.signature,
    )
    try:
        subject = identify(directory, approval, answer, store.now(), proposal=proposed)
        memberships = memberships_of(directory, approval, subject, edit.assurance)
        excluded = barred_from(store, directory, approval)
    except ConfigurationError as error:
        raise VoteRefused(f"nobody can edit while the directory is not readable: {error}") from error
    proposal = Proposal(
        editor=subject,
        assurance=edit.assurance,
        arguments=edit.arguments,
        digest=proposed,
        reason=edit.reason,
        signature=edit.signature if edit.assurance == "signed" else None,
    )

    def update(current: Approval, now: dt.datetime) -> ApprovalChange | None:
        return machine.propose(current, proposal, now, excluded=excluded, memberships=memberships)

    changed = store.update_approval(tenant, approval_id, update)
    wake()
    return changed


def _escaped(step: str | int) -> str | int:
    """A key as the canonical form writes it."""
    return f"${step}" if isinstance(step, str) and step.startswith("$") else step
