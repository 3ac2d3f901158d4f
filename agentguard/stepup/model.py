"""The records of a step-up: the question, the votes, and where the question stands."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from agentguard.decision import Escalation, Stage

__all__ = ["TERMINAL", "Approval", "Assurance", "Proposal", "Requirement", "State", "Verdict", "Vote"]

Verdict = Literal["approve", "deny"]

Assurance = Literal["signed", "login", "resolver", "local"]
"""How we know who voted: a registered key, a login, a function that the operator configured to vouch for the
subject, or nothing but access to this machine (`local`, counted as one person whoever types)."""


class State(StrEnum):
    """Where an approval stands; the arrows are in `agentguard.stepup.machine`."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


TERMINAL = frozenset(set(State) - {State.REQUESTED, State.APPROVED, State.CLAIMED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """Who must agree: the stages in order, and the terms of a vote, as the decision demanded them."""

    stages: tuple[Stage, ...]
    expires_in_s: int
    rules: tuple[str, ...]
    reason: str = ""
    local: bool = False
    reason_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One person's answer.

    `digest` is the binding digest that the voter saw. `memberships` are the reviewers' names of the
    requirement (`group:finance`, `principal`, `ana`) that the subject was at the time of the vote.
    `signature` is the compact JWS where `assurance` is `signed`. `stage` is the stage that it counted in,
    from 0, set by the state machine.
    """

    subject: str
    verdict: Verdict
    digest: str
    assurance: Assurance
    memberships: tuple[str, ...]
    at: dt.datetime
    reason: str = ""
    signature: str | None = None
    stage: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A reviewer's edit of a call: other arguments for it, which are decided anew.

    `arguments` are canonical bytes (None once erased) and `digest` is over them. `taken` is set by whoever
    runs it without a further approval, once ever.
    """

    editor: str
    assurance: Assurance
    arguments: bytes | None = field(repr=False)
    digest: str
    reason: str = ""
    signature: str | None = None
    taken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One question, bound to one call's digest, answered by votes, claimed at most once.

    `arguments` are the canonical bytes of what would run (None once erased) and `shown` what a reviewer is
    told about the call (tool, agent, principal, chain, session, environment, secrets, facts, rules with
    reasons): rendered by the guard, never by the agent. `epoch` is the store's epoch at the opening: a
    restored backup has another one. `outcome` is set when the claimed call ended. `args_hmac` and `chain`
    (ids, outermost first) are what its events carry; `last_event` is the id of the newest of them, kept by
    the state machine and the store. `proposal` is what a reviewer wants to run instead.
    `level` is how many escalations were told.
    """

    id: str
    tenant: str
    call_id: str
    digest: str
    state: State
    tool: str
    tool_digest: str
    agent: str
    principal: str | None
    excluded: frozenset[str]
    requirement: Requirement
    arguments: bytes | None = field(repr=False)
    shown: dict[str, Any] = field(repr=False)
    request: dict[str, Any] = field(repr=False)
    snapshot: str
    decision_id: str
    opened_at: dt.datetime
    expires_at: dt.datetime
    epoch: str
    votes: tuple[Vote, ...] = ()
    stage: int = 0
    decided_at: dt.datetime | None = None
    claimed_at: dt.datetime | None = None
    settled_at: dt.datetime | None = None
    outcome: dict[str, Any] | None = None
    note: str = ""
    args_hmac: str = ""
    chain: tuple[str, ...] = ()
    last_event: str | None = None
    proposal: Proposal | None = None
    level: int = 0

    def reviewers(self, stage: int, at: dt.datetime) -> tuple[str, ...]:
        """Who may answer a stage at a time: further people too once nobody decided for long enough."""
        return self.requirement.stages[stage].after((at - self.opened_at).total_seconds())

    @property
    def escalations(self) -> tuple[Escalation, ...]:
        """Every escalation of every stage, in the order of time; the first `level` of them were told."""
        steps = [step for stage in self.requirement.stages for step in stage.escalate]
        return tuple(sorted(steps, key=lambda step: step.after_s))

    @property
    def due(self) -> dt.datetime | None:
        """When something has to happen to it next by itself: an escalation, or its expiry."""
        if self.state not in (State.REQUESTED, State.APPROVED):
            return None
        left = self.escalations[self.level :] if self.state is State.REQUESTED else ()
        if not left:
            return self.expires_at
        return min(self.expires_at, self.opened_at + dt.timedelta(seconds=left[0].after_s))
