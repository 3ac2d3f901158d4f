"""Compiled rules: everything about a rule that does not depend on the call, prepared at load."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from agentguard import cel
from agentguard.decision import (
    Approve,
    Effect,
    Escalation,
    Flag,
    FlagLevel,
    Matched,
    RedactResult,
    Stage,
    Suspend,
)
from agentguard.policy.document import (
    ApprovalDocument,
    EscalationDocument,
    FlagDocument,
    ObserveDocument,
    PolicyDocument,
    RuleDocument,
)
from agentguard.policy.expressions import Expressions, Fault
from agentguard.policy.findings import Finding
from agentguard.policy.functions import BASELINE, needs_of
from agentguard.policy.parse import ParsedPolicy, ParsedRule
from agentguard.policy.scalars import pattern_covers
from agentguard.policy.source import Source

__all__ = [
    "Assignment",
    "Entry",
    "Order",
    "ReservePlan",
    "Rule",
    "approve_obligation",
    "compile_policy",
    "order_of",
]

Order = tuple[int, bool, str]
"""Strongest first, the default last among equals, then by name."""
Entry = tuple[Order, Matched]
"""A match and where it stands."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a constraint writes to one path: a constant, or the value of an expression."""

    path: str
    steps: tuple[str, ...]
    program: cel.Program | None
    constant: Any = None


@dataclass(frozen=True, slots=True)
class ReservePlan:
    """A counter to take from; `per` and `amount` are computed for the call."""

    key: str
    per: tuple[cel.Program, ...]
    amount: cel.Program | int
    limit: int
    window_s: int | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rule:
    """A compiled rule.

    `effect` is what it contributes: an allow rule with a `flag:` block grants and contributes a flag.
    `condition` is None where it always holds. `matched` is what a decision says when the condition is true;
    `converted` the same after `converts_on`. An exception from it lasts at most `max_exception_s` seconds.
    """

    name: str
    policy: str
    id: str
    effect: Effect
    grants: bool
    tools: tuple[str, ...]
    text: str
    condition: cel.Program | None
    matched: Matched
    order: Order
    observed_flag: Flag | None = None
    observe_until: dt.datetime | None = None
    converts_on: dt.datetime | None = None
    converted: Matched | None = None
    converted_order: Order | None = None
    non_waivable: bool = False
    max_exception_s: int | None = None
    flag: Flag | None = None
    approve: Approve | None = None
    sets: tuple[Assignment, ...] = ()
    redact: RedactResult | None = None
    reserve: ReservePlan | None = None
    needs: frozenset[str] = frozenset()
    controls: tuple[str, ...] = ()
    owner: str | None = None

    @property
    def at(self) -> str | None:
        """`file:line` where known."""
        return self.matched.at


def order_of(match: Matched) -> Order:
    """Where a match stands among those of one decision."""
    return (-match.effect.rank, match.policy == "agentguard", match.name)


def approve_obligation(approval: ApprovalDocument, rule: str, reason: str) -> Approve:
    """The approval that a document asks for."""
    if approval.stages is not None:
        stages = tuple(
            Stage(stage.reviewers, stage.quorum, _escalations(stage.escalate)) for stage in approval.stages
        )
    else:
        stages = (Stage(approval.reviewers or (), approval.quorum, _escalations(approval.escalate)),)
    return Approve(
        stages=stages,
        expires_in_s=approval.expires_in,
        rules=(rule,),
        reason=reason,
        local=approval.local,
        reason_required=approval.reason_required,
        plan=approval.plan,
    )


def _escalations(steps: Iterable[EscalationDocument]) -> tuple[Escalation, ...]:
    return tuple(Escalation(step.after, step.to) for step in steps)


def compile_policy(policy: ParsedPolicy, expressions: Expressions) -> tuple[list[Rule], list[Finding]]:
    """The rules of a policy; with findings, of those that could be compiled."""
    rules: list[Rule] = []
    findings: list[Finding] = []
    for parsed in policy.rules:
        compiler = _Compiler(policy, parsed, expressions, findings)
        rule = compiler.rule()
        if rule is not None:
            rules.append(rule)
    return rules, findings


class _Compiler:
    """Compiles one rule; what is wrong goes to `findings`."""

    def __init__(
        self, policy: ParsedPolicy, parsed: ParsedRule, expressions: Expressions, findings: list[Finding]
    ) -> None:
        self.policy = policy
        self.parsed = parsed
        self.expressions = expressions
        self.findings = findings
        self.failed = False
        self.needs: set[str] = set()
        self.name = f"{policy.name}/{parsed.raw.get('id')}"

    def rule(self) -> Rule | None:
        document, header = self.parsed.document, self.policy.header
        if document is None:
            # The rest of the rule is wrong; its condition is still read, so that one run shows everything.
            when = self.parsed.raw.get("when")
            if isinstance(when, str) and when.strip():
                self.program(when, "when")
            return None
        condition = self.condition(document.when)
        sets = tuple(self.assignment(path, value) for path, value in sorted((document.set or {}).items()))
        reserve = self.reserve(document)
        if header is None:
            return None
        tools = self.tools(header, document)
        if self.failed:
            return None
        return self.build(header, document, condition, sets, reserve, tools)

    def condition(self, when: str | bool) -> cel.Program | None:
        if when is True:
            return None
        return self.program("false" if when is False else str(when), "when")

    def assignment(self, path: str, value: Any) -> Assignment:
        steps = tuple(path.split(".")[1:])
        if isinstance(value, str):
            return Assignment(path, steps, self.program(value, "set", path))
        return Assignment(path, steps, None, value)

    def reserve(self, document: RuleDocument) -> ReservePlan | None:
        found = document.reserve
        if found is None:
            return None
        per = [self.program(text, "reserve", "per", i) for i, text in enumerate(found.per)]
        amount = (
            found.amount if isinstance(found.amount, int) else self.program(found.amount, "reserve", "amount")
        )
        if amount is None or any(program is None for program in per):
            return None
        programs = tuple(program for program in per if program is not None)
        return ReservePlan(found.key, programs, amount, found.limit, found.window)

    def program(self, text: str, *path: str | int) -> cel.Program | None:
        found = self.expressions.compile(text)
        if isinstance(found, Fault):
            self.failed = True
            finding = self.policy.source.finding(
                found.code,
                f"{found.message} in {_where(path)} of rule `{self.parsed.raw.get('id')}`",
                ("rules", self.parsed.index, *path),
                offset=found.offset,
                hint=found.hint,
                rule=self.name,
            )
            self.findings.append(finding)
            return None
        self.needs |= needs_of(found)
        return found

    def tools(self, header: PolicyDocument, document: RuleDocument) -> tuple[str, ...]:
        """The patterns that lie in both the policy's and the rule's tools."""
        outer, inner = header.tools, document.tools
        at = ("rules", self.parsed.index)
        if outer is None and inner is None:
            self.failed = True
            self.findings.append(
                self.policy.source.finding(
                    "AG101",
                    f"no tools are named for rule `{document.id}`",
                    (*at, "id"),
                    hint="add `tools: [...]` to the rule or the policy",
                    rule=self.name,
                )
            )
            return ()
        patterns: set[str] = set()
        for wide in outer or ("*",):
            for narrow in inner or ("*",):
                if pattern_covers(wide, narrow):
                    patterns.add(narrow)
                elif pattern_covers(narrow, wide):
                    patterns.add(wide)
        if not patterns:
            self.failed = True
            self.findings.append(
                self.policy.source.finding(
                    "AG213",
                    f"the tools of rule `{document.id}` lie outside the tools of its policy",
                    (*at, "tools"),
                    hint=f"the policy is about {', '.join(f'`{p}`' for p in (outer or ())[:5])}",
                    rule=self.name,
                )
            )
        # INVARIANT: no pattern covers another, so that a tool finds a rule once.
        return tuple(
            sorted(p for p in patterns if not any(q != p and pattern_covers(q, p) for q in patterns))
        )

    def build(
        self,
        header: PolicyDocument,
        document: RuleDocument,
        condition: cel.Program | None,
        sets: tuple[Assignment, ...],
        reserve: ReservePlan | None,
        tools: tuple[str, ...],
    ) -> Rule:
        name, flag = self.name, document.flag
        grants = document.effect == "allow"
        effect = Effect.FLAG if grants and flag is not None else Effect(document.effect)
        matched = Matched(
            rule_id=document.id,
            policy=self.policy.name,
            effect=effect,
            reason=document.reason,
            at=_at(self.policy.source, self.parsed.index),
            deviation=BASELINE in self.needs,
            suspend=None
            if document.suspend is None
            else Suspend(document.suspend.after, document.suspend.within),
        )
        observe = _observing(header, document)
        converts = flag.converts if flag is not None else None
        converted = None
        if converts is not None:
            reason = document.reason or f"converted from a flag on {converts.on.date().isoformat()}"
            converted = replace(matched, effect=Effect(converts.to), reason=reason)
        approval = document.approval
        return Rule(
            name=name,
            policy=self.policy.name,
            id=document.id,
            effect=effect,
            grants=grants,
            tools=tools,
            text=document.when if isinstance(document.when, str) else str(document.when).lower(),
            condition=condition,
            matched=matched,
            order=order_of(matched),
            observed_flag=_observed_flag(observe, name, effect, document.reason),
            observe_until=observe.until if observe is not None else None,
            converts_on=converts.on if converts is not None else None,
            converted=converted,
            converted_order=order_of(converted) if converted is not None else None,
            non_waivable=document.non_waivable,
            max_exception_s=min(
                (one for one in (header.max_exception, document.max_exception) if one is not None),
                default=None,
            ),
            flag=_flag_obligation(flag, name, document.reason, BASELINE in self.needs),
            approve=approve_obligation(approval, name, document.reason) if approval is not None else None,
            sets=sets,
            redact=RedactResult(paths=document.redact_result, rule=name) if document.redact_result else None,
            reserve=reserve,
            needs=frozenset(self.needs),
            controls=tuple(dict.fromkeys((*header.controls, *document.controls))),
            owner=header.owner,
        )


def _where(path: tuple[str | int, ...]) -> str:
    return (
        "the condition"
        if path == ("when",)
        else f"`{'.'.join(str(part) for part in path if isinstance(part, str))}`"
    )


def _at(source: Source, index: int) -> str | None:
    """`file:line` of a rule's id."""
    if not source.file:
        return None
    line = source.place(("rules", index, "id")).line if source.root is None else _line(source, index)
    return f"{source.file}:{line}"


def _line(source: Source, index: int) -> int:
    node: Any = source.root
    # INVARIANT: the rule is one whose document was read, so its mapping has an `id`.
    return source.at(node.items["rules"][1].items[index].items["id"][1].index).line


def _observing(header: PolicyDocument, document: RuleDocument) -> ObserveDocument | None:
    if document.observe is not None:
        return document.observe
    return None if document.mode == "enforce" else header.observe


def _observed_flag(observe: ObserveDocument | None, name: str, effect: Effect, reason: str) -> Flag | None:
    if observe is None:
        return None
    return Flag(
        rule=name,
        owner=observe.owner,
        reason=reason,
        converts_on=observe.until.date().isoformat(),
        converts_to=effect,
        observed=effect,
    )


def _flag_obligation(flag: FlagDocument | None, name: str, reason: str, deviation: bool) -> Flag | None:
    if flag is None:
        return None
    converts = flag.converts
    return Flag(
        rule=name,
        owner=flag.owner,
        reason=reason,
        review_in_s=flag.review_in,
        escalate_to=_levels(flag),
        converts_on=converts.on.date().isoformat() if converts is not None else None,
        converts_to=Effect(converts.to) if converts is not None else None,
        deviation=deviation,
    )


def _levels(flag: FlagDocument) -> str | tuple[FlagLevel, ...] | None:
    levels = tuple(FlagLevel(one.to, one.after or 0) for one in flag.escalate_to or ())
    return levels[0].to if len(levels) == 1 and not levels[0].after_s else levels or None
