"""A report as programs read it: `agentguard report --json`, version 1 (`agentguard schema report`).

Every list is bounded: what it leaves out is counted in the number beside it. Times are in UTC, durations in
seconds, events are named by their id.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "VERSION",
    "AgentsState",
    "BaselineState",
    "Change",
    "ControlEvidence",
    "Day",
    "Deviation",
    "EndedException",
    "ExceptionLine",
    "ExceptionsState",
    "FindingKind",
    "FlagLine",
    "FlagsState",
    "LedgerState",
    "Questions",
    "Recurring",
    "Report",
    "ReportFinding",
    "Reviewer",
    "RuleUse",
]

VERSION: Final = 1

FindingKind = Literal[
    "agent suspended", "approved too fast", "asks too much", "break glass", "deviation", "exception expiring",
    "exception recurring", "exception still needed", "exception unused", "exception unvalidated",
    "flag breach", "flag overdue", "inventory",
    "ledger not intact", "ledger not vouched for", "no baseline", "policies loosened", "reviewer overloaded",
    "rule unused", "unknown control",
]  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReportFinding(_Model):
    """Something that somebody should look into; `about` is the rule, agent, person, exception or flag."""

    kind: FindingKind
    about: str
    message: str


class Day(_Model):
    """Decisions of one day (UTC) by effect, and how many of them deviated."""

    day: str
    effects: dict[str, int]
    deviations: int


class Deviation(_Model):
    """Calls of an agent on which a rule about its baseline fired; the newest of them by event."""

    rule: str
    agent: str
    tool: str
    effect: str
    calls: int
    first: dt.datetime
    last: dt.datetime
    events: tuple[str, ...]


class RuleUse(_Model):
    """How often a rule fired in the period, and how often it could not be evaluated."""

    rule: str
    effect: str
    fired: int
    observed: int
    errors: int
    in_force: bool
    last: dt.datetime | None


class Questions(_Model):
    """What people were asked because of a rule, and what they said.

    `median_s` and `p95_s` are from the question to the answer. `share` is approvals over approvals and
    denials; None where nobody answered.
    """

    rule: str
    asked: int
    approved: int
    denied: int
    expired: int
    withdrawn: int
    other: int
    waiting: int
    median_s: float | None
    p95_s: float | None
    share: float | None


class Reviewer(_Model):
    """A person: questions put to them, answers, the busiest hours of both, most approvals within 60 s."""

    name: str
    asked: int
    busiest_hour: str | None
    busiest_asked: int
    answers: int
    busiest_answers: int
    approved: int
    denied: int
    late: int
    approved_in_60s: int


class FlagLine(_Model):
    """A flag that is overdue."""

    id: str
    rule: str
    agent: str | None
    tool: str | None
    owner: str
    holder: str
    calls: int
    level: int
    due: dt.datetime
    breach: bool


class FlagsState(_Model):
    """Flags as they stand now."""

    open: int
    overdue: int
    breaches: int
    lines: tuple[FlagLine, ...]


class ExceptionLine(_Model):
    """An exception in force."""

    id: str
    agent: str
    rules: tuple[str, ...]
    owner: str
    age_days: int
    expires: dt.datetime
    uses: int
    renewal: int


class Recurring(_Model):
    """The same scope, asked for again and again: renewals count."""

    agent: str
    rules: tuple[str, ...]
    tools: tuple[str, ...]
    times: int
    ids: tuple[str, ...]


class EndedException(_Model):
    """An exception that expired within the period; `matching` calls since would have needed it, and of
    `unclear` ones that cannot be told any more."""

    id: str
    agent: str
    rules: tuple[str, ...]
    owner: str
    expired: dt.datetime
    uses: int
    matching: int
    unclear: int


class ExceptionsState(_Model):
    """Exceptions as they stand now: those in force, the next to end first; `ages` by days since the approval,
    `expiring`, `unused` and `unvalidated` (asleep until somebody confirms them) by id; and those that expired
    within the period, the newest first."""

    active: int
    requested: int
    ages: dict[str, int]
    lines: tuple[ExceptionLine, ...]
    expiring: tuple[str, ...]
    unused: tuple[str, ...]
    unvalidated: tuple[str, ...]
    recurring: tuple[Recurring, ...]
    ended: tuple[EndedException, ...]


class BaselineState(_Model):
    """A baseline as it stands now."""

    agent: str
    state: str
    version: int
    owner: str
    ends: dt.datetime
    waiting: bool


class AgentsState(_Model):
    """The inventory as it stands now."""

    known: int
    suspended: tuple[str, ...]
    offboarded: int
    findings: tuple[tuple[str, str, str], ...]


class LedgerState(_Model):
    """The ledger: how much of it was verified, and how far a checkpoint vouches for it.

    `checkpoint_age_s` is how old the newest event is that a checkpoint covers.
    """

    size: int
    root: str
    verified: int | None
    problems: tuple[str, ...]
    checkpoints: int
    covered: int
    checkpoint_age_s: float | None


class Change(_Model):
    """A change of what is enforced: policies, suspensions, exceptions, the life of the store."""

    at: dt.datetime
    event: str
    kind: str
    text: str
    loosens: bool


class ControlEvidence(_Model):
    """What shows that a control works: its rules, and what they did in the period."""

    id: str
    title: str | None
    catalogue: str | None
    source: str | None
    standing: str | None
    rules: tuple[str, ...]
    decisions: int
    flags: int
    approvals: int
    exceptions: tuple[str, ...]
    events: tuple[str, ...]


class Report(_Model):
    """A report on the events from `begin` to before `end`, and on what stands at `made_at`."""

    schema_version: Literal[1] = VERSION
    tenant: str
    agent: str | None
    begin: dt.datetime
    end: dt.datetime
    made_at: dt.datetime
    events: int
    effects: dict[str, int]
    days: tuple[Day, ...]
    deviations: tuple[Deviation, ...]
    deviating_calls: int
    rules: tuple[RuleUse, ...]
    rules_known: bool
    questions: tuple[Questions, ...]
    reviewers: tuple[Reviewer, ...]
    flags: FlagsState
    exceptions: ExceptionsState
    baselines: tuple[BaselineState, ...]
    agents: AgentsState
    ledger: LedgerState
    changes: tuple[Change, ...]
    controls: tuple[ControlEvidence, ...]
    findings: tuple[ReportFinding, ...]
