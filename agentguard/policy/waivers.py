"""The register compiled against the rules: which exceptions may waive a rule, which grants may satisfy it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from agentguard import cel
from agentguard.call import ContextRequest
from agentguard.canonical import freeze
from agentguard.decision import Approve, Effect, Flag, Matched, RedactResult, Reserve, Stage
from agentguard.errors import ArgumentsError
from agentguard.policy.evaluation import reservation, truth
from agentguard.policy.expressions import Expressions, Fault
from agentguard.policy.functions import PROVENANCE, needs_of
from agentguard.policy.register import ExceptionRecord, Grant, Refused, Register
from agentguard.policy.rules import Order, ReservePlan, Rule, approve_obligation, order_of
from agentguard.policy.scalars import tool_matches

__all__ = ["NO_REGISTER", "CompiledException", "CompiledGrant", "CompiledRegister"]


class _Scoped(Protocol):
    """What exceptions and grants have in common: whom and where they concern."""

    @property
    def id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def principal(self) -> str | None: ...
    @property
    def tools(self) -> tuple[str, ...]: ...
    @property
    def secrets(self) -> tuple[str, ...] | None: ...
    @property
    def uses(self) -> int | None: ...
    def holds_at(self, now: dt.datetime) -> bool: ...


def _concerns(
    record: _Scoped, condition: cel.Program | None, request: ContextRequest, bindings: Mapping[str, Any]
) -> bool:
    """Whether a record is in force for this call; an error means no."""
    if request.agent.get("id") != record.agent or not record.holds_at(request.now):
        return False
    if record.principal is not None:
        principal = request.principal
        if principal is None or principal.get("id") != record.principal:
            return False
    if not any(tool_matches(pattern, request.tool) for pattern in record.tools):
        return False
    if record.secrets is not None and not set(request.secrets).issubset(record.secrets):
        return False
    return condition is None or truth(condition, bindings) is True


@dataclass(frozen=True, slots=True, eq=False)
class CompiledException:
    """An exception with its control as obligations; `effect` is what remains when it waives a rule."""

    record: ExceptionRecord
    name: str
    condition: cel.Program | None
    effect: Effect
    matched: Matched
    order: Order
    approve: Approve | None
    redact: RedactResult | None
    plan: ReservePlan | None
    needs: frozenset[str]

    def reserves(
        self, request: ContextRequest, bindings: Mapping[str, Any], exhausted: Collection[str]
    ) -> tuple[Reserve, ...] | None:
        """What a use takes from counters, or None when the exception does not apply to this call."""
        if not _concerns(self.record, self.condition, request, bindings):
            return None
        found: list[Reserve] = []
        if self.record.uses is not None:
            key = f"exception:{self.record.id}"
            found.append(Reserve(key=key, amount=1, limit=self.record.uses, rule=self.name))
        if self.plan is not None:
            try:
                found.append(reservation(self.plan, self.name, bindings))
            except cel.CelError:
                return None
        return None if any(one.key in exhausted for one in found) else tuple(found)

    def flag(self, rule: str, effect: Effect) -> Flag:
        """The record of a waived rule, which counts again when the exception expires."""
        record = self.record
        return Flag(
            rule=rule,
            owner=record.owner,
            reason=f"waived by exception `{record.id}`: {record.reason}",
            review_in_s=record.review_in_s,
            converts_on=record.expires.date().isoformat(),
            converts_to=effect,
            exception=record.id,
        )


@dataclass(frozen=True, slots=True, eq=False)
class CompiledGrant:
    """A grant; `matched` says in a decision that it satisfied a step-up."""

    record: Grant
    name: str
    condition: cel.Program | None
    matched: Matched
    order: Order
    reserve: Reserve | None
    needs: frozenset[str]

    def covers(self, rule: Rule) -> bool:
        """Whether the approval behind the grant met every demand of a step-up."""
        wanted = rule.approve
        if wanted is None or (self.record.local and not wanted.local):
            return False
        return all(any(_meets(given, stage) for given in self.record.stages) for stage in wanted.stages)

    def applies(
        self, request: ContextRequest, bindings: Mapping[str, Any], exhausted: Collection[str]
    ) -> bool:
        """Whether it is in force for this call."""
        if self.reserve is not None and self.reserve.key in exhausted:
            return False
        return _concerns(self.record, self.condition, request, bindings) and _bound(
            self.record.bound, request
        )


def _bound(bound: Mapping[str, Any], request: ContextRequest) -> bool:
    """Whether everything that a grant is bound to is as it was; what cannot be compared is not."""
    return all(
        wanted is not None and wanted.get(request.tool) == request.tool_digest
        if name == "tool_digests"
        else _is(request, name) == wanted
        for name, wanted in bound.items()
    )


def _is(request: ContextRequest, name: str) -> object:
    match name:
        case "principal":
            return None if request.principal is None else request.principal.get("id")
        case "chain":
            return tuple(link.get("id") for link in request.chain)
        case "environment":
            return request.environment
        case "secrets":
            return tuple(sorted(request.secrets))
        case "session":
            return request.session.get("id")
        case "tool_digest":
            return request.tool_digest
        case "arguments":
            try:
                return freeze(request.args).digest
            except ArgumentsError:
                return _UNKNOWN
        case _:
            return _UNKNOWN


_UNKNOWN: Final = object()


def _meets(given: Any, wanted: Stage) -> bool:
    return given.quorum >= wanted.quorum and set(given.reviewers) <= set(wanted.reviewers)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRegister:
    """Exceptions and grants by the name of the rule they are about, weakest effect first, then by id."""

    register: Register
    exceptions: Mapping[str, tuple[CompiledException, ...]]
    grants: Mapping[str, tuple[CompiledGrant, ...]]
    refused: tuple[Refused, ...]
    suspended: Mapping[str, str]

    @classmethod
    def compile(cls, register: Register, rules: Iterable[Rule]) -> CompiledRegister:
        """Bind a register to rules. A record whose condition does not compile never applies."""
        if not register.exceptions and not register.grants:
            return cls(register, {}, {}, register.refused, register.suspended)
        by_name = {rule.name: rule for rule in rules}
        expressions = Expressions()
        refused = list(register.refused)
        exceptions: dict[str, list[CompiledException]] = {}
        grants: dict[str, list[CompiledGrant]] = {}
        for record in register.exceptions:
            try:
                exception = _exception(record, expressions)
            except cel.CelError as error:
                refused.append(Refused(record.id, error.message))
                continue
            for name in dict.fromkeys(record.rules):
                rule = by_name.get(name)
                if rule is None or rule.grants or rule.non_waivable:
                    why = (
                        "does not exist" if rule is None else "permits" if rule.grants else "is non-waivable"
                    )
                    refused.append(Refused(record.id, f"rule `{name}` {why}: it cannot be waived"))
                elif _too_long(record, rule):
                    why = f"rule `{name}` allows no exception that lasts so long"
                    refused.append(Refused(record.id, why))
                    continue
                if rule is not None and not rule.non_waivable:
                    exceptions.setdefault(name, []).append(exception)
        for one in register.grants:
            try:
                grant = _grant(one, expressions)
            except cel.CelError as error:
                refused.append(Refused(one.id, error.message))
                continue
            for name in dict.fromkeys(one.rules):
                rule = by_name.get(name)
                if rule is not None and grant.covers(rule):
                    grants.setdefault(name, []).append(grant)
                else:
                    refused.append(Refused(one.id, f"its approval does not meet what `{name}` asks for"))
        return cls(
            register,
            {name: tuple(sorted(found, key=_weakest)) for name, found in exceptions.items()},
            {name: tuple(sorted(found, key=lambda grant: grant.record.id)) for name, found in grants.items()},
            tuple(refused),
            register.suspended,
        )

    @property
    def tracks(self) -> bool:
        """Whether the condition of any record asks where values come from."""
        return any(
            one.needs & PROVENANCE
            for lists in (self.exceptions.values(), self.grants.values())
            for found in lists
            for one in found
        )

    def needs(self, tool: str) -> frozenset[str]:
        """The facts that the conditions of records for a tool read."""
        needed: frozenset[str] = frozenset()
        for lists in (self.exceptions.values(), self.grants.values()):
            for found in lists:
                for one in found:
                    if one.needs and any(tool_matches(pattern, tool) for pattern in one.record.tools):
                        needed |= one.needs
        return needed


def _too_long(record: ExceptionRecord, rule: Rule) -> bool:
    most = rule.max_exception_s
    return most is not None and record.expires - record.approved_at > dt.timedelta(seconds=most)


def _weakest(exception: CompiledException) -> tuple[int, str]:
    # INVARIANT: of several exceptions for one rule the weakest applies, so that removing one never loosens.
    return (exception.effect.rank, exception.record.id)


def _program(expressions: Expressions, when: str | bool, needs: set[str]) -> cel.Program | None:
    if when is True:
        return None
    found = expressions.compile("false" if when is False else str(when))
    if isinstance(found, Fault):
        raise cel.CelError(found.message)
    needs |= needs_of(found)
    return found


def _exception(record: ExceptionRecord, expressions: Expressions) -> CompiledException:
    name = f"exception/{record.id}"
    needs: set[str] = set()
    control = record.control
    effect = Effect.STEP_UP if control.approval is not None else Effect.FLAG
    until = record.expires.date().isoformat()
    matched = Matched(
        rule_id=record.id,
        policy="exception",
        effect=effect,
        reason=f"exception until {until}: {record.reason}",
    )
    plan = None
    if control.reserve is not None:
        wanted = control.reserve
        per = tuple(_required(_program(expressions, text, needs)) for text in wanted.per)
        amount = wanted.amount
        plan = ReservePlan(
            wanted.key,
            per,
            amount if isinstance(amount, int) else _required(_program(expressions, amount, needs)),
            wanted.limit,
            wanted.window,
        )
    return CompiledException(
        record=record,
        name=name,
        condition=_program(expressions, record.when, needs),
        effect=effect,
        matched=matched,
        order=order_of(matched),
        approve=approve_obligation(control.approval, name, record.reason)
        if control.approval is not None
        else None,
        redact=RedactResult(paths=control.redact_result, rule=name) if control.redact_result else None,
        plan=plan,
        needs=frozenset(needs),
    )


def _required(program: cel.Program | None) -> cel.Program:
    if program is None:
        raise cel.CelError("the expression is missing")
    return program


def _grant(record: Grant, expressions: Expressions) -> CompiledGrant:
    name = f"grant/{record.id}"
    needs: set[str] = set()
    until = record.expires.date().isoformat()
    matched = Matched(
        rule_id=record.id,
        policy="grant",
        effect=Effect.ALLOW,
        reason=f"granted until {until}: {record.reason}",
    )
    reserve = None
    if record.uses is not None:
        reserve = Reserve(key=f"grant:{record.id}", amount=1, limit=record.uses, rule=name)
    return CompiledGrant(
        record=record,
        name=name,
        condition=_program(expressions, record.when, needs),
        matched=matched,
        order=order_of(matched),
        reserve=reserve,
        needs=frozenset(needs),
    )


NO_REGISTER: Final = CompiledRegister(Register(), {}, {}, (), {})
