"""The one way in for an answer: who is it, how do we know, may they, and then the store."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentguard.errors import ConfigurationError, VoteRefused
from agentguard.stepup import machine
from agentguard.stepup.concerned import barred_from
from agentguard.stepup.eligibility import LOCAL, PRINCIPAL, fold
from agentguard.stepup.model import Approval, Assurance, Verdict, Vote
from agentguard.stepup.waiting import wake
from agentguard.store.protocol import ApprovalChange, Store

if TYPE_CHECKING:
    from agentguard.stepup.directory import Directory

__all__ = ["Answer", "cast", "departed", "identify", "memberships_of"]

_GROUP: Final = "group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody answered, and how we know who.

    `digest` is the binding digest that they were shown. `signature` is the compact JWS where `assurance` is
    `signed`; what it signs must say the same. `login` and `resolver` are the word of code the operator
    configured; `local` is nobody's word.
    """

    subject: str
    verdict: Verdict
    digest: str
    reason: str = ""
    assurance: Assurance = "local"
    signature: str | None = None


def cast(store: Store, directory: Directory, tenant: str, approval_id: str, answer: Answer) -> Approval:
    """Count an answer and return the approval as it is then; whoever waits in this process is woken at once.

    The directory is asked now: groups as they are at the vote, and earlier votes of people who have left
    since do not count any more.

    Raises:
        VoteRefused: it does not count, with the reason and who could vote.
        NotFound: there is no such approval in this tenant.
        StoreError: the store could not do it; nothing was recorded.
    """
    for name in ("subject", "digest", "reason"):
        if not _is_text(getattr(answer, name)):
            raise VoteRefused(f"an answer's {name} must be text, without broken characters")
    approval = store.approval(tenant, approval_id)
    try:
        subject = identify(directory, approval, answer, store.now())
        memberships = memberships_of(directory, approval, subject, answer.assurance)
        excluded = barred_from(store, directory, approval)
        void = frozenset(departed(directory, approval))
    except ConfigurationError as error:
        raise VoteRefused(f"nobody can vote while the directory is not readable: {error}") from error

    def update(current: Approval, now: dt.datetime) -> ApprovalChange | None:
        vote = Vote(
            subject=subject,
            verdict=answer.verdict,
            digest=answer.digest,
            assurance=answer.assurance,
            memberships=memberships,
            at=now,
            reason=answer.reason,
            signature=answer.signature if answer.assurance == "signed" else None,
        )
        return machine.vote(current, vote, now, excluded=excluded, void=void)

    changed = store.update_approval(tenant, approval_id, update)
    wake()
    return changed


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def departed(directory: Directory, approval: Approval) -> tuple[str, ...]:
    """Subjects who approved and could not do so today: disabled, or no longer in a group that they voted for.

    Ask again before a claim; an approval that rests on such a vote should be superseded.

    Raises:
        ConfigurationError: the directory cannot be read.
    """
    gone: list[str] = []
    for vote in approval.votes:
        if vote.verdict != "approve" or vote.assurance == "local":
            continue
        names = frozenset(approval.reviewers(vote.stage, vote.at))
        still = memberships_of(directory, approval, vote.subject, vote.assurance)
        if directory.active(vote.subject) is False or not names.intersection(still):
            gone.append(vote.subject)
    return tuple(gone)


def identify(
    directory: Directory, approval: Approval, answer: Answer, now: dt.datetime, *, proposal: str = ""
) -> str:
    """Who answers, as the directory names them; an edit's signature is over the digest of its `proposal`.

    Raises:
        VoteRefused: they are not who they say, or cannot show it.
    """
    if answer.assurance == "local":
        if fold(answer.subject) != LOCAL:
            raise VoteRefused(
                f"an unverified answer is `{LOCAL}`'s; `{answer.subject}` would have to sign or log in"
            )
        return LOCAL
    subject = directory.subject(answer.subject)
    active = directory.active(subject)
    if active is False:
        raise VoteRefused(f"`{answer.subject}` is disabled in the directory")
    if answer.assurance == "signed":
        from agentguard.stepup import signing  # here: it brings the cryptography that few calls need

        if answer.signature is None:
            raise VoteRefused("a signed vote needs its signature")
        signed = signing.verify(answer.signature, directory.keys(subject), approval, now)
        signing.check_subject(signed, answer.subject, subject)
        said = (signed.verdict, signed.reason, signed.digest, signed.proposal)
        if said != ("edit" if proposal else answer.verdict, answer.reason, answer.digest, proposal):
            raise VoteRefused("what was signed is not what was answered")
    elif active is None and not _is_principal(directory, approval, subject):
        raise VoteRefused(f"`{answer.subject}` is not in the directory")
    return subject


def memberships_of(
    directory: Directory, approval: Approval, subject: str, assurance: Assurance
) -> tuple[str, ...]:
    """The reviewers' names of the approval that a subject is today."""
    if assurance == "local":
        return ()
    found: list[str] = []
    for name in dict.fromkeys(name for stage in approval.requirement.stages for name in stage.everybody):
        if name == PRINCIPAL:
            belongs = _is_principal(directory, approval, subject)
        elif name.startswith(_GROUP):
            belongs = subject in directory.members(name.removeprefix(_GROUP))
        else:
            belongs = directory.subject(name) == subject and directory.active(subject) is True
        if belongs:
            found.append(name)
    return tuple(found)


def _is_principal(directory: Directory, approval: Approval, subject: str) -> bool:
    return approval.principal is not None and directory.subject(approval.principal) == subject
