"""Who may vote on an approval, and who counts as the same person."""

from __future__ import annotations

import unicodedata
from typing import Final, get_args

from agentguard.errors import StoreError, VoteRefused
from agentguard.stepup.model import Approval, Assurance, Requirement, Vote

__all__ = [
    "LOCAL",
    "MAX_QUORUM",
    "MAX_REASON",
    "PRINCIPAL",
    "check_requirement",
    "check_votable",
    "check_vote",
    "fold",
    "same_person",
]

LOCAL: Final = "local"
"""The one person that all unverified answers from this machine are."""
PRINCIPAL: Final = "principal"
"""The reviewer's name for the person on whose behalf the agent acts."""
MAX_QUORUM: Final = 100
"""People in one stage; more is a mistake."""
MAX_REASON: Final = 4000
"""Characters of a voter's reason."""

_ASSURANCES: Final = frozenset(get_args(Assurance))


def fold(subject: str) -> str:
    """One spelling for all of a subject: case, width and white space do not make another person."""
    return " ".join(unicodedata.normalize("NFKC", subject).casefold().split())


def same_person(one: str, other: str) -> bool:
    """Whether two spellings are one subject."""
    return fold(one) == fold(other)


def check_requirement(requirement: Requirement) -> None:
    """Refuse a requirement that nobody, or anybody, could meet.

    Raises:
        StoreError: no stage, no reviewer, or a quorum that is not a whole number from 1 to `MAX_QUORUM`.
    """
    if not requirement.stages:
        raise StoreError("an approval needs at least one stage of reviewers")
    for number, stage in enumerate(requirement.stages, 1):
        quorum: object = stage.quorum
        if type(quorum) is not int or not 1 <= quorum <= MAX_QUORUM:
            raise StoreError(
                f"stage {number} of an approval has the quorum {quorum!r}; it must be a whole number "
                f"from 1 to {MAX_QUORUM}"
            )
        people: tuple[object, ...] = stage.everybody
        if not stage.reviewers or not all(isinstance(name, str) and name.strip() for name in people):
            raise StoreError(f"stage {number} of an approval names no reviewers")


def check_votable(approval: Approval) -> None:
    """Refuse every vote on a question that makes no sense, as it may come out of a damaged store.

    Raises:
        VoteRefused: the requirement is missing or malformed.
    """
    try:
        check_requirement(approval.requirement)
    except StoreError as error:
        raise VoteRefused(f"nobody can vote on `{approval.id}`: {error}") from None


def check_vote(approval: Approval, vote: Vote, excluded: frozenset[str] = frozenset()) -> None:
    """Refuse a vote that cannot count, whatever the state of the approval.

    An approving vote has to be eligible in the current stage; a denying one in any stage.

    Raises:
        VoteRefused: why, and who could vote.
    """
    requirement = approval.requirement
    if vote.digest != approval.digest:
        raise VoteRefused(
            f"the vote is on another call than `{approval.id}` asks about: what was shown has the digest "
            f"`{vote.digest[:23]}…`, the call has `{approval.digest[:23]}…`; look at it again"
        )
    if vote.verdict not in ("approve", "deny"):
        raise VoteRefused(f"`{vote.verdict}` is not an answer; answer `approve` or `deny`")
    if vote.assurance not in _ASSURANCES:
        raise VoteRefused(f"`{vote.assurance}` is not a way to know who voted")
    if not vote.subject.strip():
        raise VoteRefused("a vote needs to say who votes")
    if len(vote.reason) > MAX_REASON:
        raise VoteRefused(f"the reason has {len(vote.reason)} characters; {MAX_REASON} are possible")
    if requirement.reason_required and not vote.reason.strip():
        raise VoteRefused(f"`{approval.id}` asks for a reason with every answer")
    stage = min(max(approval.stage, 0), len(requirement.stages) - 1)
    stages = [stage] if vote.verdict == "approve" else range(len(requirement.stages))
    if not any(_eligible(approval, vote, candidate, excluded) for candidate in stages):
        raise VoteRefused(_why(approval, vote, stage, excluded))


def _eligible(approval: Approval, vote: Vote, stage: int, excluded: frozenset[str]) -> bool:
    if vote.assurance == "local":
        return (
            approval.requirement.local
            and approval.requirement.stages[stage].quorum == 1
            and fold(vote.subject) == LOCAL
            and not _is_excluded(approval, LOCAL, excluded)
        )
    if fold(vote.subject) == LOCAL:
        return False
    names = set(vote.memberships).intersection(approval.reviewers(stage, vote.at))
    if PRINCIPAL in names:
        return True
    return bool(names) and not _is_excluded(approval, vote.subject, excluded)


def _is_excluded(approval: Approval, subject: str, excluded: frozenset[str]) -> bool:
    who = fold(subject)
    return any(fold(name) == who for name in approval.excluded | excluded)


def _why(approval: Approval, vote: Vote, stage: int, excluded: frozenset[str]) -> str:
    people = ", ".join(f"`{name}`" for name in approval.reviewers(stage, vote.at))
    could = f"{approval.requirement.stages[stage].quorum} of {people} can"
    if vote.assurance == "local":
        if not approval.requirement.local:
            return (
                f"an unverified local answer does not count on `{approval.id}`; {could}, signed or logged in"
            )
        return (
            f"an unverified local answer is one person, `{LOCAL}`, and counts only in a stage that needs "
            f"one; {could}"
        )
    if fold(vote.subject) == LOCAL:
        return f"`{LOCAL}` is the name of unverified answers and not of a person; {could}"
    if _is_excluded(approval, vote.subject, excluded):
        return (
            f"`{vote.subject}` cannot vote on `{approval.id}`: the requester, the principal, the agent's "
            f"owner and everyone in the chain are excluded; {could}"
        )
    return f"`{vote.subject}` is not a reviewer of stage {approval.stage + 1} of `{approval.id}`; {could}"
