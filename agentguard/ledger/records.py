"""The events of the ledger, read back: one model a type, joined in the union `Record`.

What version 1 leaves out is null or empty, so the models' defaults give it back. Unknown keys and unknown
types are errors: a leaf that says more than we understand is not one we can vouch for.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agentguard.decision import Effect
from agentguard.errors import StoreError
from agentguard.ledger.flag_records import FlagMoved
from agentguard.ledger.governance_records import AgentMoved, BaselineMoved, ExceptionMoved, GrantMoved

__all__ = [
    "AgentMoved",
    "ApprovalOpened",
    "ApprovalState",
    "BaselineMoved",
    "Claimed",
    "DecisionRecord",
    "ExceptionMoved",
    "FlagMoved",
    "FlagRaised",
    "GrantMoved",
    "Outcome",
    "PolicyLoaded",
    "PolicyRefused",
    "Record",
    "RegisterChanged",
    "Segment",
    "StoreRenewed",
    "VoteRecord",
    "parse",
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Event(_Model):
    v: Literal[1]
    id: str
    tenant: str
    at: dt.datetime


class _Call(_Event):
    call_id: str = ""
    agent: str = ""
    principal: str | None = None
    chain: tuple[str, ...] = ()
    session: str | None = None
    tool: str
    tool_digest: str = ""
    args_hmac: str = ""


class _OfApproval(_Call):
    approval: str
    prev: str | None = None


class SuspendRule(_Model):
    """How often a rule fires on an agent, within so many seconds, before it is suspended."""

    after: int
    within_s: int


class MatchedRule(_Model):
    """A rule that fired; `error` is the kind of error only."""

    rule_id: str
    policy: str
    effect: Effect
    mode: Literal["enforce", "observe"] = "enforce"
    reason: str = ""
    error: str | None = None
    at: str | None = None
    deviation: bool = False
    suspend: SuspendRule | None = None


class Exempted(_Model):
    """An exception that waived rules."""

    id: str = ""
    waived: tuple[str, ...] = ()


class Decided(_Model):
    """A decision without values."""

    effect: Effect
    granted_by: tuple[str, ...] = ()
    matched: tuple[MatchedRule, ...] = ()
    observed: tuple[MatchedRule, ...] = ()
    obligations: tuple[dict[str, Any], ...] = ()
    exceptions: tuple[Exempted, ...] = ()
    snapshot: str = ""
    register_: Annotated[int, Field(alias="register")] = 0


class DecisionRecord(_Call):
    """`decision`: one answer of the policy core; `runs` when the guard let the tool run on it."""

    type: Literal["decision"]
    decision: Decided
    runs: bool
    phase: Literal["decide", "claim"] = "decide"
    digest: str | None = None
    environment: str | None = None
    owner: str | None = None
    secrets: tuple[str, ...] = ()
    error: str | None = None
    approval: str | None = None
    prev: str | None = None
    calls: int | None = None
    context: str | None = None
    facts: str | None = None
    limited: bool = False


class Outcome(_Call):
    """`outcome`: how a call that ran ended; `approval` where it was an approved one."""

    type: Literal["outcome"]
    decision_id: str
    status: Literal["succeeded", "failed", "unknown"]
    duration_us: int | None = None
    error: str | None = None
    result_hmac: str | None = None
    reason: str = ""
    approval: str | None = None
    prev: str | None = None


class AskedLater(_Model):
    """Further reviewers of a stage."""

    after_s: int
    reviewers: tuple[str, ...]


class AskedStage(_Model):
    """One stage of a requirement."""

    reviewers: tuple[str, ...]
    quorum: int
    escalate: tuple[AskedLater, ...] = ()


class Asked(_Model):
    """Who must agree."""

    stages: tuple[AskedStage, ...]
    expires_in_s: int
    rules: tuple[str, ...] = ()
    reason: str = ""
    local: bool = False
    reason_required: bool = False


class ApprovalOpened(_OfApproval):
    """`approval.opened`."""

    type: Literal["approval.opened"]
    digest: str
    decision_id: str = ""
    snapshot: str = ""
    expires_at: dt.datetime
    excluded: tuple[str, ...] = ()
    requirement: Asked


class VoteRecord(_OfApproval):
    """`vote`: one person's answer; `counted` is false for one that came too late."""

    type: Literal["vote"]
    subject: str
    verdict: Literal["approve", "deny"]
    assurance: Literal["signed", "login", "resolver", "local"]
    memberships: tuple[str, ...] = ()
    digest: str
    stage: int
    reason: str = ""
    signature: str | None = None
    counted: bool
    why: str = ""


class ApprovalState(_OfApproval):
    """`approval.approved`, `.denied`, `.expired`, `.withdrawn`, `.superseded` or `.revoked`."""

    type: Literal[
        "approval.approved",
        "approval.denied",
        "approval.expired",
        "approval.withdrawn",
        "approval.superseded",
        "approval.revoked",
    ]
    by: str = ""
    reason: str = ""
    edited: bool = False
    assurance: str = ""
    signature: str | None = None


class Escalated(_OfApproval):
    """`approval.escalated`: nobody decided for `after_s` seconds, and `reviewers` may answer too."""

    type: Literal["approval.escalated"]
    after_s: int
    reviewers: tuple[str, ...]


class Claimed(_OfApproval):
    """`claimed`: the approved call began to run."""

    type: Literal["claimed"]
    decision_id: str = ""
    digest: str
    epoch: str = ""
    reviewers: tuple[str, ...] = ()


class FlagRaised(_Call):
    """`flag.raised`."""

    type: Literal["flag.raised"]
    decision_id: str
    due: dt.datetime | None = None
    flag: dict[str, Any]


class PolicyLoaded(_Event):
    """`policy.loaded`."""

    type: Literal["policy.loaded"]
    snapshot: str
    rules: int
    sources: dict[str, str] = {}
    previous: str | None = None
    bundle: dict[str, Any] | None = None
    removed: tuple[str, ...] = ()
    loosened: tuple[str, ...] = ()
    permits: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    observing: tuple[str, ...] = ()


class PolicyRefused(_Event):
    """`policy.refused`."""

    type: Literal["policy.refused"]
    snapshot: str
    reason: str = ""


class RegisterChanged(_Event):
    """`register`."""

    type: Literal["register"]
    version: int
    changed: tuple[str, ...] = ()
    digest: str


class StoreRenewed(_Event):
    """`store.renewed`."""

    type: Literal["store.renewed"]
    epoch: str
    previous: str
    waiting: int = 0
    reason: str = ""


class Segment(_Event):
    """`segment`: the edge of a batched writer's loss window."""

    type: Literal["segment"]
    writer: str
    state: Literal["open", "closed", "lost"]
    window_ms: int
    count: int = 0


Record = Annotated[
    DecisionRecord
    | Outcome
    | ApprovalOpened
    | VoteRecord
    | ApprovalState
    | Escalated
    | Claimed
    | FlagRaised
    | PolicyLoaded
    | PolicyRefused
    | RegisterChanged
    | Segment
    | StoreRenewed
    | ExceptionMoved
    | GrantMoved
    | AgentMoved
    | BaselineMoved
    | FlagMoved,
    Field(discriminator="type"),
]

_adapter: Final[TypeAdapter[Record]] = TypeAdapter(Record)


def parse(leaf: bytes) -> Record:
    """The event in a leaf.

    Raises:
        StoreError: it is not an event that this version knows.
    """
    try:
        return _adapter.validate_json(leaf)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"not an event of the ledger: `{place}`: {first['msg']}") from None
