"""A policy document: the models of what a file may say, and what no model can express.

Shapes are pydantic models; `problems` finds what depends on several keys of a rule. Both are reported
together, so that one run shows everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from agentguard.policy.scalars import (
    Amount,
    ArgumentPath,
    Assigned,
    Condition,
    Instant,
    Name,
    ResultPath,
    Reviewer,
    Seconds,
    Text,
    ToolPattern,
)

__all__ = [
    "RESERVED",
    "ApprovalDocument",
    "ConvertsDocument",
    "FlagDocument",
    "FlagLevelDocument",
    "ObserveDocument",
    "PolicyDocument",
    "Problem",
    "ReserveDocument",
    "RuleDocument",
    "StageDocument",
    "SuspendDocument",
    "problems",
]

RESERVED: Final = frozenset({"agentguard", "engine", "exception", "grant"})
"""Names that stand in decisions for something else than a policy."""

_PER_EFFECT: Final = {
    "set": ("constrain",),
    "redact_result": ("allow", "flag", "constrain", "step_up"),
    "reserve": ("allow", "flag", "constrain", "step_up"),
    "flag": ("allow", "flag"),
    "non_waivable": ("flag", "constrain", "step_up", "deny"),
    "max_exception": ("flag", "constrain", "step_up", "deny"),
    "suspend": ("flag", "deny"),
}
_SPAN: Final = 31 * 86_400
"""Seconds in which a rule's firing is counted at most."""
Listed = Field(strict=False)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ObserveDocument(_Model):
    """Observe mode: who watches, and until when; afterwards the rule is enforced."""

    owner: Text
    until: Instant


class EscalationDocument(_Model):
    """Further reviewers, once nobody decided for so long."""

    after: Seconds
    to: Annotated[tuple[Reviewer, ...], Field(strict=False, min_length=1, max_length=50)]


_Escalations = Annotated[tuple[EscalationDocument, ...], Field(strict=False, max_length=10)]


class StageDocument(_Model):
    """One stage of an approval: so many distinct people out of these."""

    reviewers: Annotated[tuple[Reviewer, ...], Field(strict=False, min_length=1, max_length=50)]
    quorum: Annotated[int, Field(ge=1, le=50)] = 1
    escalate: _Escalations = ()


class ApprovalDocument(_Model):
    """What a step-up asks for: reviewers and quorum, or several stages in order.

    `plan` offers to approve, with the call, what else the user handed over with it: a grant for the session.
    """

    reviewers: Annotated[tuple[Reviewer, ...], Field(strict=False, min_length=1, max_length=50)] | None = None
    quorum: Annotated[int, Field(ge=1, le=50)] = 1
    stages: Annotated[tuple[StageDocument, ...], Field(strict=False, min_length=1, max_length=10)] | None = (
        None
    )
    escalate: _Escalations = ()
    expires_in: Seconds = 1800
    local: bool = False
    reason_required: bool = False
    plan: bool = False


class ConvertsDocument(_Model):
    """When a flag becomes enforcement, and which."""

    on: Instant
    to: Literal["step_up", "deny"]


class FlagLevelDocument(_Model):
    """To whom an unreviewed flag goes, and how long after its review was due; left out: at once."""

    to: Text
    after: Seconds | None = None


_Levels = Annotated[list[FlagLevelDocument], Field(min_length=1, max_length=10)]


def _levels(value: Any) -> Any:
    return [{"to": value}] if isinstance(value, str) else value


class FlagDocument(_Model):
    """Who answers for a flag, by when it is reviewed, to whom it escalates, when it becomes enforcement."""

    owner: Text
    review_in: Seconds | None = None
    escalate_to: (
        Annotated[
            tuple[FlagLevelDocument, ...],
            Field(strict=False, min_length=1, max_length=10),
            BeforeValidator(_levels, json_schema_input_type=Text | _Levels),
        ]
        | None
    ) = None
    converts: ConvertsDocument | None = None


class ReserveDocument(_Model):
    """A counter that the call takes from before it runs; `amount` and `per` are expressions."""

    key: Name
    per: Annotated[tuple[Text, ...], Field(strict=False, max_length=8)] = ()
    amount: Amount = 1
    limit: Annotated[int, Field(ge=0, le=2**53)]
    window: Seconds | None = None


class SuspendDocument(_Model):
    """Suspend an agent on which the rule fires `after` times within a span of time."""

    after: Annotated[int, Field(ge=1, le=1000)]
    within: Seconds


class RuleDocument(_Model):
    """One condition with one effect."""

    id: Name
    effect: Literal["allow", "flag", "constrain", "step_up", "deny"]
    when: Condition = True
    tools: Annotated[tuple[ToolPattern, ...], Field(strict=False, min_length=1)] | None = None
    description: str = ""
    reason: str = ""
    controls: Annotated[tuple[Text, ...], Listed] = ()
    mode: Literal["enforce", "observe"] | None = None
    observe: ObserveDocument | None = None
    non_waivable: bool = False
    max_exception: Seconds | None = None
    approval: ApprovalDocument | None = None
    flag: FlagDocument | None = None
    set: dict[ArgumentPath, Assigned] | None = None
    redact_result: Annotated[tuple[ResultPath, ...], Field(strict=False, min_length=1)] | None = None
    reserve: ReserveDocument | None = None
    suspend: SuspendDocument | None = None


class PolicyDocument(_Model):
    """A policy file."""

    policy: Name
    owner: Text | None = None
    description: str = ""
    controls: Annotated[tuple[Text, ...], Listed] = ()
    tools: Annotated[tuple[ToolPattern, ...], Field(strict=False, min_length=1)] | None = None
    mode: Literal["enforce", "observe"] | None = None
    observe: ObserveDocument | None = None
    max_exception: Seconds | None = None
    rules: Annotated[tuple[RuleDocument, ...], Listed]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a rule as a whole; `path` is relative to it."""

    code: str
    message: str
    path: tuple[str | int, ...] = ()
    hint: str = ""


def problems(
    rule: RuleDocument, *, policy_observed: bool = False, owner: str | None = None
) -> Iterator[Problem]:
    """What is wrong with a rule whose keys are each right; `owner` is the policy's."""
    effect = rule.effect
    for key, effects in _PER_EFFECT.items():
        if getattr(rule, key) and effect not in effects:
            wanted = " and ".join(f"`{name}`" for name in effects)
            yield Problem(
                "AG110", f"`{key}` does not belong to a `{effect}` rule", (key,), f"it is for {wanted} rules"
            )
    converts = rule.flag.converts if rule.flag is not None else None
    to_step_up = converts is not None and converts.to == "step_up"
    if rule.approval is not None and effect != "step_up" and not to_step_up:
        yield Problem(
            "AG110", f"`approval` does not belong to a `{effect}` rule", ("approval",), "it is for `step_up`"
        )
    if to_step_up and rule.approval is None:
        yield Problem(
            "AG115", "the flag converts to a step-up and there is no `approval`", ("flag", "converts", "to"),
            "add `approval: {reviewers: [...]}`",
        )  # fmt: skip
    if effect == "step_up" and rule.approval is None:
        yield Problem(
            "AG111", "the step-up has no reviewers", ("effect",), "add `approval: {reviewers: [...]}`"
        )
    if effect == "flag" and rule.flag is None:
        yield Problem("AG112", "the flag has no owner", ("effect",), "add `flag: {owner: ...}`")
    if rule.flag is not None:
        yield from _escalating(rule.flag)
    if effect == "constrain" and rule.set is None and not (rule.redact_result or rule.reserve):
        yield Problem(
            "AG101", "the rule constrains nothing", ("effect",), "add `set`, `redact_result` or `reserve`"
        )
    if rule.set is not None and not rule.set:
        yield Problem("AG101", "`set` is empty", ("set",))
    yield from _observing(rule, policy_observed)
    if rule.suspend is not None:
        yield from _suspending(rule, rule.suspend, policy_observed, owner)
    if rule.approval is not None:
        yield from approval_problems(rule.approval)


def _escalating(flag: FlagDocument) -> Iterator[Problem]:
    """Levels that are not in order: the later one would have it before, or together with, the earlier."""
    before = -1
    for index, level in enumerate(flag.escalate_to or ()):
        after = level.after or 0
        if after <= before:
            yield Problem(
                "AG112", f"the flag goes to `{level.to[:60]}` no later than to the level before",
                ("flag", "escalate_to", index), "each level has a longer `after`, counted from the due date",
            )  # fmt: skip
        before = after


def _suspending(
    rule: RuleDocument, suspend: SuspendDocument, policy_observed: bool, owner: str | None
) -> Iterator[Problem]:
    if owner is None and rule.flag is None:
        yield Problem(
            "AG119", "nobody answers for the suspension", ("suspend",), "add `owner:` to the policy"
        )
    if rule.observe is not None or (policy_observed and rule.mode != "enforce"):
        yield Problem(
            "AG119",
            "an observed rule suspends nobody",
            ("suspend",),
            "leave `suspend` out until it is enforced",
        )
    if suspend.within > _SPAN:
        yield Problem("AG119", "the span is longer than 31 days", ("suspend", "within"))


def _observing(rule: RuleDocument, policy_observed: bool) -> Iterator[Problem]:
    yield from mode_problems(rule.mode, rule.observe, policy_observed)
    observed = rule.observe is not None or (policy_observed and rule.mode != "enforce")
    if observed and rule.non_waivable:
        path = ("observe",) if rule.observe is not None else ("non_waivable",)
        yield Problem(
            "AG114", "a non-waivable rule cannot be observed", path, "say `mode: enforce` on the rule"
        )


def mode_problems(
    mode: str | None, observe: ObserveDocument | None, outer: bool = False
) -> Iterator[Problem]:
    """What is wrong with `mode` and `observe`, of a rule or of a policy."""
    if mode == "observe" and observe is None and not outer:
        yield Problem(
            "AG113", "observe mode has no owner and no end date", ("mode",),
            "add `observe: {owner: ..., until: 2027-01-31}`",
        )  # fmt: skip
    if mode == "enforce" and observe is not None:
        yield Problem("AG113", "`mode: enforce` contradicts `observe`", ("mode",), "remove one of the two")


def _single(approval: ApprovalDocument) -> StageDocument:
    """The one stage of an approval that does not name stages."""
    return StageDocument.model_construct(
        reviewers=approval.reviewers, quorum=approval.quorum, escalate=approval.escalate
    )


def _escalation_problems(
    at: tuple[str | int, ...], stage: StageDocument, expires_in: int
) -> Iterator[Problem]:
    last = 0
    for number, step in enumerate(stage.escalate):
        where = (*at, "escalate", number, "after")
        if step.after >= expires_in:
            yield Problem(
                "AG111", "the escalation comes when nobody can answer any more", where,
                "escalate before `expires_in`",
            )  # fmt: skip
        elif step.after <= last:
            yield Problem("AG111", "escalations stand in the order of time", where, "sort them by `after`")
        last = step.after


def approval_problems(approval: ApprovalDocument) -> Iterator[Problem]:
    if approval.reviewers is None and approval.stages is None:
        yield Problem(
            "AG111", "the approval has no reviewers", ("approval",), "add `reviewers: [group:NAME]`"
        )
    if approval.stages is not None:
        if approval.reviewers is not None or approval.model_fields_set & {"quorum", "escalate"}:
            yield Problem(
                "AG111", "the approval has `stages` beside `reviewers`, `quorum` or `escalate`",
                ("approval", "stages"),
                "each stage has its own",
            )  # fmt: skip
        stages = [(("approval", "stages", i), stage) for i, stage in enumerate(approval.stages)]
    elif approval.reviewers is not None:
        stages = [(("approval",), _single(approval))]  # type: ignore[list-item]
    else:
        stages = []
    for at, stage in stages:
        yield from _escalation_problems(at, stage, approval.expires_in)
        people = {*stage.reviewers, *[name for step in stage.escalate for name in step.to]}
        if "principal" in people and (len(people) > 1 or stage.quorum > 1):
            yield Problem(
                "AG111", "`principal` stands alone in its stage, with a quorum of one", (*at, "reviewers"),
                "make it a stage of its own",
            )  # fmt: skip
        elif stage.quorum > len(people) and not any(name.startswith("group:") for name in people):
            yield Problem(
                "AG111",
                f"a quorum of {stage.quorum} can never be reached by {len(people)}",
                (*at, "quorum"),
            )
