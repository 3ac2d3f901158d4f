"""What the policy core answers: an effect, what the call needs to run, and every rule that spoke."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

__all__ = [
    "AppliedException",
    "Approve",
    "Decision",
    "Effect",
    "Escalation",
    "Flag",
    "FlagLevel",
    "Matched",
    "Mode",
    "Obligation",
    "RedactResult",
    "Reserve",
    "SetArgument",
    "Stage",
    "Suspend",
]

Mode = Literal["enforce", "observe"]


class Effect(StrEnum):
    """The five answers, weakest first; `rank` orders them and the strongest wins."""

    ALLOW = "allow"
    FLAG = "flag"
    CONSTRAIN = "constrain"
    STEP_UP = "step_up"
    DENY = "deny"

    rank: int


for _rank, _effect in enumerate(Effect):
    _effect.rank = _rank


@dataclass(frozen=True, slots=True)
class Suspend:
    """That a rule suspends an agent on which it fires `after` times within `within_s` seconds."""

    after: int
    within_s: int

    def to_json(self) -> dict[str, Any]:
        return {"after": self.after, "within_s": self.within_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """One rule that fired.

    `error` is set when the rule fired because it could not be evaluated. `at` is `file:line` where known.
    `policy` is `agentguard` for what the guard itself says (`agentguard/default`, `agentguard/identity`).
    `deviation` says that its condition asks for the agent's baseline.
    """

    rule_id: str
    policy: str
    effect: Effect
    mode: Mode = "enforce"
    reason: str = ""
    error: str | None = None
    at: str | None = None
    deviation: bool = False
    suspend: Suspend | None = None

    @property
    def name(self) -> str:
        return f"{self.policy}/{self.rule_id}"

    def to_json(self) -> dict[str, Any]:
        return {
            "rule_id": self.rule_id,
            "policy": self.policy,
            "effect": self.effect.value,
            "mode": self.mode,
            "reason": self.reason,
            "error": self.error,
            "at": self.at,
            **({"deviation": True} if self.deviation else {}),
            **({} if self.suspend is None else {"suspend": self.suspend.to_json()}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SetArgument:
    """Rewrite one argument before the tool runs; `path` is dotted from the root, such as `args.note`."""

    path: str
    value: Any
    rule: str
    kind: Literal["set"] = "set"


@dataclass(frozen=True, slots=True)
class FlagLevel:
    """To whom a flag goes that nobody has reviewed, `after_s` seconds after its review was due."""

    to: str
    after_s: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"to": self.to, "after_s": self.after_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Record a violation; the call proceeds. `review_in_s` is in seconds, `converts_on` an ISO date.

    `escalate_to` is one name, to whom it goes when its review is due, or levels in order. `observed` is the
    effect that the rule would have had, `exception` the one that stood in for the rule, `deviation` says that
    its condition asks for the agent's baseline.
    """

    rule: str
    owner: str
    reason: str = ""
    review_in_s: int | None = None
    escalate_to: str | tuple[FlagLevel, ...] | None = None
    converts_on: str | None = None
    converts_to: Effect | None = None
    observed: Effect | None = None
    exception: str | None = None
    deviation: bool = False
    kind: Literal["flag"] = "flag"

    @property
    def levels(self) -> tuple[FlagLevel, ...]:
        """To whom it goes and when, the first level first; empty where nobody is named."""
        named = self.escalate_to
        return (FlagLevel(named),) if isinstance(named, str) else named or ()

    def escalation_json(self) -> str | list[dict[str, Any]] | None:
        """`escalate_to` as JSON: one name that it goes to at once is that name."""
        levels = self.levels
        if len(levels) == 1 and not levels[0].after_s:
            return levels[0].to
        return [level.to_json() for level in levels] or None


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who may answer too once nobody decided for `after_s` seconds."""

    after_s: int
    reviewers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"after_s": self.after_s, "reviewers": list(self.reviewers)}


@dataclass(frozen=True, slots=True)
class Stage:
    """One round of a step-up: `quorum` distinct people out of `reviewers`.

    A reviewer is `group:NAME`, `principal` (the person on whose behalf the agent acts) or a subject id.
    `escalate` adds reviewers when time has passed, in the order of time.
    """

    reviewers: tuple[str, ...]
    quorum: int = 1
    escalate: tuple[Escalation, ...] = ()

    def after(self, seconds: float) -> tuple[str, ...]:
        """The reviewers when a question is so many seconds old."""
        if not self.escalate:
            return self.reviewers
        more = [name for step in self.escalate if seconds >= step.after_s for name in step.reviewers]
        return tuple(dict.fromkeys((*self.reviewers, *more)))

    @property
    def everybody(self) -> tuple[str, ...]:
        """All who may ever answer."""
        return self.after(float("inf"))

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"reviewers": list(self.reviewers), "quorum": self.quorum}
        if self.escalate:
            found["escalate"] = [step.to_json() for step in self.escalate]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Obtain an approval before the tool runs; `expires_in_s` is in seconds from the opening.

    `local` accepts an unverified answer from this machine, counted as one person called `local`.
    `reason_required` refuses votes without a reason. `rules` are the step-ups that this satisfies. `plan`
    offers a grant for what the user handed over (see docs/provenance.md).
    """

    stages: tuple[Stage, ...]
    expires_in_s: int
    rules: tuple[str, ...]
    reason: str = ""
    local: bool = False
    reason_required: bool = False
    plan: bool = False
    kind: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Take `amount` from the counter `key`, which may not pass `limit` within `window_s` seconds."""

    key: str
    amount: int
    limit: int
    rule: str
    window_s: int | None = None
    kind: Literal["reserve"] = "reserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactResult:
    """Mask these paths (`$` is the result) before anybody but the tool sees the result."""

    paths: tuple[str, ...]
    rule: str
    kind: Literal["redact_result"] = "redact_result"


Obligation = SetArgument | Flag | Approve | Reserve | RedactResult


@dataclass(frozen=True, slots=True)
class AppliedException:
    """An exception that waived rules in this decision."""

    id: str
    waived: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to one context request, by one snapshot.

    `matched` holds every rule that fired in enforce mode, strongest first, then by name; `observed` those in
    observe mode. `granted_by` names the allow rules that permit. `snapshot` and `register` say which policies
    and which version of the exceptions and grants were asked.
    """

    effect: Effect
    matched: tuple[Matched, ...] = ()
    granted_by: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    exceptions: tuple[AppliedException, ...] = ()
    observed: tuple[Matched, ...] = ()
    snapshot: str = ""
    register: int = 0

    @property
    def deciding(self) -> Matched | None:
        """The first enforced rule whose effect is the decision's effect; None never happens for a deny."""
        for match in self.matched:
            if match.effect is self.effect:
                return match
        return self.matched[0] if self.matched else None

    @property
    def approval(self) -> Approve | None:
        """The step-up to obtain, if there is one."""
        for obligation in self.obligations:
            if isinstance(obligation, Approve):
                return obligation
        return None

    def to_json(self, *, values: bool = True) -> dict[str, Any]:
        """As plain JSON data; `values=False` leaves out what a constraint writes, as the ledger does."""
        return {
            "effect": self.effect.value,
            "granted_by": list(self.granted_by),
            "matched": [match.to_json() for match in self.matched],
            "obligations": [_obligation_json(obligation, values) for obligation in self.obligations],
            "exceptions": [{"id": x.id, "waived": list(x.waived)} for x in self.exceptions],
            "observed": [match.to_json() for match in self.observed],
            "snapshot": self.snapshot,
            "register": self.register,
        }


def _obligation_json(obligation: Obligation, values: bool) -> dict[str, Any]:
    match obligation:
        case SetArgument():
            data: dict[str, Any] = {"kind": "set", "path": obligation.path, "rule": obligation.rule}
            if values:
                data["value"] = plain(obligation.value)
            return data
        case Flag():
            return {
                "kind": "flag",
                "rule": obligation.rule,
                "owner": obligation.owner,
                "reason": obligation.reason,
                "review_in_s": obligation.review_in_s,
                "escalate_to": obligation.escalation_json(),
                "converts_on": obligation.converts_on,
                "converts_to": obligation.converts_to.value if obligation.converts_to else None,
                "observed": obligation.observed.value if obligation.observed else None,
                "exception": obligation.exception,
            }
        case Approve():
            return {
                "kind": "approve",
                "stages": [stage.to_json() for stage in obligation.stages],
                "expires_in_s": obligation.expires_in_s,
                "rules": list(obligation.rules),
                "reason": obligation.reason,
                "local": obligation.local,
                "reason_required": obligation.reason_required,
                **({"plan": True} if obligation.plan else {}),
            }
        case Reserve():
            return {
                "kind": "reserve",
                "key": obligation.key,
                "amount": obligation.amount,
                "limit": obligation.limit,
                "rule": obligation.rule,
                "window_s": obligation.window_s,
            }
        case RedactResult():
            return {"kind": "redact_result", "paths": list(obligation.paths), "rule": obligation.rule}


def plain(value: object) -> Any:
    """The same value built from dict and list only, so that `json` can write it."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value
