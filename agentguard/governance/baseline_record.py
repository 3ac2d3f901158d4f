"""A baseline's record, read, and whether the agent's owner vouches for exactly what it says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from agentguard.errors import RecordRefused
from agentguard.governance.baseline_content import BaselineContent, read_content
from agentguard.governance.vouching import Word, check_word, content_digest
from agentguard.stepup.directory import Directory
from agentguard.stepup.eligibility import LOCAL, fold
from agentguard.store.protocol import Record
from agentguard.terms import Terms

__all__ = [
    "KIND",
    "PAST",
    "Baseline",
    "BaselineState",
    "Told",
    "check_owner",
    "check_same",
    "tell",
    "vouched",
]

KIND: Final = "baseline"
PAST: Final = "baseline-past"
"""The kind of the records of versions that were in force."""


class BaselineState(StrEnum):
    """Where a baseline stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline in force, as the guard reads it."""

    content: BaselineContent
    approved: dt.datetime

    def holds_at(self, now: dt.datetime) -> bool:
        """Whether it has not ended."""
        return now < self.content.ends


@dataclass(frozen=True, slots=True)
class Told:
    """A baseline's record, read: what is in force or was proposed first, and a next version that waits.

    `history` says of each earlier version its number, digest, who approved it, from when to when.
    """

    record: Record
    content: Mapping[str, Any]
    read: BaselineContent
    digest: str
    proposed: Word
    approved: Word | None
    pending: Mapping[str, Any] | None
    history: tuple[Mapping[str, Any], ...]

    @property
    def state(self) -> BaselineState:
        return BaselineState(self.record.state)

    @property
    def waits(self) -> Mapping[str, Any] | None:
        """What somebody has to approve."""
        return self.content if self.state is BaselineState.PROPOSED else self.pending

    @property
    def version(self) -> int:
        """The highest version that was ever in force."""
        known = [int(one["version"]) for one in self.history]
        return max([*known, self.read.version if self.approved is not None else 0], default=0)


def tell(record: Record) -> Told:
    """Read a record.

    Raises:
        RecordRefused: it is damaged.
    """
    body = record.body
    content, pending = body.get("content"), body.get("pending")
    try:
        BaselineState(record.state)
    except ValueError:
        raise RecordRefused(f"the baseline of `{record.id}` has no state that is known") from None
    read = read_content(content)
    if not isinstance(content, Mapping) or read.agent != record.id:
        raise RecordRefused(f"the baseline of `{record.id}` holds the content of another agent")
    if pending is not None and read_content(pending).agent != record.id:
        raise RecordRefused(f"the baseline of `{record.id}` holds the content of another agent")
    return Told(
        record=record,
        content=content,
        read=read,
        digest=content_digest(content),
        proposed=Word.from_json(body.get("proposed")),
        approved=None if body.get("approved") is None else Word.from_json(body["approved"]),
        pending=pending,
        history=tuple(body.get("history", ())),
    )


def vouched(record: Record, *, tenant: str, directory: Directory | None, terms: Terms) -> Baseline:
    """What the guard reads of a baseline in force, after checking that the owner vouched for exactly this.

    Raises:
        RecordRefused: it does not hold what the owner approved.
    """
    told = tell(record)
    if told.state is not BaselineState.APPROVED or told.approved is None:
        raise RecordRefused("it is registered and was never approved")
    if told.read.tenant != tenant:
        raise RecordRefused(f"it is another tenant's: `{told.read.tenant[:40]}`")
    word = told.approved
    if word.act != "approve":
        raise RecordRefused(f"`{word.subject}` said `{word.act}`, which is no approval")
    check_same(word, told.content, record.id)
    subject = check_word(word, tenant=tenant, kind=KIND, id=record.id, directory=directory)
    check_owner(subject, told.read, terms, directory)
    if told.read.ends - word.at > terms.longest:
        raise RecordRefused(f"it would last longer than {terms.max_days} days")
    return Baseline(told.read, word.at)


def check_same(by: Word, content: Mapping[str, Any], agent: str) -> None:
    """Refuse a word about something else than what is there.

    Raises:
        RecordRefused: the content is another one.
    """
    found = content_digest(content)
    if by.digest != found:
        raise RecordRefused(
            f"the baseline of `{agent}` is not what was shown: it has the digest `{found[:23]}…`, and "
            f"`{by.digest[:23]}…` was answered; look at it again"
        )


def check_owner(subject: str, read: BaselineContent, terms: Terms, directory: Directory | None) -> None:
    """Refuse everybody but the owner, and an owner through whom the agent acts.

    Raises:
        RecordRefused: why, and who could.
    """
    if subject == LOCAL and not terms.local:
        raise RecordRefused(
            f"an unverified answer approves no baseline; `{read.owner}` can, signed with `--as` "
            "(or configure `governance: {local: true}`)"
        )
    if subject == LOCAL:
        return
    if directory is None or directory.active(subject) is not True:
        raise RecordRefused(f"`{subject}` is not active in the directory")
    through = {read.agent, *read.chain}
    if subject in {directory.subject(name) for name in through} | {fold(name) for name in through}:
        raise RecordRefused(f"`{subject}` is in the chain of agent `{read.agent}` and cannot approve it")
    if subject != directory.subject(read.owner):
        raise RecordRefused(
            f"`{read.owner}` owns agent `{read.agent}` and approves its baseline, nobody else"
        )
