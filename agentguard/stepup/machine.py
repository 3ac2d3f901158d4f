"""The life of an approval, as pure functions from an approval and a time to what it becomes.

::

    requested ── approved ── claimed ── succeeded | failed | unknown
        │            └────── expired | revoked | superseded | withdrawn
        └─ denied | expired | withdrawn | superseded

Each function returns the changed approval with the events that say so, or None when nothing changes. The
store runs it under its write lock (`Store.update_approval`) with its own time. Claiming is not here: it is
one statement of the store, so that it happens once.

Everything at or after `expires_at` is too late.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from agentguard.errors import StoreError, VoteRefused
from agentguard.ids import uuid7
from agentguard.ledger import approvals as written
from agentguard.ledger.events import Status
from agentguard.stepup.eligibility import check_requirement, check_votable, check_vote, fold, same_person
from agentguard.stepup.model import Approval, Proposal, State, Vote
from agentguard.store.protocol import ApprovalChange, Event

__all__ = [
    "TRANSITIONS",
    "escalate",
    "expire",
    "missing",
    "opened",
    "propose",
    "revoke",
    "settle",
    "supersede",
    "take_proposal",
    "unknown",
    "vote",
    "withdraw",
]

_ENDS: Final = frozenset({State.EXPIRED, State.WITHDRAWN, State.SUPERSEDED})

TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.REQUESTED: frozenset({State.APPROVED, State.DENIED}) | _ENDS,
    State.APPROVED: frozenset({State.CLAIMED, State.REVOKED}) | _ENDS,
    State.CLAIMED: frozenset({State.SUCCEEDED, State.FAILED, State.UNKNOWN}),
    **{
        state: frozenset() for state in State if state not in (State.REQUESTED, State.APPROVED, State.CLAIMED)
    },
}
"""Every move there is; a store refuses any other."""

_OUTCOMES: Final[Mapping[str, tuple[State, Status]]] = {
    "succeeded": (State.SUCCEEDED, "succeeded"),
    "failed": (State.FAILED, "failed"),
    "unknown": (State.UNKNOWN, "unknown"),
}


def opened(approval: Approval, now: dt.datetime) -> ApprovalChange:
    """The question as it is first stored, with its `approval.opened`.

    Raises:
        StoreError: nobody could ever answer it as it stands (no stage, quorum below one), or it has expired.
    """
    check_requirement(approval.requirement)
    if approval.state is not State.REQUESTED or approval.votes:
        raise StoreError(f"approval `{approval.id}` cannot be opened: it is already {approval.state.value}")
    if now >= approval.expires_at:
        raise StoreError(f"approval `{approval.id}` cannot be opened: it has expired")
    event = written.opened(approval, id=uuid7(), at=now)
    return ApprovalChange(replace(approval, last_event=event["id"]), (event,))


def vote(
    approval: Approval,
    vote: Vote,
    now: dt.datetime,
    *,
    excluded: frozenset[str] = frozenset(),
    void: frozenset[str] = frozenset(),
) -> ApprovalChange | None:
    """Count one person's answer.

    A deny by anybody who could vote ends it. An answer that comes too late is recorded and changes nothing,
    except that a question past its time expires. The same answer again is None. One person counts once in the
    whole approval: who approved in one stage cannot also complete another.

    `excluded` are further subjects who may not vote (other names of those in `approval.excluded`), and `void`
    subjects whose earlier votes no longer stand because they left since.

    Raises:
        VoteRefused: the vote does not count, with the reason and who could vote.
    """
    check_votable(approval)
    if any(
        same_person(old.subject, vote.subject) and (old.verdict, old.digest) == (vote.verdict, vote.digest)
        for old in approval.votes
    ):
        return None
    if approval.state is State.REQUESTED:
        approval = replace(approval, stage=_unmet(approval, void, approval.stage))
    check_vote(approval, vote, excluded)
    vote = replace(vote, stage=approval.stage, at=now)
    if approval.state is not State.REQUESTED:
        return _late(approval, vote, now, f"it was already {approval.state.value}")
    if now >= approval.expires_at:
        late = _late(approval, vote, now, "it had expired")
        ended = _end(late.approval, State.EXPIRED, now, by="", reason="nobody decided in time")
        return ApprovalChange(ended.approval, (*late.events, *ended.events))
    event = written.voted(approval, vote, id=uuid7(), at=now, counted=True)
    voted = replace(approval, votes=(*approval.votes, vote), last_event=event["id"])
    if vote.verdict == "deny":
        ended = _end(voted, State.DENIED, now, by=vote.subject, reason=vote.reason)
        return ApprovalChange(ended.approval, (event, *ended.events))
    stage = _unmet(voted, void, len(voted.requirement.stages))
    if stage < len(voted.requirement.stages):
        return ApprovalChange(replace(voted, stage=stage), (event,))
    ended = _end(voted, State.APPROVED, now, by=vote.subject, reason="")
    return ApprovalChange(ended.approval, (event, *ended.events))


def missing(approval: Approval, void: frozenset[str] = frozenset(), *, stage: int | None = None) -> int:
    """How many more people a stage needs: the current one unless another is named."""
    number = approval.stage if stage is None else stage
    gone = {fold(subject) for subject in void}
    people = {fold(v.subject) for v in approval.votes if v.verdict == "approve" and v.stage == number}
    return max(0, approval.requirement.stages[number].quorum - len(people - gone))


def _unmet(approval: Approval, void: frozenset[str], otherwise: int) -> int:
    """The first stage that still needs people: an earlier one again when a voter of it has left."""
    for number in range(len(approval.requirement.stages)):
        if missing(approval, void, stage=number) > 0:
            return number
    return otherwise


def expire(approval: Approval, now: dt.datetime) -> ApprovalChange | None:
    """End a question, or an approval nobody used, whose time is over."""
    if approval.state not in (State.REQUESTED, State.APPROVED) or now < approval.expires_at:
        return None
    asked = approval.state is State.REQUESTED
    return _end(
        approval,
        State.EXPIRED,
        now,
        by="",
        reason="nobody decided in time" if asked else "it was not used in time",
    )


def escalate(approval: Approval, now: dt.datetime) -> ApprovalChange | None:
    """Say that further people may answer, once for each step that is due.

    Who may answer follows from the time alone (`Approval.reviewers`), whether this was said or not.
    """
    if approval.state is not State.REQUESTED or now >= approval.expires_at:
        return None
    waited = (now - approval.opened_at).total_seconds()
    due = [step for step in approval.escalations[approval.level :] if waited >= step.after_s]
    told: list[Event] = []
    for step in due:
        event = written.escalated(
            approval, id=uuid7(), at=now, after_s=step.after_s, reviewers=step.reviewers
        )
        approval = replace(approval, level=approval.level + 1, last_event=event["id"])
        told.append(event)
    return ApprovalChange(approval, told) if told else None


def withdraw(
    approval: Approval, now: dt.datetime, *, by: str = "", reason: str = "the caller gave up"
) -> ApprovalChange | None:
    """The caller no longer wants the call."""
    return _end_if_open(approval, State.WITHDRAWN, now, by, reason)


def supersede(
    approval: Approval, now: dt.datetime, *, by: str = "", reason: str = "the call is decided differently now"
) -> ApprovalChange | None:
    """Today's policy, or an edited call, made this question the wrong one."""
    return _end_if_open(approval, State.SUPERSEDED, now, by, reason)


def propose(
    approval: Approval,
    proposal: Proposal,
    now: dt.datetime,
    *,
    excluded: frozenset[str],
    memberships: tuple[str, ...],
) -> ApprovalChange | None:
    """A reviewer wants something else to run: the question ends, its votes are void, and the edited call is
    decided anew.

    Who may deny may edit. The same edit again is None.

    Raises:
        VoteRefused: they may not, or it is over.
    """
    if approval.proposal is not None and approval.proposal.digest == proposal.digest:
        return None
    ballot = Vote(
        subject=proposal.editor,
        verdict="deny",
        digest=approval.digest,
        assurance=proposal.assurance,
        memberships=memberships,
        at=now,
        reason=proposal.reason,
    )
    check_votable(approval)
    check_vote(approval, ballot, excluded)
    if approval.state not in (State.REQUESTED, State.APPROVED) or now >= approval.expires_at:
        raise VoteRefused(f"`{approval.id}` is over, so it cannot be edited any more")
    ended = _end(
        replace(approval, proposal=proposal),
        State.SUPERSEDED,
        now,
        by=proposal.editor,
        reason=proposal.reason or f"{proposal.editor} edited it",
        edited=True,
        assurance=proposal.assurance,
        signature=proposal.signature,
    )
    return ended


def take_proposal(approval: Approval, now: dt.datetime) -> ApprovalChange | None:
    """Let an edited call run that needs no further approval: once ever, for whoever is first."""
    proposal = approval.proposal
    if approval.state is not State.SUPERSEDED or proposal is None or proposal.taken:
        return None
    if now >= approval.expires_at:
        return None
    return ApprovalChange(replace(approval, proposal=replace(proposal, taken=True)))


def revoke(approval: Approval, now: dt.datetime, *, by: str = "", reason: str = "") -> ApprovalChange | None:
    """Take back an approval that was not used yet; a question is denied or withdrawn instead."""
    if approval.state is not State.APPROVED:
        return None
    return _end(approval, State.REVOKED, now, by=by, reason=reason)


def settle(approval: Approval, outcome: Mapping[str, Any], now: dt.datetime) -> ApprovalChange | None:
    """Record how a claimed call ended.

    `outcome` has `status` (`succeeded`, `failed`, `unknown`) and may have `duration_us`, `error` (a class
    name), `result_hmac` and `reason`. The first outcome stands.

    Raises:
        StoreError: another status or another key.
    """
    unheard = sorted(set(outcome) - {"status", "duration_us", "error", "result_hmac", "reason"})
    found = _OUTCOMES.get(str(outcome.get("status")))
    if found is None or unheard:
        raise StoreError(f"an outcome cannot have {unheard or [outcome.get('status')]}")
    if approval.state is not State.CLAIMED:
        return None
    state, status = found
    details = {key: value for key, value in outcome.items() if key != "status"}
    event = written.settled(approval, id=uuid7(), at=now, status=status, **details)
    done = replace(approval, state=state, settled_at=now, outcome=dict(outcome), last_event=event["id"])
    return ApprovalChange(done, (event,))


def unknown(
    approval: Approval, now: dt.datetime, *, reason: str = "nobody recorded how the call ended"
) -> ApprovalChange | None:
    """Give up on a claimed call whose end nobody recorded; it is never run again."""
    return settle(approval, {"status": "unknown", "reason": reason}, now)


def _late(approval: Approval, vote: Vote, now: dt.datetime, why: str) -> ApprovalChange:
    event = written.voted(approval, vote, id=uuid7(), at=now, counted=False, why=why)
    return ApprovalChange(replace(approval, last_event=event["id"]), (event,))


def _end_if_open(
    approval: Approval, state: State, now: dt.datetime, by: str, reason: str
) -> ApprovalChange | None:
    if approval.state not in (State.REQUESTED, State.APPROVED):
        return None
    return _end(approval, state, now, by=by, reason=reason)


def _end(
    approval: Approval, state: State, now: dt.datetime, *, by: str, reason: str, **more: Any
) -> ApprovalChange:
    event = written.changed(approval, state, id=uuid7(), at=now, by=by, reason=reason, **more)
    return ApprovalChange(
        replace(approval, state=state, decided_at=now, note=reason, last_event=event["id"]), (event,)
    )
